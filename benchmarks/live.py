"""Measure concurrent live conversations: at most 1.3 times requests x latency / concurrency.

    python benchmarks/live.py [conversations [concurrency]]

A server in its own process answers every request after half a second. One pytest session with
`--evalkit-concurrency 64` runs 500 conversations of three requests each. Printed is the wall time of
the session, its start and its reports included, beside the ideal.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LATENCY, REQUESTS, BUDGET = 0.5, 3, 1.3
SCRIPT = """\
script: late
rules:
  - {when: {results: true}, delay: 0.5, reply: "It is 22 degrees."}
  - {when: {text: {contains: temperature}}, delay: 0.5, steps: [{call: {name: get_temperature, arguments: {place: London}}}]}
  - {delay: 0.5, reply: "You are welcome."}
"""
SUITE = """\
suite: live
defaults: {model: gemini-3.5-flash, history: stateless}
tools:
  get_temperature:
    parameters: {type: object, properties: {place: {type: string}}, required: [place]}
    result: {temperature: 22}
scenarios:
"""
SCENARIO = """\
  - id: s%d
    tools: [get_temperature]
    turns:
      - {user: "What is the temperature in London, %d?", expect: [{status: completed}]}
      - {user: Thank you, expect: [{text: {contains: welcome}}]}
"""


def main() -> int:
    """Print the figures; 1 where the budget is missed."""
    conversations, concurrency = (
        (int(text) for text in (*sys.argv[1:], "500", "64")[:2])
        if len(sys.argv) < 3
        else map(int, sys.argv[1:3])
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "late.yaml").write_text(SCRIPT)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "suites").mkdir()
        (folder / "suites/live.yaml").write_text(
            SUITE + "".join(SCENARIO % (number, number) for number in range(conversations))
        )
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "evalkit",
                "serve",
                "--script",
                str(folder / "late.yaml"),
                "--port",
                "0",
                "--quiet",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            url = next(
                word
                for line in server.stdout
                for word in line.split()
                if word.startswith("http://")
            )
            command = [
                sys.executable,
                "-m",
                "pytest",
                "suites",
                "-q",
                "--evalkit-live",
                "--evalkit-base-url",
                url,
            ]
            started = time.perf_counter()
            session = subprocess.run(
                [*command, "--evalkit-concurrency", str(concurrency)],
                cwd=folder,
                env={**os.environ, "GEMINI_API_KEY": "any"},
                capture_output=True,
                text=True,
                check=False,
            )
            taken = time.perf_counter() - started
        finally:
            server.terminate()
    if f"{conversations} passed" not in session.stdout:
        print(session.stdout[-2000:], session.stderr[-2000:])
        return 1
    ideal = conversations * REQUESTS * LATENCY / concurrency
    ratio = taken / ideal
    print(
        f"{conversations} conversations x {REQUESTS} requests, {LATENCY} s each, {concurrency} at once"
    )
    print(
        f"ideal {ideal:.1f} s, taken {taken:.1f} s: {ratio:.2f} (budget {BUDGET}: {'met' if ratio <= BUDGET else 'MISSED'})"
    )
    return int(ratio > BUDGET)


if __name__ == "__main__":
    sys.exit(main())
