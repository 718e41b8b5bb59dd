"""Measure live conversations on a cluster: at most 1.3 times requests x latency / concurrency.

    python benchmarks/cluster.py [conversations [concurrency [latency]]]

On one machine: `dask scheduler`, and `dask worker --nworkers 2` twice, so four worker processes. A
server answers every request after the latency. One pytest session runs 2,000 conversations of one
request each, 32 at once in every worker process, so 128. Printed is the wall time of the session,
its start and its reports included, beside the ideal, and the CPU time of session and workers.

The latency is long (default 8 seconds), because all processes share the cores of one machine: with
two cores and 128 conversations at once, the ideal leaves 1/16 of the latency of both cores for each
of them, in which client, scheduler, worker and server do their work.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

MACHINES, PROCESSES, BUDGET = 2, 2, 1.3
SUITE = """\
suite: live
defaults: {model: gemini-3.5-flash, history: stateless}
scenarios:
"""
SCENARIO = """\
  - id: s%d
    turns:
      - {user: "Thank you, %d", expect: [{status: completed}, {text: {contains: welcome}}]}
"""


@contextmanager
def running(words: list[str], folder: Path, name: str, ready: str, times: int = 1) -> Iterator[str]:
    """Run a program until the block ends; yield the word of its output after ``ready``.

    It is waited for until it has written ``ready`` so many times.
    """
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=folder, stdout=output, stderr=output
        )
    try:
        end = time.monotonic() + 120
        while (text := log.read_text()).count(ready) < times:
            assert process.poll() is None, text
            assert time.monotonic() < end, text
            time.sleep(0.1)
        yield text.partition(ready)[2].split()[0]
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    """Print the figures; 1 where the budget is missed."""
    texts = [*sys.argv[1:], *("2000", "32", "8")[len(sys.argv) - 1 :]]
    conversations, concurrency, latency = int(texts[0]), int(texts[1]), float(texts[2])
    at_once = concurrency * MACHINES * PROCESSES
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "polite.yaml").write_text(
            "script: polite\nrules:\n  - {reply: You are welcome.}\n"
        )
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "suites").mkdir()
        (folder / "suites/live.yaml").write_text(
            SUITE + "".join(SCENARIO % (number, number) for number in range(conversations))
        )
        serve = ["evalkit", "serve", "--script", "polite.yaml", "--delay", str(latency)]
        serve += ["--port", "0", "--quiet"]
        url = "http://" + stack.enter_context(running(serve, folder, "serve", "http://"))
        words = ["dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        address = stack.enter_context(running(words, folder, "scheduler", "Scheduler at: "))
        for number in range(MACHINES):
            words = ["dask", "worker", address, "--nworkers", str(PROCESSES), "--nthreads", "1"]
            words += ["--no-dashboard", "--local-directory", str(folder / f"worker{number}")]
            worker = running(words, folder, f"worker{number}", "Registered to:", PROCESSES)
            stack.enter_context(worker)
        command = [sys.executable, "-m", "pytest", "suites", "-q", "--evalkit-live"]
        command += ["--evalkit-base-url", url, "--evalkit-concurrency", str(concurrency)]
        started = time.perf_counter()
        session = subprocess.run(
            [*command, "--evalkit-cluster", address],
            cwd=folder,
            env={**os.environ, "GEMINI_API_KEY": "any-key-of-a-benchmark"},
            capture_output=True,
            text=True,
            check=False,
        )
        taken = time.perf_counter() - started
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
    everything = resource.getrusage(resource.RUSAGE_CHILDREN)
    if f"{conversations} passed" not in session.stdout:
        print(session.stdout[-2000:], session.stderr[-2000:])
        return 1
    ideal = conversations * latency / at_once
    ratio = taken / ideal
    session_cpu = own.ru_utime + own.ru_stime
    others = everything.ru_utime + everything.ru_stime - session_cpu
    print(
        f"{conversations} conversations of one request, {latency:g} s each, "
        f"{MACHINES * PROCESSES} worker processes x {concurrency} = {at_once} at once"
    )
    print(
        f"ideal {ideal:.1f} s, taken {taken:.1f} s: {ratio:.2f} "
        f"(budget {BUDGET}: {'met' if ratio <= BUDGET else 'MISSED'})"
    )
    print(
        f"CPU: session {session_cpu:.1f} s, the other processes {others:.1f} s; "
        f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return int(ratio > BUDGET)


if __name__ == "__main__":
    sys.exit(main())
