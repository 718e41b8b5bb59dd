"""The ``steps:`` of a rule: a table of spellings, each giving raw steps of the API. Pure.

An entry is a mapping with one spelling (``text``, ``json``, ``call``, ``search``, ``code``, ``picture``, ``thought``), or a raw step with
its ``type``, sent as it is. ``each: "{{ list }}"`` beside a spelling repeats it, ``item`` being the list's item. Ids are made when the
answer is completed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evalkit._lib.json import JSON
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.answers.step_builders import (
    code_execution_steps,
    fitted_call,
    fitted_document,
    image_block,
    model_output,
    search_steps,
    text_block,
    url_citation,
)
from evalkit.server.scripting.script_reader import Path, ScriptReader

RawStep = dict[str, JSON]
Build = Callable[[InteractionRequest, JSON], list[RawStep]]
Steps = Callable[[InteractionRequest, dict[str, JSON]], list[RawStep]]


def _text(ask: InteractionRequest, value: JSON) -> list[RawStep]:
    text = str(value["text"])
    notes = [
        url_citation(
            text, str(cite.get("words") or text), str(cite["url"]), str(cite.get("title", ""))
        )
        for cite in value.get("cite", [])
    ]
    return [model_output(text_block(text, notes))]


def _call(ask: InteractionRequest, value: JSON) -> list[RawStep]:
    return [fitted_call(ask, str(value["name"]), value.get("arguments", {}))]


def _search(ask: InteractionRequest, value: JSON) -> list[RawStep]:
    queries = value["queries"] if isinstance(value["queries"], list) else [value["queries"]]
    return search_steps([str(query) for query in queries], value.get("suggestions"))


def _code(ask: InteractionRequest, value: JSON) -> list[RawStep]:
    return code_execution_steps(
        str(value["code"]),
        str(value.get("result", "")),
        str(value.get("language", "python")),
        is_error=value.get("is_error") is True,
    )


def _picture(ask: InteractionRequest, value: JSON) -> list[RawStep]:
    return [
        model_output(
            image_block(
                str(value["about"]), int(value.get("width", 320)), int(value.get("height", 180))
            )
        )
    ]


def _thought(ask: InteractionRequest, value: JSON) -> list[RawStep]:
    return [{"type": "thought", "summary": [text_block(str(value["summary"]))]}]


_SPELLINGS: dict[str, tuple[Build, str, dict[str, tuple[str, ...]]]] = {
    "call": (_call, "name", {"name": ("string",), "arguments": ("object", "string")}),
    "search": (_search, "queries", {"queries": ("array", "string"), "suggestions": ("string",)}),
    "code": (
        _code,
        "code",
        {
            "code": ("string",),
            "result": ("string",),
            "language": ("string",),
            "is_error": ("boolean", "string"),
        },
    ),
    "picture": (
        _picture,
        "about",
        {"about": ("string",), "width": ("number", "string"), "height": ("number", "string")},
    ),
    "thought": (_thought, "summary", {"summary": ("string",)}),
}
"""Spelling: what builds it, the field a bare value fills (it is required), the fields and their types."""

_CITE_FIELDS = ("url", "title", "words")
_WORDS = ("text", "json", *_SPELLINGS, "type")


def read_steps(notes: ScriptReader, value: JSON, path: Path) -> Steps:
    """Read a list of steps."""
    if not notes.of(value, path, "array"):
        return lambda ask, context: []
    entries = [_entry(notes, item, (*path, index)) for index, item in enumerate(value)]
    return lambda ask, context: [step for entry in entries for step in entry(ask, context)]


def read_reply(notes: ScriptReader, value: JSON, path: Path) -> Steps:
    """Read ``reply:``, the short form of one text step."""
    notes.of(value, path, "string")
    render = notes.template(value, path)
    return lambda ask, context: [model_output(text_block(str(render(context))))]


def _entry(notes: ScriptReader, value: JSON, path: Path) -> Steps:
    if not notes.of(value, path, "object"):
        return lambda ask, context: []
    more = ("item",) if "each" in value else ()
    each = notes.template(value["each"], (*path, "each")) if more else None
    spelled = {key: item for key, item in value.items() if key != "each"}
    build = _spelled(notes, spelled, path, more)
    if each is None:
        return build

    def repeated(ask: InteractionRequest, context: dict[str, JSON]) -> list[RawStep]:
        return [step for item in each(context) for step in build(ask, {**context, "item": item})]

    return repeated


def _spelled(
    notes: ScriptReader, value: Mapping[str, JSON], path: Path, more: tuple[str, ...]
) -> Steps:
    if "type" in value:
        notes.of(value["type"], (*path, "type"), "string")
        raw = notes.template(dict(value), path, more)
        return lambda ask, context: [raw(context)]
    words = [key for key in value if key in _WORDS]
    if not words:
        notes.mapping(dict(value), path, _WORDS, "step")
        if not value:
            notes.add(path, f"a step needs one of {', '.join(_WORDS)}")
        return lambda ask, context: []
    word = words[0]
    notes.mapping(
        dict(value), path, (word, *(("cite",) if word == "text" else ())), f"key beside {word!r}:"
    )
    if word == "json":
        render = notes.template(value["json"], (*path, "json"), more)
        return lambda ask, context: [fitted_document(ask, render(context))]
    if word == "text":
        notes.of(value["text"], (*path, "text"), "string")
        cites = value.get("cite", [])
        if notes.of(cites, (*path, "cite"), "array"):
            for index, cite in enumerate(cites):
                if "url" not in notes.mapping(
                    cite, (*path, "cite", index), _CITE_FIELDS, "field of a citation"
                ):
                    notes.add((*path, "cite", index), "a citation needs a url")
        render = notes.template({"text": value["text"], "cite": cites}, path, more)
        return lambda ask, context: _text(ask, render(context))
    build, bare, fields = _SPELLINGS[word]
    given = value[word]
    below = (*path, word)
    render = notes.template(given, below, more)
    if not isinstance(given, dict):
        notes.of(given, below, *fields[bare])
        return lambda ask, context: build(ask, {bare: render(context)})
    for key, item in notes.mapping(given, below, fields, f"field of {word!r}:").items():
        notes.of(item, (*below, key), *fields[key])
    if bare not in given:
        notes.add(below, f"{word!r} needs {bare!r}")
    return lambda ask, context: build(ask, render(context))
