"""The example agents: their tests replay offline from the committed cassettes, all of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import ONLY_EVALKIT

ROOT = Path(__file__).parents[1]
AGENTS = ROOT / "examples" / "agents"
NAMES = sorted(path.stem for path in AGENTS.glob("*_agent.py") if not path.stem.startswith("test_"))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GEMINI", "GOOGLE", "PYTEST"))
    }
    environment |= ONLY_EVALKIT | {
        "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9",  # a port on which nothing listens
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(folder),
        "-p",
        "no:cacheprovider",
        "-q",
        *arguments,
    ]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_the_examples_replay_offline(tmp_path: Path) -> None:
    report = tmp_path / "report"
    done = run(AGENTS, "--evalkit-strict", "--evalkit-report", str(report))
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout
    results = [json.loads(line) for line in (report / "results.jsonl").read_text().splitlines()]
    assert {one["kind"] for one in results} == {"test"}
    conversations = {one["id"].partition("::")[2]: one["conversations"] for one in results}
    assert [one["first_turn"] for one in conversations["test_two_agents_do_not_mix"]] == [1, 3]
    assert all(one["turns"] and one["checks"] for one in results)
    warnings = [find for one in results for check in one["checks"] for find in check["findings"]]
    assert warnings == []


def test_the_support_example_replays_offline(tmp_path: Path) -> None:
    report = str(tmp_path / "report")
    done = run(ROOT / "examples" / "support", "--evalkit-strict", "--evalkit-report", report)
    assert done.returncode == 0, done.stdout
    assert "14 passed" in done.stdout


def test_a_changed_history_is_reported(tmp_path: Path) -> None:
    shutil.copytree(AGENTS, tmp_path / "agents")
    agent = tmp_path / "agents" / "stateless_agent.py"
    agent.write_text(
        agent.read_text().replace(
            "self._history.append(step.model_dump())",
            "self._history.append(step.model_dump() | {'x': 1})",
        )
    )
    done = run(tmp_path / "agents", "-k", "faithfully and London")
    assert done.returncode == 1
    assert "history diverged" in done.stdout
    assert "--evalkit-record all" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_a_test_cassettes_and_documentation(name: str) -> None:
    assert (AGENTS / f"test_{name}.py").exists()
    assert list((AGENTS / "cassettes" / f"test_{name}").glob("*.yaml"))
    assert f"examples/agents/{name}.py)" in (ROOT / "docs" / "tapes.md").read_text(encoding="utf-8")


def test_cassettes_of_examples_say_where_they_come_from() -> None:
    cassettes = list((AGENTS / "cassettes").rglob("*.yaml"))
    assert len(cassettes) == 6
    for path in cassettes:
        assert 'server: "evalkit-serve/' in path.read_text(encoding="utf-8")
