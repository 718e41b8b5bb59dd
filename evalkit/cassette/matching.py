"""Matching of requests with recordings. Pure.

Two requests are equal if method, path, query and body are. Bodies are compared as JSON values if
they are JSON, so key order, white space and number spelling do not count. Keys in the query never
count, nor do the host, the API version, and what a gateway puts before it in the path: a new major
version of an SDK sends the same requests to another version. Secret fields of a request are
compared as they are written, redacted. Equal requests are answered in recorded order, each
recording once.

The next recording that was not played is tried first, by a plain comparison: a replay in recorded
order does nothing else. Only if it differs, all recordings are indexed once, by a digest of their
canonical form. So a cassette of any size takes linear time.
"""

import re
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import parse_qsl

from evalkit._lib.json import JSON, canonical, equal, indented, loads, loads_or
from evalkit.cassette.bodies import fold_json, request_text
from evalkit.cassette.headers import redact_path
from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from evalkit.cassette.secret_fields import redact_fields
from evalkit.protocol.wire_facts import (
    API_VERSION_PATTERN,
    KEY_PARAMETERS,
    OAUTH_ANSWER,
    OAUTH_CODE,
    RESOURCES,
    SIBLING_RESOURCES,
)

Query = tuple[tuple[str, str], ...]
Route = tuple[str, Query]

_BEFORE_VERSION = re.compile(rf".*(?=/{API_VERSION_PATTERN}/)")
# Versions of other APIs, whose traffic a tape may contain, can have different resources.
_VERSION = re.compile(
    rf"^/{API_VERSION_PATTERN}(?=/(?:projects/[^/]+/locations/[^/]+/)?"
    rf"(?:{'|'.join((*RESOURCES, *SIBLING_RESOURCES))})(?:[/:]|\Z))"
)


# The same few routes occur in every cassette; normalizing one takes as long as comparing a request.
@lru_cache(maxsize=256)
def normalize_route(path: str, query: Query = ()) -> Route:
    """Return the path without the API version, and the query sorted and without keys.

    The path of another API begins with its version.
    """
    path = redact_path(_VERSION.sub("", without_prefix(path)))
    names = {name.lower() for name, _ in query}
    keys = KEY_PARAMETERS | {OAUTH_CODE} if OAUTH_ANSWER in names else KEY_PARAMETERS
    return path, tuple(sorted(pair for pair in query if pair[0].lower() not in keys))


def without_prefix(path: str) -> str:
    """Return a path from the API version on, without what a gateway puts before it."""
    return _BEFORE_VERSION.sub("", path, count=1)


def split_route(uri: str) -> Route:
    """Return the path and the query of a URI as they are."""
    start = uri.find("/", uri.find("://") + 3) if "://" in uri else 0
    path, _, query = (uri[start:] if start >= 0 else "/").partition("#")[0].partition("?")
    return path or "/", tuple(parse_qsl(query, keep_blank_values=True))


@lru_cache(maxsize=256)
def route_of(uri: str) -> Route:
    """Return the normalized route of a recorded URI."""
    return normalize_route(*split_route(uri))


def body_value(text: str | bytes | None) -> JSON:
    """Return a recorded body as a JSON value, None if it is empty, or unchanged if not JSON."""
    return loads_or(text, text) if text else None


class Player:
    """The recordings of one cassette, and which of them were played.

    ``redactor`` redacts a request as the recordings were redacted before they were written.
    """

    def __init__(self, recordings: Sequence[Recording], redactor: Redactor | None = None) -> None:
        self.recordings = list(recordings)
        self.played = bytearray(len(self.recordings))
        self.redactor = redactor
        self._next = 0
        self._index: dict[bytes, deque[int]] | None = None

    def take(self, method: str, path: str, query: Query, body: JSON) -> int | None:
        """Return the number (from 0) of the matching recording, and mark it as played."""
        route, number = normalize_route(path, query), self._next
        if number == len(self.played) or not _is_equal(
            self.recordings[number], method, route, body
        ):
            numbers = self._find(method, route, body)
            while numbers and self.played[numbers[0]]:
                numbers.popleft()
            if not numbers:
                return None
            number = numbers.popleft()
        self.played[number] = 1
        next_unplayed = self.played.find(0, self._next)
        self._next = len(self.played) if next_unplayed < 0 else next_unplayed
        return number

    def knows(self, method: str, path: str, query: Query, body: JSON) -> bool:
        """Return whether the request was recorded, played or not."""
        return self._find(method, normalize_route(path, query), body) is not None

    def unplayed(self) -> list[int]:
        """Return the numbers of the recordings that were not played."""
        return [number for number, played in enumerate(self.played) if not played]

    def _find(self, method: str, route: Route, body: JSON) -> deque[int] | None:
        if self._index is None:
            self._index = {}
            for number, recording in enumerate(self.recordings):
                value = body_value(recording.request_body)
                key = request_key(recording.method, route_of(recording.uri), value)
                self._index.setdefault(key, deque()).append(number)
        numbers = self._index.get(request_key(method, route, body))
        if numbers is not None:
            return numbers
        path, query = route
        if self.redactor is not None:
            path = self.redactor.uri(path)
            query = tuple((name, self.redactor.parameter(value)) for name, value in query)
            body = _redacted_body(body, self.redactor)
        body, _ = redact_fields(body, path)
        return self._index.get(request_key(method, (path, query), body))


def request_key(method: str, route: Route, body: JSON) -> bytes:
    """Return a digest that is equal for equal requests."""
    path, query = route
    parts = "\n".join((method, path, repr(query), _canonical_text(body)))
    return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _is_equal(recording: Recording, method: str, route: Route, body: JSON) -> bool:
    if recording.method != method or route_of(recording.uri) != route:
        return False
    recorded = recording.request_body
    if body is None or not recorded:
        return body is None and not recorded
    # evalkit's own cassettes have exactly this text; parsing a body takes longer than writing it.
    text = indented(body)
    if text is not None and (recorded == text + "\n" or recorded == fold_json(text)):
        return True
    try:
        return equal(loads(recorded), body)
    except (ValueError, RecursionError):
        return False


def _redacted_body(body: JSON, redactor: Redactor) -> JSON:
    if body is None or isinstance(body, bytes):
        return body
    try:
        text = body if isinstance(body, str) else request_text(body)
    except RecursionError:
        return body
    clean = redactor.document(text)
    return body if clean == text else body_value(clean)


def _canonical_text(body: JSON) -> str:
    if body is None:
        return ""
    if isinstance(body, bytes):
        return body.decode("latin-1")
    try:
        return canonical(body)
    except RecursionError:
        # Nested hundreds of levels: then key order counts.
        return repr(body)
