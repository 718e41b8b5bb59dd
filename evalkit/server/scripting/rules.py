"""One rule of a script: build the answer from its keys. Pure.

An entry of ``steps:`` is a mapping with one kind (``text``, ``json``, ``call``, ``search``,
``code``, ``picture``, ``thought``), or a raw step with its ``type``, sent as it is.
``each: "{{ list }}"`` beside a kind repeats it with ``item`` as the list's item. Ids are added when
the answer is completed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit._lib.json import JSON
from evalkit.protocol.step_reader import RawStep
from evalkit.server.answers.default_answers import default_answer
from evalkit.server.answers.interaction import InteractionDraft
from evalkit.server.answers.interaction_request import InteractionRequest
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
from evalkit.server.fault_injection.plans import FaultPlan
from evalkit.server.requests.error_response import ErrorResponse, bad_request
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
        try:
            return self._build(request, variables)
        except (ValueError, TypeError, KeyError) as error:
            reason = str(error).replace("\n", " ")
            raise bad_request(
                f"The script's {self.location} cannot answer this request: {reason}",
                code="failed_precondition",
            ) from error

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
            draft.error = _build_error(fields, variables)
            draft.error_after = fields.get("after")
        draft.faults = self.faults
        return draft


def _build_error(fields: Mapping[str, JSON], variables: Mapping[str, JSON]) -> ErrorResponse:
    headers = {}
    if "retry_after" in fields:
        headers["retry-after"] = str(int(fields["retry_after"]))
    return ErrorResponse(
        int(fields["status"]),
        str(render(fields.get("message", ""), variables)),
        code=fields.get("code", ""),
        headers=headers,
        gateway=fields.get("shape") == "gateway",
    )


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
