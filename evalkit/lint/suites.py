"""Topic ``suites``: cassettes against the suites that play them, and a run that left recordings over.

A cassette belongs to suites when it lies in the folder of a suite that was loaded, or says in its metadata that a suite recorded it. Tapes of
applications lie beside them and are nobody's orphans. Suites are loaded without their checks, which may live in a ``conftest.py``: only
the variants matter here. What a variant plays is found out by running it; lint reads what such a run has noted (``--run``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import display_path
from evalkit._lib.json import JSON
from evalkit.checks.snapshot.files import DEFAULT_NAMES, FOLDER, KINDS, path_of
from evalkit.errors import SuiteErrors
from evalkit.lint.findings import Found
from evalkit.lint.tape import Tape
from evalkit.results import Run
from evalkit.suite import Suite, Variant, expand, load

_TRIAL = re.compile(r"\.trial[0-9]+(?=\.yaml\Z)")
_RECORDING = re.compile(r"recording ([0-9]+): (.*)", re.DOTALL)
_WORDS = re.compile(r"[A-Za-z_]\w*")
_BESIDE = frozenset(("not", "severity"))


class Wanted(NamedTuple):
    """What suites want: the variant that plays each cassette (``suite/name.yaml``), the names of the suites, and their snapshots.

    ``snapshots`` has the folder of each suite's snapshots, and the names of the files that its checks want there.
    """

    cassettes: dict[str, str]
    suites: frozenset[str]
    snapshots: dict[Path, set[str]]


def wanted_by(paths: Iterable[Path], root: Path) -> tuple[Wanted, list[tuple[str, Found]]]:
    """Load suites; return what they want, and with their file's name the suites that cannot be loaded."""
    cassettes: dict[str, str] = {}
    snapshots: dict[Path, set[str]] = defaultdict(set)
    names, problems = set(), []
    for path in paths:
        try:
            suite = _loaded(path, root)
        except SuiteErrors as error:
            first = error.problems[0]
            problems.append(
                (
                    display_path(path),
                    Found(
                        "suite_unreadable", f"it cannot be loaded: {first.message}", line=first.line
                    ),
                )
            )
            continue
        names.add(suite.name)
        wanted = snapshots[path.absolute().parent / FOLDER / suite.name]
        for variant in expand(suite):
            cassettes[variant.cassette] = f"{variant.id} ({display_path(path)}:{variant.line})"
            wanted.update(_snapshots(variant))
    return Wanted(cassettes, frozenset(names), snapshots), problems


def _snapshots(variant: Variant) -> Iterator[str]:
    turns = [(turn.number, variant.turn_expect(turn.number)) for turn in variant.scenario.turns]
    for number, expect in ((None, variant.expect), *turns):
        for item in expect:
            if item.name == "snapshot":
                options = (
                    item.argument
                    if isinstance(item.argument, dict)
                    else {"of": item.argument or "text"}
                )
                kind = options.get("of", "text")
                if kind in KINDS:
                    name = str(options.get("name") or DEFAULT_NAMES[kind])
                    yield path_of(
                        variant.suite.name, variant.scenario.id, variant.parts, number, name, kind
                    ).rpartition("/")[2]


def orphaned_snapshots(wanted: Wanted) -> Iterator[tuple[str, Found]]:
    """Yield, with their file's name, approved snapshots that no check of their suite asks for."""
    for folder, names in wanted.snapshots.items():
        held = (
            sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else ()
        )
        for path in held:
            if path.name not in names and not path.name.startswith("."):
                yield (
                    display_path(path),
                    Found(
                        "snapshot_orphan",
                        f"no check of the suite {folder.name!r} wants it: delete it, or restore the check",
                    ),
                )


def orphan(tape: Tape, wanted: Wanted) -> Iterator[Found]:
    """Yield that no variant plays a cassette of a suite."""
    folder = tape.path.absolute().parent.name
    key = f"{folder}/{tape.path.name}"
    recorded_by_one = "suite_digest" in tape.cassette.metadata
    if (
        key in wanted.cassettes
        or _TRIAL.sub("", key) in wanted.cassettes
        or not (folder in wanted.suites or recorded_by_one)
    ):
        return
    which = (
        f"no variant of the suite {folder!r} plays it"
        if folder in wanted.suites
        else "no suite plays it"
    )
    yield Found("cassette_orphan", f"{which}: delete it, or restore what it was recorded for")


def missing(
    cassettes: Sequence[Path], folders: Sequence[Path], wanted: Wanted
) -> Iterator[tuple[str, Found]]:
    """Yield, with their file's name, cassettes that should lie in the folders judged.

    Where a suite's cassettes lie, those found tell: a suite that has none here is recorded elsewhere, or not yet.
    """
    held = {path.absolute() for path in cassettes}
    homes = {path.parent for path in held if f"{path.parent.name}/{path.name}" in wanted.cassettes}
    inside = [folder.absolute() for folder in folders]
    for home in sorted(homes):
        for key, variant in wanted.cassettes.items():
            path = home.parent / key
            if (
                path.parent == home
                and path not in held
                and any(path.is_relative_to(folder) for folder in inside)
                and not path.exists()
            ):
                yield (
                    display_path(path),
                    Found("cassette_missing", f"there is no such cassette; {variant} plays it"),
                )


def left_over(run: Path) -> dict[str, list[tuple[int | None, str]]]:
    """Return what a run left unplayed: the recordings (number from 1, and words for it) by cassette (``suite/name.yaml``).

    Raises UsageError where it is no run directory.
    """
    found: dict[str, list[tuple[int | None, str]]] = defaultdict(list)
    for result in Run(run).results():
        cassette, lines = result.get("cassette"), result.get("unplayed")
        for line in lines if isinstance(cassette, str) and isinstance(lines, list) else ():
            told = _RECORDING.match(str(line))
            found[str(cassette)].append((int(told[1]), told[2]) if told else (None, str(line)))
    return found


def unplayed(tape: Tape, left: dict[str, list[tuple[int | None, str]]]) -> Iterator[Found]:
    """Yield the recordings of a cassette that the run did not play."""
    for number, words in left.get(f"{tape.path.absolute().parent.name}/{tape.path.name}", ()):
        yield Found("recording_unplayed", f"the run did not play it: {words}", number)


def _loaded(path: Path, root: Path) -> Suite:
    try:
        words = set(_WORDS.findall(path.read_text("utf-8", "replace")))
    except OSError:
        words = set()
    return load(path.absolute(), root=root.absolute(), checks=_AnyCheck(sorted(words - _BESIDE)))


class _AnyCheck:
    """A catalog that takes every word of a suite for a check: which checks there are does not decide which cassettes are wanted."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def names(self) -> Sequence[str]:
        return self._words

    def build(self, name: str, argument: JSON, *, bare: bool) -> object:
        return (name, bare)

    def schema(self, name: str) -> dict[str, JSON]:
        return {}

    def files(self, name: str, argument: JSON) -> list[tuple[tuple[str | int, ...], str]]:
        return []
