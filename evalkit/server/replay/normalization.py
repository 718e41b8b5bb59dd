"""The form in which requests are compared, so that any client can replay any recording. No IO.

Two requests are equal if method, path, query and body are, as in ``cassette.matching``, except for
spellings that differ between clients without a meaning, or that the API treats as equal
(docs/protocol.md sections 1.1, 2, 2.1, 9):

* the API version and any prefix before it: one SDK sends ``/v1``, the other ``/v1beta``;
* null for an absent field: at the top of the body, in steps and in their content; but not in
  arguments, results and schemas, which are data;
* the form of ``input``: a string, content, a list of content, or one ``user_input`` step; and the
  content of a ``user_input`` as a string;
* ``stream=false`` and ``alt=sse`` in the query.
"""

import re
from contextlib import suppress
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import unquote

from evalkit._lib.json import JSON, canonical
from evalkit.cassette.matching import Query, body_value, normalize_route, route_of
from evalkit.cassette.recording import Recording
from evalkit.protocol.step_types import CONTENT_TYPES
from evalkit.protocol.wire_facts import API_VERSION_PATTERN

_VERSION = re.compile(rf"^.*?/{API_VERSION_PATTERN}(?=/)")
_DEFAULT_PAIRS = frozenset({("stream", "false"), ("alt", "sse")})
_DATA_FIELDS = frozenset(
    {
        "arguments",
        "result",
        "parameters",
        "schema",
        "response_format",
        "user_metadata",
        "labels",
    }
)


class NormalizedRequest(NamedTuple):
    """A request in the form in which it is compared."""

    method: str
    path: str
    query: Query
    body: JSON

    @property
    def key(self) -> bytes:
        """A digest that is equal for equal requests."""
        try:
            text = canonical(self.body)
        except RecursionError:  # nested hundreds of levels deep: then the spelling counts
            text = repr(self.body)
        parts = "\n".join((self.method, self.path, repr(self.query), text))
        return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def normalize_request(method: str, path: str, query: Query, body: JSON) -> NormalizedRequest:
    """Return a request's normal form; ``body`` is a JSON value, None if there is none."""
    path, query = normalize_route(path, query)
    # One SDK sends //interactions when it is configured without a version.
    path = "/" + unquote(_VERSION.sub("", path)).lstrip("/")
    query = tuple(pair for pair in query if pair not in _DEFAULT_PAIRS)
    # A body nested hundreds of levels deep stays as it is: then every difference counts.
    with suppress(RecursionError):
        body = normalize_body(body)
    return NormalizedRequest(method, path, query, body)


def normalize_recording(recording: Recording) -> NormalizedRequest:
    """Return the normal form of a recorded request."""
    path, query = route_of(recording.uri)
    return normalize_request(recording.method, path, query, body_value(recording.request_body))


def normalize_body(body: JSON) -> JSON:
    """Return a request body without differences that do not matter; bytes become text."""
    if isinstance(body, bytes):
        return body.decode("latin-1")
    if not isinstance(body, dict):
        return body
    body = _without_nulls(body)
    if "input" in body:
        body["input"] = _steps(body["input"])
    return body


def _steps(value: JSON) -> JSON:
    if isinstance(value, str):
        return [_user_input({}, value)]
    items = [value] if isinstance(value, dict) else value
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return value
    types = [item.get("type", "text") for item in items]
    if items and all(isinstance(type_, str) and type_ in CONTENT_TYPES for type_ in types):
        return [_user_input({}, items)]
    return [
        _user_input(item, item.get("content")) if item.get("type") == "user_input" else item
        for item in items
    ]


def _user_input(step: dict[str, JSON], content: JSON) -> JSON:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if isinstance(content, list):
        content = [
            {"type": "text", **block} if isinstance(block, dict) else block for block in content
        ]
    return {**step, "type": "user_input", "content": content}


def _without_nulls(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {
            name: item if name in _DATA_FIELDS else _without_nulls(item)
            for name, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
