"""Which recording answers a request. Pure.

Two requests are the same when method, path, query (without keys) and body are: bodies always count, as JSON values where they are JSON (key
order, white space and number spelling are no difference). The host never counts, nor what stands before the API version in the path, since
a gateway may add it. Identical requests are answered in recorded order, each recording once.

The next recording that was not played is tried first, by plain equality: in a replay that goes as recorded nothing else happens. Only when
that fails is every recording indexed, once, by a digest of its canonical form: a cassette of any size is read in linear time.
"""

from __future__ import annotations

import marshal
import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import parse_qsl

from evalkit._lib.fast_json import indented, loads
from evalkit._lib.json import JSON, canonical
from evalkit.cassette.recording import Recording
from evalkit.protocol.wire_facts import API_VERSION_PATTERN, KEY_PARAMETERS

Query = tuple[tuple[str, str], ...]
Route = tuple[str, Query]

_BEFORE_VERSION = re.compile(rf".*(?=/{API_VERSION_PATTERN}/)")


@lru_cache(maxsize=256)
def normalize_route(path: str, query: Query = ()) -> Route:
    """Return what counts of a path and a query: the path from the API version on, the query sorted and without keys."""
    found = _BEFORE_VERSION.match(path)
    if found:
        path = path[found.end() :]
    return path, tuple(
        sorted(pair for pair in query if pair[0].lower() not in KEY_PARAMETERS)
    ) if query else ()


@lru_cache(maxsize=256)
def route_of(uri: str) -> Route:
    """Return the route of a recorded URI."""
    start = uri.find("/", uri.find("://") + 3) if "://" in uri else 0
    path, _, query = (uri[start:] if start >= 0 else "/").partition("#")[0].partition("?")
    return normalize_route(path or "/", tuple(parse_qsl(query, keep_blank_values=True)))


def body_value(text: str | bytes | None) -> JSON:
    """Return a recorded body as a JSON value; None where there is none; the text itself where it is not JSON."""
    if not text:
        return None
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return text


class Player:
    """Plays the recordings of one cassette. ``redact`` is what the recordings went through before they were written."""

    def __init__(
        self, recordings: Sequence[Recording], redact: Callable[[str], str] | None = None
    ) -> None:
        self.recordings = list(recordings)
        self.played = bytearray(len(self.recordings))
        self._redact = redact
        self._next = 0
        self._index: dict[bytes, deque[int]] | None = None

    def take(self, method: str, path: str, query: Query, body: JSON) -> int | None:
        """Return the number (from 0) of the recording that answers a request, and count it as played; None if there is none left."""
        wanted, number, played = normalize_route(path, query), self._next, self.played
        if number == len(played) or not _equals(self.recordings[number], method, wanted, body):
            found = self._same(method, wanted, body)
            while found and played[found[0]]:
                found.popleft()
            if not found:
                return None
            number = found.popleft()
        played[number] = 1
        after = played.find(0, self._next)
        self._next = len(played) if after < 0 else after
        return number

    def knows(self, method: str, path: str, query: Query, body: JSON) -> bool:
        """Say whether the very request was recorded, played or not."""
        return self._same(method, normalize_route(path, query), body) is not None

    def unplayed(self) -> list[int]:
        """Return the numbers of the recordings that were not played."""
        if self._next == len(self.recordings):
            return []
        return [number for number, played in enumerate(self.played) if not played]

    def _same(self, method: str, wanted: Route, body: JSON) -> deque[int] | None:
        if self._index is None:
            self._index = {}
            for number, recording in enumerate(self.recordings):
                key = self._key(
                    recording.method, route_of(recording.uri), body_value(recording.request_body)
                )
                self._index.setdefault(key, deque()).append(number)
        return self._index.get(self._key(method, wanted, body))

    def _key(self, method: str, wanted: Route, body: JSON) -> bytes:
        path, query = wanted
        text = "" if body is None else _spelled(self._redacted(body))
        if self._redact is not None:
            path, query = (
                self._redact(path),
                tuple((name, self._redact(value)) for name, value in query),
            )
        parts = "\n".join((method, path, repr(query), text))
        return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def _redacted(self, body: JSON) -> JSON:
        if self._redact is None or isinstance(body, bytes):
            return body
        from evalkit.cassette.bodies import (
            request_text,
        )  # here, because a replay that goes as recorded need not load it

        try:
            return body_value(self._redact(request_text(body)))
        except RecursionError:
            return body


def _equals(recording: Recording, method: str, wanted: Route, body: JSON) -> bool:
    if recording.method != method or route_of(recording.uri) != wanted:
        return False
    recorded = recording.request_body
    if body is None or not recorded:
        return body is None and not recorded
    # A cassette of ours holds this very text, so writing it is enough; a body that is spelled otherwise must be read.
    text = indented(body)
    if text is not None and recorded == text + "\n":
        return True
    # Equal in this form means equal with every difference of spelling counted; what it refuses, the canonical form decides.
    # Python's own == would take true for 1.
    try:
        return marshal.dumps(loads(recorded), 0) == marshal.dumps(body, 0)
    except (ValueError, RecursionError):
        return False


def _spelled(body: JSON) -> str:
    if isinstance(body, bytes):
        return body.decode("latin-1")
    try:
        return canonical(body)
    except RecursionError:  # nested hundreds of levels deep: then the order of keys counts
        pass
    try:
        return marshal.dumps(body, 0).decode("latin-1")
    except ValueError:  # thousands of levels: equal to nothing
        return f"too deep to compare {id(body)}"
