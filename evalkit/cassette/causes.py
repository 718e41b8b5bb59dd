"""What changed in a request that the cassette does not hold, in one line. Pure.

Two tables are read from the top, and the first rule that has something to say is the cause: ``_RULES`` over the request as a whole,
``_FIELDS`` over the fields of its body, ordered from what a person changes on purpose to what only follows from it. The other changed
fields are named behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evalkit._lib.json import JSON, MISSING, equal
from evalkit._lib.text import shorten, show
from evalkit.cassette.matching import Player, Query, route_of
from evalkit.cassette.recording import Recording
from evalkit.protocol.wire_facts import API_VERSION_PATTERN

_VERSION = re.compile(rf"/({API_VERSION_PATTERN})(?=/)")


@dataclass(frozen=True, slots=True)
class UnmatchedRequest:
    """A request, the player that cannot answer it, and the nearest recording with its body as JSON (None in an empty cassette)."""

    method: str
    path: str
    query: Query
    body: JSON
    player: Player
    missing: bool
    recording: Recording | None
    was: JSON

    @property
    def was_path(self) -> str:
        """The recorded path."""
        return route_of(self.recording.uri)[0] if self.recording else ""


def find_cause(miss: UnmatchedRequest) -> str:
    """Return the cause of a miss."""
    return next(found for rule in _RULES if (found := rule(miss)))


def _no_cassette(miss: UnmatchedRequest) -> str | None:
    return "there is no such cassette yet" if miss.missing else None


def _empty(miss: UnmatchedRequest) -> str | None:
    return "no recording at all: the cassette is empty" if miss.recording is None else None


def _played(miss: UnmatchedRequest) -> str | None:
    if not miss.player.knows(miss.method, miss.path, miss.query, miss.body):
        return None
    return "already played: this very request is sent more often than it was recorded"


def _version(miss: UnmatchedRequest) -> str | None:
    was, now = _VERSION.match(miss.was_path), _VERSION.match(miss.path)
    if miss.was_path == miss.path or _VERSION.sub("", miss.was_path, count=1) != _VERSION.sub(
        "", miss.path, count=1
    ):
        return None
    return f"API version changed: {was[1] if was else 'none'} recorded, {now[1] if now else 'none'} asked for"


def _path(miss: UnmatchedRequest) -> str | None:
    return (
        None
        if miss.was_path == miss.path
        else f"path changed: nothing was recorded for {shorten(miss.path, 80)}, only {shorten(miss.was_path, 80)}"
    )


def _method(miss: UnmatchedRequest) -> str | None:
    was = miss.recording.method if miss.recording else ""
    return (
        None if was == miss.method else f"method changed: {was} recorded, {miss.method} asked for"
    )


def _query(miss: UnmatchedRequest) -> str | None:
    was = route_of(miss.recording.uri)[1] if miss.recording else ()
    return (
        None
        if was == miss.query
        else f"query changed: {show(dict(was))} recorded, {show(dict(miss.query))} asked for"
    )


def _body(miss: UnmatchedRequest) -> str | None:
    was, now = miss.was, miss.body
    if was is None or now is None:
        return f"{'no body' if was is None else 'a body'} recorded, {'none' if now is None else 'a body'} sent"
    if not isinstance(was, dict) or not isinstance(now, dict):
        return "the body changed"
    changed = [
        field
        for field in dict.fromkeys([*_FIELDS, *was, *now])
        if (field in was or field in now) and not _same(was, now, field)
    ]
    if not changed:
        return None
    first = changed[0]
    words = _FIELDS.get(first, _other)(first, was.get(first, MISSING), now.get(first, MISSING))
    return (
        f"{words}; also changed: {shorten(', '.join(changed[1:]), 60)}"
        if len(changed) > 1
        else words
    )


def _same(was: Mapping[str, JSON], now: Mapping[str, JSON], field: str) -> bool:
    return field in was and field in now and equal(was[field], now[field])


def _unknown(miss: UnmatchedRequest) -> str | None:
    return "the request differs"


_RULES: tuple[Callable[[UnmatchedRequest], str | None], ...] = (
    _no_cassette,
    _empty,
    _played,
    _version,
    _path,
    _method,
    _query,
    _body,
    _unknown,
)


def _value(field: str, was: JSON, now: JSON) -> str:
    return f"{field} changed: {show(was, 50)} recorded, {show(now, 50)} asked for"


def _named(words: str) -> Callable[[str, JSON, JSON], str]:
    def told(field: str, was: JSON, now: JSON) -> str:
        verb = "added" if was is MISSING else "removed" if now is MISSING else "changed"
        return f"{words} {verb}"

    return told


def _other(field: str, was: JSON, now: JSON) -> str:
    return _named(f"field {show(field, 40)}")(field, was, now)


def _tools(field: str, was: JSON, now: JSON) -> str:
    old, new = _by_name(was), _by_name(now)
    for name in new:
        if name in old and not equal(old[name], new[name]):
            part = next(
                (
                    key
                    for key in ("parameters", "description")
                    if not equal(old[name].get(key), new[name].get(key))
                ),
                "",
            )
            return f"tool {'schema' if part == 'parameters' else part or 'declaration'} changed: {show(name, 40)}"
    gone, came = (
        [name for name in old if name not in new],
        [name for name in new if name not in old],
    )
    if came and gone:
        return f"tools changed: {show(gone, 40)} recorded, {show(came, 40)} asked for"
    return (
        f"tool added: {show(came[0], 40)}"
        if came
        else f"tool removed: {show(gone[0], 40)}"
        if gone
        else "order of the tools changed"
    )


def _by_name(tools: JSON) -> dict[str, dict[str, JSON]]:
    found = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return {str(tool.get("name", tool.get("type"))): tool for tool in found}


def _input(field: str, was: JSON, now: JSON) -> str:
    if not isinstance(was, list) or not isinstance(now, list):
        return (
            "user text changed"
            if isinstance(was, str) and isinstance(now, str)
            else _named("input")(field, was, now)
        )
    step = common(was, now)
    old, new = (_type(steps, step) for steps in (was, now))
    turn = max(
        1, sum(_type(now, index) == "user_input" for index in range(min(step + 1, len(now))))
    )
    at = f"turn {turn} (step {step + 1})"
    if old == new and old in _STEP_CAUSES:
        return f"{_STEP_CAUSES[old]} changed in {at}"
    if step < len(was) and step < len(now) and not (old and new):
        return f"user content changed: block {step + 1}"
    both = (
        f"the {old} is another"
        if old == new
        else f"{old or 'nothing more'} recorded, {new or 'nothing more'} sent"
    )
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


def common(left: list[JSON], right: list[JSON]) -> int:
    """Return how many items two lists have in common at their beginning."""
    return next(
        (index for index, pair in enumerate(zip(left, right, strict=False)) if not equal(*pair)),
        min(len(left), len(right)),
    )
