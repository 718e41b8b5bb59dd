"""Chooses the recording that answers a request, among those of many cassettes. No IO.

Each recording is played once. If several match, the order is: the next recording of a cassette in
progress; the first recording of a cassette that was not started; any other. A request costs one
lookup, however many cassettes there are.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple
from urllib.parse import unquote

from evalkit._lib.json import JSON, dumps, without_nulls
from evalkit.cassette.matching import (
    Player,
    Query,
    body_value,
    normalize_route,
    request_key,
    route_of,
)
from evalkit.cassette.miss_report import (
    UnmatchedRequest,
    describe_recording,
    format_miss_report,
    nearest_recording,
)
from evalkit.cassette.recording import Recording
from evalkit.cassette.secret_fields import redact_fields
from evalkit.protocol.input_reader import items_of

_PLAYED_ONCE = "each recording is played once; restart the server, or use --replay-again"

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


class NormalizedRequest(UnmatchedRequest):
    """A request in the form in which it is compared, so that any client replays any recording.

    Two requests are equal if method, path, query and body are, as in ``cassette.matching``, except
    for spellings that differ between clients without a meaning, or that the API treats as equal
    (docs/protocol.md sections 1.1, 2, 2.1, 9):

    * the API version and any prefix before it: one SDK sends ``/v1``, the other ``/v1beta``;
    * null for an absent field: at the top of the body, in steps and in their content; but not in
      arguments, results and schemas, which are data;
    * the form of ``input``: a string, content, a list of content, or one ``user_input`` step; and
      the content of a ``user_input`` as a string;
    * ``stream=false`` and ``alt=sse`` in the query.
    """

    @property
    def key(self) -> bytes:
        """A digest that is equal for equal requests."""
        return request_key(self.method, (self.path, self.query), self.body)


def normalize_request(method: str, path: str, query: Query, body: JSON) -> NormalizedRequest:
    """Return a request's normal form; ``body`` is a JSON value, None if there is none."""
    path, query = normalize_route(path, query)
    # One SDK sends //interactions when it is configured without a version.
    path = "/" + unquote(path).lstrip("/")
    query = tuple(pair for pair in query if pair not in _DEFAULT_PAIRS)
    # A body nested hundreds of levels deep stays as it is: then every difference counts.
    with suppress(RecursionError):
        body = redact_fields(normalize_body(body), path)[0]
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
    body = without_nulls(body, _DATA_FIELDS)
    if "input" in body:
        body["input"] = [item.step for item in items_of(body["input"])]
    return body


class PlayedCassette:
    """A cassette and its progress; its first ``shared`` recordings are in another cassette too.

    ``played`` has a 1 for each recording that was played, ``ever_played`` also for those that may
    be played again; ``position`` is the number of the next recording.
    """

    def __init__(
        self, name: str, recordings: Sequence[Recording], *, server: str = "", shared: int = 0
    ) -> None:
        self.name = name
        self.recordings = recordings
        self.server = server
        self.shared = shared
        self.keys = [normalize_recording(recording).key for recording in recordings]
        self.played = bytearray(len(recordings))
        self.ever_played = bytearray(len(recordings))
        self.position = 0

    @property
    def is_in_progress(self) -> bool:
        """Whether some of its recordings were played, but not all."""
        return any(self.played) and not all(self.played)

    @cached_property
    def normalized(self) -> list[Recording]:
        """The recordings with normalized requests, so that miss reports show what is compared."""
        return [_with_normalized_request(recording) for recording in self.recordings]


class ReplayMatch(NamedTuple):
    """A recording that answers a request: the cassette, and its number there from 0."""

    cassette: PlayedCassette
    number: int

    @property
    def recording(self) -> Recording:
        """The recording."""
        return self.cassette.recordings[self.number]


class CassetteLibrary:
    """Plays many cassettes. With ``again``, recordings are played again from the first."""

    def __init__(self, cassettes: Sequence[PlayedCassette], *, again: bool = False) -> None:
        self.cassettes = list(cassettes)
        self._again = again
        self._matches: dict[bytes, list[ReplayMatch]] = {}
        for cassette in self.cassettes:
            for number, key in enumerate(cassette.keys):
                self._matches.setdefault(key, []).append(ReplayMatch(cassette, number))
        # A recording that starts a cassette goes before one in the middle of another.
        self._unplayed = {
            key: deque(sorted(matches, key=lambda match: match.number > 0))
            for key, matches in self._matches.items()
        }
        self._expected: dict[bytes, deque[ReplayMatch]] = {}

    def take(self, request: NormalizedRequest) -> ReplayMatch | None:
        """Return the recording that answers a request, and mark it as played; None for a miss."""
        key = request.key
        match = self._next(key)
        if match is None and self._again and key in self._matches:
            for one in self._matches[key]:
                one.cassette.played[one.number] = 0
            self._unplayed[key] = deque(self._matches[key])
            match = self._next(key)
        if match is None:
            return None
        cassette, number = match
        if self._again and number == 0:
            cassette.played[:] = bytes(len(cassette.played))
        cassette.played[number] = cassette.ever_played[number] = 1
        cassette.position = number + 1
        if cassette.position < len(cassette.keys):
            expected = self._expected.setdefault(cassette.keys[cassette.position], deque())
            expected.append(ReplayMatch(cassette, cassette.position))
        return match

    def miss_report(
        self,
        request: NormalizedRequest,
        hint: str,
        line_of: Callable[[PlayedCassette, int], int | None] = lambda cassette, number: None,
    ) -> str:
        """Return the report for a request without a match.

        ``line_of`` returns the line of a cassette's recording in its file. Among recordings that
        are equally near, one of a cassette in progress is shown: it is probably the one in which a
        recording is missing.
        """
        candidates = [
            ReplayMatch(cassette, number)
            for cassette in sorted(self.cassettes, key=lambda one: not one.is_in_progress)
            for number in range(len(cassette.recordings))
        ]
        pool = Player([match.cassette.normalized[match.number] for match in candidates])
        pool.played[:] = bytes(match.cassette.played[match.number] for match in candidates)
        nearest = nearest_recording(pool, request)
        if nearest is None:
            cassette = PlayedCassette("(empty)", ())
        else:
            cassette = candidates[nearest].cassette
        player = Player(cassette.normalized)
        player.played[:] = cassette.played
        note = _PLAYED_ONCE if request.key in self._matches else ""
        return format_miss_report(
            player,
            request,
            lambda number: line_of(cassette, number),
            label="evalkit serve",
            name=cassette.name,
            hint=hint,
            note=note,
        )

    def unplayed(self) -> list[str]:
        """Describe what was not played: a line for each started cassette, and one for the rest."""
        lines = []
        not_started = 0
        for cassette in self.cassettes:
            descriptions = [
                describe_recording(cassette.recordings[number], number)
                for number, played in enumerate(cassette.ever_played)
                if not played and number >= cassette.shared
            ]
            if descriptions and not any(cassette.ever_played):
                not_started += 1
            elif descriptions:
                lines.append(f"{cassette.name}: not played: {', '.join(descriptions)}")
        if not_started:
            lines.append(f"{not_started} of {len(self.cassettes)} cassettes were not used")
        return lines

    def _next(self, key: bytes) -> ReplayMatch | None:
        expected = self._expected.get(key)
        while expected:
            match = expected.popleft()
            is_next = match.cassette.position == match.number
            if is_next and not match.cassette.played[match.number]:
                return match
        unplayed = self._unplayed.get(key)
        while unplayed:
            match = unplayed.popleft()
            if not match.cassette.played[match.number]:
                return match
        return None


def _with_normalized_request(recording: Recording) -> Recording:
    method, path, query, body = normalize_recording(recording)
    uri = path + ("?" + "&".join(f"{name}={value}" for name, value in query) if query else "")
    text = "" if body is None else body if isinstance(body, str) else dumps(body)
    return replace(recording, method=method, uri=uri, request_body=text)
