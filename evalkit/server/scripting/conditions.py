"""Match the ``when:`` of a rule against a request, by a table of its keys. Pure.

All keys must match. Texts are compared regardless of case, and any run of white space equals one
space. A condition may add to the template context: named groups of ``text: {matches: …}`` become
``match``, those of ``earlier`` and ``anywhere`` become ``earlier``.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from evalkit._lib.json import JSON, MISSING, equal
from evalkit.conversation.reconstruct import is_judge_body
from evalkit.server.answers.interaction_request import FunctionCallResult, InteractionRequest

Context = dict[str, JSON]


def matches(when: JSON, request: InteractionRequest, context: Context) -> bool:
    """Return whether all keys of a ``when`` match; named groups are added to ``context``."""
    return all(
        _match_property(test, _PROPERTIES[key](request))
        if key in _PROPERTIES
        else _CONDITIONS[key](test, request, context)
        for key, test in when.items()
    )


def _normalize(text: str) -> str:
    return " ".join(text.split()).casefold()


def _match_text(test: JSON, text: str) -> dict[str, str] | None:
    """Return the named groups if a text passes a string or all tests of a mapping, else None."""
    if isinstance(test, str):
        test = {"equals": test}
    groups: dict[str, str] = {}
    for key, value in test.items():
        if key == "matches":
            match = re.search(value, text, re.IGNORECASE | re.DOTALL)
            if match is None:
                return None
            named = match.groupdict(default="")
            groups.update({name: group.strip() for name, group in named.items()})
        elif not _COMPARISONS[key](_normalize(text), [_normalize(item) for item in _list(value)]):
            return None
    return groups


_COMPARISONS: dict[str, Callable[[str, list[str]], bool]] = {
    "equals": lambda text, expected: text in expected,
    "contains": lambda text, expected: all(item in text for item in expected),
    "any_of": lambda text, expected: any(item in text for item in expected),
}


def _list(value: JSON) -> list[str]:
    return value if isinstance(value, list) else [value]


def _match_messages(test: JSON, texts: Iterable[str], context: Context, name: str) -> bool:
    """Return whether one of the texts passes; its groups become ``name`` of the context."""
    for text in texts:
        groups = _match_text(test, text)
        if groups is not None:
            context[name] = groups
            return True
    return False


def _match_property(test: JSON, value: JSON) -> bool:
    """Match a property of the request by its type; a boolean says whether it is set."""
    if isinstance(test, bool):
        return bool(value) is test
    if isinstance(value, str):
        return _match_text(test, value) is not None
    if isinstance(value, int):
        limits = test if isinstance(test, dict) else {"min": test, "max": test}
        return bool(limits.get("min", value) <= value <= limits.get("max", value))
    return all(name in value for name in _list(test))


def _match_fields(tests: JSON, value: JSON) -> bool:
    """Match tests by dotted path: ``{generation_config.thinking_level: high}``."""
    return all(_match_value(test, _field(value, path)) for path, test in tests.items())


def _match_value(test: JSON, value: JSON) -> bool:
    if not isinstance(test, dict):
        return equal(value, test)
    text_tests = {key: item for key, item in test.items() if key != "present"}
    if not text_tests:
        return (value is not MISSING) is test.get("present", True)
    return isinstance(value, str) and _match_text(text_tests, value) is not None


def _field(value: JSON, path: str) -> JSON:
    for name in path.split("."):
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return MISSING
    return value


def _match_results(test: JSON, results: list[FunctionCallResult]) -> bool:
    if isinstance(test, bool):
        return bool(results) is test
    return bool(results) and all(
        _RESULT_TESTS[key](value, result) for result in results for key, value in test.items()
    )


_RESULT_TESTS: dict[str, Callable[[JSON, FunctionCallResult], bool]] = {
    "name": lambda test, result: _match_text(test, result.name) is not None,
    "text": lambda test, result: _match_text(test, result.text) is not None,
    "is_error": lambda expected, result: result.is_error is expected,
    "value": lambda tests, result: _match_fields(tests, result.value),
}

_CONDITIONS: dict[str, Callable[[JSON, InteractionRequest, Context], bool]] = {
    "text": lambda test, request, context: _match_messages(test, [request.text], context, "match"),
    "earlier": lambda test, request, context: _match_messages(
        test, reversed(request.texts[:-1]), context, "earlier"
    ),
    "anywhere": lambda test, request, context: _match_messages(
        test, reversed(request.texts), context, "earlier"
    ),
    "results": lambda test, request, context: _match_results(test, request.results),
    "request": lambda tests, request, context: _match_fields(tests, request.body),
    "not": lambda when, request, context: not matches(when, request, dict(context)),
}

_PROPERTIES: dict[str, Callable[[InteractionRequest], JSON]] = {
    "turn": lambda request: len(request.texts),
    "continued": lambda request: request.part.number,
    "tools": lambda request: request.tools,
    "attached": lambda request: [block["type"] for block in request.attached],
    "model": lambda request: request.model,
    "agent": lambda request: request.agent,
    "stream": lambda request: request.body.get("stream", False),
    "background": lambda request: request.body.get("background", False),
    "store": lambda request: request.body.get("store", True),
    "judge": lambda request: is_judge_body(request.body),
}
