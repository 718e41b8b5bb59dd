"""OTLP's protobuf messages as their JSON: the one place that needs the extra ``traces``."""

from functools import cache
from importlib import import_module
from typing import Any

from evalkit._lib.json import JSON
from evalkit.errors import UsageError

_PACKAGE = "opentelemetry.proto"
_ID_SIZE = 16


def message_to_json(data: bytes) -> JSON:
    """Return a message of traces, or of logs, as OTLP's JSON, with ids in Base64.

    Raises ValueError, and UsageError where the library is missing.
    """
    traces, logs, to_dict, decode_error = _library()
    for kind in (traces, logs):
        try:
            message = kind.FromString(data)
        except decode_error:
            continue
        # Messages of logs have the same first fields; as spans they have no ids.
        if kind is logs or any(
            len(span.trace_id) == _ID_SIZE
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ):
            return to_dict(message)
    raise ValueError("not a message of traces or logs")


@cache
def _library() -> tuple[Any, Any, Any, type[Exception]]:
    try:
        traces = import_module(f"{_PACKAGE}.trace.v1.trace_pb2").TracesData
        logs = import_module(f"{_PACKAGE}.logs.v1.logs_pb2").LogsData
        to_dict = import_module("google.protobuf.json_format").MessageToDict
        error = import_module("google.protobuf.message").DecodeError
    except ImportError:
        raise UsageError(
            "protobuf files of traces need the extra 'traces'; install it with pip install "
            "'pytest-evalkit[traces]', or write the traces as JSON"
        ) from None
    return traces, logs, to_dict, error
