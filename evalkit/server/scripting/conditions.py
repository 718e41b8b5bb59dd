"""The ``when:`` of a rule: a table from key to reader, each reader giving a condition over what is asked.

All keys of one ``when`` must hold. Texts compare with upper and lower case the same and runs of white space as one space. A condition may
add to the template context: named groups of ``text: {matches: …}`` become ``match``, those of ``earlier`` become ``earlier``. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evalkit._lib.json import JSON, MISSING, equal
from evalkit.conversation.judge_requests import is_judge_body
from evalkit.server.answers.interaction_request import FunctionCallResult, InteractionRequest
from evalkit.server.scripting.script_reader import Path, ScriptReader, by_key

Groups = dict[str, str]
TextTest = Callable[[str], Groups | None]
Condition = Callable[[InteractionRequest, dict[str, JSON]], bool]


def flat(text: str) -> str:
    """Return a text as conditions compare it."""
    return " ".join(text.split()).casefold()


# --- texts: a bare string is the whole text; a mapping holds several tests, all of which must hold.


def _equals(notes: ScriptReader, value: JSON, path: Path) -> TextTest:
    wanted = {flat(item) for item in notes.texts(value, path)}
    return lambda text: {} if flat(text) in wanted else None


def _contains(notes: ScriptReader, value: JSON, path: Path) -> TextTest:
    wanted = [flat(item) for item in notes.texts(value, path)]
    return lambda text: {} if all(item in flat(text) for item in wanted) else None


def _any_of(notes: ScriptReader, value: JSON, path: Path) -> TextTest:
    wanted = [flat(item) for item in notes.texts(value, path)]
    return lambda text: {} if any(item in flat(text) for item in wanted) else None


def _matches(notes: ScriptReader, value: JSON, path: Path) -> TextTest:
    pattern = notes.regex(value, path)

    def test(text: str) -> Groups | None:
        found = pattern.search(text) if pattern else None
        return (
            {name: group.strip() for name, group in found.groupdict(default="").items()}
            if found
            else None
        )

    return test


_TEXT_TESTS = {"equals": _equals, "contains": _contains, "any_of": _any_of, "matches": _matches}


def text_test(notes: ScriptReader, value: JSON, path: Path) -> TextTest:
    """Read a test of a text: a string, or a mapping of ``equals``, ``contains``, ``any_of``, ``matches``."""
    if isinstance(value, str):
        return _equals(notes, value, path)
    if not notes.of(value, path, "string", "object"):
        return lambda text: None
    tests = list(by_key(notes, value, path, _TEXT_TESTS, "text test").values())

    def every(text: str) -> Groups | None:
        groups: Groups = {}
        for test in tests:
            found = test(text)
            if found is None:
                return None
            groups.update(found)
        return groups

    return every


# --- conditions


def _text(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    test = text_test(notes, value, path)
    return lambda ask, context: _found(test(ask.text), context, "match")


def _earlier(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    test = text_test(notes, value, path)
    return lambda ask, context: any(
        _found(test(text), context, "earlier") for text in reversed(ask.earlier)
    )


def _anywhere(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    test = text_test(notes, value, path)
    return lambda ask, context: any(
        _found(test(text), context, "earlier") for text in reversed(ask.texts)
    )


def _found(groups: Groups | None, context: dict[str, JSON], name: str) -> bool:
    if groups is None:
        return False
    context[name] = groups
    return True


def _turn(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    if isinstance(value, dict):
        bounds = notes.mapping(value, path, ("min", "max"), "bound")
        low, high = (
            notes.number(bounds.get(key, usual), (*path, key), whole=True)
            for key, usual in (("min", 0), ("max", 1e9))
        )
    else:
        low = high = notes.number(value, path, whole=True)
    return lambda ask, context: low <= ask.turn <= high


def _continued(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    if isinstance(value, bool):
        return lambda ask, context: bool(ask.part.number) is value
    part = notes.number(value, path, whole=True)
    return lambda ask, context: ask.part.number == part


def _tools(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    if isinstance(value, bool):
        return lambda ask, context: bool(ask.tools) is value
    wanted = notes.texts(value, path)
    return lambda ask, context: all(name in ask.tools for name in wanted)


def _attached(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    if isinstance(value, bool):
        return lambda ask, context: bool(ask.attached) is value
    wanted = notes.texts(value, path)
    return lambda ask, context: all(
        kind in {block["type"] for block in ask.attached} for kind in wanted
    )


def _flag(name: str, usual: bool) -> Callable[[ScriptReader, JSON, Path], Condition]:
    def read(notes: ScriptReader, value: JSON, path: Path) -> Condition:
        notes.of(value, path, "boolean")
        return lambda ask, context: ask.body.get(name, usual) is value

    return read


def _name(
    of: Callable[[InteractionRequest], str],
) -> Callable[[ScriptReader, JSON, Path], Condition]:
    def read(notes: ScriptReader, value: JSON, path: Path) -> Condition:
        if isinstance(value, bool):
            return lambda ask, context: bool(of(ask)) is value
        test = text_test(notes, value, path)
        return lambda ask, context: test(of(ask)) is not None

    return read


def _value_test(notes: ScriptReader, value: JSON, path: Path) -> Callable[[JSON], bool]:
    """Read a test of a JSON value: a mapping of text tests and ``present``, or the value itself."""
    if not isinstance(value, dict):
        return lambda held: equal(held, value)
    given = notes.mapping(value, path, (*_TEXT_TESTS, "present"), "test")
    present = given.pop("present", True)
    notes.of(present, (*path, "present"), "boolean")
    if not given:
        return lambda held: (held is not MISSING) is present
    test = text_test(notes, given, path)
    return lambda held: isinstance(held, str) and test(held) is not None


def _fields(notes: ScriptReader, value: JSON, path: Path) -> Callable[[JSON], bool]:
    """Read tests by dotted path: ``{generation_config.thinking_level: high, tools.0.type: google_search}``."""
    if not notes.of(value, path, "object"):
        return lambda held: False
    tests = [
        (key.split("."), _value_test(notes, item, (*path, key))) for key, item in value.items()
    ]
    return lambda held: all(test(_dig(held, parts)) for parts, test in tests)


def _dig(value: JSON, parts: list[str]) -> JSON:
    for part in parts:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def _request(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    test = _fields(notes, value, path)
    return lambda ask, context: test(ask.body)


def _judge(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    notes.of(value, path, "boolean")
    return lambda ask, context: is_judge_body(ask.body) is value


ResultTest = Callable[[FunctionCallResult], bool]


def _result_name(notes: ScriptReader, value: JSON, path: Path) -> ResultTest:
    test = text_test(notes, value, path)
    return lambda result: test(result.name) is not None


def _result_text(notes: ScriptReader, value: JSON, path: Path) -> ResultTest:
    test = text_test(notes, value, path)
    return lambda result: test(result.text) is not None


def _result_error(notes: ScriptReader, value: JSON, path: Path) -> ResultTest:
    notes.of(value, path, "boolean")
    return lambda result: result.is_error is value


def _result_value(notes: ScriptReader, value: JSON, path: Path) -> ResultTest:
    test = _fields(notes, value, path)
    return lambda result: test(result.value)


_RESULT_TESTS = {
    "name": _result_name,
    "text": _result_text,
    "is_error": _result_error,
    "value": _result_value,
}


def _results(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    if isinstance(value, bool):
        return lambda ask, context: bool(ask.results) is value
    tests = list(by_key(notes, value, path, _RESULT_TESTS, "result test").values())
    return lambda ask, context: (
        bool(ask.results) and all(test(result) for result in ask.results for test in tests)
    )


def _not(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    inner = condition(notes, value, path)
    return lambda ask, context: not inner(ask, dict(context))


_CONDITIONS: dict[str, Callable[[ScriptReader, JSON, Path], Condition]] = {
    "text": _text,
    "earlier": _earlier,
    "anywhere": _anywhere,
    "turn": _turn,
    "continued": _continued,
    "results": _results,
    "tools": _tools,
    "attached": _attached,
    "model": _name(lambda ask: ask.model),
    "agent": _name(lambda ask: ask.agent),
    "stream": _flag("stream", False),
    "background": _flag("background", False),
    "store": _flag("store", True),
    "request": _request,
    "judge": _judge,
    "not": _not,
}


def condition(notes: ScriptReader, value: JSON, path: Path) -> Condition:
    """Read a ``when:``; every key in it must hold."""
    tests = list(by_key(notes, value, path, _CONDITIONS, "condition").values())
    return lambda ask, context: all(test(ask, context) for test in tests)
