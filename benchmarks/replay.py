"""Measure the budgets of a replay as ratios to bare pytest, in one run on one machine.

    python benchmarks/replay.py [--variants 1000] [--rounds 5] [--large]

Two figures: the cost of the plugin in a session without suites, and the cost of replaying, checking
and reporting N stateless variants (two turns, one tool call: three exchanges each) beside N empty
tests. Every session runs as continuous integration runs it: a process of its own in a fresh
checkout, in which nothing is cached but the byte code of installed packages. A key is set, as on a
developer's machine, so everything written is searched for it. CPU time is the operating system's
(user + system), sessions alternate, medians are printed. The replay is measured
without any other plugin, where the floor is lowest, and with the plugins of this environment loaded
on both sides. "Compiled" repeats the floor with the byte code of its test file stored, which no
fresh checkout has: the strictest reading of the budget.
"""

from __future__ import annotations

import argparse
import os
import shutil
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


def session(
    folder: Path, *arguments: str, alone: bool = True, fresh: bool = True
) -> tuple[float, int]:
    """Run pytest in ``folder``; return its CPU seconds and its peak memory in KiB.

    ``alone`` loads only the plugins that the arguments name; ``fresh`` deletes every cache below the
    folder first. Raises RuntimeError where the session does not pass.
    """
    if fresh:
        for cache in (*folder.rglob("__pycache__"), *folder.rglob(".pytest_cache")):
            shutil.rmtree(cache)
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "GEMINI_API_KEY": "a-key-that-the-local-server-accepts",
    }
    if not alone:
        del environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages are compiled once
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
    """Write suites of ``PER_SUITE`` scenarios each, and as many empty tests beside them."""
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
    """Print what the plugin adds to a session with one empty test and no suite."""
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
    """Write the suites and record their cassettes from a local server."""
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


def multiply(small: Path, folder: Path, times: int) -> None:
    """Write a project of ``times`` as many variants; its cassettes are copies with other numbers.

    Recording syncs every response to the disk, which would take longer than all measurements.
    """
    cassettes = sorted((small / "cassettes").rglob("*.yaml"))
    write_suites(folder, len(cassettes) * times)
    for path in cassettes:
        number, first = int(path.stem[1:]), int(path.parent.name.removeprefix("bench"))
        text = path.read_text(encoding="utf-8")
        for offset in range(0, len(cassettes) * times, len(cassettes)):
            copy = folder / "cassettes" / f"bench{first + offset}" / f"s{number + offset}.yaml"
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text.replace(f"Case {number}.", f"Case {number + offset}."))


def replay(folder: Path, variants: int, rounds: int, *, alone: bool) -> tuple[float, float]:
    """Print the replay's cost beside the floor's; return its median CPU seconds and peak memory."""
    plugin = ("-p", "evalkit.pytest_plugin") if alone else ()
    no_plugin = () if alone else ("-p", "no:evalkit")
    floor_arguments = ("-p", "no:cacheprovider", *no_plugin, "test_floor.py")
    rows = []
    for _ in range(rounds + 1):
        floor = session(folder, *floor_arguments, alone=alone)
        compiled = session(folder, *floor_arguments, alone=alone, fresh=False)
        ours = session(folder, "-p", "no:cacheprovider", *plugin, "suites", alone=alone)
        rows.append((floor, compiled, ours))
    del rows[0]  # the first round also compiles installed packages
    floor_cpu, compiled_cpu, our_cpu = (
        statistics.median(row[column][0] for row in rows) for column in range(3)
    )
    floor_memory, our_memory = (
        statistics.median(row[column][1] for row in rows) for column in (0, 2)
    )
    ratio = statistics.median(row[2][0] / row[0][0] for row in rows)
    strict = statistics.median(row[2][0] / row[1][0] for row in rows)
    plugins = "no other plugin" if alone else "the plugins of this environment"
    print(
        f"{variants:,} stateless variants of 3 exchanges, replayed and reported; {plugins} loaded"
    )
    print(f"  {variants:,} empty tests    {floor_cpu:7.3f} s CPU   {floor_memory / 1024:7.1f} MiB")
    print(f"  compiled              {compiled_cpu:7.3f} s CPU")
    print(f"  {variants:,} variants       {our_cpu:7.3f} s CPU   {our_memory / 1024:7.1f} MiB")
    print(f"  ratio                 {ratio:7.2f}         (budget 2.5); to compiled {strict:.2f}")
    return our_cpu, our_memory


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
            multiply(folder / "small", folder / "large", 10)
            large_cpu, large_memory = replay(folder / "large", options.variants * 10, 1, alone=True)
            each = (large_memory - small_memory) / (options.variants * 9)
            print(f"growth from {options.variants:,} to {options.variants * 10:,} variants")
            print(f"  time                  {large_cpu / small_cpu:7.2f} times  (budget 10.5)")
            print(f"  memory                {each:7.2f} KiB for each further variant (budget 12)")


if __name__ == "__main__":
    main()
