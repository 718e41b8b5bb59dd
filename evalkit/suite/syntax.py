"""What is wrong with a text that is not YAML, said for people.

libyaml says what its parser expected and where it gave up, often one line below the mistake. The table below turns each of its sentences
into one that names the mistake, and points at the place where the user must look. A sentence that is not in the table is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from evalkit._lib.text import quoted, shorten
from evalkit._lib.yaml import YamlError
from evalkit.errors import Problem
from evalkit.suite.source import Source

_KEY = re.compile(
    r"(?P<indent>\s*)(?P<dashes>(?:-\s+)*)(?P<key>[\w$.-]+|\"[^\"]*\"|'[^']*')\s*:(?=\s|$)"
)

Reading = tuple[int, int, str, tuple[str, ...]]
"""Line, column, message, hints."""


def problem_of(error: YamlError, source: Source) -> Problem:
    """Return the located, reworded problem of a YamlError."""
    line, column, message, hints = _read(error, source)
    return source.problem(line, column, message, hints)


def _read(error: YamlError, source: Source) -> Reading:
    text = source.line(error.line)
    tab = re.match(r"[ ]*\t", text)
    if tab:
        return error.line, tab.end(), "a tab; YAML indents with spaces", ()
    if re.match(r"\{[{%]", text[max(0, error.column - 2) :]) and error.message.startswith(
        ("a key that", "found character")
    ):
        return (
            error.line,
            error.column - 1,
            'a template that starts a value must stand in quotes: "{{ … }}"',
            (),
        )
    for pattern, reword in _TABLE:
        if re.match(pattern, error.message):
            reading = reword(error, source)
            if reading is not None:
                return reading
    return error.line, error.column, error.message, ()


def _no_colon(error: YamlError, source: Source) -> Reading:
    line, column = error.started or (error.line, error.column)
    return (
        line,
        column,
        f"no ':' after {quoted(source.line(line)[column - 1 :].strip())}",
        ("a key is written 'key: value', with a space after the colon",),
    )


def _bracket(error: YamlError, source: Source) -> Reading:
    line, column = error.started or (error.line, error.column)
    rest = source.line(error.line)[error.column - 1 :]
    if error.line > line and (not rest.strip() or rest[0] in ":-"):
        return line, column, f"a {source.line(line)[column - 1]!r} that is never closed", ()
    return (
        error.line,
        error.column,
        "a ',' is missing before this, or a quote around text that holds ',' ':' or brackets",
        (),
    )


def _quote(error: YamlError, source: Source) -> Reading:
    line, column = error.started or (error.line, error.column)
    return (
        line,
        column,
        f"a quote ({source.line(line)[column - 1 : column]}) that is never closed",
        (),
    )


def _second_colon(error: YamlError, source: Source) -> Reading:
    text = source.line(error.line)
    found = _KEY.match(text)
    if found and found.end() == error.column:
        above = source.line(error.line - 1)
        glued = re.match(r"[\s-]*[\w$.-]+(:)(?!\s)", above)
        if glued:
            return (
                error.line - 1,
                glued.end(1),
                "no space after the ':'; a key is written 'key: value'",
                (),
            )
        if above.strip() and ":" not in above:
            start = len(above) - len(above.lstrip()) + 1
            return (
                error.line - 1,
                start,
                f"no ':' after {quoted(above.strip())}",
                ("a key is written 'key: value', with a space after the colon",),
            )
        return _indentation(error, source)
    return error.line, error.column, "a second ': ' in one line; put the text in quotes", ()


def _stray(error: YamlError, source: Source) -> Reading:
    text = source.line(error.line)
    if text[error.column - 1 : error.column] in ("]", "}"):
        return error.line, error.column, f"a {text[error.column - 1]!r} that was never opened", ()
    if text[: error.column - 1].strip(" -"):
        hint = "inside single quotes a quote is written twice: 'it''s'" if "'" in text else ""
        return (
            error.line,
            error.column,
            "text after the end of the value; put the whole value in quotes",
            (hint,) if hint else (),
        )
    return _indentation(error, source)


def _indentation(error: YamlError, source: Source) -> Reading:
    text = source.line(error.line)
    column = len(text) - len(text.lstrip()) + 1
    found = _KEY.match(text)
    what = (
        repr(shorten(found["key"]))
        if found and not found["dashes"]
        else "'- '"
        if text.strip().startswith("-")
        else "this line"
    )
    return (
        error.line,
        column,
        f"bad indentation: {what} lines up with nothing above it",
        _columns_above(source, error.line, found),
    )


def _columns_above(source: Source, line: int, found: re.Match[str] | None) -> tuple[str, ...]:
    """Say where the keys, or the dashes, of the lines above stand: the nearest line that has one."""
    for number in range(line - 1, 0, -1):
        above = _KEY.match(source.line(number))
        if above and found and not found["dashes"]:
            return (f"{above['key']!r} in line {number} starts in column {above.start('key') + 1}",)
        if above and above["dashes"]:
            return (f"the '- ' in line {number} starts in column {above.start('dashes') + 1}",)
    return ()


def _first_character(error: YamlError, source: Source) -> Reading:
    line, column = error.started or (error.line, error.column)
    return (
        line,
        column,
        f"a value that starts with {source.line(line)[column - 1 : column]!r} must stand in quotes",
        (),
    )


def _mark(error: YamlError, source: Source) -> Reading:
    return (
        error.line,
        error.column,
        f"{error.message}; text that starts with {source.line(error.line)[error.column - 1]!r} must stand in quotes",
        (),
    )


def _escape(error: YamlError, source: Source) -> Reading:
    return (
        error.line,
        error.column,
        "a '\\' in double quotes starts an escape; write '\\\\', or use single quotes",
        (),
    )


def _dash(error: YamlError, source: Source) -> Reading:
    if not source.line(error.line)[: error.column - 1].strip():
        return (
            error.line,
            error.column,
            "a '- ' that cannot stand here: bad indentation, or a '[' or '{' above that is never closed",
            (),
        )
    return (
        error.line,
        error.column,
        "a list starts on a line of its own: put the '- ' below the key",
        (),
    )


def _document(error: YamlError, source: Source) -> Reading:
    return (
        error.line,
        error.column,
        "a second document ('---' or '...'); one file holds one suite",
        (),
    )


_TABLE: tuple[tuple[str, Callable[[YamlError, Source], Reading | None]], ...] = (
    ("could not find expected ':'", _no_colon),
    ("did not find expected ',' or", _bracket),
    ("block sequence entries are not allowed", _dash),
    ("found unexpected end of stream", _quote),
    ("mapping values are not allowed", _second_colon),
    ("did not find expected key", _stray),
    ("did not find expected '-' indicator", _indentation),
    ("found character that cannot start any token", _first_character),
    ("did not find expected alphabetic or numeric character", _first_character),
    ("unknown alias|the tag|not a value of type", _mark),
    ("found unknown escape character|did not find expected hexdecimal", _escape),
    ("a second document|did not find expected <document start>", _document),
)
