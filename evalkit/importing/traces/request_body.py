"""The body of the request of a span: model, instructions, tools, settings. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping

from evalkit._lib.json import JSON
from evalkit.importing.traces.attributes import attribute, content_of
from evalkit.importing.traces.messages import mapping, parsed
from evalkit.importing.traces.payloads import first
from evalkit.results import genai_names as genai

_ATTRIBUTES = ("llm.invocation_parameters", "langfuse.observation.model.parameters")
_PARAMETERS = {
    "max_tokens": ("max_tokens", "max_output_tokens", "maxOutputTokens", "max_completion_tokens"),
    "stop_sequences": ("stop_sequences", "stopSequences", "stop"),
    "top_p": ("top_p", "topP"),
    "top_k": ("top_k", "topK"),
}
"""Names of settings in the bodies of APIs, where there is more than one."""
_SERVICE_TOOLS = {
    "google_search": "google_search",
    "googleSearch": "google_search",
    "url_context": "url_context",
    "urlContext": "url_context",
    "code_execution": "code_execution",
    "codeExecution": "code_execution",
}
"""Members of Gemini's tools, and the types of tools that the service runs."""


def request_body(attributes: Mapping[str, JSON], system: Iterable[str]) -> dict[str, JSON]:
    """Return the body of a request of the API, without its input, as far as attributes have it."""
    parameters = {
        key: value for name in _ATTRIBUTES for key, value in mapping(attributes.get(name)).items()
    }
    settings = {}
    for name, field_name in genai.SETTINGS.items():
        value, short = attribute(attributes, name), name.rpartition(".")[2]
        value = first(parameters, _PARAMETERS.get(short, (short,))) if value is None else value
        if (value := _setting(short, parsed(value))) is not None:
            settings[field_name] = value
    body = {
        "model": str(attribute(attributes, genai.MODEL) or "unknown"),
        "system_instruction": "\n\n".join(dict.fromkeys(system)),
        "tools": list(_tools(parsed(content_of(attributes, genai.TOOLS)))),
        "generation_config": settings,
    }
    return {key: value for key, value in body.items() if value}


def _setting(name: str, value: JSON) -> JSON:
    """Return a setting; numbers may be texts, and Python's infinity means none."""
    if name == "stop_sequences":
        return [value] if isinstance(value, str) else value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    is_whole = number.is_integer() and "." not in str(value)
    return (int(number) if is_whole else number) if math.isfinite(number) else None


def _tools(value: JSON) -> Iterator[dict[str, JSON]]:
    """Yield declarations of tools in the form of the API."""
    for tool in value if isinstance(value, list) else ():
        tool = parsed(tool)
        for key in ("tool", "json_schema", "function"):
            inner = parsed(tool.get(key)) if isinstance(tool, dict) else None
            tool = {"type": "function", **inner} if isinstance(inner, dict) else tool
        if not isinstance(tool, dict):
            continue
        for name, kind in _SERVICE_TOOLS.items():
            if isinstance(tool.get(name), dict):
                yield {"type": kind}
        declared = tool.get("functionDeclarations") or tool.get("function_declarations")
        if isinstance(declared, list):
            yield from _tools(declared)
        elif isinstance(tool.get("name"), str) and tool.get("type", "function") == "function":
            keys = ("parameters", "input_schema", "parameters_json_schema", "inputSchema")
            schema = next((parsed(tool[key]) for key in keys if tool.get(key)), None)
            yield {
                "type": "function",
                "name": tool["name"],
                **({"description": tool["description"]} if tool.get("description") else {}),
                **({"parameters": _json_schema(schema)} if isinstance(schema, dict) else {}),
            }
        elif isinstance(tool.get("type"), str):
            yield tool


def _json_schema(value: JSON) -> JSON:
    """Return a schema of Gemini's APIs, which has types in capitals, as JSON Schema."""
    if isinstance(value, dict):
        return {
            key: item.lower() if key == "type" and isinstance(item, str) else _json_schema(item)
            for key, item in value.items()
        }
    return [_json_schema(item) for item in value] if isinstance(value, list) else value
