"""The replay budgets of the design, as ratios against pytest's own floor, in one run on one machine.

    python benchmarks/replay.py [--variants 1000] [--rounds 5] [--large]

Two figures: what the plugin adds to a session without a suite, and what replaying, checking, journalling and reporting N stateless variants (two
turns, one tool call: three exchanges each) costs beside N no-op tests. Every session is a process of its own, its CPU time is the operating
system's (user + system), sessions alternate, medians are printed. The second is measured twice: with the plugins of this environment loaded
on both sides, as a user's session is, and with none, where the floor is lowest.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from evalkit.server import create_app, load_script, serving

SUITE = """\
suite: bench{number}
defaults: {{model: gemini-3.5-flash, history: stateless}}
tools:
  get_current_temperature:
    description: Gets the current temperature for a given location.
    parameters:
      type: object
      properties: {{location: {{type: string, description: The city name}}}}
      required: [location]
    result: {{location: "{{{{ arguments.location }}}}", temperature: "22", unit: celsius}}
scenarios:
"""
SCENARIO = """\
  - id: s{number}
    tags: [bench]
    tools: [get_current_temperature]
    turns:
      - user: What is the temperature in London?
        expect:
          - status: completed
          - steps: "thought* function_call function_result thought* model_output"
          - tool_calls: [{{name: get_current_temperature, arguments: {{location: London}}}}]
          - text: {{contains: "22"}}
      - user: Thank you. Case {number}.
        expect:
          - status: completed
          - steps: "thought* model_output"
    expect:
      - usage: {{total_tokens: {{max: 100000}}}}
"""
PER_SUITE = 100
SCRIPT = """\
script: bench
rules:
  - when: {text: {contains: thank you}}
    reply: You are welcome.
  - when: {results: {name: get_current_temperature}}
    reply: "The temperature in London is {{ result.value.temperature }} degrees."
  - when: {text: {contains: temperature}}
    steps:
      - call: {name: get_current_temperature, arguments: {location: London}}
"""


def session(folder: Path, *arguments: str, alone: bool = True) -> tuple[float, int]:
    """Run pytest in ``folder``; return its CPU seconds and its peak memory in KiB. Raises RuntimeError when it does not pass.

    ``alone`` keeps every plugin out that is not named in the arguments; otherwise those of the environment are loaded.
    """
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    if not alone:
        del environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
    environment.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # a user's modules are compiled once, not in every session
    output = folder / "output.txt"
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        text = output.read_text()
        raise RuntimeError(
            f"{' '.join(command)} in {folder} ended with {process.returncode}:\n{text[:1500]}\n…\n{text[-1500:]}"
        )
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def write_suites(folder: Path, variants: int) -> None:
    """Write suites of ``PER_SUITE`` scenarios each, and as many no-op tests beside them."""
    (folder / "suites").mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for first in range(0, variants, PER_SUITE):
        numbers = range(first, min(first + PER_SUITE, variants))
        (folder / "suites" / f"bench{first}.yaml").write_text(
            SUITE.format(number=first) + "".join(SCENARIO.format(number=n) for n in numbers)
        )
    (folder / "test_floor.py").write_text(
        "".join(f"def test_{number}():\n    pass\n\n\n" for number in range(variants))
    )


def plugin_cost(folder: Path, rounds: int) -> None:
    """Print what the plugin adds to a session with one no-op test and no suite."""
    (folder / "test_one.py").write_text("def test_one():\n    pass\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    pairs = []
    for _ in range(rounds + 1):
        without, _ = session(folder, "test_one.py")
        with_plugin, _ = session(folder, "-p", "evalkit.pytest_plugin", "test_one.py")
        pairs.append((without, with_plugin))
    without, with_plugin = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
    print("A session with no suite")
    print(f"  pytest alone          {without:7.3f} s CPU")
    print(f"  with evalkit loaded   {with_plugin:7.3f} s CPU   ratio {with_plugin / without:.2f}")
    print(f"  evalkit adds          {with_plugin - without:7.3f} s CPU   (budget 0.03)")


def record(folder: Path, variants: int) -> None:
    """Write the suites and record their cassettes from a server of ours."""
    write_suites(folder, variants)
    script = folder / "script.yaml"
    script.write_text(SCRIPT)
    with serving(create_app(load_script(script))) as url:
        session(
            folder,
            "-p",
            "evalkit.pytest_plugin",
            "suites",
            "--evalkit-record",
            "all",
            "--evalkit-base-url",
            url,
        )


def replay(folder: Path, variants: int, rounds: int, *, alone: bool) -> tuple[float, float]:
    """Print the replay's cost beside the floor's; return the replay's median CPU seconds and peak memory."""
    ours_by, floor_by = (
        ("-p", "evalkit.pytest_plugin") if alone else (),
        () if alone else ("-p", "no:evalkit"),
    )
    pairs = []
    for _ in range(rounds + 1):
        floor = session(folder, "-p", "no:cacheprovider", *floor_by, "test_floor.py", alone=alone)
        ours = session(folder, "-p", "no:cacheprovider", *ours_by, "suites", alone=alone)
        pairs.append((floor, ours))
    (floor_cpu, floor_memory), (ours_cpu, ours_memory) = (
        [statistics.median(pair[side][figure] for pair in pairs[1:]) for figure in (0, 1)]
        for side in (0, 1)
    )
    ratio = statistics.median(ours[0] / floor[0] for floor, ours in pairs[1:])
    plugins = "no other plugin" if alone else "the plugins of this environment"
    print(
        f"{variants:,} stateless variants, 3 exchanges each: replayed, checked, journalled, reported; {plugins} loaded"
    )
    print(f"  {variants:,} no-op tests    {floor_cpu:7.3f} s CPU   {floor_memory / 1024:7.1f} MiB")
    print(f"  {variants:,} variants       {ours_cpu:7.3f} s CPU   {ours_memory / 1024:7.1f} MiB")
    print(f"  ratio                 {ratio:7.2f}         (budget 2.0)")
    return ours_cpu, ours_memory


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--keep", help="an empty folder to work in and leave behind, to profile a session in"
    )
    parser.add_argument(
        "--large",
        action="store_true",
        help="also ten times as many variants: growth in time and memory",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(options.keep or name)
        (folder / "none").mkdir(parents=True)
        plugin_cost(folder / "none", max(options.rounds, 9))
        record(folder / "small", options.variants)
        replay(folder / "small", options.variants, options.rounds, alone=False)
        small_cpu, small_memory = replay(
            folder / "small", options.variants, options.rounds, alone=True
        )
        if options.large:
            record(folder / "large", options.variants * 10)
            large_cpu, large_memory = replay(folder / "large", options.variants * 10, 1, alone=True)
            each = (large_memory - small_memory) / (options.variants * 9)
            print(f"growth from {options.variants:,} to {options.variants * 10:,} variants")
            print(f"  time                  {large_cpu / small_cpu:7.2f} times  (budget 10.5)")
            print(f"  memory                {each:7.2f} KiB for each further variant (budget 8)")


if __name__ == "__main__":
    main()
