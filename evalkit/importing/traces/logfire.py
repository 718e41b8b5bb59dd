"""Exports of Logfire, and other rows with a span each, such as those of OpenTelemetry's SDKs. Pure.

Source: Logfire's reference of its SQL tables and its query API (rows, or columns with values), the
attributes of its instrumentations, and the JSON of OpenTelemetry's console exporter for Python.
"""

from collections.abc import Iterator, Mapping

from evalkit._lib.json import JSON
from evalkit.importing.traces.messages import mapping, parsed
from evalkit.importing.traces.payloads import first, nanoseconds
from evalkit.importing.traces.span import Span, events_in
from evalkit.results import genai_names as genai

_TIMES = ("start_timestamp", "start_time", "created_at"), ("end_timestamp", "end_time")


def is_span_row(document: Mapping[str, JSON]) -> bool:
    """Return whether a document is a row with a span: ids and attributes."""
    ids = mapping(document.get("context")) or document
    return "trace_id" in ids and isinstance(parsed(document.get("attributes")), dict)


def rows_of(document: Mapping[str, JSON]) -> list[dict[str, JSON]] | None:
    """Return the rows of a table that has columns with values; None if it is not one."""
    columns = document.get("columns")
    if not isinstance(columns, list) or not columns:
        return None
    if not all(isinstance(one, dict) and isinstance(one.get("values"), list) for one in columns):
        return None
    names = [str(one.get("name")) for one in columns]
    values = (one["values"] for one in columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=False)]


def row_spans(document: Mapping[str, JSON], place: str) -> Iterator[Span]:
    """Yield the span of a row."""
    ids = mapping(document.get("context")) or document
    resource = mapping(document.get("otel_resource_attributes") or document.get("resource"))
    attributes = {
        **{key: value for key, value in document.items() if isinstance(value, str | list)},
        **(mapping(resource.get("attributes")) or resource),
        **parsed(document["attributes"]),
    }
    parameters = mapping(attributes.get("model_request_parameters"))
    if tools := parameters.get("function_tools"):
        attributes.setdefault(genai.TOOLS, tools)
    status = mapping(document.get("status"))
    failed = document.get("is_exception") or status.get("status_code") == "ERROR"
    message = first(document, ("exception_message", "otel_status_message"))
    message = message or status.get("description")
    yield Span(
        trace=str(ids.get("trace_id") or ""),
        id=str(ids.get("span_id") or ""),
        name=str(first(document, ("span_name", "name")) or ""),
        start=nanoseconds(first(document, _TIMES[0])),
        end=nanoseconds(first(document, _TIMES[1])),
        attributes=attributes,
        events=events_in(document.get("otel_events") or document.get("events")),
        error=str(message or "the call failed") if failed or message else "",
        place=place,
    )
