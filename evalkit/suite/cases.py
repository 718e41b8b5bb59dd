"""Cases from a file: CSV with a header (RFC 4180) or JSON Lines, read into rows of variables.

* Every field of a CSV row is text, whatever it looks like: ``22`` stays ``"22"``, ``{{ age | int }}`` makes a number of it. JSON Lines
  keep their types.
* Each CSV row has as many fields as the header; blank lines are skipped in both. UTF-8, with or without a byte order mark.
* A row's ``id`` names its variant; without one it is ``case1``, ``case2`` … by its place among the rows.

Every problem is located in the data file itself. No templates are rendered here: data is data.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.text import plural, show
from evalkit.errors import Problem
from evalkit.suite.source import PLAIN_BREAKS, Source
from evalkit.suite.templates import RUNTIME_NAMES


class Row(NamedTuple):
    """One case. ``label`` is its part of the variant's name; ``number`` counts from 1, 0 stands for a scenario without cases."""

    number: int
    label: str
    fields: dict[str, JSON]


class Rows(NamedTuple):
    """A scenario's rows and what each makes of the variables.

    ``complete`` is False where the rows could not be read: then no name is called undefined.
    """

    rows: tuple[Row, ...]
    variables: tuple[Mapping[str, JSON], ...]
    complete: bool = True

    @property
    def cases(self) -> bool:
        """Whether the scenario has cases."""
        return not self.rows or self.rows[0].number > 0

    def shapes(self) -> Sequence[int]:
        """Return the index of the first row of each set of names."""
        seen: dict[frozenset[str], int] = {}
        for index, variables in enumerate(self.variables):
            seen.setdefault(frozenset(variables), index)
        return list(seen.values())


class DataRow(NamedTuple):
    """One row of a data file, and the line it starts on."""

    fields: dict[str, JSON]
    line: int


class CaseFault(ValueError):
    """A data file that cannot be used; ``problems`` are located in it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def read_text(path: Path, name: str) -> str:
    """Return a file's text, a byte order mark dropped. Raises CaseFault where it is not UTF-8 or cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CaseFault([Problem(name, 1, 1, f"cannot read the file: {error.strerror}")]) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise CaseFault([Problem(name, 1, 1, "UTF-16 text; save the file as UTF-8")]) from error
        before = data[: error.start].decode("utf-8-sig", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"not UTF-8 text (byte 0x{data[error.start]:02X}); save the file as UTF-8"
        text = data.decode("utf-8-sig", "replace")
        raise CaseFault(
            [Source(name, text, PLAIN_BREAKS).problem(line, column, message)]
        ) from error


def read_file(path: Path, name: str) -> list[DataRow]:
    """Return the rows of a ``.csv`` or ``.jsonl`` file, at least one. Raises CaseFault."""
    ending = path.suffix.lower()
    if ending not in _READERS:
        raise CaseFault(
            [
                Problem(
                    name,
                    1,
                    1,
                    f"cases are kept in .csv or .jsonl files, not {ending or 'files without an ending'}",
                )
            ]
        )
    source = Source(name, read_text(path, name), PLAIN_BREAKS)
    problems: list[Problem] = []
    rows = list(_READERS[ending](source, problems))
    if not rows and not problems:
        problems.append(source.problem(1, 1, "no rows" if source.text.strip() else "empty file"))
    if problems:
        raise CaseFault(problems)
    return rows


def row_label(fields: dict[str, JSON], number: int) -> str:
    """Return what names a row: its ``id``, else ``case<number>``. Raises ValueError for an ``id`` that cannot be a name."""
    if "id" not in fields:
        return f"case{number}"
    held = fields["id"]
    if isinstance(held, bool) or not isinstance(held, str | int | float):
        raise ValueError(f"a row's 'id' is a text or a number, not {show(held)}")
    label = str(held)
    if not label.strip() or not label.isprintable() or len(label) > 200:
        raise ValueError(
            f"a row's 'id' is one line of 1 to 200 printable characters, not {show(held)}"
        )
    return label


def _csv(source: Source, problems: list[Problem]) -> Iterator[DataRow]:
    reader = csv.reader(io.StringIO(source.text, newline=""), strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            if cells and not header:
                header = cells
                problems.extend(source.problem(line, 1, message) for message in _bad_header(header))
                if problems:
                    return
            elif cells:
                if len(cells) != len(header):
                    problems.append(
                        source.problem(
                            line,
                            1,
                            f"{plural(len(cells), 'field')} where the header has {len(header)}",
                        )
                    )
                else:
                    yield DataRow(dict(zip(header, cells, strict=True)), line)
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(source.problem(line, 1, f"not CSV: {error}"))


def _bad_header(header: list[str]) -> Iterator[str]:
    if len(header) == 1 and ";" in header[0]:
        yield "one column; fields are separated by commas, not semicolons"
    for number, column in enumerate(header, start=1):
        if not column.strip():
            yield f"column {number} has no name in the header"
        elif column in header[: number - 1]:
            yield f"the column {column!r} stands twice in the header"
        elif column in RUNTIME_NAMES:
            yield f"the column {column!r} takes a name that evalkit gives to templates; rename it"


def _jsonl(source: Source, problems: list[Problem]) -> Iterator[DataRow]:
    for number, text in enumerate(source.lines, start=1):
        if not text.strip():
            continue
        try:
            value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
        except json.JSONDecodeError as error:
            problems.append(source.problem(number, error.colno, f"not JSON: {error.msg}"))
        except (ValueError, RecursionError) as error:
            problems.append(source.problem(number, 1, f"not JSON: {error}"))
        else:
            taken = next(
                (name for name in RUNTIME_NAMES if isinstance(value, dict) and name in value), None
            )
            if taken:
                problems.append(
                    source.problem(
                        number,
                        1,
                        f"the field {taken!r} takes a name that evalkit gives to templates; rename it",
                    )
                )
            elif isinstance(value, dict):
                yield DataRow(value, number)
            else:
                problems.append(
                    source.problem(number, 1, f"each line is one JSON object, not {show(value)}")
                )


def _no_constant(word: str) -> JSON:
    raise ValueError(f"{word} is no JSON value")


def _no_duplicates(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"duplicate key {next(name for name in names if names.count(name) > 1)!r}")
    return out


_READERS = {".csv": _csv, ".jsonl": _jsonl}
