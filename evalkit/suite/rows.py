"""The rows of a scenario's ``cases``: written in the suite or kept in a file, each with a label of its own."""

from __future__ import annotations

from collections.abc import Mapping

from evalkit._lib.json import JSON
from evalkit.suite.cases import CaseFault, DataRow, Row, Rows, read_file, row_label
from evalkit.suite.catalog import Path
from evalkit.suite.context import Reading
from evalkit.suite.files import FileFault
from evalkit.suite.rules import Origin
from evalkit.suite.templates import find_templates


def read_rows(reading: Reading, keys: Mapping[str, JSON], origin: Origin) -> Rows:
    """Return a scenario's rows; one without fields where it has no cases. Problems are noted in ``reading``."""
    if "cases" not in keys and not reading.broken:
        if reading.no_rows is None:
            reading.no_rows = Rows((Row(0, "", {}),), (reading.vars,))
        return reading.no_rows
    path, cases = origin("cases"), keys.get("cases")
    within = reading.broken.within
    complete = not (
        reading.broken and (within(*path) or within("vars") or within("defaults", "cases"))
    )
    if cases is None:
        return Rows((Row(0, "", {}),), (reading.vars,), complete)
    if isinstance(cases, dict):
        return _rows_of_file(reading, cases["file"], (*path, "file"))
    rows: list[Row] = []
    labels: dict[str, int] = {}
    for number, fields in enumerate(cases, start=1):
        at = (*path, number - 1)
        for inside, _ in find_templates(fields):
            reading.problems.add(
                (*at, *inside), "a case's fields are plain values: templates are not rendered here"
            )
        try:
            label = row_label(fields, number)
        except ValueError as error:
            reading.problems.add((*at, "id"), str(error))
            continue
        if label in labels:
            reading.problems.add((*at, "id"), f"the id {label!r} is taken by case {labels[label]}")
        labels.setdefault(label, number)
        rows.append(Row(number, label, fields))
    return _made(reading, rows, complete and len(rows) == len(cases))


def _rows_of_file(reading: Reading, name: str, path: Path) -> Rows:
    workshop = reading.workshop
    held = reading.case_files.get(name)
    if held is None:
        held = []
        try:
            found = workshop.files.find(name)
            held = read_file(found, workshop.files.label(found))
        except FileFault as fault:
            reading.problems.add(path, str(fault))
        except CaseFault as fault:
            for problem in fault.problems:
                reading.problems.note(problem)
        reading.case_files[name] = held
    rows: list[Row] = []
    labels: dict[str, DataRow] = {}
    for number, data in enumerate(held, start=1):
        try:
            label = row_label(data.fields, number)
            if label in labels:
                raise ValueError(f"the id {label!r} is taken by line {labels[label].line}")
        except ValueError as error:
            reading.problems.add(path, f"{name}, line {data.line}: {error}")
            continue
        labels[label] = data
        rows.append(Row(number, label, data.fields))
    return _made(reading, rows, bool(held) and len(rows) == len(held))


def _made(reading: Reading, rows: list[Row], complete: bool) -> Rows:
    return Rows(tuple(rows), tuple({**reading.vars, **row.fields} for row in rows), complete)
