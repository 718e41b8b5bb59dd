"""OTLP traces and logs in JSON, as the Collector's file exporter writes them. Pure.

Source: OpenTelemetry Protocol 1.9 (the JSON of ``TracesData`` and ``LogsData``).
"""

from collections.abc import Iterator, Mapping

from evalkit._lib.json import JSON
from evalkit.importing.traces.messages import mapping
from evalkit.importing.traces.payloads import first, items, nanoseconds
from evalkit.importing.traces.span import Span

_SIGNALS = (
    (("resourceSpans", "resource_spans", "batches"), ("scopeSpans", "scope_spans"), ("spans",)),
    (
        ("resourceLogs", "resource_logs"),
        ("scopeLogs", "scope_logs"),
        ("logRecords", "log_records"),
    ),
)
_OLD_SCOPES = ("instrumentationLibrarySpans",)
_STARTS = ("startTimeUnixNano", "start_time_unix_nano", "timeUnixNano", "time_unix_nano")
_ENDS = ("endTimeUnixNano", "end_time_unix_nano")
METRICS = ("resourceMetrics", "resource_metrics")
"""Documents without spans that a file may have among others."""


def is_otlp(document: Mapping[str, JSON]) -> bool:
    """Return whether a document has traces or logs of OTLP."""
    return any(key in document for keys, _, _ in _SIGNALS for key in keys)


def otlp_spans(document: Mapping[str, JSON], place: str) -> Iterator[Span]:
    """Yield the spans of a document, and the events of logs as spans without a name."""
    for groups, scopes, records in _SIGNALS:
        for group in items(first(document, groups)):
            shared = _attributes(mapping(group.get("resource")).get("attributes"))
            for scope in items(first(group, (*scopes, *_OLD_SCOPES))):
                for record in items(first(scope, records)):
                    if records == ("spans",):
                        yield _span(record, shared, place)
                    elif (event := _event(record)) is not None:
                        yield _span(record, shared, place, event)


def value_of(value: JSON) -> JSON:
    """Return an attribute's value as JSON."""
    if not isinstance(value, dict) or not value:
        return None
    kind, content = next(iter(value.items()))
    if kind == "stringValue":
        # Nearly every value of the calls of models.
        return content
    match kind:
        case "intValue" | "int_value":
            return int(content) if str(content).lstrip("-").isdecimal() else None
        case "arrayValue" | "array_value":
            return [value_of(item) for item in items(mapping(content).get("values"))]
        case "kvlistValue" | "kvlist_value":
            return _attributes(mapping(content).get("values"))
        case _:
            return content


def _span(
    record: Mapping[str, JSON],
    shared: Mapping[str, JSON],
    place: str,
    event: tuple[str, Mapping[str, JSON]] | None = None,
) -> Span:
    status = mapping(record.get("status"))
    has_failed = status.get("code") in (2, "STATUS_CODE_ERROR")
    events = [
        (str(one.get("name")), _attributes(one.get("attributes")))
        for one in items(record.get("events"))
    ]
    return Span(
        trace=str(first(record, ("traceId", "trace_id")) or ""),
        id=str(first(record, ("spanId", "span_id")) or ""),
        name=str(record.get("name") or ""),
        start=nanoseconds(first(record, _STARTS)),
        end=nanoseconds(first(record, _ENDS)),
        attributes={**shared, **_attributes(record.get("attributes"))},
        events=(*events, *([event] if event else ())),
        error=str(status.get("message") or "the call failed") if has_failed else "",
        place=place,
    )


def _event(record: Mapping[str, JSON]) -> tuple[str, Mapping[str, JSON]] | None:
    """Return a log record that is an event of a call: its name, its body and attributes."""
    attributes = _attributes(record.get("attributes"))
    named = first(record, ("eventName", "event_name"))
    name = str(named or attributes.get("event.name") or "")
    if not name.startswith("gen_ai.") or name.startswith("gen_ai.evaluation"):
        return None
    return name, {**attributes, **mapping(value_of(record.get("body")))}


def _attributes(value: JSON) -> dict[str, JSON]:
    return {str(one.get("key")): value_of(one.get("value")) for one in items(value)}
