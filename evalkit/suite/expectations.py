"""``expect`` lists: every entry read, verified and built, for every row of its scenario.

An entry is built at once where no template is in its argument, for each row where only variables are, and in mid-conversation where it
speaks of earlier turns. Files that an argument names are looked for as soon as the argument is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit._lib.fast_json import dumps
from evalkit._lib.json import JSON
from evalkit.suite.cases import Rows
from evalkit.suite.catalog import Path
from evalkit.suite.context import Reading
from evalkit.suite.entries import BadEntry, Entry, build, read_entry
from evalkit.suite.files import FileFault
from evalkit.suite.prepared import Expectation, Late
from evalkit.suite.templates import TemplateFault, render
from evalkit.suite.verify import Moment, in_case, verify


def read_expectations(
    reading: Reading, items: Sequence[JSON], written: JSON, path: Path, rows: Rows, moment: Moment
) -> Sequence[Sequence[Expectation]]:
    """Return the expectations of a list, one list for each row; the very same list for all where nothing depends on the row.

    ``written`` is the list as it stands in the document, which knows its lines. Problems are noted in ``reading``.
    """
    lines = reading.lines.of(written) or [1] * len(items)
    checks, held = reading.checks, reading.built
    made: list[list[Expectation] | Expectation] = []
    varied = False
    for index, item in enumerate(items):
        key = _spelling(item, checks)
        if key is not None and (known := held.get(key)) is not None:
            made.append(Expectation(key[0], False, "error", lines[index], known[0], known[1]))
            continue
        try:
            entry = read_entry(item, checks)
            if not entry.templated:
                name, argument, _, negate, severity, _, _ = entry
                built = _build(reading, entry, argument, path, index)
                if key is not None and not reading.problems:
                    held[key] = argument, built
                made.append(Expectation(name, negate, severity, lines[index], argument, built))
                continue
        except BadEntry as bad:
            _note(reading, bad, (*path, index))
            continue
        varied = True
        made.append(_varied(reading, entry, lines[index], (*path, index), rows, moment))
    if not varied:
        return (tuple(made),) * len(rows.rows)  # type: ignore[return-value]
    return [
        [one[row] if isinstance(one, list) else one for one in made if one != []]
        for row in range(len(rows.rows))
    ]


def _varied(
    reading: Reading, entry: Entry, line: int, path: Path, rows: Rows, moment: Moment
) -> list[Expectation]:
    """Return the expectation of an entry with templates for each row: built where all is known, else to be built when it is needed."""
    if verify(reading, entry.argument, (*path, *entry.inside), rows, moment):
        return _for_each_row(reading, entry, line, path, rows)
    name, argument, _, negate, severity, _, _ = entry
    lates = [Late(entry, path, reading.workshop, variables) for variables in rows.variables]
    return [Expectation(name, negate, severity, line, argument, None, late) for late in lates]


def _for_each_row(
    reading: Reading, entry: Entry, line: int, path: Path, rows: Rows
) -> list[Expectation]:
    made = []
    for row, variables in zip(rows.rows, rows.variables, strict=True):
        try:
            argument = render(entry.argument, variables)
            built = _build(reading, entry, argument, path[:-1], path[-1])
            made.append(
                Expectation(entry.name, entry.negate, entry.severity, line, argument, built)
            )
        except TemplateFault as fault:
            reading.problems.add((*path, *entry.inside), f"template: {fault.message}{in_case(row)}")
            return []
        except BadEntry as bad:
            _note(reading, bad, path, in_case(row))
            return []
    return made


def _spelling(item: JSON, checks: Mapping[str, None]) -> tuple[str, str | bytes] | None:
    """Return what entries share that say the same: the name and the argument, a text or JSON; None for ``not`` and ``severity``.

    Suites say ``status: completed`` a thousand times: such an entry is read and built once, as checks keep nothing between calls.
    """
    if type(item) is str:
        return item, b""
    if type(item) is not dict or len(item) != 1:
        return None
    ((name, argument),) = item.items()
    if name not in checks:
        return None
    if type(argument) is str:
        return name, argument
    try:
        return name, dumps(argument).encode()
    except (TypeError, ValueError, RecursionError):
        return None


def _build(reading: Reading, entry: Entry, argument: JSON, path: Path, index: str | int) -> object:
    """Build a check, and look for the files its argument names."""
    workshop = reading.workshop
    built = build(entry, argument, workshop.checks)
    if not entry.bare:
        for inside, name in workshop.checks.files(entry.name, argument):
            try:
                workshop.files.find(name)
            except FileFault as fault:
                reading.problems.add((*path, index, *entry.inside, *inside), str(fault))
    return built


def _note(reading: Reading, bad: BadEntry, path: Path, case: str = "") -> None:
    for fault in bad.faults:
        reading.problems.add(
            (*path, *fault.path), f"{fault.message}{case}", on=fault.on, hints=fault.hints
        )
