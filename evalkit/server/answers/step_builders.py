"""Building raw steps: the few shapes that rules and plain answers put together. Pure.

Ids, the leading thought and signatures are not made here: an answer gets them when it is completed.
"""

from __future__ import annotations

import base64
import json

from evalkit._lib.json import JSON
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.answers.sample_media import skyline
from evalkit.server.requests.create import answer_schema
from evalkit.server.requests.error_response import bad_request
from evalkit.server.schema_documents import NoDocument, sample_document

RawStep = dict[str, JSON]
SUGGESTIONS = (
    "<style>.chip{border:1px solid #8886;border-radius:1em;padding:.25em .75em;font:14px sans-serif}</style>"
    '<div class="carousel"><span class="chip">{query}</span></div>'
)


def model_output(*blocks: dict[str, JSON]) -> RawStep:
    """Return a ``model_output`` step of content blocks."""
    return {"type": "model_output", "content": list(blocks)}


def text_block(text: str, annotations: list[dict[str, JSON]] | None = None) -> dict[str, JSON]:
    """Return a text content; ``annotations`` only where there are some."""
    return {"type": "text", "text": text, **({"annotations": annotations} if annotations else {})}


def url_citation(text: str, words: str, url: str, title: str) -> dict[str, JSON]:
    """Return a ``url_citation`` over the first occurrence of ``words`` in ``text``: UTF-8 byte offsets, end exclusive."""
    start = text.find(words)
    if start < 0:
        raise ValueError(f"the cited words {words!r} are not in the text")
    first = len(text[:start].encode("utf-8", "surrogatepass"))
    return {
        "type": "url_citation",
        "url": url,
        "title": title,
        "start_index": first,
        "end_index": first + len(words.encode("utf-8", "surrogatepass")),
    }


def search_steps(queries: list[str], suggestions: str | None = None, **more: JSON) -> list[RawStep]:
    """Return a search call and its result; ``more`` are fields of the call. Without ``suggestions`` there is a plain HTML part."""
    html = (
        suggestions
        if suggestions is not None
        else SUGGESTIONS.replace("{query}", _escaped(queries[0] if queries else ""))
    )
    return [
        {"type": "google_search_call", "arguments": {"queries": queries}, **more},
        {"type": "google_search_result", "result": [{"search_suggestions": html}]},
    ]


def code_execution_steps(
    code: str, result: str, language: str = "python", *, is_error: bool = False
) -> list[RawStep]:
    """Return a code execution and its result."""
    outcome: RawStep = {"type": "code_execution_result", "result": result}
    return [
        {"type": "code_execution_call", "arguments": {"language": language, "code": code}},
        {**outcome, "is_error": True} if is_error else outcome,
    ]


def image_block(about: str, width: int = 320, height: int = 180) -> dict[str, JSON]:
    """Return an image content with a real PNG in it."""
    return {
        "type": "image",
        "data": base64.b64encode(skyline(about, width, height)).decode(),
        "mime_type": "image/png",
    }


def fitted_call(ask: InteractionRequest, name: str, arguments: JSON) -> RawStep:
    """Return a function call whose arguments meet the declared parameters, as near to ``arguments`` as it goes."""
    declared = next((tool for tool in ask.functions if tool["name"] == name), None)
    schema = (declared or {}).get("parameters")
    if schema is not None:
        try:
            arguments = sample_document(schema, arguments)
        except NoDocument as error:
            raise bad_request(
                f"no arguments for the function '{name}' were found: {error}"
            ) from error
    return {
        "type": "function_call",
        "name": name,
        "arguments": arguments if isinstance(arguments, dict) else {},
    }


def fitted_document(ask: InteractionRequest, wish: JSON) -> RawStep:
    """Return a text output that is one JSON document: ``wish``, made to meet the schema where the request asks for one."""
    schema = answer_schema(ask.body)
    try:
        value = wish if schema is None else sample_document(schema, wish)
    except NoDocument as error:
        raise bad_request(f"no answer for 'response_format.schema' was found: {error}") from error
    return model_output(text_block(json.dumps(value, indent=2, ensure_ascii=False)))


def _escaped(text: str) -> str:
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    )
