"""Build the raw steps that rules and default answers consist of. Pure.

Ids, the leading thought and signatures are added later, by ``interaction``.
"""

import base64
import html
import json

from evalkit._lib.json import JSON
from evalkit.protocol.step_reader import RawStep
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.answers.sample_media import skyline
from evalkit.server.requests.create import response_schema
from evalkit.server.requests.error_response import bad_request
from evalkit.server.schema_documents import NoDocument, sample_document

_SUGGESTIONS = (
    "<style>.chip{border:1px solid #8886;border-radius:1em;padding:.25em .75em;"
    "font:14px sans-serif}</style>"
    '<div class="carousel"><span class="chip">{query}</span></div>'
)


def model_output(*blocks: dict[str, JSON]) -> RawStep:
    """Return a ``model_output`` step of content blocks."""
    return {"type": "model_output", "content": list(blocks)}


def text_output(text: str, annotations: list[dict[str, JSON]] | None = None) -> RawStep:
    """Return a ``model_output`` step of one text."""
    return model_output(text_block(text, annotations))


def text_block(text: str, annotations: list[dict[str, JSON]] | None = None) -> dict[str, JSON]:
    """Return a text block; it has ``annotations`` only if there are any."""
    block: dict[str, JSON] = {"type": "text", "text": text}
    return {**block, "annotations": annotations} if annotations else block


def url_citation(text: str, words: str, url: str, title: str) -> dict[str, JSON]:
    """Return a ``url_citation`` of the first occurrence of ``words`` in ``text``.

    Indexes are UTF-8 byte offsets, the end is exclusive. Raises ValueError if there is none.
    """
    start = text.find(words)
    if start < 0:
        raise ValueError(f"the cited words {words!r} are not in the text")
    start_index = len(text[:start].encode("utf-8", "surrogatepass"))
    return {
        "type": "url_citation",
        "url": url,
        "title": title,
        "start_index": start_index,
        "end_index": start_index + len(words.encode("utf-8", "surrogatepass")),
    }


def search_steps(
    queries: list[str], suggestions: str | None = None, **fields: JSON
) -> list[RawStep]:
    """Return a search call and its result; ``fields`` are further fields of the call.

    ``suggestions`` is the HTML of the result.
    """
    if suggestions is None:
        suggestions = _SUGGESTIONS.replace("{query}", html.escape(queries[0] if queries else ""))
    return [
        {"type": "google_search_call", "arguments": {"queries": queries}, **fields},
        {"type": "google_search_result", "result": [{"search_suggestions": suggestions}]},
    ]


def code_execution_steps(
    code: str, result: str, language: str = "python", *, is_error: bool = False
) -> list[RawStep]:
    """Return a code execution and its result."""
    call = {"type": "code_execution_call", "arguments": {"language": language, "code": code}}
    outcome: RawStep = {"type": "code_execution_result", "result": result}
    if is_error:
        outcome["is_error"] = True
    return [call, outcome]


def image_block(about: str, width: int = 320, height: int = 180) -> dict[str, JSON]:
    """Return an image block with a real PNG."""
    data = base64.b64encode(skyline(about, width, height)).decode()
    return {"type": "image", "data": data, "mime_type": "image/png"}


def function_call(request: InteractionRequest, name: str, arguments: JSON) -> RawStep:
    """Return a function call, its arguments as close to ``arguments`` as its declaration allows."""
    for tool in request.functions:
        if tool["name"] == name and tool.get("parameters") is not None:
            try:
                arguments = sample_document(tool["parameters"], arguments)
            except NoDocument as error:
                raise bad_request(
                    f"no arguments for the function '{name}' were found: {error}"
                ) from error
    if not isinstance(arguments, dict):
        arguments = {}
    return {"type": "function_call", "name": name, "arguments": arguments}


def json_output(request: InteractionRequest, preferred: JSON) -> RawStep:
    """Return an output with one JSON document, valid against the schema of the request if any."""
    schema = response_schema(request.body)
    try:
        document = preferred if schema is None else sample_document(schema, preferred)
    except NoDocument as error:
        raise bad_request(f"no answer for 'response_format.schema' was found: {error}") from error
    return text_output(json.dumps(document, indent=2, ensure_ascii=False))
