"""Why a request is not in the cassette: the nearest recording, the cause, the difference by JSON path, the way out. Pure.

An empty cassette, and one that is not there, have no nearest recording; the report then holds the cause and the way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from evalkit._lib.json import JSON, differences, dumps, equal
from evalkit._lib.text import shorten, show, visible
from evalkit.cassette.causes import UnmatchedRequest, common, find_cause
from evalkit.cassette.matching import Player, Query, body_value, normalize_route, route_of
from evalkit.cassette.recording import Recording

_WORD = re.compile(r"\w+")
_SHOWN = 4
_COUNTED = 100


@dataclass(frozen=True, slots=True)
class MissContext:
    """What a report says of its place: who asks (``label``), the cassette's name, the command that records again, and what else to know.

    ``missing`` is set where there is no cassette file; ``note`` is a further line, e.g. of a journal found beside it.
    """

    label: str
    name: str
    hint: str
    missing: bool = False
    note: str = ""


def format_miss_report(
    player: Player,
    place: MissContext,
    method: str,
    path: str,
    query: Query,
    body: JSON,
    line_of: Callable[[int], int | None],
) -> str:
    """Return the message of a CassetteMiss, at most 25 lines. ``line_of`` gives the line of a recording (from 0) in the file, if known."""
    path, query = normalize_route(path, query)
    lines = [
        f"{place.label}: the cassette {place.name} does not hold request {player.played.count(1) + 1}, {method} {shorten(path, 100)}",
        *_explained(player, place, method, path, query, body, line_of),
    ]
    if place.note:
        lines.append(f"  {place.note}")
    if place.hint:
        lines += ["  to record this scenario again:", f"    {place.hint}"]
    return "\n".join(lines)


def _explained(
    player: Player,
    place: MissContext,
    method: str,
    path: str,
    query: Query,
    body: JSON,
    line_of: Callable[[int], int | None],
) -> list[str]:
    try:
        number = nearest_recording(player, method, path, query, body)
        recording = None if number is None else player.recordings[number]
        was = body_value(recording.request_body) if recording else None
        lines = [
            f"  cause: {find_cause(UnmatchedRequest(method, path, query, body, player, place.missing, recording, was))}"
        ]
        if number is not None:
            line = line_of(number)
            played = " (played already)" if player.played[number] else ""
            lines.append(
                f"  nearest: recording {number + 1} of {len(player.recordings)}{played}{f', {place.name}:{line}' if line else ''}"
            )
            lines += _differences(was, body)
    except RecursionError:
        return ["  cause: the request differs, and is nested too deeply to say where"]
    return lines


def nearest_recording(
    player: Player, method: str, path: str, query: Query, body: JSON
) -> int | None:
    """Return the number of the recording most like a request: route first, then fields and steps of the body, then its words, then one that
    is still to be played.
    """
    best: tuple[tuple[bool, bool, float, float, bool], int] | None = None
    words = _words(body)
    for number, recording in enumerate(player.recordings):
        recorded = route_of(recording.uri)
        was = body_value(recording.request_body)
        same = recorded[0] == path, recording.method == method and recorded[1] == query
        score = *same, _likeness(was, body), _overlap(words, was), not player.played[number]
        if best is None or score > best[0]:
            best = score, number
    return best[1] if best else None


def _likeness(was: JSON, now: JSON) -> float:
    if not isinstance(was, dict) or not isinstance(now, dict):
        return float(equal(was, now))
    fields = {*was, *now}
    same: float = sum(
        field in was and field in now and equal(was[field], now[field]) for field in fields
    )
    left, right = was.get("input"), now.get("input")
    if isinstance(left, list) and isinstance(right, list) and (left or right):
        first = common(left, right)
        last = common(left[first:][::-1], right[first:][::-1])
        same += (first + last) / max(len(left), len(right))
    return same / (len(fields) + 1)


def _overlap(words: frozenset[str], was: JSON) -> float:
    theirs = _words(was)
    return len(words & theirs) / (len(words | theirs) or 1)


def _words(body: JSON) -> frozenset[str]:
    return frozenset(
        _WORD.findall(
            "" if body is None else dumps(body) if not isinstance(body, str | bytes) else str(body)
        )
    )


def _differences(was: JSON, now: JSON) -> list[str]:
    found = list(islice(differences(was, now), _COUNTED + 1))
    lines = []
    for pointer, old, new in found[:_SHOWN]:
        old, new = _contrast(old, new)
        lines += [
            f"    {shorten(pointer, 100) or 'the whole body'}",
            f"      recorded  {old}",
            f"      asked     {new}",
        ]
    more = len(found) - _SHOWN
    if more > 0:
        lines.append(f"    and {'more than ' if len(found) > _COUNTED else ''}{more} more")
    return lines


def _contrast(old: JSON, new: JSON) -> tuple[str, str]:
    # Two long texts are shown from shortly before the place where they part.
    if not isinstance(old, str) or not isinstance(new, str):
        return show(old, 90), show(new, 90)
    part = next(
        (index for index, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]),
        min(len(old), len(new)),
    )
    start = part - 30 if part > 40 else 0
    shown = [show(text[start : start + 400], 90) for text in (old, new)]
    return (f"…{shown[0]}", f"…{shown[1]}") if start else (shown[0], shown[1])


def describe_recording(recording: Recording, number: int) -> str:
    """Return one line that names a recording (``number`` from 0), for lists of what was not played."""
    path, _ = route_of(recording.uri)
    return f"recording {number + 1}: {recording.method} {visible(path)}"
