"""Build the ``steps:`` of a rule: a table of step kinds, each building raw steps of the API. Pure.

An entry is a mapping with one kind (``text``, ``json``, ``call``, ``search``, ``code``,
``picture``, ``thought``), or a raw step with its ``type``, sent as it is. ``each: "{{ list }}"``
beside a kind repeats it with ``item`` as the list's item. Ids are added when the answer is
completed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evalkit._lib.json import JSON
from evalkit.protocol.step_reader import RawStep
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
from evalkit.suite.model.templates import render


def build_steps(
    entries: list[JSON], request: InteractionRequest, variables: Mapping[str, JSON]
) -> list[RawStep]:
    """Return the steps of all entries; ``variables`` are the names of their templates."""
    steps: list[RawStep] = []
    for entry in entries:
        step = {key: value for key, value in entry.items() if key != "each"}
        items = render(entry["each"], variables) if "each" in entry else [None]
        for item in items:
            steps += _build(render(step, {**variables, "item": item}), request)
    return steps


def _build(step: dict[str, JSON], request: InteractionRequest) -> list[RawStep]:
    if "type" in step:
        return [step]
    if "text" in step:
        return [_cited_text(str(step["text"]), step.get("cite", []))]
    if "json" in step:
        return [json_output(request, step["json"])]
    ((kind, fields),) = step.items()
    build, main_field = _KINDS[kind]
    return build(request, fields if isinstance(fields, dict) else {main_field: fields})


def _cited_text(text: str, cites: list[JSON]) -> RawStep:
    citations = [
        url_citation(
            text, str(cite.get("words") or text), str(cite["url"]), str(cite.get("title", ""))
        )
        for cite in cites
    ]
    return text_output(text, citations)


def _call(request: InteractionRequest, fields: dict[str, JSON]) -> list[RawStep]:
    return [function_call(request, str(fields["name"]), fields.get("arguments", {}))]


def _search(request: InteractionRequest, fields: dict[str, JSON]) -> list[RawStep]:
    queries = fields["queries"] if isinstance(fields["queries"], list) else [fields["queries"]]
    return search_steps([str(query) for query in queries], fields.get("suggestions"))


def _code(request: InteractionRequest, fields: dict[str, JSON]) -> list[RawStep]:
    return code_execution_steps(
        str(fields["code"]),
        str(fields.get("result", "")),
        str(fields.get("language", "python")),
        is_error=fields.get("is_error") is True,
    )


def _picture(request: InteractionRequest, fields: dict[str, JSON]) -> list[RawStep]:
    width, height = int(fields.get("width", 320)), int(fields.get("height", 180))
    return [model_output(image_block(str(fields["about"]), width, height))]


def _thought(request: InteractionRequest, fields: dict[str, JSON]) -> list[RawStep]:
    return [{"type": "thought", "summary": [text_block(str(fields["summary"]))]}]


BuildKind = Callable[[InteractionRequest, dict[str, JSON]], list[RawStep]]
_KINDS: dict[str, tuple[BuildKind, str]] = {
    "call": (_call, "name"),
    "search": (_search, "queries"),
    "code": (_code, "code"),
    "picture": (_picture, "about"),
    "thought": (_thought, "summary"),
}
"""What builds each kind, and the field that a value which is not a mapping sets."""
