"""Words the errors of the YAML parser and of pydantic for people who write suites.

libyaml says what its parser expected and where it stopped, often one line below the mistake. Tables
turn each of its messages into one that names the mistake and points at it. A message that is not in
a table is shown as it is.

For pydantic's errors, tables say what a value must be in the words of YAML and of the suite
language. A path leads through the document as it was loaded, so that it can be located.
"""

import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from evalkit._lib.json import JSON, json_type
from evalkit._lib.problems import PathProblem, SourceText
from evalkit._lib.text import did_you_mean, quoted, shorten, show
from evalkit._lib.yaml import ValuePath, YamlError
from evalkit.errors import Problem
from evalkit.suite.model import entries, language, policies, value_types

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
EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "literal_error": "text",
}
"""What a value must be, by pydantic's type of error."""
BOUNDS = {
    "greater_than": "a number above {gt}",
    "less_than": "a number below {lt}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
}
"""What a number must be, by pydantic's type of error."""
_PATTERNS = {
    value_types.ID: "lower-case letters, digits, '-' and '_'",
    value_types.SUITE: "up to 120 letters, digits, '-', '_' and '.', a letter or digit first",
    value_types.TAG: "letters, digits, '-', '_' and '.', a letter first",
    value_types.AXIS: "letters, digits, '-' and '_', a letter first",
    value_types.NAMED_LIST: "letters, digits, '-' and '_', a letter first",
    value_types.CHOICE: "letters, digits, '-', '_' and '.', a letter or digit first",
    value_types.VARIABLE: "letters, digits and '_', no digit first",
    value_types.FUNCTION: "up to 64 letters, digits and '_', '.', ':', '-', a letter or '_' first",
    value_types.TARGET: "the form package.module:function",
}
_ALTERNATIVES = {
    "user": "text, {file: …} or a list of content blocks",
    **dict.fromkeys(("system_instruction", "persona", "goal", "until"), "text or {file: …}"),
    "simulate": "a mapping such as {goal: get a refund, max_turns: 6}",
    "cases": "a list of mappings or {file: …}",
    "response_format": "a mapping or a list of mappings",
    "environment": "text or a mapping",
    "attach": "a mapping such as {image: photo.png}, or a list of them",
    "given": "a list of steps or {cassette: …}",
    "matrix": "axes of choices such as {prompt: {current: {}, shorter: {…}}}",
    "repeat": "a whole number or {trials: 5, require: 4}",
    "skip": "a reason or {reason: …, if: …}",
    "xfail": "a reason or {reason: …, if: …, until: …}",
    "if": "an expression such as history == 'stateless', true or false",
}
"""What a key takes if that is more than one type."""
_ENTRIES = {
    "tools": "the name of a tool or an API tool such as {type: google_search}",
    "turns": "a mapping such as {user: …}",
    "scenarios": "a mapping with 'id' and 'turns'",
    "attach": "a mapping such as {image: photo.png}",
}
"""What an entry of a list takes if an example helps."""
_SYNONYMS = {
    "assert": ("expect",), "asserts": ("expect",), "attachments": ("attach",),
    "checks": ("expect",), "content": ("user",), "examples": ("cases",), "expected": ("expect",),
    "files": ("attach",), "function": ("python",), "functions": ("tools",),
    "input": ("turns", "user"), "message": ("user",), "messages": ("turns",),
    "mimetype": ("mime_type",), "models": ("model",), "name": ("id", "suite"), "path": ("image",),
    "prompt": ("user",), "response_schema": ("response_format",), "returns": ("result",),
    "role": ("persona",), "schema": ("response_format",), "simulator": ("simulate",),
    "steps": ("turns",), "stop": ("until",), "store": ("history",),
    "system": ("system_instruction",), "tests": ("scenarios",), "trials": ("repeat",),
    "variables": ("vars",), "variants": ("cases",),
}  # fmt: skip
"""Words that people write, and the keys that mean the same."""
_GENERATION_CONFIG_KEYS = (
    "temperature",
    "top_p",
    "max_output_tokens",
    "seed",
    "stop_sequences",
    "thinking_level",
    "thinking_summaries",
    "tool_choice",
)
_FEW_KEYS = 10
_FIRST_KEYS = ("id", "suite", "fragment")
_LEVELS: dict[str, tuple[str, type]] = {
    "suite": ("the suite", language.SuiteDocument),
    "fragment": ("a fragment", language.FragmentDocument),
    "defaults": ("defaults", language.ScenarioKeys),
    "scenario": ("a scenario", language.ScenarioEntry),
    "choice": ("a choice of 'matrix'", language.ChoiceKeys),
    "turn": ("a turn", entries.TurnEntry),
    "simulate": ("'simulate'", entries.SimulateEntry),
    "attach": ("an attachment", entries.AttachEntry),
    "tool": ("a tool", entries.ToolEntry),
    "target": ("'target'", entries.TargetEntry),
    "result": ("an entry of 'results'", entries.ToolResultEntry),
    "cases": ("'cases'", entries.CaseFile),
    "file": ("a text in a file", entries.TextFile),
    "given": ("'given'", entries.GivenCassette),
    "repeat": ("'repeat'", policies.RepeatEntry),
    "skip": ("'skip'", policies.SkipEntry),
    "xfail": ("'xfail'", policies.XfailEntry),
}
"""The mappings of the language: their name in messages, and the type that lists their keys."""


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


def describe_error(
    error: Mapping[str, Any], source: SourceText, kind: str = "suite"
) -> PathProblem:
    """Return one item of ``ValidationError.errors()`` as a problem of the file.

    ``kind`` is ``suite`` or ``fragment``.
    """
    path = _document_path(error["loc"])
    value, code, context = error["input"], error["type"], error.get("ctx", {})
    if code == "missing":
        return PathProblem(path[:-1], f"missing key {path[-1]!r}")
    if code == "extra_forbidden":
        return _unknown_key(path, value, kind)
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    pattern = _PATTERNS.get(context.get("pattern", ""), "")
    if error["loc"][-1:] == ("[key]",):
        message = f"the name {quoted(name)} takes {pattern}" if pattern else error["msg"]
        return PathProblem(path, message, "key")
    subject = f"an entry of {quoted(name)}" if path and isinstance(path[-1], int) else quoted(name)
    expected, actual = _expected(path, code), describe_value(value)
    hints: tuple[str, ...] = ()
    if pattern:
        expected = pattern
    elif value is None:
        return PathProblem(path, f"empty value: {subject} takes {expected}")
    elif code in ("string_too_short", "too_short"):
        expected = "text" if value == "" else "at least one entry"
        return PathProblem(path, f"empty value: {subject} takes {expected}")
    elif code == "literal_error" and isinstance(value, str):
        expected = context["expected"]
        actual += did_you_mean(value[:60], expected.replace("'", "").split(" or "))
    elif code == "string_type":
        hints = _quoting_hint(path, value, source)
    elif code == "list_type" and isinstance(value, dict):
        hints = ("a list: each entry starts with '- '",)
    elif code in BOUNDS:
        expected, actual = bound(code, context), show(value)
    elif code not in EXPECTED:
        return PathProblem(path, error["msg"])
    return PathProblem(path, f"{subject} takes {expected}, not {actual}", "value", hints)


def bound(code: str, context: Mapping[str, Any]) -> str:
    """Return what a number must be: ``at least 1``."""
    limits = {key: f"{limit:g}" for key, limit in context.items() if isinstance(limit, int | float)}
    return BOUNDS[code].format(**limits)


def _document_path(location: tuple[str | int, ...]) -> ValuePath:
    """Return pydantic's location without its own marks, ``(list)`` and ``[key]``."""
    return tuple(
        step
        for step in location
        if not (isinstance(step, str) and step[:1] in ("(", "[") and step[-1:] in (")", "]"))
    )


def _unknown_key(path: ValuePath, value: JSON, kind: str) -> PathProblem:
    key = str(path[-1])
    level, keys = _LEVELS[_level(path[:-1]) if len(path) > 1 else kind]
    if keys is language.ChoiceKeys and key in language.ScenarioEntry.__annotations__:
        message = f"a choice cannot override {key!r}: its variants must be of the same conversation"
        return PathProblem(path, message, "key")
    valid = sorted(keys.__annotations__, key=lambda name: name not in _FIRST_KEYS)
    if key in _GENERATION_CONFIG_KEYS and "generation_config" in valid:
        message = f"unknown key {key!r}; the API takes it in 'generation_config'"
        hint = f"generation_config: {{{key}: {show(value, 40)}}}"
        return PathProblem(path, message, "key", (hint,))
    synonym = next((word for word in _SYNONYMS.get(key, ()) if word in valid), None)
    suggestion = f" (did you mean {synonym!r}?)" if synonym else did_you_mean(key[:60], valid)
    hints = []
    if not suggestion or len(valid) <= _FEW_KEYS:
        hints = textwrap.wrap(
            f"keys of {level}: {', '.join(valid)}",
            110,
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
    if not synonym:
        for name, other in _LEVELS.values():
            if name != "defaults" and key in other.__annotations__:
                hints.insert(0, f"{key!r} is a key of {name}: is the indentation right?")
                break
    return PathProblem(path, f"unknown key {quoted(key)}{suggestion}", "key", tuple(hints))


def _level(path: ValuePath) -> str:
    """Return the name in ``_LEVELS`` of the mapping that a path leads to."""
    words = ["*" if isinstance(step, int) else step for step in path]
    if not words:
        return "suite"
    if words[0] == "tools":
        return "result" if "results" in words[2:] else "tool"
    inner = words[1:] if words[0] == "defaults" else words[2:]
    in_choice = inner[:1] == ["matrix"] and len(inner) > 2
    if in_choice:
        inner = inner[3:]
    if inner and inner[0] in ("cases", "target", "repeat", "skip", "xfail"):
        return str(inner[0])
    if inner[:1] == ["turns"]:
        return next((name for name in ("attach", "simulate") if name in inner), "turn")
    if in_choice:
        return "choice"
    return "defaults" if words[0] == "defaults" else "scenario"


def _expected(path: ValuePath, code: str) -> str:
    expected = EXPECTED.get(code, "a value")
    if path and isinstance(path[-1], int):
        return _ENTRIES.get(str(path[-2]), expected)
    return _ALTERNATIVES.get(str(path[-1]) if path else "", expected)


def _quoting_hint(path: ValuePath, value: JSON, source: SourceText) -> tuple[str, ...]:
    if not isinstance(value, bool | int | float):
        return ()
    key = f"{path[-1]}: " if isinstance(path[-1], str) else ""
    return (f'if the text is meant, quote it: {key}"{source.token(path) or show(value)}"',)


def describe_value(value: JSON) -> str:
    """Name a value with its article: ``a list``, ``the text 'x'``, ``an empty value``."""
    if isinstance(value, str):
        return f"the text {quoted(value)}" if value else "an empty text"
    if isinstance(value, list | dict):
        name = "list" if isinstance(value, list) else "mapping"
        return f"a {name}" if value else f"an empty {name}"
    return f"a {json_type(value)} ({show(value, 40)})" if value is not None else "an empty value"
