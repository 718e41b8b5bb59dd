"""All rules over all files: which module finds what of which topic, and what becomes of it. The door of the room is ``lint``.

A file that cannot be read is a finding and keeps no other from being judged; a rule that fails is a finding too. Findings are ordered by file,
then by exchange, what is about a file as a whole first. Whatever a finding quotes is masked and cut to size here, once for all rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit._lib.files import display_path
from evalkit._lib.json import MISSING
from evalkit._lib.text import plural
from evalkit.cassette.journal import SUFFIX, read_journal
from evalkit.checks.core.formatting import excerpt
from evalkit.errors import CassetteError
from evalkit.lint.age import age
from evalkit.lint.calls import calls
from evalkit.lint.conformance import conformance
from evalkit.lint.fidelity import fidelity
from evalkit.lint.files import Files, find
from evalkit.lint.findings import Found, LintFinding
from evalkit.lint.media import media
from evalkit.lint.options import Options
from evalkit.lint.rules import RULES
from evalkit.lint.secrets import mask, masked, secrets
from evalkit.lint.streams import streams
from evalkit.lint.suites import (
    Wanted,
    left_over,
    missing,
    orphan,
    orphaned_snapshots,
    unplayed,
    wanted_by,
)
from evalkit.lint.tape import Tape

_PLACE = re.compile(r".*?:([0-9]+) (.*)", re.DOTALL)
_REFERENCE = re.compile(rb"evalkit-media:sha256:([0-9a-f]{64}\.[a-z0-9]{1,8})")

_BY_TOPIC: tuple[tuple[tuple[str, ...], Callable[[Tape], Iterable[Found]]], ...] = (
    (("secrets",), secrets),
    (("history",), fidelity),
    (("stream",), streams),
    (("protocol", "new"), conformance),
    (("calls",), calls),
    (("media",), media),
)
"""The rules that need nothing but the cassette."""


@dataclass(slots=True)
class Outcome:
    """What was found, and in how much: cassettes read, exchanges in them, YAML files that are neither cassette nor suite."""

    findings: list[LintFinding] = field(default_factory=list)
    cassettes: int = 0
    exchanges: int = 0
    passed: int = 0

    @property
    def damaged(self) -> bool:
        """Whether something found makes a file worthless."""
        return any(RULES[finding.code].integrity for finding in self.findings)


def lint(paths: Sequence[Path], options: Options | None = None) -> Outcome:
    """Judge cassettes: files, and all cassettes, journals and media of folders. Suite files among the paths join ``options.suites``.

    Raises UsageError: a path that does not exist, a folder or run that cannot be read.
    """
    options = options or Options()
    files = find(paths)
    outcome = Outcome(passed=files.passed)
    suites = list(
        dict.fromkeys([*files.suites, *(find(options.suites).suites if options.suites else ())])
    )
    judge = _Judge(options, outcome)
    wanted, problems = wanted_by(suites, options.root) if suites else (None, [])
    left = left_over(options.run) if options.run is not None else {}
    for name, found in problems:
        judge.tell(name, [found])
    for path in files.cassettes:
        judge.cassette(path, wanted, left)
    for path in files.journals:
        judge.tell(display_path(path), _journal(path))
    if wanted is not None:
        for name, found in missing(files.cassettes, files.folders, wanted):
            judge.tell(name, [found])
        for name, found in orphaned_snapshots(wanted) if files.folders else ():
            judge.tell(name, [found])
    if options.wants("media_orphan"):
        for path in _unreferenced(files):
            judge.tell(display_path(path), [Found("media_orphan", "no cassette here needs it")])
    outcome.findings.sort(key=lambda finding: (finding.file, finding.exchange or 0))
    return outcome


class _Judge:
    def __init__(self, options: Options, outcome: Outcome) -> None:
        self._options = options
        self._outcome = outcome
        wants = options.wants
        self._rules = [
            rule
            for topics, rule in _BY_TOPIC
            if wants(*(code for code, known in RULES.items() if known.topic in topics))
        ]

    def cassette(
        self, path: Path, wanted: Wanted | None, left: dict[str, list[tuple[int | None, str]]]
    ) -> None:
        """Judge one file."""
        self._outcome.cassettes += 1
        try:
            tape = Tape(path)
        except CassetteError as error:
            self.tell(display_path(path), [_unreadable(str(error))])
            return
        self._outcome.exchanges += len(tape.recordings)
        found = [_lost(number, message) for number, message in tape.lost]
        found += self._guarded("age", tape, age(tape, self._options))
        for rule in self._rules:
            found += self._guarded(rule.__name__, tape, rule(tape))
        if wanted is not None:
            found += orphan(tape, wanted)
        found += unplayed(tape, left)
        self.tell(tape.name, found, tape)

    def _guarded(self, name: str, tape: Tape, found: Iterable[Found]) -> list[Found]:
        kept: list[Found] = []
        try:
            kept.extend(found)
        except RecursionError:
            kept.append(Found("rule_crashed", f"a body is nested too deep for the rules of {name}"))
        except Exception as error:  # noqa: BLE001 - one file that no rule was made for must not hide what is wrong with the others
            kept.append(
                Found(
                    "rule_crashed", f"the rules of {name} failed: {type(error).__name__}: {error}"
                )
            )
        return kept

    def tell(self, name: str, found: Iterable[Found], tape: Tape | None = None) -> None:
        """Take what was found in a file into the outcome, if its rule counts."""
        for item in found:
            if not self._options.wants(item.code):
                continue
            line = item.line
            if line is None and tape is not None and item.exchange is not None:
                line = tape.line(item.exchange)
            pointer = mask(item.pointer) if item.pointer is not None else None
            named = (("line", line), ("part", item.part), ("pointer", pointer))
            where = {key: value for key, value in named if value is not None}
            rule = RULES[item.code]
            self._outcome.findings.append(
                LintFinding(
                    name,
                    item.exchange,
                    item.code,
                    rule.severity,
                    mask(item.message),
                    where,
                    _quotable(item.expected),
                    _quotable(item.got),
                )
            )


def _quotable(value: Any) -> Any:
    """Return a value as a finding may hold it: no secrets, of a readable size, and JSON."""
    if value is MISSING:
        return value
    try:
        return excerpt(masked(_as_json(value)))
    except RecursionError:
        return "(nested too deep to be shown)"


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if (
        value is None
        or isinstance(value, str | bool | int)
        or (isinstance(value, float) and math.isfinite(value))
    ):
        return value
    return f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)


def _unreadable(message: str) -> Found:
    first = message.partition("\n")[0]
    placed = _PLACE.match(first)
    return Found(
        "cassette_unreadable", placed[2] if placed else first, line=int(placed[1]) if placed else 1
    )


def _lost(number: int, message: str) -> Found:
    return Found("media_altered" if "altered" in message else "media_missing", message, number + 1)


def _journal(path: Path) -> Iterator[Found]:
    try:
        content = read_journal(path)
    except CassetteError as error:
        placed = _PLACE.match(str(error))
        yield Found(
            "journal_damaged",
            placed[2] if placed else str(error),
            line=int(placed[1]) if placed else 1,
        )
        return
    if content.folded is not None:
        message = "its exchanges are in the cassette already: delete it"
    else:
        cassette = path.name.removesuffix(SUFFIX)
        held = plural(len(content.entries), "exchange")
        message = f"an interrupted recording of {cassette} left {held} in it: record again to go on from there, or delete it"
    yield Found("journal_left", message, got=len(content.entries))


def _unreferenced(files: Files) -> Iterator[Path]:
    if not files.media:
        return
    needed: set[str] = set()
    for path in (*files.cassettes, *files.journals):
        try:
            data = path.read_bytes()
        except OSError:
            continue
        needed.update(name.decode() for name in _REFERENCE.findall(data))
    for folder in files.media:
        yield from (
            path
            for path in sorted(folder.iterdir())
            if path.is_file() and path.name not in needed and not path.name.startswith(".")
        )
