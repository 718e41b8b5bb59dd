"""What the models refuse, said for people: pydantic's errors become a path, a sentence and hints.

pydantic says what it expected of which value; the tables below say it in the words of YAML and of the suite language. A path here leads
through the document as it was loaded, so that it can be located; ``on`` says whether the mistake is the key or the value.
"""

from __future__ import annotations

import textwrap
from typing import Any

from evalkit._lib.json import JSON, json_type
from evalkit._lib.text import did_you_mean, quoted, show
from evalkit.suite import models
from evalkit.suite.catalog import Path
from evalkit.suite.problems import Wrong
from evalkit.suite.salvage import strip
from evalkit.suite.source import Source

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
"""What a value had to be, by pydantic's name of the error."""

PATTERNS = {
    models.ID: "lower-case letters, digits, '-' and '_'",
    models.SUITE: "letters, digits, '-', '_' and '.', a letter or digit first",
    models.TAG: "letters, digits, '-', '_' and '.', a letter first",
    models.VARIABLE: "letters, digits and '_', no digit first",
    models.FUNCTION: "up to 64 letters, digits and '_', '.', ':', '-', a letter or '_' first",
    models.TARGET: "the form package.module:function",
}

TAKES = {
    "user": "text or a list of content blocks",
    "cases": "a list of mappings or {file: …}",
    "response_format": "a mapping or a list of mappings",
    "environment": "text or a mapping",
    "attach": "a mapping such as {image: photo.png}, or a list of them",
}
"""What a key takes, where that is more than one type."""

ENTRIES = {
    "tools": "the name of a tool or an API tool such as {type: google_search}",
    "turns": "a mapping such as {user: …}",
    "scenarios": "a mapping with 'id' and 'turns'",
    "attach": "a mapping such as {image: photo.png}",
}
"""What an entry of a list takes, where an example helps."""

INSTEAD = {
    "assert": ("expect",), "asserts": ("expect",), "attachments": ("attach",), "checks": ("expect",), "content": ("user",),
    "examples": ("cases",), "expected": ("expect",), "files": ("attach",), "function": ("python",), "functions": ("tools",),
    "input": ("turns", "user"), "message": ("user",), "messages": ("turns",), "mimetype": ("mime_type",), "models": ("model",),
    "name": ("id", "suite"), "path": ("image",), "prompt": ("user",), "response_schema": ("response_format",), "returns": ("result",),
    "schema": ("response_format",), "steps": ("turns",), "store": ("history",), "system": ("system_instruction",), "tests": ("scenarios",),
    "trials": ("repeat",), "variables": ("vars",), "variants": ("cases",),
}  # fmt: skip
"""Words people write, and the keys that mean it."""

IN_GENERATION_CONFIG = (
    "temperature",
    "top_p",
    "max_output_tokens",
    "seed",
    "stop_sequences",
    "thinking_level",
    "thinking_summaries",
    "tool_choice",
)
_FEW = 10

LEVELS: dict[str, tuple[str, type]] = {
    "suite": ("the suite", models.SuiteFile),
    "defaults": ("defaults", models.ScenarioKeys),
    "scenario": ("a scenario", models.ScenarioEntry),
    "turn": ("a turn", models.TurnEntry),
    "attach": ("an attachment", models.AttachEntry),
    "tool": ("a tool", models.ToolEntry),
    "target": ("'target'", models.TargetEntry),
    "result": ("an entry of 'results'", models.ResultEntry),
    "cases": ("'cases'", models.CaseFile),
}
"""The mappings of the language: what messages call them, and the model that names their keys."""

BOUNDS = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
}


def wrong_of(error: dict[str, Any], source: Source) -> Wrong:
    """Say what one of pydantic's errors (``errors()``) means for the file."""
    at_key = error["loc"][-1:] == ("[key]",)
    path = strip(error["loc"])
    given = error["input"]
    code = error["type"]
    if code == "missing":
        return Wrong(path[:-1], f"missing key {path[-1]!r}")
    if code == "extra_forbidden":
        return _unknown_key(path, given)
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    subject = f"an entry of {quoted(name)}" if path and isinstance(path[-1], int) else quoted(name)
    if at_key:
        rule = PATTERNS.get(error.get("ctx", {}).get("pattern", ""))
        what = f"takes {rule}" if rule else error["msg"]
        return Wrong(path, f"the name {quoted(name)} {what}" if rule else what, "key")
    if code == "string_pattern_mismatch":
        return Wrong(
            path, f"{subject} takes {PATTERNS[error['ctx']['pattern']]}, not {_what(given)}"
        )
    if given is None:
        return Wrong(path, f"empty value: {subject} takes {_takes(path, code)}", "value")
    if code == "literal_error" and isinstance(given, str):
        valid = error["ctx"]["expected"].replace("'", "").split(" or ")
        return Wrong(
            path,
            f"{subject} takes {error['ctx']['expected']}, not {_what(given)}{did_you_mean(given[:60], valid)}",
        )
    if code in EXPECTED:
        hints = _quote(path, given, source) if code == "string_type" else ()
        if code == "list_type" and isinstance(given, dict):
            hints = ("a list: each entry starts with '- '",)
        return Wrong(
            path, f"{subject} takes {_takes(path, code)}, not {_what(given)}", "value", hints
        )
    if code in ("string_too_short", "too_short"):
        return Wrong(
            path, f"empty value: {subject} takes {'text' if given == '' else 'at least one entry'}"
        )
    if code in BOUNDS:
        limits = {key: _number(value) for key, value in error.get("ctx", {}).items()}
        return Wrong(path, f"{subject} takes {BOUNDS[code].format(**limits)}, not {show(given)}")
    if code == "empty":
        return Wrong(path, f"empty value: {subject} takes a value")
    return Wrong(path, error["msg"])


def _unknown_key(path: Path, given: JSON) -> Wrong:
    key = str(path[-1])
    level, keys = LEVELS[_level(path[:-1])]
    valid = sorted(keys.__annotations__, key="id".__ne__)
    if key in IN_GENERATION_CONFIG and "generation_config" in valid:
        return Wrong(
            path,
            f"unknown key {key!r}; the API takes it in 'generation_config'",
            "key",
            (f"generation_config: {{{key}: {show(given, 40)}}}",),
        )
    instead = next((word for word in INSTEAD.get(key, ()) if word in valid), None)
    guess = f" (did you mean {instead!r}?)" if instead else did_you_mean(key[:60], valid)
    hints = []
    if not guess or len(valid) <= _FEW:
        hints = textwrap.wrap(
            f"keys of {level}: {', '.join(valid)}",
            110,
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
    home = next(
        (
            where
            for where, other in LEVELS.values()
            if where != "defaults" and key in other.__annotations__
        ),
        None,
    )
    if home and not instead:
        hints.insert(0, f"{key!r} is a key of {home}: is it indented as it should be?")
    return Wrong(path, f"unknown key {quoted(key)}{guess}", "key", tuple(hints))


def _level(path: Path) -> str:
    """Name the mapping a path leads to, by the shape of the path."""
    words = ["*" if isinstance(step, int) else step for step in path]
    if not words:
        return "suite"
    if words[0] == "tools":
        return "result" if "results" in words[2:] else "tool"
    inner = words[1:] if words[0] == "defaults" else words[2:]
    if inner[:1] in (["cases"], ["target"]):
        return str(inner[0])
    if inner[:1] == ["turns"]:
        return "attach" if "attach" in inner else "turn"
    return "defaults" if words[0] == "defaults" else "scenario"


def _takes(path: Path, code: str) -> str:
    if path and isinstance(path[-1], int):
        return ENTRIES.get(str(path[-2]), EXPECTED.get(code, "a value"))
    return TAKES.get(str(path[-1]) if path else "", EXPECTED.get(code, "a value"))


def _quote(path: Path, given: JSON, source: Source) -> tuple[str, ...]:
    if isinstance(given, bool | int | float):
        token = source.token(path) or show(given)
        key = f"{path[-1]}: " if isinstance(path[-1], str) else ""
        return (f'if the text is meant, quote it: {key}"{token}"',)
    return ()


def _what(given: JSON) -> str:
    if isinstance(given, str):
        return f"the text {quoted(given)}" if given else "an empty text"
    if isinstance(given, list | dict):
        return f"a {'list' if isinstance(given, list) else 'mapping'}" + (
            "" if given else " that is empty"
        )
    return f"a {json_type(given)} ({show(given, 40)})" if given is not None else "an empty value"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
