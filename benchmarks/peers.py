"""Measure the same conversations with evalkit and with the tools that people compare it with.

    python benchmarks/peers.py [--conversations 1000] [--rounds 3] [--only NAME] [--keep FOLDER]

A conversation has two turns and one tool call, so three exchanges with the model; its steps, its
call, a text and a JSON document are checked. ``benchmarks/peer_projects`` holds one project for each
tool, written as the tool's own documentation recommends. Each tool is installed from its registry
into an environment in a temporary folder. Tools that store HTTP (evalkit, vcrpy, promptfoo) record
once from a local server, which is closed before anything is measured; the others have no recordings
and answer from memory.

Every session is a process of its own in a fresh checkout: the project as it was recorded, with no
byte code but that of installed packages. CPU is user + system of the process and its children;
memory is that of the largest process; "written" is what they passed to ``write``; "left" is what is
new or changed on the disk afterwards. The cost of a conversation is the difference between a
session with all conversations and one with a single one, divided by their difference in number.
Sessions of different tools alternate; medians are printed, as Markdown tables.

It needs Linux, npm and the two registries; without ``--keep`` it leaves nothing behind.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from peer_sessions import (  # type: ignore[import-not-found]  # beside this file
    PEERS,
    PROJECTS,
    Installation,
    Peer,
    Project,
    Usage,
    prepare,
    serving,
)

FACTOR = 5  # how much cheaper evalkit is to be than each tool that replays HTTP


@dataclass(frozen=True)
class Row:
    """What was measured of one tool, with one conversation and with all of them."""

    peer: Peer
    version: str
    installed: float  # MiB
    install_seconds: float
    one: Usage
    all: Usage
    conversations: int

    @property
    def each(self) -> float:
        """Milliseconds of CPU for each further conversation."""
        seconds: float = self.all.cpu - self.one.cpu
        return seconds * 1000 / (self.conversations - 1)


def median(sessions: list[Usage]) -> Usage:
    """Return the median of each figure."""
    names = Usage.__dataclass_fields__
    return Usage(*(statistics.median(getattr(one, name) for one in sessions) for name in names))


# What is compared: its name, the figure, its unit and its number of decimals.
COLUMNS: tuple[tuple[str, Callable[[Row], float], str, int], ...] = (
    ("CPU of a conversation", lambda row: row.each, "ms", 1),
    ("CPU of a session with one", lambda row: row.one.cpu, "s", 2),
    ("CPU of a session with all", lambda row: row.all.cpu, "s", 2),
    ("wall time", lambda row: row.all.wall, "s", 1),
    ("memory", lambda row: row.all.memory, "MiB", 0),
    ("written", lambda row: row.all.written, "MB", 2),
    ("left on the disk", lambda row: row.all.left, "MB", 2),
    ("installed", lambda row: row.installed, "MiB", 0),
)
CPU_COLUMNS, OTHER_COLUMNS = COLUMNS[:3], COLUMNS[3:]


def print_rows(rows: list[Row], failures: dict[str, str]) -> None:
    """Print the tables, what failed, and where evalkit is ahead and where it is not."""
    ours = next((row for row in rows if row.peer.name == "evalkit"), None)
    for columns in (CPU_COLUMNS, OTHER_COLUMNS):
        titles = [name for name, *_ in columns]
        if columns is CPU_COLUMNS:
            titles.insert(1, "times evalkit's")
        print_line("tool", *titles)
        print_line(*["---"] * (len(titles) + 1))
        for row in rows:
            cells = [f"{figure(row):,.{digits}f} {unit}" for _, figure, unit, digits in columns]
            if columns is CPU_COLUMNS:
                cells.insert(1, f"{row.each / ours.each:.1f}" if ours else "")
            print_line(f"{row.peer.name} {row.version}", *cells)
        print()
    print_line("tool", "exchanges", "checks", "installed in")
    print_line(*["---"] * 4)
    for row in rows:
        seconds = f"{row.install_seconds:.0f} s"
        print_line(row.peer.name, row.peer.exchanges, row.peer.checks, seconds)
    for name, failure in failures.items():
        print(f"\n{name}: NOT MEASURED: {failure}")
    for row in rows:
        if ours is not None and row is not ours:
            print_comparison(row, ours)


def print_line(*cells: str) -> None:
    """Print one line of a Markdown table."""
    print(f"| {' | '.join(cells)} |")


def print_comparison(row: Row, ours: Row) -> None:
    """Print whether evalkit is as much cheaper as it is to be, and where the tool is ahead."""
    ratio = row.each / ours.each
    note = f" (IT IS TO BE {FACTOR})" if row.peer.record and ratio < FACTOR else ""
    print(
        f"\n{row.peer.name}: {ratio:.1f} times evalkit's CPU for each conversation{note}, "
        f"{row.all.cpu / ours.all.cpu:.1f} times for the session"
    )
    ahead = [
        f"{name} ({figure(row):,.{digits}f} to {figure(ours):,.{digits}f} {unit})"
        for name, figure, unit, digits in COLUMNS
        if figure(row) < figure(ours)
    ]
    print(f"  ahead of evalkit in: {'; '.join(ahead) or 'nothing'}")


def reason(error: Exception) -> str:
    """Return what a failed step reported, shortened."""
    output = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    return str(output).strip()[-3000:]


def main() -> int:
    """Measure and print; return 1 where a tool could not be measured."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--conversations", type=int, default=1000, help="at least two")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}"
    )
    parser.add_argument(
        "--keep", help="a folder to work in and leave behind; environments in it are used again"
    )
    options = parser.parse_args()
    if options.conversations < 2 or options.rounds < 1:
        parser.error("--conversations must be at least 2, --rounds at least 1")
    failures: dict[str, str] = {}
    prepared: dict[str, tuple[Installation, list[Project]]] = {}
    sessions: dict[str, list[tuple[Usage, Usage]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(options.keep or name).resolve()
        with serving(PROJECTS / "answers.yaml") as url:
            for peer in PEERS:
                if options.only and peer.name not in options.only:
                    continue
                print(f"installing and recording {peer.name}", file=sys.stderr)
                try:
                    prepared[peer.name] = prepare(folder, peer, options.conversations, url)
                except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                    failures[peer.name] = reason(error)
        for number in range(options.rounds):
            for tool, (_, (one, many)) in prepared.items():
                if tool in failures:
                    continue
                print(f"round {number + 1}: {tool}", file=sys.stderr)
                try:
                    pair = (one.replay(url), many.replay(url))
                except (OSError, RuntimeError) as error:
                    failures[tool] = reason(error)
                else:
                    sessions.setdefault(tool, []).append(pair)
        rows = [
            Row(
                peer=peer,
                version=prepared[peer.name][0].version(),
                installed=prepared[peer.name][0].bytes / 2**20,
                install_seconds=prepared[peer.name][0].seconds,
                one=median([one for one, _ in sessions[peer.name]]),
                all=median([many for _, many in sessions[peer.name]]),
                conversations=options.conversations,
            )
            for peer in PEERS
            if peer.name in sessions and peer.name not in failures
        ]
        print(
            f"{options.conversations:,} conversations of 2 turns and 3 exchanges; rounds: "
            f"{options.rounds}; Python {sys.version.split()[0]}, {os.cpu_count()} processors\n"
        )
        print_rows(rows, failures)
    return bool(failures)


if __name__ == "__main__":
    raise SystemExit(main())
