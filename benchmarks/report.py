"""Measure the report of large runs: time and size of the page, and how fast it can be used.

    python benchmarks/report.py [sizes …]

Each size: a run directory with that many variants (two turns, three exchanges, seven steps, about
6 KB; 2 in 100 fail, in 5 groups). A process of its own writes the page: its CPU seconds, the start of
Python included, peak memory, and bytes written. Headless Chromium opens it from the disk; medians of
five new pages: *usable* is the time from the start of the navigation until the list responds,
*filter* the slowest of six queries, from the keystroke to the next frame. Needs chromium and
playwright.
"""

from __future__ import annotations

import base64
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

BUDGETS = {10_000: "built 5 s, 25 MB, usable 1,000 ms, filter 100 ms", 100_000: "usable 2,500 ms"}
QUERIES = ("c", "ci", "city 12", "status:failed", "tag:smoke tokens:>500 -tag:slow", "")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WATCH = """new MutationObserver((_, self) => {
  if (document.documentElement?.dataset.ready) { window.usable = performance.now(); self.disconnect(); }
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-ready"] });"""
FILTER = """async query => {
  const field = document.getElementById("find");
  const times = [];
  for (const text of query) {
    field.value = text;
    const start = performance.now();
    field.dispatchEvent(new Event("input"));
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    times.push(performance.now() - start);
  }
  return Math.max(...times);
}"""
MAKE = """
import sys
from pathlib import Path
from evalkit.reports.line_reports import write_all
from evalkit.reports.page.run_page import RunPage
from evalkit.results import Run
write_all(Run(Path(sys.argv[1])), [RunPage])
"""


def variant(index: int) -> dict[str, Any]:
    """Return one result: two turns, one function call, a history that is re-sent."""
    chance = random.Random(index)  # noqa: S311 - the same runs each time
    signature = [base64.b64encode(chance.randbytes(150)).decode() for _ in range(3)]
    call = {
        "type": "function_call",
        "id": "call_1",
        "name": "get_current_temperature",
        "arguments": {"location": f"City {index}"},
    }
    answer = {
        "type": "function_result",
        "call_id": "call_1",
        "name": "get_current_temperature",
        "result": [{"type": "text", "text": '{"temperature": 22}'}],
    }

    def says(words: str) -> dict[str, Any]:
        return {"type": "model_output", "content": [{"type": "text", "text": words}]}

    def asks(words: str) -> dict[str, Any]:
        return {"type": "user_input", "content": [{"type": "text", "text": words}]}

    first, second = f"What is the temperature in city {index}?", "And should I take a coat?"
    steps: list[list[dict[str, Any]]] = [
        [{"type": "thought", "signature": signature[0]}, call],
        [
            {"type": "thought", "signature": signature[1]},
            says(f"It is 22 degrees in city {index}."),
        ],
        [{"type": "thought", "signature": signature[2]}, says(f"No, city {index} is warm enough.")],
    ]
    added: list[list[dict[str, Any]]] = [[asks(first)], [answer], [asks(second)]]
    sent: list[dict[str, Any]] = []
    exchanges = []
    for number in range(3):
        sent = sent + (steps[number - 1] if number else []) + added[number]
        usage = {
            "total_tokens": 180 + index % 90,
            "total_input_tokens": 95,
            "total_output_tokens": 20,
        }
        body = {
            "id": f"v1_{index}_{number}",
            "object": "interaction",
            "status": "completed",
            "model": "gemini-3.5-flash",
            "usage": usage,
            "steps": steps[number],
        }
        request = {
            "method": "POST",
            "path": "/v1beta/interactions",
            "body": {"model": "gemini-3.5-flash", "store": False, "input": sent},
        }
        exchanges.append(
            {
                "number": number + 1,
                "request": request,
                "response": {
                    "status": 200,
                    "source": "replayed",
                    "body": body,
                    "elapsed_ms": 412.5,
                },
            }
        )

    def timeline(*pairs: tuple[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
        return [
            {
                "origin": "client" if step["type"] == "function_result" else "model",
                "exchange": at,
                "step": step,
            }
            for at, own in pairs
            for step in own
        ]

    completed = {"outcome": "completed", "status": "completed"}
    turns = [
        {
            "number": 1,
            "user": added[0][0]["content"],
            **completed,
            "text": "",
            "steps": timeline((1, steps[0]), (2, added[1]), (2, steps[1])),
            "exchanges": exchanges[:2],
        },
        {
            "number": 2,
            "user": added[2][0]["content"],
            **completed,
            "text": "",
            "steps": timeline((3, steps[2])),
            "exchanges": exchanges[2:],
        },
    ]
    failed = index % 50 == 0
    findings = [
        {
            "code": "not_contained",
            "severity": "error",
            "message": f"the text does not contain '{index % 5}'",
            "where": {"turn": 2},
        }
    ] * failed
    checks: list[dict[str, Any]] = [
        {
            "name": name,
            "verdict": "passed",
            "findings": [],
            "turn": 1,
            "declared": "suites/weather.yaml:14",
        }
        for name in ("status", "steps", "tool_calls", "history")
    ]
    checks.append(
        {
            "name": "text",
            "verdict": "failed" if failed else "passed",
            "findings": findings,
            "turn": 2,
            "declared": "suites/weather.yaml:18",
        }
    )
    suite = f"suite-{index % 20:02}"
    return {
        "schema_version": 1,
        "id": f"{suite}::city{index}[stateless]",
        "suite": suite,
        "scenario": f"city{index}",
        "title": "One call, one answer",
        "variant": {"model": "gemini-3.5-flash", "history": "stateless", "stream": False},
        "parts": ["stateless"],
        "trial": 1,
        "tags": ["smoke"] if index % 3 else ["smoke", "nightly"],
        "path": f"suites/{suite}.yaml",
        "line": 12,
        "verdict": "failed" if failed else "passed",
        "message": "",
        "checks": checks,
        "metrics": {
            "tokens": {"total_tokens": 540 + index % 270},
            "exchanges": 3,
            "tool_calls": 1,
            "source": "replayed",
            "elapsed_ms": 1237.5,
        },
        "unplayed": [],
        "cassette": f"{suite}/city{index}.stateless.yaml",
        "settings": {"model": "gemini-3.5-flash"},
        "turns": turns,
        "digest": f"{index:064x}",
    }


def write_run(folder: Path, size: int) -> None:
    """Write a run directory of so many results."""
    folder.mkdir()
    with (folder / "results.jsonl").open("w") as file:
        for index in range(size):
            file.write(json.dumps(variant(index), separators=(",", ":")) + "\n")
    (folder / "manifest.json").write_text(
        json.dumps(
            {
                "schema_version": 1,
                "complete": True,
                "started": "2026-11-22T13:00:00Z",
                "totals": {"collected": size},
            }
        )
    )


def built(folder: Path) -> tuple[float, float]:
    """Make the page and return the CPU seconds of the process and its peak memory in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = f"{MAKE}import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    ran = subprocess.run(
        [sys.executable, "-c", measured, str(folder)], check=True, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, int(
        ran.stdout
    ) / 1024


def used(page_file: Path) -> tuple[float, float]:
    """Open the page and return the milliseconds until it is usable, and those of the slowest filter."""
    from playwright.sync_api import sync_playwright

    usable, filters = [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        browser.new_page().goto("about:blank")
        for _ in range(5):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.add_init_script(WATCH)
            page.goto(page_file.as_uri())
            page.wait_for_function("() => window.usable !== undefined")
            usable.append(page.evaluate("window.usable"))
            filters.append(page.evaluate(FILTER, list(QUERIES)))
            page.close()
        browser.close()
    return statistics.median(usable), statistics.median(filters)


def main(sizes: list[int]) -> int:
    """Measure each size and print a line."""
    if shutil.which("chromium") is None:
        print("chromium is not installed", file=sys.stderr)
        return 1
    for size in sizes:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "run"
            write_run(folder, size)
            seconds, memory = built(folder)
            written = [
                path
                for path in folder.rglob("*")
                if path.is_file() and path.name not in ("results.jsonl", "manifest.json")
            ]
            index, whole = (
                (folder / "index.html").stat().st_size,
                sum(path.stat().st_size for path in written),
            )
            usable, slowest = used(folder / "index.html")
            parts = f"{whole / 1e6:.1f} MB" + (
                f" in {len(written)} files, index.html {index / 1e6:.1f} MB"
                if len(written) > 1
                else ""
            )
            print(
                f"{size:,} variants: built in {seconds:.1f} s CPU, {memory:.0f} MB of memory, {parts}"
            )
            print(f"  in Chromium: usable after {usable:,.0f} ms, filter {slowest:.0f} ms")
            if size in BUDGETS:
                print(f"  budget: {BUDGETS[size]}")
    return 0


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]] or [10_000, 100_000]))
