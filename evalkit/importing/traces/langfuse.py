"""Exports of Langfuse: observations as rows or in their traces. Pure.

Source: Langfuse's reference of fields of its exports and of its public API, of 2026; what writes
them (``batchExport``, ``buildTraceExport``, the columns of ClickHouse) and its SDK for Python 4.
"""

from collections.abc import Iterator, Mapping

from evalkit._lib.json import JSON
from evalkit.importing.traces.messages import mapping
from evalkit.importing.traces.payloads import first, flat, nanoseconds, received, sent, tokens
from evalkit.importing.traces.span import Span
from evalkit.results import genai_names as genai

_TYPES = frozenset(("GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER"))
_TYPES |= {"EVALUATOR", "EMBEDDING", "GUARDRAIL"}
_TRACE = ("traceId", "trace_id")
_SESSION = ("sessionId", "session_id")
_MODEL = ("model", "providedModelName", "provided_model_name", "modelId", "model_id")
_PARAMETERS = ("modelParameters", "model_parameters")
_USAGE = ("usageDetails", "usage_details", "usage")
_TOOLS = ("toolDefinitions", "tool_definitions")
_SHARED = ("userId", "user_id", "release", "version", "environment", "tags")


def is_langfuse(document: Mapping[str, JSON]) -> bool:
    """Return whether a document is an observation, or a trace with observations."""
    is_row = first(document, _TRACE) is not None and str(document.get("type")) in _TYPES
    return is_row or isinstance(document.get("observations"), list)


def langfuse_spans(document: Mapping[str, JSON], place: str) -> Iterator[Span]:
    """Yield the generations of a document."""
    observations = document.get("observations")
    if isinstance(observations, list):
        outer = mapping(document.get("trace")) or document
        shared = {key: outer[key] for key in (*_SESSION, *_SHARED) if outer.get(key) is not None}
        shared |= flat("metadata", outer.get("metadata"))
        for one in observations:
            if isinstance(one, dict):
                row = {"traceId": outer.get("id"), **shared}
                yield from langfuse_spans(row | {k: v for k, v in one.items() if v}, place)
        return
    if document.get("type") != "GENERATION":
        return
    tools = mapping(first(document, _TOOLS)).items()
    attributes = {
        **{key: value for key, value in document.items() if key not in ("input", "output")},
        genai.TOOLS: [{"name": name, **mapping(tool)} for name, tool in tools],
        **flat("metadata", document.get("metadata")),
        **{name: value for name, value in sent(document.get("input")).items() if value},
        **received(document.get("output")),
        **tokens(first(document, _USAGE)),
        genai.OPERATION: "chat",
    }
    for name, value in (
        (genai.CONVERSATION, first(document, _SESSION)),
        (genai.MODEL, first(document, _MODEL)),
        ("llm.invocation_parameters", first(document, _PARAMETERS)),
    ):
        attributes |= {name: value} if value else {}
    message = first(document, ("statusMessage", "status_message"))
    yield Span(
        trace=str(first(document, _TRACE) or ""),
        id=str(document.get("id") or ""),
        name=str(document.get("name") or ""),
        start=nanoseconds(first(document, ("startTime", "start_time"))),
        end=nanoseconds(first(document, ("endTime", "end_time"))),
        attributes=attributes,
        error=str(message or "failed") if document.get("level") == "ERROR" else "",
        place=place,
    )
