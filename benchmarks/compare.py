"""Measure a comparison of two runs: at most 5 s and 300 MB for 10,000 pairs, and linear growth.

    python benchmarks/compare.py [sizes …]

Each size: two run directories with that many results (two turns, three exchanges, about 6 KB each,
three trials per scenario, one in ten flipped), compared by `evalkit compare` as a whole process: its
CPU seconds and peak memory, and the growth from the previous size (1.0 is linear). The time of
`evalkit --version` shows how much of it is the start of Python.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BUDGET_SECONDS, BUDGET_MB, SIZE = 5.0, 300, 10_000


def turns(number: int) -> list[dict[str, Any]]:
    """Return the turns of one result, with bodies of the usual size."""
    call = {
        "type": "function_call",
        "id": "c1",
        "name": "get_current_temperature",
        "arguments": {"location": f"City {number}"},
    }
    steps = [
        {"type": "thought", "signature": "x" * 200},
        call,
        {"type": "model_output", "content": [{"type": "text", "text": "word " * 40}]},
    ]
    timeline = [{"origin": "model", "exchange": 1, "step": step} for step in steps]
    exchange = {
        "number": 1,
        "request": {"method": "POST", "path": "/v1beta/interactions", "body": {"input": steps}},
        "response": {"status": 200},
    }
    one = {
        "outcome": "completed",
        "status": "completed",
        "text": "word " * 40,
        "user": [{"type": "text", "text": f"question {number}"}],
    }
    return [{"number": turn, **one, "steps": timeline, "exchanges": [exchange]} for turn in (1, 2)]


def write_run(folder: Path, size: int, seed: int) -> None:
    """Write a run directory of so many results."""
    chance = random.Random(seed)  # noqa: S311 - the same runs each time
    folder.mkdir()
    with (folder / "results.jsonl").open("w") as file:
        for index in range(size):
            scenario, trial = f"scenario-{index // 3}", index % 3 + 1
            verdict = "failed" if chance.random() < 0.1 else "passed"
            findings = [
                {"code": "text_missing", "severity": "error", "message": "…", "where": {}}
            ] * (verdict == "failed")
            result = {
                "schema_version": 1, "id": f"s::{scenario}" + (f"#{trial}" if trial > 1 else ""), "suite": "s", "scenario": scenario,
                "variant": {"model": "gemini-3.5-flash"}, "parts": [], "trial": trial, "tags": [f"tag{index % 7}"], "path": "suites/s.yaml",
                "line": index, "verdict": verdict, "message": "", "checks": [{"name": "text", "verdict": verdict, "findings": findings}],
                "metrics": {"tokens": {"total_tokens": 100 + index % 50}, "elapsed_ms": 500.0}, "settings": {"model": "gemini-3.5-flash"},
                "turns": turns(index),
            }  # fmt: skip
            file.write(json.dumps(result) + "\n")
    (folder / "manifest.json").write_text(
        json.dumps({"schema_version": 1, "complete": True, "options": {}, "suites": []})
    )


def measure(*arguments: str) -> tuple[float, float, float]:
    """Run evalkit; return CPU seconds, wall seconds and peak MB of the process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "evalkit", *arguments], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1, 4):
        sys.exit(f"evalkit {' '.join(arguments)} failed")
    peak = usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - start, peak


def main() -> None:
    """Print one line for each size, then the budgets."""
    sizes = [int(size) for size in sys.argv[1:]] or [1_000, SIZE, 3 * SIZE]
    started, _, _ = measure("--version")
    print(f"evalkit --version: {started:.2f} s CPU")
    before: tuple[int, float] | None = None
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            runs = [Path(folder, f"{side}{size}") for side in ("a", "b")]
            for seed, run in enumerate(runs):
                write_run(run, size, seed)
            cpu, wall, peak = measure("compare", *map(str, runs))
            work = cpu - started
            growth = f"  growth {work / before[1] / (size / before[0]):.2f}" if before else ""
            verdict = f"  budget {BUDGET_SECONDS:g} s, {BUDGET_MB} MB: {'met' if wall <= BUDGET_SECONDS and peak <= BUDGET_MB else 'MISSED'}"
            print(
                f"{size:>7,} pairs: {cpu:.2f} s CPU, {wall:.2f} s, {peak:.0f} MB{growth}{verdict if size == SIZE else ''}"
            )
            before = size, work


if __name__ == "__main__":
    main()
