"""docs/compare.md and examples/support: their commands run as printed, in a project with cassettes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.server import create_app, load_script, serving
from tests.documentation.pages import ROOT, environment

EXAMPLE = ROOT / "examples" / "support"
COMMAND = re.compile(r"^\$ ((?:pytest|evalkit compare) .*?)(?:\s+#.*)?$", re.MULTILINE)
CANDIDATE = "gemini-3.6-flash"


@pytest.fixture
def url() -> Iterator[str]:
    with serving(create_app(load_script(EXAMPLE / "script" / "models.yaml"))) as address:
        yield address


@pytest.fixture
def example(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("reports", "__pycache__")
    return Path(shutil.copytree(EXAMPLE, tmp_path / "support", ignore=ignored))


def run(command: str, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment(GOOGLE_GEMINI_BASE_URL=url),
        capture_output=True,
        text=True,
        check=False,
    )


def cassettes(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in (folder / "cassettes").rglob("*.yaml")
    }


@pytest.mark.parametrize("page", ["docs/compare.md", "examples/support/README.md"])
def test_the_commands_of_a_page_run_as_printed(example: Path, url: str, page: str) -> None:
    before = cassettes(example)
    commands = COMMAND.findall((ROOT / page).read_text(encoding="utf-8"))
    assert len(commands) == (9 if page.startswith("docs") else 6)
    for command in commands:
        done = run(command, example, url)
        assert done.returncode in (0, 1), (command, done.stdout, done.stderr)
        assert " 0 errored" in done.stdout or command.startswith("evalkit"), (command, done.stdout)
    after = cassettes(example)
    assert {name: after[name] for name in before} == before
    assert {name.replace(f".{CANDIDATE}", "") for name in after.keys() - before.keys()} == set(
        before
    )

    compared = json.loads((example / "reports/candidate/comparison/comparison.json").read_text())
    assert compared["verdict"] == "fail"
    assert (compared["pairs"]["regressed"], compared["counts"]["added"]) == (5, 0)


def test_a_candidate_without_recordings_is_recorded_by_the_printed_command(
    example: Path, url: str
) -> None:
    before = cassettes(example)
    done = run(f"pytest suites --evalkit-model {CANDIDATE} -k mail", example, url)
    (first,) = re.findall(r"^ *(pytest .*--evalkit-record changed)$", done.stdout, re.MULTILINE)
    assert run(first, example, url).returncode == 0
    after = cassettes(example)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2
