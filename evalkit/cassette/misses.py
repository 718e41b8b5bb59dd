"""Why a request is not in the cassette: the nearest recording, one cause in words, the difference by JSON path, the way out. Pure.

The cause comes from two tables read from the top, the first rule that has something to say is the cause: ``_RULES`` over the request as a
whole, ``_FIELDS`` over the fields of its body, ordered from what a person changes on purpose to what only follows from it.

An empty cassette, and one that is not there, have no nearest recording; the report then holds the cause and the way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from evalkit._lib.json import MISSING, differences, equal
from evalkit._lib.text import shorten, show, visible
from evalkit.cassette.matching import Player, Query, body_of, route, route_of
from evalkit.cassette.recording import Recording

JSON = Any
_SHOWN = 4
_COUNTED = 100
_VERSION = re.compile(r"/(v[0-9]+(?:(?:alpha|beta)[0-9]*)?)(?=/)")


@dataclass(frozen=True, slots=True)
class Place:
    """What a report says of its place: who asks (``label``), the cassette's name, the command that records again, and what else to know.

    ``missing`` is set where there is no cassette file; ``note`` is a further line, e.g. of a journal found beside it.
    """

    label: str
    name: str
    hint: str
    missing: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Miss:
    method: str
    path: str
    query: Query
    body: JSON
    player: Player
    place: Place
    recording: Recording | None
    was: JSON

    @property
    def was_path(self) -> str:
        return route_of(self.recording.uri)[0] if self.recording else ""


def report(player: Player, place: Place, method: str, path: str, query: Query, body: JSON, line_of: Callable[[int], int | None]) -> str:
    """Return the message of a CassetteMiss, at most 25 lines. ``line_of`` gives the line of a recording (from 0) in the file, if known."""
    path, query = route(path, query)
    number = nearest(player, method, path, query, body)
    recording = None if number is None else player.recordings[number]
    miss = _Miss(method, path, query, body, player, place, recording, body_of(recording.request_body) if recording else None)
    lines = [
        f"{place.label}: the cassette {place.name} does not hold request {player.played.count(1) + 1}, {method} {shorten(path, 100)}",
        f"  cause: {_cause(miss)}",
    ]
    if recording is not None and number is not None:
        line = line_of(number)
        at = f", {place.name}:{line}" if line else ""
        lines.append(
            f"  nearest: recording {number + 1} of {len(player.recordings)}{' (played already)' if player.played[number] else ''}{at}"
        )
        lines += _differences(miss.was, body)
    if place.note:
        lines.append(f"  {place.note}")
    if place.hint:
        lines += ["  to record this scenario again:", f"    {place.hint}"]
    return "\n".join(lines)


def nearest(player: Player, method: str, path: str, query: Query, body: JSON) -> int | None:
    """Return the number of the recording most like a request: route first, then body, then one that is still to be played."""
    best: tuple[tuple[bool, bool, float, bool], int] | None = None
    for number, recording in enumerate(player.recordings):
        recorded = route_of(recording.uri)
        likeness = _likeness(body_of(recording.request_body), body)
        score = (recorded[0] == path, recording.method == method and recorded[1] == query, likeness, not player.played[number])
        if best is None or score > best[0]:
            best = score, number
    return best[1] if best else None


def _likeness(was: JSON, now: JSON) -> float:
    if not isinstance(was, dict) or not isinstance(now, dict):
        return float(equal(was, now))
    fields = {*was, *now}
    same: float = sum(field in was and field in now and equal(was[field], now[field]) for field in fields)
    left, right = was.get("input"), now.get("input")
    if isinstance(left, list) and isinstance(right, list) and (left or right):
        first = _common(left, right)
        last = _common(left[first:][::-1], right[first:][::-1])
        same += (first + last) / max(len(left), len(right))
    return same / (len(fields) + 1)


def _common(left: list[JSON], right: list[JSON]) -> int:
    return next((index for index, pair in enumerate(zip(left, right, strict=False)) if not equal(*pair)), min(len(left), len(right)))


# --- the cause ---


def _cause(miss: _Miss) -> str:
    return next(found for rule in _RULES if (found := rule(miss)))


def _no_cassette(miss: _Miss) -> str | None:
    return "there is no such cassette yet" if miss.place.missing else None


def _empty(miss: _Miss) -> str | None:
    return "no recording at all: the cassette is empty" if miss.recording is None else None


def _played(miss: _Miss) -> str | None:
    if not miss.player.knows(miss.method, miss.path, miss.query, miss.body):
        return None
    return "already played: this very request is sent more often than it was recorded"


def _version(miss: _Miss) -> str | None:
    was, now = _VERSION.match(miss.was_path), _VERSION.match(miss.path)
    if miss.was_path == miss.path or _VERSION.sub("", miss.was_path, count=1) != _VERSION.sub("", miss.path, count=1):
        return None
    return f"API version changed: {was[1] if was else 'none'} recorded, {now[1] if now else 'none'} asked for"


def _path(miss: _Miss) -> str | None:
    return (
        None
        if miss.was_path == miss.path
        else f"path changed: nothing was recorded for {shorten(miss.path, 80)}, only {shorten(miss.was_path, 80)}"
    )


def _method(miss: _Miss) -> str | None:
    was = miss.recording.method if miss.recording else ""
    return None if was == miss.method else f"method changed: {was} recorded, {miss.method} asked for"


def _query(miss: _Miss) -> str | None:
    was = route_of(miss.recording.uri)[1] if miss.recording else ()
    return None if was == miss.query else f"query changed: {show(dict(was))} recorded, {show(dict(miss.query))} asked for"


def _body(miss: _Miss) -> str | None:
    was, now = miss.was, miss.body
    if was is None or now is None:
        return f"{'no body' if was is None else 'a body'} recorded, {'none' if now is None else 'a body'} sent"
    if not isinstance(was, dict) or not isinstance(now, dict):
        return "the body changed"
    changed = [field for field in dict.fromkeys([*_FIELDS, *was, *now]) if (field in was or field in now) and not _same(was, now, field)]
    if not changed:
        return None
    first = changed[0]
    cause = _FIELDS.get(first, _other)(first, was.get(first, MISSING), now.get(first, MISSING))
    return f"{cause}; also changed: {shorten(', '.join(changed[1:]), 60)}" if len(changed) > 1 else cause


def _same(was: Mapping[str, JSON], now: Mapping[str, JSON], field: str) -> bool:
    return field in was and field in now and equal(was[field], now[field])


def _unknown(miss: _Miss) -> str | None:
    return "the request differs"


_RULES: tuple[Callable[[_Miss], str | None], ...] = (_no_cassette, _empty, _played, _version, _path, _method, _query, _body, _unknown)


def _value(field: str, was: JSON, now: JSON) -> str:
    return f"{field} changed: {show(was, 50)} recorded, {show(now, 50)} asked for"


def _named(words: str) -> Callable[[str, JSON, JSON], str]:
    def cause(field: str, was: JSON, now: JSON) -> str:
        verb = "added" if was is MISSING else "removed" if now is MISSING else "changed"
        return f"{words} {verb}"

    return cause


def _other(field: str, was: JSON, now: JSON) -> str:
    return _named(f"field {show(field, 40)}")(field, was, now)


def _tools(field: str, was: JSON, now: JSON) -> str:
    old, new = _by_name(was), _by_name(now)
    for name in new:
        if name in old and not equal(old[name], new[name]):
            part = next((key for key in ("parameters", "description") if not equal(old[name].get(key), new[name].get(key))), "")
            return f"tool {'schema' if part == 'parameters' else part or 'declaration'} changed: {show(name, 40)}"
    gone, came = [name for name in old if name not in new], [name for name in new if name not in old]
    if came and gone:
        return f"tools changed: {show(gone, 40)} recorded, {show(came, 40)} asked for"
    return f"tool added: {show(came[0], 40)}" if came else f"tool removed: {show(gone[0], 40)}" if gone else "order of the tools changed"


def _by_name(tools: JSON) -> dict[str, dict[str, JSON]]:
    found = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return {str(tool.get("name", tool.get("type"))): tool for tool in found}


def _input(field: str, was: JSON, now: JSON) -> str:
    if not isinstance(was, list) or not isinstance(now, list):
        return "user text changed" if isinstance(was, str) and isinstance(now, str) else _named("input")(field, was, now)
    step = _common(was, now)
    old, new = (_type(steps, step) for steps in (was, now))
    turn = max(1, sum(_type(now, index) == "user_input" for index in range(min(step + 1, len(now)))))
    at = f"turn {turn} (step {step + 1})"
    if old == new and old in _STEP_CAUSES:
        return f"{_STEP_CAUSES[old]} changed in {at}"
    if step < len(was) and step < len(now) and not (old and new):
        return f"user content changed: block {step + 1}"
    both = f"the {old} is another" if old == new else f"{old or 'nothing more'} recorded, {new or 'nothing more'} sent"
    return f"history diverged at {at}: {both}"


_STEP_CAUSES = {"user_input": "user text", "function_result": "tool result"}


def _type(steps: list[JSON], index: int) -> str:
    step = steps[index] if index < len(steps) else None
    kind = step.get("type") if isinstance(step, dict) else None
    return shorten(kind, 40) if isinstance(kind, str) and kind not in _CONTENT else ""


_CONTENT = frozenset(("text", "image", "audio", "video", "document"))

_FIELDS: dict[str, Callable[[str, JSON, JSON], str]] = {
    "model": _value,
    "agent": _value,
    "agent_config": _named("agent configuration"),
    "environment": _named("environment"),
    "system_instruction": _named("system instruction"),
    "tools": _tools,
    "generation_config": _named("generation settings"),
    "response_format": _named("response format"),
    "stream": _value,
    "store": _value,
    "background": _value,
    "input": _input,
    "previous_interaction_id": _named("earlier interaction (previous_interaction_id)"),
}


# --- the difference ---


def _differences(was: JSON, now: JSON) -> list[str]:
    found = list(islice(differences(was, now), _COUNTED + 1))
    lines = []
    for pointer, old, new in found[:_SHOWN]:
        old, new = _contrast(old, new)
        lines += [f"    {shorten(pointer, 100) or 'the whole body'}", f"      recorded  {old}", f"      asked     {new}"]
    more = len(found) - _SHOWN
    if more > 0:
        lines.append(f"    and {'more than ' if len(found) > _COUNTED else ''}{more} more")
    return lines


def _contrast(old: JSON, new: JSON) -> tuple[str, str]:
    # Two long texts are shown from shortly before the place where they part.
    if not isinstance(old, str) or not isinstance(new, str):
        return show(old, 90), show(new, 90)
    part = next((index for index, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new)))
    start = part - 30 if part > 40 else 0
    shown = [show(text[start : start + 400], 90) for text in (old, new)]
    return (f"…{shown[0]}", f"…{shown[1]}") if start else (shown[0], shown[1])


def describe(recording: Recording, number: int) -> str:
    """Return one line that names a recording (``number`` from 0), for lists of what was not played."""
    path, _ = route_of(recording.uri)
    return f"recording {number + 1}: {recording.method} {visible(path)}"
