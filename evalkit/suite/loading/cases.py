"""The ``cases`` of a scenario: rows of variables from the suite or a data file.

Data files are CSV with a header (RFC 4180) or JSON Lines, in UTF-8 with or without a byte order
mark:

* Every field of a CSV row is text: ``22`` stays ``"22"``, ``{{ age | int }}`` makes it a number.
  JSON Lines keep their types.
* Each CSV row has as many fields as the header; blank lines are skipped in both formats.
* A row's ``id`` names its variant; a row without one is ``case1``, ``case2`` … by its number.

Every problem is located in the data file itself. Templates are not rendered in rows.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.json import JSON, loads
from evalkit._lib.problems import PLAIN_LINE_BREAKS, ProblemList, SourceText
from evalkit._lib.text import plural, show
from evalkit._lib.yaml import ValuePath
from evalkit.errors import Problem, SuiteErrors
from evalkit.suite.loading.file_reader import file_error, read_text, reported_at
from evalkit.suite.model.project_files import ProjectFiles
from evalkit.suite.model.suite import CaseRow
from evalkit.suite.model.templates import RUNTIME_NAMES, find_templates


class CaseRows(NamedTuple):
    """A scenario's rows and the variables of each.

    ``complete`` is False if a row was refused. A scenario without cases has one row, number 0.
    """

    rows: tuple[CaseRow, ...]
    variables: tuple[Mapping[str, JSON], ...]
    complete: bool = True

    @property
    def has_cases(self) -> bool:
        """Whether the scenario has cases."""
        return not self.rows or self.rows[0].number > 0

    def first_of_each_shape(self) -> Sequence[int]:
        """Return the index of the first row of each set of variable names."""
        from_last = reversed(list(enumerate(self.variables)))
        return sorted({frozenset(variables): index for index, variables in from_last}.values())


class DataRow(NamedTuple):
    """The fields of one row and its line in the data file."""

    fields: dict[str, JSON]
    line: int


class CaseReader:
    """Reads the cases of a suite's scenarios; each data file is read once."""

    def __init__(
        self, files: ProjectFiles, problems: ProblemList, suite_vars: Mapping[str, JSON]
    ) -> None:
        self._files = files
        self._problems = problems
        self._vars = suite_vars
        self._data: dict[str, list[DataRow]] = {}
        self._no_cases = CaseRows((CaseRow(0, "", {}),), (suite_vars,))

    def read(self, cases: JSON, path: ValuePath) -> CaseRows:
        """Return the rows of a ``cases`` value, None for a scenario without cases."""
        if cases is None:
            return self._no_cases
        if isinstance(cases, dict):
            return self._rows_of_file(cases["file"], (*path, "file"))
        for inside, _ in find_templates(cases):
            self._problems.add(
                (*path, *inside),
                "a case's fields are plain values: templates are not rendered here",
            )
        return self._label_rows(
            [DataRow(fields, number) for number, fields in enumerate(cases, start=1)],
            "case",
            lambda number, message: self._problems.add((*path, number - 1, "id"), message),
        )

    def _rows_of_file(self, name: str, path: ValuePath) -> CaseRows:
        if name not in self._data:
            self._data[name] = []
            with reported_at(self._problems, path):
                file = self._files.find(name)
                self._data[name] = read_data_file(file, self._files.label(file))
        data = self._data[name]
        rows = self._label_rows(
            data,
            "line",
            lambda number, message: self._problems.add(
                path, f"{name}, line {data[number - 1].line}: {message}"
            ),
        )
        return rows if data else rows._replace(complete=False)

    def _label_rows(
        self, data: Sequence[DataRow], noun: str, report: Callable[[int, str], None]
    ) -> CaseRows:
        """Name every row; report an id that is not a name, or that an earlier row has."""
        rows: list[CaseRow] = []
        lines: dict[str, int] = {}
        for number, (fields, line) in enumerate(data, start=1):
            try:
                label = row_label(fields, number)
                if label in lines:
                    raise ValueError(f"the id {label!r} is taken by {noun} {lines[label]}")
            except ValueError as error:
                report(number, str(error))
            else:
                lines[label] = line
                rows.append(CaseRow(number, label, fields))
        variables = tuple({**self._vars, **row.fields} for row in rows)
        return CaseRows(tuple(rows), variables, len(rows) == len(data))


def read_data_file(path: Path, name: str) -> list[DataRow]:
    """Return the rows of a ``.csv`` or ``.jsonl`` file. Raises SuiteErrors."""
    suffix = path.suffix.lower()
    reader = _READERS.get(suffix)
    if reader is None:
        ending = suffix or "files without an ending"
        raise file_error(name, f"rows are read from .csv and .jsonl files, not {ending}")
    source = SourceText(name, read_text(path, name), PLAIN_LINE_BREAKS)
    problems: list[Problem] = []
    rows = list(reader(source, problems))
    if not rows and not problems:
        problems.append(source.problem(1, 1, "no rows" if source.text.strip() else "empty file"))
    if problems:
        raise SuiteErrors(problems)
    return rows


def row_label(fields: Mapping[str, JSON], number: int) -> str:
    """Return a row's ``id``, or ``case<number>``.

    Raises ValueError: the ``id`` cannot be a name.
    """
    if "id" not in fields:
        return f"case{number}"
    row_id = fields["id"]
    if isinstance(row_id, bool) or not isinstance(row_id, str | int | float):
        raise ValueError(f"a row's 'id' must be text or a number, not {show(row_id)}")
    label = str(row_id)
    if not label.strip() or not label.isprintable() or len(label) > 200:
        raise ValueError(
            f"a row's 'id' must be one line of 1 to 200 printable characters, not {show(row_id)}"
        )
    return label


def _csv_rows(source: SourceText, problems: list[Problem]) -> Iterator[DataRow]:
    reader = csv.reader(io.StringIO(source.text, newline=""), strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            if cells and not header:
                header = cells
                problems += [source.problem(line, 1, message) for message in _bad_header(header)]
                if problems:
                    return
            elif cells and len(cells) != len(header):
                message = f"{plural(len(cells), 'field')} where the header has {len(header)}"
                problems.append(source.problem(line, 1, message))
            elif cells:
                yield DataRow(dict(zip(header, cells, strict=True)), line)
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(source.problem(line, 1, f"not CSV: {error}"))


def _bad_header(header: list[str]) -> Iterator[str]:
    for character, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and character in header[0]:
            yield f"one column; fields are separated by commas, not {name}"
    for number, column in enumerate(header, start=1):
        if not column.strip():
            yield f"column {number} has no name in the header"
        elif column in header[: number - 1]:
            yield f"the header has the column {column!r} twice"
        elif column in RUNTIME_NAMES:
            yield f"the column {column!r} has a name that evalkit gives to templates; rename it"


def _jsonl_rows(source: SourceText, problems: list[Problem]) -> Iterator[DataRow]:
    for number, text in enumerate(source.lines, start=1):
        if not text.strip():
            continue
        column = 1
        try:
            value = loads(text)
        except json.JSONDecodeError as error:
            message, column = f"not JSON: {error.msg}", error.colno
        except (ValueError, RecursionError) as error:
            message = f"not JSON: {error}"
        else:
            message = _bad_row(value)
        if message:
            problems.append(source.problem(number, column, message))
        else:
            yield DataRow(value, number)


def _bad_row(value: JSON) -> str:
    """Return what is wrong with a parsed line, ``""`` for a valid one."""
    if not isinstance(value, dict):
        return f"each line must be one JSON object, not {show(value)}"
    reserved = next((name for name in RUNTIME_NAMES if name in value), None)
    if reserved is None:
        return ""
    return f"the field {reserved!r} has a name that evalkit gives to templates; rename it"


_READERS: Mapping[str, Callable[[SourceText, list[Problem]], Iterator[DataRow]]] = {
    ".csv": _csv_rows,
    ".jsonl": _jsonl_rows,
}
