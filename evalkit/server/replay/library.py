"""Which recording of many cassettes answers a request. Pure.

Two requests are the same when method, path, query and body are, as in ``cassette.matching``, but for what different clients spell differently
without meaning anything by it, and what the API itself takes for the same (protocol sections 1.1, 2, 2.1, 9):

* the API version, and whatever a gateway puts before it: one SDK says ``/v1``, the other ``/v1beta``;
* null, where a field may be absent: at the top of the body, in steps and in their content; not in arguments, results and schemas, which
  are data;
* the shape of ``input``: a string, content, a list of content, one ``user_input`` step; and a ``user_input``'s content as a string;
* ``stream=false`` and ``alt=sse`` in the query.

Each recording answers once. Of several that fit, first the one whose turn it is in a cassette under way, then the first one of a cassette
that nothing was asked of yet, then any, in the order of files. A request costs one look-up, however many cassettes there are.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import unquote

from evalkit._lib.json import JSON, canonical, dumps
from evalkit.cassette.matching import Player, Query, body_value, normalize_route, route_of
from evalkit.cassette.miss_report import (
    MissContext,
    describe_recording,
    format_miss_report,
    nearest_recording,
)
from evalkit.cassette.recording import Recording
from evalkit.protocol.step_types import CONTENT_TYPES
from evalkit.protocol.wire_facts import API_VERSION_PATTERN

Key = bytes

_VERSION = re.compile(rf"^.*?/{API_VERSION_PATTERN}(?=/)")
_NO_MATTER = frozenset((("stream", "false"), ("alt", "sse")))
_DATA = frozenset(
    ("arguments", "result", "parameters", "schema", "response_format", "user_metadata", "labels")
)
_CONTENT = frozenset(CONTENT_TYPES)
_ONCE = "each recording answers once; start the server again, or with --replay-again"


class NormalizedRequest(NamedTuple):
    """A request as it is compared."""

    method: str
    path: str
    query: Query
    body: JSON

    @property
    def key(self) -> Key:
        """A digest that equal requests share."""
        try:
            text = canonical(self.body)
        except RecursionError:  # nested hundreds of levels deep: then spelling counts
            text = repr(self.body)
        parts = "\n".join((self.method, self.path, repr(self.query), text))
        return blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(slots=True)
class PlayedCassette:
    """A cassette that is played: its name for messages, its recordings, and how far it is. ``shared`` recordings begin another tape too."""

    name: str
    recordings: Sequence[Recording]
    server: str = ""
    shared: int = 0
    keys: list[Key] = field(default_factory=list)
    played: bytearray = field(default_factory=bytearray)
    ever: bytearray = field(default_factory=bytearray)
    cursor: int = 0

    def __post_init__(self) -> None:
        self.keys = [normalize_recording(recording).key for recording in self.recordings]
        self.played, self.ever = bytearray(len(self.recordings)), bytearray(len(self.recordings))


class ReplayMatch(NamedTuple):
    """A recording that answers: the tape, and its number there from 0."""

    tape: PlayedCassette
    number: int

    @property
    def recording(self) -> Recording:
        """The recording."""
        return self.tape.recordings[self.number]


class CassetteLibrary:
    """Plays many tapes. With ``again``, recordings that were all played answer once more, from the first."""

    def __init__(self, tapes: Sequence[PlayedCassette], *, again: bool = False) -> None:
        self.tapes = list(tapes)
        self._again = again
        self._known: dict[Key, list[ReplayMatch]] = {}
        for tape in self.tapes:
            for number, key in enumerate(tape.keys):
                self._known.setdefault(key, []).append(ReplayMatch(tape, number))
        # What begins a conversation goes before what would begin one in the middle.
        self._waiting = {
            key: deque(sorted(found, key=lambda one: one.number > 0))
            for key, found in self._known.items()
        }
        self._due: dict[Key, deque[ReplayMatch]] = {}
        self._pool: Player | None = None

    def take(self, asked: NormalizedRequest) -> ReplayMatch | None:
        """Return the recording that answers a request, and count it as played; None where there is none left."""
        key = asked.key
        found = self._next(key)
        if found is None and self._again and key in self._known:
            for one in self._known[key]:
                one.tape.played[one.number] = 0
            self._waiting[key] = deque(self._known[key])
            found = self._next(key)
        if found is None:
            return None
        tape, number = found
        if self._again and number == 0:
            tape.played[:] = bytes(len(tape.played))
        tape.played[number] = tape.ever[number] = 1
        tape.cursor = number + 1
        if tape.cursor < len(tape.keys):
            self._due.setdefault(tape.keys[tape.cursor], deque()).append(
                ReplayMatch(tape, tape.cursor)
            )
        return found

    def miss(
        self,
        asked: NormalizedRequest,
        hint: str,
        line_of: Callable[[PlayedCassette, int], int | None] = lambda tape, number: None,
    ) -> str:
        """Return the report of a request that nothing answers. ``line_of`` gives the line of a tape's recording in its file.

        Of recordings that are equally near, one of a tape under way is shown: what is missing most likely belongs there.
        """
        if self._pool is None:
            self._pool = _player(
                [recording for tape in self.tapes for recording in tape.recordings]
            )
        started = [any(tape.played) and not all(tape.played) for tape in self.tapes]
        order = sorted(range(len(self.tapes)), key=lambda at: not started[at])
        firsts = list(accumulate((len(tape.recordings) for tape in self.tapes), initial=0))
        numbers = [number for at in order for number in range(firsts[at], firsts[at + 1])]
        pool = Player([self._pool.recordings[number] for number in numbers])
        pool.played[:] = b"".join(self.tapes[at].played for at in order)
        found = nearest_recording(pool, *asked)
        if found is None:
            tape, player = PlayedCassette("(empty)", ()), Player(())
        else:
            at = bisect_right(firsts, numbers[found]) - 1
            tape, player = (
                self.tapes[at],
                Player(self._pool.recordings[firsts[at] : firsts[at + 1]]),
            )
        player.played[:] = tape.played
        place = MissContext(
            "evalkit serve", tape.name, hint, note=_ONCE if asked.key in self._known else ""
        )
        return format_miss_report(
            player,
            place,
            asked.method,
            asked.path,
            asked.query,
            asked.body,
            lambda number: line_of(tape, number),
        )

    def unplayed(self) -> list[str]:
        """Describe what was not played, a line for each tape that was; those that nothing was asked of are counted only."""
        lines = []
        untouched = 0
        for tape in self.tapes:
            left = [
                number
                for number, played in enumerate(tape.ever)
                if not played and number >= tape.shared
            ]
            if left and not any(tape.ever):
                untouched += 1
            elif left:
                lines.append(
                    f"{tape.name}: not played: {', '.join(describe_recording(tape.recordings[number], number) for number in left)}"
                )
        if untouched:
            lines.append(f"{untouched} of {len(self.tapes)} cassettes: nothing was asked of them")
        return lines

    def _next(self, key: Key) -> ReplayMatch | None:
        due = self._due.get(key)
        while due:
            one = due.popleft()
            if one.tape.cursor == one.number and not one.tape.played[one.number]:
                return one
        waiting = self._waiting.get(key)
        while waiting:
            one = waiting.popleft()
            if not one.tape.played[one.number]:
                return one
        return None


def normalize_request(method: str, path: str, query: Query, body: JSON) -> NormalizedRequest:
    """Return a request as it is compared; ``body`` is a JSON value, None for none."""
    path, query = normalize_route(path, query)
    path = "/" + unquote(_VERSION.sub("", path)).lstrip(
        "/"
    )  # without a version, one SDK sends //interactions
    return NormalizedRequest(
        method, path, tuple(pair for pair in query if pair not in _NO_MATTER), _plain(body)
    )


def normalize_recording(recording: Recording) -> NormalizedRequest:
    """Return a recorded request as it is compared."""
    return normalize_request(
        recording.method, *route_of(recording.uri), body_value(recording.request_body)
    )


def _plain(body: JSON) -> JSON:
    try:
        return normalize_body(body)
    except RecursionError:  # nested hundreds of levels deep: then every difference counts
        return body


def normalize_body(body: JSON) -> JSON:
    """Return a request body without what makes no difference; bytes that are no text as a text."""
    if isinstance(body, bytes):
        return body.decode("latin-1")
    if not isinstance(body, dict):
        return body
    body = {
        name: value if name in _DATA else _without_nulls(value)
        for name, value in body.items()
        if value is not None
    }
    if "input" in body:
        body["input"] = _steps(body["input"])
    return body


def _steps(value: JSON) -> JSON:
    if isinstance(value, str):
        return [_message(value)]
    items = [value] if isinstance(value, dict) else value
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return value
    kinds = [item.get("type", "text") for item in items]
    if items and all(isinstance(kind, str) and kind in _CONTENT for kind in kinds):
        return [_message(items)]
    return [
        _message(item.get("content"), item) if item.get("type") == "user_input" else item
        for item in items
    ]


def _message(content: JSON, step: dict[str, JSON] | None = None) -> JSON:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if isinstance(content, list):
        content = [
            {"type": "text", **block} if isinstance(block, dict) else block for block in content
        ]
    return {**(step or {}), "type": "user_input", "content": content}


def _without_nulls(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {
            name: item if name in _DATA else _without_nulls(item)
            for name, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _player(recordings: Sequence[Recording]) -> Player:
    """Return a player of the recordings as they are compared, so that a report shows only what counts."""
    same = []
    for recording in recordings:
        method, path, query, body = normalize_recording(recording)
        uri = path + ("?" + "&".join(f"{name}={value}" for name, value in query) if query else "")
        text = body if isinstance(body, str | bytes) else "" if body is None else dumps(body)
        same.append(replace(recording, method=method, uri=uri, request_body=text))
    return Player(same)
