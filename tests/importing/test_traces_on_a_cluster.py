"""A sample chosen by real workers of a dask cluster: the same one as in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.importing.test_traces import many
from tests.importing.traffic import run_import, scenarios

SECONDS = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start a scheduler and a worker, each in a process of its own; yield the address."""
    environment = {**os.environ, "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "info"}

    def started(*arguments: str, until: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd="/",
        )
        stack.callback(process.communicate, timeout=SECONDS)
        stack.callback(process.kill)
        assert process.stderr is not None
        return next(line for line in process.stderr if until in line)

    with ExitStack() as stack:
        local = ("--host", "127.0.0.1")
        line = started("scheduler", *local, "--port", "0", until="Scheduler at:")
        address = line.partition("Scheduler at:")[2].strip()
        started("worker", address, *local, "--no-nanny", until="Registered to:")
        yield address


def test_workers_choose_the_same_sample_of_a_folder(cluster: str) -> None:
    documents = many(40)
    Path("logs").mkdir()
    for number in range(3):
        lines = "".join(json.dumps(one) + "\n" for one in documents[number::3])
        Path(f"logs/{number}.jsonl").write_text(lines)
    options = ("logs", "--sample", "6", "--by", "gen_ai.request.model", "--suite", "a")
    assert run_import(*options).exit_code == 0
    alone = scenarios()
    Path("suites/a.yaml").unlink()
    result = run_import(*options, "--cluster", cluster)
    assert result.exit_code == 0, result.output
    assert "6 conversations of 120 lines" in result.output
    assert scenarios() == alone
    assert sorted(one["model"] for one in alone) == ["rare"] * 3 + ["usual"] * 3


def test_files_that_the_workers_do_not_see(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in many(1)))
    # The path of the workers leads elsewhere, as on machines without a shared folder.
    elsewhere = Path("/nowhere/a.jsonl")
    monkeypatch.setattr(Path, "resolve", lambda self, strict=False: elsewhere)
    result = run_import("a.jsonl", "--sample", "1", "--cluster", cluster)
    assert result.exit_code == 2
    message = " ".join(result.output.split())
    assert "nowhere/a.jsonl: cannot be read (No such file or directory); workers" in message
    assert "in a folder that all of them share" in message
