"""Measure a probe: at most 10 s for 200 scenarios of 40 mutants each, and its ratio to a replay.

    python benchmarks/probe.py [--variants 200] [--rounds 3]

The scenarios are those of ``benchmarks/replay.py``. A session replays them and writes a run
directory, which ``evalkit probe`` then probes, as a process of its own. CPU time is the operating
system's (user + system); sessions and probes alternate, medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from replay import record, session  # type: ignore[import-not-found]  # beside this file

BUDGET_SECONDS, SCENARIOS, MUTANTS = 10.0, 200, 40


def probe(folder: Path) -> tuple[float, int]:
    """Probe the newest run; return the CPU seconds and peak memory in KiB of the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "evalkit", "probe", "--most", "4"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit("evalkit probe failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", type=int, default=SCENARIOS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record(folder, options.variants)
        plugin = ("-p", "evalkit.pytest_plugin", "-p", "no:cacheprovider")
        rounds = [
            (session(folder, *plugin, "suites"), probe(folder)) for _ in range(options.rounds)
        ]
        strength = json.loads((folder / "reports/latest/strength.json").read_text())
    replayed = statistics.median(one[0] for one, _ in rounds)
    probed = statistics.median(one[0] for _, one in rounds)
    memory = statistics.median(one[1] for _, one in rounds)
    keys = ("caught", "survived", "accepted", "equivalent", "undecided")
    mutants = sum(strength[key] for key in keys)
    scaled = probed * SCENARIOS * MUTANTS / mutants
    met = "met" if scaled <= BUDGET_SECONDS else "MISSED"
    print(f"{options.variants:,} scenarios, {mutants:,} mutants")
    print(f"  replay of the scenarios   {replayed:7.3f} s CPU")
    print(f"  probe                     {probed:7.3f} s CPU   {memory / 1024:7.1f} MiB")
    print(f"  probe of 8,000 mutants    {scaled:7.3f} s CPU   budget {BUDGET_SECONDS:g} s: {met}")
    print(f"  probe / replay            {probed / replayed:7.2f}")


if __name__ == "__main__":
    main()
