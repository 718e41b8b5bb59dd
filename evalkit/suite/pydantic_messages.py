"""Word the errors of pydantic for people who write suites.

Tables say what a value must be in the words of YAML and of the suite language. A path leads through
the document as it was loaded, so that it can be located.
"""

import textwrap
from collections.abc import Mapping
from typing import Any

from evalkit._lib.json import JSON, json_type
from evalkit._lib.problems import PathProblem, SourceText
from evalkit._lib.text import did_you_mean, quoted, show
from evalkit._lib.yaml import ValuePath
from evalkit.suite.model import entries, language, policies, value_types

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
_MATRIX = "{prompt: {current: {}, shorter: {…}}}"
_ALTERNATIVES = {
    "user": "text, {file: …} or a list of content blocks",
    **dict.fromkeys(("system_instruction", "persona", "goal", "until"), "text or {file: …}"),
    "simulate": "a mapping such as {goal: get a refund, max_turns: 6}",
    "cases": "a list of mappings or {file: …}",
    "response_format": "a mapping or a list of mappings",
    "environment": "text or a mapping",
    "attach": "a mapping such as {image: photo.png}, or a list of them",
    "given": "a list of steps or {cassette: …}",
    "matrix": f"axes of choices such as {_MATRIX}",
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
    if key == "<<":
        hints.append("YAML 1.2 has no merge keys: share keys in 'defaults', or in a fragment")
    elif not suggestion or len(valid) <= _FEW_KEYS:
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
    if inner and inner[0] in ("cases", "given", "target", "repeat", "skip", "xfail"):
        return str(inner[0])
    if inner and "{file: …}" in _ALTERNATIVES.get(inner[-1], ""):
        return "file"
    if inner[:1] == ["turns"]:
        return next((name for name in ("attach", "simulate") if name in inner), "turn")
    if in_choice:
        return "choice"
    return "defaults" if words[0] == "defaults" else "scenario"


def _expected(path: ValuePath, code: str) -> str:
    expected = EXPECTED.get(code, "a value")
    if path[-3:-2] == ("matrix",):
        return f"the scenario keys of a choice, as in {_MATRIX}"
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
