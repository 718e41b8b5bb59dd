"""Kill commands at random moments, and check that nothing is lost and the same command continues.

    python tools/kills.py                        200 kills over all commands, seed 1
    python tools/kills.py record --kills 50 --seed 7

Each command runs once to its end, which gives its time and its result. Then it is started again
and again in a copy of the same project, and the whole process group gets SIGKILL after a random
part of that time. After each kill:

* every file is whole or absent; of a journal, only the last line may be incomplete;
* the same command ends as it did without a kill, and totals equal rows;
* while recording, no exchange that was complete is sent again: the server has received at most as
  many requests more as were in flight.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import yaml

from evalkit.cassette.files import load_cassette
from evalkit.errors import CassetteError
from evalkit.server import Script, create_app, serving

SCRIPT = "script: kills\nrules:\n  - {reply: An answer., delay: 0.03}\n"
SCENARIOS, TURNS = 5, 3
PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p no:cacheprovider"}
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "evalkit.pytest_plugin", "suites"]
EVALKIT = [sys.executable, "-m", "evalkit"]
# Without the variables of coverage: measuring would double the time of each process.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if "COVERAGE" not in name},
    **PLUGINS,
}
_EARLIEST = 0.3
"""Before this part of its time a command has only imported modules."""


class KillError(AssertionError):
    """Something was lost or left broken."""


@dataclass(frozen=True, kw_only=True)
class KilledCommand:
    """A command, and what must be true of its project after it has ended.

    ``prepare`` makes the project beforehand, ``check`` raises KillError, ``in_flight`` is the most
    requests that a kill may lose, ``codes`` are the exit codes of success.
    """

    arguments: Sequence[str]
    prepare: Callable[[Path, str], None]
    check: Callable[[Path], None]
    in_flight: int = 0
    codes: frozenset[int] = frozenset({0})


@dataclass
class Tally:
    """Kills of a command: how many were before its end, how many requests were lost at the most."""

    kills: int = 0
    early: int = 0
    lost: int = 0


def project(folder: Path, url: str, *, failing: bool = False) -> None:
    """Write a project whose suite has several scenarios of several turns."""
    turns = "".join(f"      - user: Question {turn} of %s\n" for turn in range(TURNS))
    expect = '        expect: [{text: {contains: "%s"}}]\n'
    scenarios = "".join(
        f"  - id: s{number}\n    turns:\n{turns.replace('%s', f's{number}')}"
        + expect % ("nothing of it" if failing and number == 0 else "answer")
        for number in range(SCENARIOS)
    )
    suite = "suite: kills\ndefaults: {model: gemini-3.5-flash, history: stateless}\nscenarios:\n"
    for name, text in {
        "suites/kills.yaml": suite + scenarios,
        "evalkit.yaml": "signoff: {allowed_signers: allowed_signers}\n",
        "pytest.ini": "[pytest]\n",
        "url": url,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def record(folder: Path, *options: str, codes: frozenset[int] = frozenset({0})) -> None:
    """Record, or replay what is recorded."""
    url = (folder / "url").read_text()
    options = ("--evalkit-record", "once", "--evalkit-base-url", url, *options)
    run([*PYTEST, *options], folder, codes)


def recorded(folder: Path, url: str) -> None:
    """Make a project with a run in which one scenario fails, and a baseline."""
    project(folder, url)
    record(folder, "--evalkit-report", "reports/base")
    project(folder, url, failing=True)
    record(folder, "--evalkit-report", "reports/latest", codes=frozenset({1}))


def sharded(folder: Path, url: str) -> None:
    """Make a project with two shards to merge."""
    project(folder, url)
    for number, words in enumerate(("s0 or s1", "not s0 and not s1")):
        record(folder, "-k", words, "--evalkit-report", f"shards/{number}")


def signable(folder: Path, url: str) -> None:
    """Make a project with a run and a key to sign it with."""
    project(folder, url)
    record(folder, "--evalkit-report", "reports/latest")
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"], folder)
    kind, key = (folder / "key.pub").read_text().split()[:2]
    (folder / "allowed_signers").write_text(f"ada@example.com {kind} {key}\n")


def importable(folder: Path, url: str) -> None:
    """Make a project with cassettes to import, and without suites."""
    project(folder, url)
    record(folder)
    shutil.move(folder / "cassettes", folder / "tapes")
    shutil.rmtree(folder / "suites")
    shutil.rmtree(folder / "reports")


def check_run(folder: Path, name: str = "reports/latest") -> None:
    """Check that a run is complete and its totals equal its rows."""
    manifest = json.loads((folder / name / "manifest.json").read_text())
    results = (folder / name / "results.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in results.splitlines()]
    counted = Counter(row["verdict"] for row in rows)
    stated = {verdict: manifest["totals"][verdict] for verdict in counted}
    expect(manifest["complete"] is True, f"{name} is not complete")
    expect(dict(counted) == stated, f"{name}: totals {stated}, rows {dict(counted)}")
    expect(len({row["id"] for row in rows}) == len(rows) == SCENARIOS, f"{name}: {len(rows)} rows")


def check_recording(folder: Path) -> None:
    """Check the run, and that every scenario has a complete cassette and no journal."""
    check_run(folder)
    for number in range(SCENARIOS):
        cassette = load_cassette(folder / f"cassettes/kills/s{number}.yaml")
        count = len(cassette.recordings) if cassette else 0
        expect(count == TURNS, f"s{number} has {count} recordings")
    journals = [journal.name for journal in folder.rglob("*.journal")]
    expect(not journals, f"left: {journals}")


def check_comparison(folder: Path) -> None:
    """Check that the comparison has its three files."""
    names = {path.name for path in (folder / "reports/latest/comparison").iterdir()}
    expect({"comparison.json", "comment.md", "index.html"} <= names, f"comparison: {names}")


def check_signature(folder: Path) -> None:
    """Check that the run verifies."""
    run([*EVALKIT, "verify", "reports/latest"], folder)


def check_decision(folder: Path) -> None:
    """Check that the review has the decision, and reads its file."""
    shown = run(
        [*EVALKIT, "review", "reports/latest", "--json", "--name", "Ada"],
        folder,
        frozenset({0, 1}),
    )
    summary = json.loads(shown)["summary"]
    expect(summary["accepted"] == 1, f"review: {summary}")


def check_import(folder: Path) -> None:
    """Check that the drafted suite passes from its cassettes."""
    run([*PYTEST, "--evalkit-report", "reports/imported"], folder)
    rows = (folder / "reports/imported/results.jsonl").read_text().count("\n")
    expect(rows == SCENARIOS, f"import: {rows} scenarios")


RECORD = [*PYTEST, "--evalkit-record", "once", "--evalkit-report", "reports/latest"]
SIGN = "--name Ada --email ada@example.com --role qa --decision approved --meaning approval"
COMMANDS = {
    "record": KilledCommand(arguments=RECORD, prepare=project, check=check_recording, in_flight=1),
    "record -n 2": KilledCommand(
        arguments=[*RECORD, "-p", "xdist", "-n", "2"],
        prepare=project,
        check=check_recording,
        in_flight=2,
    ),
    "record, concurrency 8": KilledCommand(
        arguments=[*RECORD, "--evalkit-concurrency", "8"],
        prepare=project,
        check=check_recording,
        in_flight=8,
    ),
    "report": KilledCommand(
        arguments=[*EVALKIT, "report", "reports/latest"], prepare=recorded, check=check_run
    ),
    "merge": KilledCommand(
        arguments=[*EVALKIT, "merge", "shards/0", "shards/1", "--output", "reports/latest"],
        prepare=sharded,
        check=check_run,
    ),
    "compare": KilledCommand(
        arguments=[*EVALKIT, "compare", "reports/base", "reports/latest"],
        prepare=recorded,
        check=check_comparison,
        codes=frozenset({1}),
    ),
    "signoff": KilledCommand(
        arguments=[*EVALKIT, "signoff", "reports/latest", "--key", "key", *SIGN.split()],
        prepare=signable,
        check=check_signature,
    ),
    "review": KilledCommand(
        arguments=[*EVALKIT, "review", "reports/latest", "--accept", "kills::s0", "--name", "Ada"],
        prepare=recorded,
        check=check_decision,
        # If the decision was written before the kill, there is nothing left to decide.
        codes=frozenset({0, 2}),
    ),
    "import": KilledCommand(
        arguments=[*EVALKIT, "import", "tapes", "--suite", "imported"],
        prepare=importable,
        check=check_import,
    ),
}


def expect(condition: bool, message: str) -> None:
    """Raise KillError unless a condition holds."""
    if not condition:
        raise KillError(message)


def run(command: Sequence[str], folder: Path, codes: frozenset[int] = frozenset({0})) -> str:
    """Run a command to its end; return its output. Raises KillError for another exit code."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # as the killed one: the scheduler shares time between sessions
    )
    output = done.stdout + done.stderr
    expect(done.returncode in codes, f"{command[2:]} ended with {done.returncode}:\n{output}")
    expect("Traceback" not in output, f"{command[2:]}:\n{output}")
    return done.stdout


def timed_run(command: Sequence[str], folder: Path, codes: frozenset[int]) -> float:
    """Run a command to its end; return the seconds it took. Raises KillError."""
    started = time.monotonic()
    run(command, folder, codes)
    return time.monotonic() - started


def check_files(folder: Path) -> None:
    """Check that every file is whole; the last line of a journal may be incomplete."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name.startswith("."):
            continue
        try:
            check_file(path)
        except (ValueError, ElementTree.ParseError, yaml.YAMLError, CassetteError) as error:
            raise KillError(f"{path.relative_to(folder)} is not whole: {error}") from error


def check_file(path: Path) -> None:
    """Raise an error for a file that is not whole: that of the module which reads it."""
    kind = path.suffix
    if kind == ".json":
        json.loads(path.read_text())
    elif kind in (".jsonl", ".journal"):
        for line in path.read_text().split("\n")[:-1]:
            json.loads(line)
    elif kind == ".yaml":
        yaml.safe_load(path.read_text())
        if "cassettes" in path.parts:
            load_cassette(path)
    elif kind == ".xml":
        ElementTree.parse(path)  # noqa: S314 - evalkit wrote it
    elif kind == ".html" and not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("it has no end")


@contextmanager
def counting_server() -> Iterator[tuple[str, list[str]]]:
    """Serve the script; yield the URL, and the log with an entry for each request."""
    log: list[str] = []
    with serving(create_app(Script.load(SCRIPT, "kills.yaml"), log=log.append)) as url:
        yield url, log


def kill_command(name: str, count: int, seed: int, work: Path) -> Tally:
    """Kill a command ``count`` times and check it. Raises KillError naming the moment.

    ``work`` keeps the projects: commands that are prepared alike start from the same one.
    """
    command, tally = COMMANDS[name], Tally()
    random_ = random.Random(f"{seed} {name}")  # noqa: S311 - not for secrets
    with counting_server() as (url, log):
        template, copy = work / command.prepare.__name__, work / "copy"
        if not template.exists():
            command.prepare(template, url)
        shutil.rmtree(copy, ignore_errors=True)
        arguments = list(command.arguments)
        if "--evalkit-record" in arguments:
            arguments += ["--evalkit-base-url", url]
        shutil.copytree(template, copy)
        log.clear()
        seconds = timed_run(arguments, copy, command.codes)
        command.check(copy)
        requests = len(log)
        for _ in range(count):
            shutil.rmtree(copy)
            shutil.copytree(template, copy)
            log.clear()
            delay = random_.uniform(_EARLIEST, 1) * seconds
            try:
                has_ended = not start_and_kill(arguments, copy, delay)
                check_files(copy)
                # The load of the machine changes, and with it the time that a command takes.
                seconds = (seconds + timed_run(arguments, copy, command.codes)) / 2
                check_files(copy)
                command.check(copy)
                lost = len(log) - requests
                expect(lost <= command.in_flight, f"{lost} exchanges were sent again")
            except KillError as error:
                raise KillError(
                    f"{name}, killed after {delay:.3f} of {seconds:.3f} s: {error}"
                ) from error
            tally.kills += 1
            tally.early += not has_ended
            tally.lost = max(tally.lost, lost)
    return tally


def start_and_kill(command: Sequence[str], folder: Path, delay: float) -> bool:
    """Start a command and kill its process group after a delay; return whether it was running."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def main() -> int:
    """Print a table of the kills; return 1 if something was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("commands", nargs="*", choices=[[], *COMMANDS], metavar="COMMAND")
    parser.add_argument("--kills", type=int, default=200, help="how many in all (200)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("| command | kills | before its end | requests sent again, at most |\n|---|---|---|---|")
    failed = 0
    names = options.commands or list(COMMANDS)
    with tempfile.TemporaryDirectory(prefix="evalkit-kills-") as folder:
        for number, name in enumerate(names):
            count = options.kills // len(names) + (number < options.kills % len(names))
            try:
                tally = kill_command(name, count, options.seed, Path(folder))
            except KillError as error:
                failed = 1
                print(f"| {name} | FAILED: {error} |", flush=True)
                continue
            print(f"| {name} | {tally.kills} | {tally.early} | {tally.lost} |", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
