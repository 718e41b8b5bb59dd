"""The report about a request that no recording matches. Pure.

It names the cause in one line, the nearest recording, the differences by JSON path, and the command
that records again. An empty or missing cassette has no nearest recording.
"""

import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

from evalkit._lib.json import JSON, MISSING, differences, dumps, equal
from evalkit._lib.lookalikes import lookalike_note
from evalkit._lib.text import shorten, show, visible
from evalkit.cassette.matching import (
    Player,
    Query,
    body_value,
    normalize_route,
    route_of,
    split_route,
    without_prefix,
)
from evalkit.cassette.recording import Recording
from evalkit.protocol.step_types import CONTENT_TYPES

_WORD = re.compile(r"\w+")
_MAX_SHOWN = 4
_MAX_COUNTED = 100

# Fields of the body by their name in the report: from what people change on purpose to what follows
# from it. The first changed field is the cause.
_FIELD_NAMES = {
    "model": "model",
    "agent": "agent",
    "agent_config": "agent configuration",
    "environment": "environment",
    "system_instruction": "system instruction",
    "tools": "tools",
    "generation_config": "generation settings",
    "response_format": "response format",
    "stream": "stream",
    "store": "store",
    "background": "background",
    "input": "input",
    "previous_interaction_id": "earlier interaction (previous_interaction_id)",
}
_FIELDS_WITH_VALUES = ("model", "agent", "stream", "store", "background")
_STEP_NAMES = {"user_input": "user text", "function_result": "tool result"}


HINT = "  to record this scenario again:"
"""The line of a report above its command."""
_NO_CASSETTE, _EMPTY = "the cassette does not exist yet", "the cassette is empty"


class UnmatchedRequest(NamedTuple):
    """A request that no recording matches; the body is a JSON value."""

    method: str
    path: str
    query: Query
    body: JSON


def format_miss_report(
    player: Player,
    request: UnmatchedRequest,
    line_of: Callable[[int], int | None],
    *,
    label: str,
    name: str,
    hint: str,
    missing: bool = False,
    note: str = "",
) -> str:
    """Return the message of a CassetteMiss, at most 25 lines.

    ``line_of`` returns the line of a recording (from 0) in the file, if it is known. ``label``
    names the sender, ``name`` the cassette, ``hint`` is the command that records again, ``missing``
    says that the file is missing, ``note`` is one more line.
    """
    shown = shorten(without_prefix(request.path), 100)
    path, query = normalize_route(request.path, request.query)
    request = request._replace(path=path, query=query)
    lines = [
        f"{label}: the cassette {name} has no recording of request "
        f"{player.played.count(1) + 1}, {request.method} {shown}"
    ]
    try:
        number = nearest_recording(player, request)
        if number is None:
            lines.append(f"  cause: {_NO_CASSETTE if missing else _EMPTY}")
        else:
            lines += _explanation(player, request, number, name, line_of)
    except RecursionError:
        lines.append("  cause: the request differs; it is nested too deeply to say where")
    if note:
        lines.append(f"  {note}")
    if hint:
        lines += [HINT, f"    {hint}"]
    return "\n".join(lines)


def miss_cause(player: Player, request: UnmatchedRequest, *, missing: bool = False) -> str:
    """Return a text that is equal for misses with one cause: what changed, and the first values.

    The same sentence edited in the prompt of many scenarios is one cause, wherever it is in each
    request.
    """
    path, query = normalize_route(request.path, request.query)
    request = request._replace(path=path, query=query)
    try:
        number = nearest_recording(player, request)
        if number is None:
            return _NO_CASSETTE if missing else _EMPTY
        recorded = body_value(player.recordings[number].request_body)
        cause = _cause(player, request, player.recordings[number]).partition("; also changed")[0]
        field = next(iter(_changed_fields(recorded, request.body)), "")
        if not field:
            return cause
        old, new = (body.get(field, MISSING) for body in (recorded, request.body))
        _, old, new = next(iter(differences(old, new)))
        return "\n".join([cause, *_contrast(old, new)])
    except RecursionError:
        return "the request differs"


def describe_recording(recording: Recording, number: int) -> str:
    """Return one line that names a recording (``number`` from 0)."""
    path = without_prefix(split_route(recording.uri)[0])
    return f"recording {number + 1}: {recording.method} {visible(path)}"


def nearest_recording(player: Player, request: UnmatchedRequest) -> int | None:
    """Return the number of the recording most similar to a request, None in an empty cassette.

    The route counts first, then common words of the bodies, then whether the recording was not
    played yet.
    """
    words = _words(request.body)

    def score(number: int) -> tuple[bool, bool, float, bool]:
        recording = player.recordings[number]
        path, query = route_of(recording.uri)
        recorded = _words(body_value(recording.request_body))
        return (
            path == request.path,
            recording.method == request.method and query == request.query,
            len(words & recorded) / (len(words | recorded) or 1),
            not player.played[number],
        )

    return max(range(len(player.recordings)), key=score, default=None)


def _explanation(
    player: Player,
    request: UnmatchedRequest,
    number: int,
    name: str,
    line_of: Callable[[int], int | None],
) -> list[str]:
    recording = player.recordings[number]
    line = line_of(number)
    nearest = f"  nearest: recording {number + 1} of {len(player.recordings)}"
    nearest += " (played already)" if player.played[number] else ""
    nearest += f", {name}:{line}" if line else ""
    return [
        f"  cause: {_cause(player, request, recording)}",
        nearest,
        *_difference_lines(body_value(recording.request_body), request.body),
    ]


def _words(body: JSON) -> frozenset[str]:
    if body is None:
        return frozenset()
    return frozenset(_WORD.findall(str(body) if isinstance(body, str | bytes) else dumps(body)))


def _common_length(left: Sequence[JSON], right: Sequence[JSON]) -> int:
    """Return how many items two sequences have in common at their beginning."""
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if not equal(a, b):
            return index
    return min(len(left), len(right))


def _cause(player: Player, request: UnmatchedRequest, recording: Recording) -> str:
    if player.knows(*request):
        return "already played: this request is sent more often than it was recorded"
    path, query = route_of(recording.uri)
    if path != request.path:
        return f"path changed: {shorten(path, 80)} recorded, {shorten(request.path, 80)} sent"
    if recording.method != request.method:
        return f"method changed: {recording.method} recorded, {request.method} sent"
    if query != request.query:
        return f"query changed: {show(dict(query))} recorded, {show(dict(request.query))} sent"
    return _body_cause(body_value(recording.request_body), request.body)


def _body_cause(recorded: JSON, sent: JSON) -> str:
    if recorded is None or sent is None:
        bodies = ["no body" if body is None else "a body" for body in (recorded, sent)]
        return f"{bodies[0]} recorded, {bodies[1]} sent"
    if not isinstance(recorded, dict) or not isinstance(sent, dict):
        return "the body changed"
    changed = _changed_fields(recorded, sent)
    if not changed:
        return "the request differs"
    first, *others = changed
    cause = _field_cause(first, recorded.get(first, MISSING), sent.get(first, MISSING))
    return f"{cause}; also changed: {shorten(', '.join(others), 60)}" if others else cause


def _changed_fields(recorded: JSON, sent: JSON) -> list[str]:
    """Return the fields in which two bodies differ, the first is the cause."""
    if not isinstance(recorded, dict) or not isinstance(sent, dict):
        return []
    fields = [field for field in _FIELD_NAMES if field in recorded or field in sent]
    fields += [field for field in {**recorded, **sent} if field not in _FIELD_NAMES]
    return [
        field
        for field in fields
        if not equal(recorded.get(field, MISSING), sent.get(field, MISSING))
    ]


def _field_cause(field: str, recorded: JSON, sent: JSON) -> str:
    if field in _FIELDS_WITH_VALUES:
        return f"{field} changed: {show(recorded, 50)} recorded, {show(sent, 50)} sent"
    if field == "tools":
        return _tools_cause(_tools_by_name(recorded), _tools_by_name(sent))
    if field == "input" and isinstance(recorded, list) and isinstance(sent, list):
        return _history_cause(recorded, sent)
    if field == "input" and isinstance(recorded, str) and isinstance(sent, str):
        return "user text changed"
    verb = "added" if recorded is MISSING else "removed" if sent is MISSING else "changed"
    return f"{_FIELD_NAMES.get(field) or f'field {show(field, 40)}'} {verb}"


def _tools_by_name(tools: JSON) -> dict[str, dict[str, JSON]]:
    items = tools if isinstance(tools, list) else []
    objects = [tool for tool in items if isinstance(tool, dict)]
    return {str(tool.get("name", tool.get("type"))): tool for tool in objects}


def _tools_cause(recorded: dict[str, dict[str, JSON]], sent: dict[str, dict[str, JSON]]) -> str:
    for name in sent:
        if name in recorded and not equal(recorded[name], sent[name]):
            part = "declaration"
            for field, word in (("description", "description"), ("parameters", "schema")):
                if not equal(recorded[name].get(field), sent[name].get(field)):
                    part = word
            return f"tool {part} changed: {show(name, 40)}"
    removed = [name for name in recorded if name not in sent]
    added = [name for name in sent if name not in recorded]
    if added and removed:
        return f"tools changed: {show(removed, 40)} recorded, {show(added, 40)} sent"
    if added:
        return f"tool added: {show(added[0], 40)}"
    return f"tool removed: {show(removed[0], 40)}" if removed else "order of the tools changed"


def _history_cause(recorded: list[JSON], sent: list[JSON]) -> str:
    index = _common_length(recorded, sent)
    old, new = _step_type(recorded, index), _step_type(sent, index)
    turn = sum(_step_type(sent, step) == "user_input" for step in range(index + 1))
    location = f"turn {max(1, turn)} (step {index + 1})"
    if old == new and old in _STEP_NAMES:
        return f"{_STEP_NAMES[old]} changed in {location}"
    if index < min(len(recorded), len(sent)) and not (old and new):
        return f"user content changed: block {index + 1}"
    difference = f"the {old} differs"
    if old != new:
        difference = f"{old or 'nothing more'} recorded, {new or 'nothing more'} sent"
    return f"history diverged at {location}: {difference}"


def _step_type(steps: list[JSON], index: int) -> str:
    step = steps[index] if index < len(steps) else None
    kind = step.get("type") if isinstance(step, dict) else None
    return shorten(kind, 40) if isinstance(kind, str) and kind not in CONTENT_TYPES else ""


def _difference_lines(recorded: JSON, sent: JSON) -> list[str]:
    items = list(islice(differences(recorded, sent), _MAX_COUNTED + 1))
    lines = []
    for pointer, old, new in items[:_MAX_SHOWN]:
        old_text, new_text = _contrast(old, new)
        lines.append(f"    {shorten(pointer, 100) or 'the whole body'}")
        lines += [f"      recorded  {old_text}", f"      sent      {new_text}"]
        if isinstance(old, str) and isinstance(new, str) and (note := lookalike_note(old, new)):
            lines.append(f"      the text sent {note}")
    if len(items) > _MAX_SHOWN:
        at_least = "more than " if len(items) > _MAX_COUNTED else ""
        lines.append(f"    and {at_least}{min(len(items), _MAX_COUNTED) - _MAX_SHOWN} more")
    return lines


def _contrast(old: JSON, new: JSON) -> tuple[str, str]:
    if not isinstance(old, str) or not isinstance(new, str):
        return show(old, 90), show(new, 90)
    # Show two long texts from shortly before their first difference.
    first = _common_length(old, new)
    start = first - 30 if first > 40 else 0
    prefix = "…" if start else ""
    old, new = (prefix + show(text[start : start + 400], 90) for text in (old, new))
    return old, new
