"""Rules of a script: which requests they match, and the answer they build. Pure.

All keys of a rule's ``when:`` must match. Texts are compared regardless of case, and any run of
white space equals one space. A condition may add to the names of templates: named groups of
``text: {matches: …}`` become ``match``, those of ``earlier`` and ``anywhere`` become ``earlier``.

An entry of ``steps:`` is a mapping with one kind (``text``, ``json``, ``call``, ``search``,
``code``, ``picture``, ``thought``), or a raw step with its ``type``, sent as it is.
``each: "{{ list }}"`` beside a kind repeats it with ``item`` as the list's item. Ids are added when
the answer is completed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from evalkit._lib.json import JSON, MISSING, equal
from evalkit._lib.patterns import compile_pattern
from evalkit.conversation.side_requests import side_role
from evalkit.protocol.step_reader import RawStep
from evalkit.server.answers.default_answers import default_answer
from evalkit.server.answers.interaction import InteractionDraft
from evalkit.server.answers.interaction_request import FunctionCallResult, InteractionRequest
from evalkit.server.answers.step_builders import (
    code_execution_steps,
    function_call,
    image_block,
    json_output,
    model_output,
    search_steps,
    text_block,
    text_output,
    url_citation,
)
from evalkit.server.fault_injection.kinds import error_of
from evalkit.server.fault_injection.plans import FaultPlan
from evalkit.server.requests.error_response import bad_request
from evalkit.suite.model.templates import render

_RENDERED_KEYS = ("status", "errors", "usage", "fields", "files", "delay", "event_delay")
_COUNT_KEYS = ("polls", "cut_after")
_MAIN_FIELDS = {
    "call": "name",
    "search": "queries",
    "code": "code",
    "picture": "about",
    "thought": "summary",
}
"""The field of a step kind that a value which is not a mapping sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRule:
    """One rule; ``data`` is its mapping in the script, ``location`` names it in messages."""

    location: str
    data: Mapping[str, JSON]
    faults: tuple[FaultPlan, ...] = ()

    def answer(
        self, request: InteractionRequest, variables: Mapping[str, JSON]
    ) -> InteractionDraft:
        """Return the rule's answer; ``variables`` are the names of its templates.

        Raises ErrorResponse naming the rule if a template fails on the values of this request.
        """
        with self.located_errors():
            return self._build(request, variables)

    @contextmanager
    def located_errors(self) -> Iterator[None]:
        """Raise an error of the block as an ErrorResponse that names the rule."""
        try:
            yield
        except (ValueError, TypeError, KeyError) as error:
            reason = str(error).replace("\n", " ")
            raise bad_request(
                f"The script's {self.location} cannot answer this request: {reason}",
                code="failed_precondition",
            ) from error

    def answers(self, question: str | None) -> bool:
        """Return whether the rule may answer a question of a decision; None: an interaction."""
        when = self.data.get("when", {})
        if "decide" in self.data or "blocked" in self.data:
            return question is not None
        if question is None:
            return "question" not in when
        return "error" in self.data and (when.get("judge") is True or "question" in when)

    def _build(
        self, request: InteractionRequest, variables: Mapping[str, JSON]
    ) -> InteractionDraft:
        data = self.data
        draft = default_answer(request) if data.get("plain") else InteractionDraft()
        if "reply" in data:
            draft.steps = [text_output(str(render(data["reply"], variables)))]
        if "steps" in data:
            draft.steps = _build_steps(data["steps"], request, variables)
        for key in _RENDERED_KEYS:
            if key in data:
                setattr(draft, key, render(data[key], variables))
        for key in _COUNT_KEYS:
            if key in data:
                setattr(draft, key, int(data[key]))
        if "error" in data:
            fields = data["error"] if isinstance(data["error"], dict) else {"status": data["error"]}
            draft.error = error_of(render(fields, variables))
            draft.error_after = fields.get("after")
        draft.faults = self.faults
        return draft


def _build_steps(
    entries: list[JSON], request: InteractionRequest, variables: Mapping[str, JSON]
) -> list[RawStep]:
    steps: list[RawStep] = []
    for entry in entries:
        step = {key: value for key, value in entry.items() if key != "each"}
        items = render(entry["each"], variables) if "each" in entry else [None]
        for item in items:
            steps += _build_step(render(step, {**variables, "item": item}), request)
    return steps


def _build_step(step: dict[str, JSON], request: InteractionRequest) -> list[RawStep]:
    if "type" in step:
        return [step]
    if "text" in step:
        return [_cited_text(str(step["text"]), step.get("cite", []))]
    ((kind, value),) = step.items()
    fields = value if isinstance(value, dict) else {_MAIN_FIELDS.get(kind): value}
    match kind:
        case "json":
            return [json_output(request, value)]
        case "call":
            return [function_call(request, str(fields["name"]), fields.get("arguments", {}))]
        case "search":
            queries = (
                fields["queries"] if isinstance(fields["queries"], list) else [fields["queries"]]
            )
            return search_steps([str(query) for query in queries], fields.get("suggestions"))
        case "code":
            return code_execution_steps(
                str(fields["code"]),
                str(fields.get("result", "")),
                str(fields.get("language", "python")),
                is_error=fields.get("is_error") is True,
            )
        case "picture":
            width, height = int(fields.get("width", 320)), int(fields.get("height", 180))
            return [model_output(image_block(str(fields["about"]), width, height))]
        case _:
            return [{"type": "thought", "summary": [text_block(str(fields["summary"]))]}]


def _cited_text(text: str, cites: list[JSON]) -> RawStep:
    citations = [
        url_citation(
            text, str(cite.get("words") or text), str(cite["url"]), str(cite.get("title", ""))
        )
        for cite in cites
    ]
    return text_output(text, citations)


def matches(when: JSON, request: InteractionRequest, context: dict[str, JSON]) -> bool:
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
            match = compile_pattern(value, ignore_case=True, dot_all=True).search(text)
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


def _match_messages(test: JSON, texts: Iterable[str], context: dict[str, JSON], name: str) -> bool:
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

_CONDITIONS: dict[str, Callable[[JSON, InteractionRequest, dict[str, JSON]], bool]] = {
    "text": lambda test, request, context: _match_messages(test, [request.text], context, "match"),
    "earlier": lambda test, request, context: _match_messages(
        test, reversed(request.texts[:-1]), context, "earlier"
    ),
    "anywhere": lambda test, request, context: _match_messages(
        test, reversed(request.texts), context, "earlier"
    ),
    "question": lambda test, request, context: _match_messages(
        test, [context["question"]], context, "match"
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
    "judge": lambda request: side_role(request.body) == "judge",
    "simulator": lambda request: side_role(request.body) == "simulator",
}
