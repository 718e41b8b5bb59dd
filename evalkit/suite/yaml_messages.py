"""Word the errors of the YAML parser for people who write suites.

libyaml says what its parser expected and where it stopped, often one line below the mistake. Tables
turn each of its messages into one that names the mistake and points at it. A message that is not in
a table is shown as it is.
"""

import re
from collections.abc import Callable

from evalkit._lib.problems import SourceText
from evalkit._lib.text import quoted, shorten
from evalkit._lib.yaml import YamlError
from evalkit.errors import Problem

_KEY = re.compile(
    r"(?P<indent>\s*)(?P<dashes>(?:-\s+)*)(?P<key>[\w$.-]+|\"[^\"]*\"|'[^']*')\s*:(?=\s|$)"
)
_COLON_HINT = "a key is written 'key: value', with a space after the colon"

_MESSAGES = (
    ("found unexpected end of stream", True, "a quote ({char}) that is never closed"),
    (
        "found character that cannot start any token"
        "|did not find expected alphabetic or numeric character",
        True,
        "a value that starts with {char!r} must be in quotes",
    ),
    (
        "unknown alias|the tag|not a value of type",
        False,
        "{error}; text that starts with {char!r} must be in quotes",
    ),
    (
        "found unknown escape character|did not find expected hexdecimal",
        False,
        r"a '\' in double quotes starts an escape; write '\\', or use single quotes",
    ),
    (
        "a second document|did not find expected <document start>",
        False,
        "a second document ('---' or '...'); one file has one suite",
    ),
)
"""libyaml's message, whether the mistake is where the value starts, the message for people."""


def yaml_problem(error: YamlError, source: SourceText) -> Problem:
    """Return a YamlError as a located problem."""
    text = source.line(error.line)
    tab = re.match(r"[ ]*\t", text)
    if tab:
        return source.problem(error.line, tab.end(), "a tab; YAML indents with spaces")
    if re.match(r"\{[{%]", text[max(0, error.column - 2) :]) and error.message.startswith(
        ("a key that", "found character")
    ):
        message = 'a template that starts a value must be in quotes: "{{ … }}"'
        return source.problem(error.line, error.column - 1, message)
    for pattern, at_start, message in _MESSAGES:
        if re.match(pattern, error.message):
            line, column = _start(error) if at_start else (error.line, error.column)
            character = source.line(line)[column - 1 : column]
            message = message.format(char=character, error=error.message)
            return source.problem(line, column, message)
    for pattern, explain in _EXPLANATIONS:
        if re.match(pattern, error.message):
            return explain(error, source)
    return source.problem(error.line, error.column, error.message)


def _start(error: YamlError) -> tuple[int, int]:
    """Return where the value starts in which the parser stopped."""
    return error.started or (error.line, error.column)


def _no_colon(error: YamlError, source: SourceText) -> Problem:
    line, column = _start(error)
    text = source.line(line)[column - 1 :].strip()
    return source.problem(line, column, f"no ':' after {quoted(text)}", (_COLON_HINT,))


def _bracket(error: YamlError, source: SourceText) -> Problem:
    line, column = _start(error)
    rest = source.line(error.line)[error.column - 1 :]
    if error.line > line and (not rest.strip() or rest[0] in ":-"):
        bracket = source.line(line)[column - 1]
        return source.problem(line, column, f"a {bracket!r} that is never closed")
    message = "a ',' is missing before this, or a quote around text that has ',' ':' or brackets"
    return source.problem(error.line, error.column, message)


def _second_colon(error: YamlError, source: SourceText) -> Problem:
    key = _KEY.match(source.line(error.line))
    if not key or key.end() != error.column:
        message = "a second ': ' in one line; put the text in quotes"
        return source.problem(error.line, error.column, message)
    # The line itself is a plain key, so the mistake is above it.
    above = source.line(error.line - 1)
    no_space = re.match(r"[\s-]*[\w$.-]+(:)(?!\s)", above)
    if no_space:
        message = "no space after the ':'; a key is written 'key: value'"
        return source.problem(error.line - 1, no_space.end(1), message)
    if above.strip() and ":" not in above:
        column = len(above) - len(above.lstrip()) + 1
        message = f"no ':' after {quoted(above.strip())}"
        return source.problem(error.line - 1, column, message, (_COLON_HINT,))
    return _indentation(error, source)


def _stray_text(error: YamlError, source: SourceText) -> Problem:
    text = source.line(error.line)
    character = text[error.column - 1 : error.column]
    if character in ("]", "}"):
        message = f"a {character!r} that was never opened"
        return source.problem(error.line, error.column, message)
    if not text[: error.column - 1].strip(" -"):
        return _indentation(error, source)
    hints = ("inside single quotes a quote is written twice: 'it''s'",) if "'" in text else ()
    message = "text after the end of the value; put the whole value in quotes"
    return source.problem(error.line, error.column, message, hints)


def _indentation(error: YamlError, source: SourceText) -> Problem:
    text = source.line(error.line)
    key = _KEY.match(text)
    what = "this line"
    if key and not key["dashes"]:
        what = repr(shorten(key["key"]))
    elif text.strip().startswith("-"):
        what = "'- '"
    return source.problem(
        error.line,
        len(text) - len(text.lstrip()) + 1,
        f"bad indentation: {what} is not aligned with anything above it",
        _columns_above(source, error.line, key),
    )


def _columns_above(source: SourceText, line: int, key: re.Match[str] | None) -> tuple[str, ...]:
    """Return the column of the nearest key, or dash, above a badly indented line."""
    for number in range(line - 1, 0, -1):
        above = _KEY.match(source.line(number))
        if above and key and not key["dashes"]:
            return (f"{above['key']!r} in line {number} starts in column {above.start('key') + 1}",)
        if above and above["dashes"]:
            return (f"the '- ' in line {number} starts in column {above.start('dashes') + 1}",)
    return ()


def _dash(error: YamlError, source: SourceText) -> Problem:
    message = "a list starts on a new line: put the '- ' below the key"
    if not source.line(error.line)[: error.column - 1].strip():
        message = "a '- ' is not allowed here: bad indentation, or an unclosed '[' or '{' above"
    return source.problem(error.line, error.column, message)


_EXPLANATIONS: tuple[tuple[str, Callable[[YamlError, SourceText], Problem]], ...] = (
    ("could not find expected ':'", _no_colon),
    ("did not find expected ',' or", _bracket),
    ("block sequence entries are not allowed", _dash),
    ("mapping values are not allowed", _second_colon),
    ("did not find expected key", _stray_text),
    ("did not find expected '-' indicator", _indentation),
)
"""libyaml's messages that can mean several mistakes."""
