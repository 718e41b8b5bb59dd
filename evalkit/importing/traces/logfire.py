"""Exports of Logfire, and other rows with a span each, such as those of OpenTelemetry's SDKs. Pure.

Source: Logfire's reference of its SQL tables and its query API (rows, or columns with values), the
attributes of its instrumentations, and the JSON of OpenTelemetry's console exporter for Python.
"""

from collections.abc import Iterator, Mapping

from evalkit._lib.json import JSON
from evalkit.importing.traces.messages import mapping, parsed
from evalkit.importing.traces.payloads import first, nanoseconds
from evalkit.importing.traces.span import Span
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
    _unwrap_arguments(attributes)
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
        events=tuple(_events(document, attributes)),
        error=str(message or "the call failed") if failed or message else "",
        place=place,
    )


def _unwrap_arguments(attributes: dict[str, JSON]) -> None:
    """Replace the arguments of calls of Anthropic, which Logfire has as the dump of their block."""
    data = mapping(attributes.get("response_data"))
    calls = mapping(data.get("message")).get("tool_calls")
    if attributes.get("gen_ai.system") != "anthropic" or not isinstance(calls, list):
        return
    for call in calls:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            arguments = function.get("arguments")
            function["arguments"] = mapping(arguments).get("input", arguments)
    attributes["response_data"] = data


def _events(
    document: Mapping[str, JSON], attributes: Mapping[str, JSON]
) -> Iterator[tuple[str, Mapping[str, JSON]]]:
    """Yield the events of a span, and the messages that Pydantic AI had in one attribute."""
    for event in (
        *_list(document.get("otel_events") or document.get("events")),
        *_list(attributes.get("events")),
    ):
        if isinstance(event, dict):
            name = first(event, ("event.name", "event_name", "name"))
            yield str(name), mapping(event.get("attributes")) or event


def _list(value: JSON) -> list[JSON]:
    value = parsed(value)
    return value if isinstance(value, list) else []
