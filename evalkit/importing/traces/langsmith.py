"""Exports of LangSmith: runs as its API and its SDKs return them. Pure.

Source: LangSmith's page on the format of runs, of 2026, LangChain's serialized messages, and the
schema and wrappers of LangSmith's SDK for Python.
"""

from collections.abc import Iterator, Mapping

from evalkit._lib.json import JSON
from evalkit.importing.traces.messages import mapping
from evalkit.importing.traces.payloads import first, flat, nanoseconds, received, sent, tokens
from evalkit.importing.traces.span import Span
from evalkit.results import genai_names as genai

_THREADS = ("session_id", "thread_id", "conversation_id")
_CHILDREN = "child_runs"
_SETTINGS = {"temperature": "ls_temperature", "max_tokens": "ls_max_tokens", "stop": "ls_stop"}


def is_langsmith(document: Mapping[str, JSON]) -> bool:
    """Return whether a document is a run."""
    return "run_type" in document and ("trace_id" in document or "inputs" in document)


def langsmith_spans(document: Mapping[str, JSON], place: str) -> Iterator[Span]:
    """Yield the calls of models of a run and of the runs below it."""
    children = document.get(_CHILDREN)
    for child in children if isinstance(children, list) else ():
        if isinstance(child, dict):
            yield from langsmith_spans(child, place)
    if document.get("run_type") != "llm":
        return
    extra = mapping(document.get("extra"))
    metadata = flat("metadata", extra.get("metadata"))
    known = mapping(extra.get("metadata"))
    settings = {name: known[key] for name, key in _SETTINGS.items() if known.get(key) is not None}
    settings |= mapping(known.get("ls_invocation_params"))
    parameters = settings | {**mapping(extra.get("invocation_params"))}
    outputs = mapping(document.get("outputs"))
    inputs = {key: value for key, value in sent(document.get("inputs")).items() if value}
    attributes = {
        **{key: value for key, value in document.items() if key not in ("inputs", "outputs")},
        **metadata,
        genai.TOOLS: parameters.get("tools"),
        **inputs,
        **received(outputs),
        **tokens(outputs.get("usage_metadata") or known.get("usage_metadata") or document),
        genai.OPERATION: "chat",
        # The session of a run is its project; a thread is named in the metadata.
        genai.CONVERSATION: first(metadata, [f"metadata.{name}" for name in _THREADS]),
        genai.MODEL: first(metadata, ["metadata.ls_model_name"])
        or first(parameters, ("model", "model_name"))
        or inputs.get(genai.MODEL),
        "llm.invocation_parameters": {**inputs.get("llm.invocation_parameters", {}), **parameters},
    }
    yield Span(
        trace=str(document.get("trace_id") or ""),
        id=str(document.get("id") or ""),
        name=str(document.get("name") or ""),
        start=nanoseconds(document.get("start_time")),
        end=nanoseconds(document.get("end_time")),
        attributes=attributes,
        error=str(document.get("error") or "").partition("\n")[0],
        place=place,
    )
