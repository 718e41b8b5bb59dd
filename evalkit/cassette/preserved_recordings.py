"""Which recordings of a cassette stay when its conversation is recorded again. Pure.

A service gives the same answer with another id, at another time, for another number of tokens. Such
values change a file and say nothing, so recordings are compared without them (``VOLATILE_NAMES``
and ``VOLATILE_MEASURES`` of the wire facts). Everything before the first recording that differs
stays as it was, and a conversation that is all the same leaves its file untouched.

Later requests repeat the ids, signatures and call ids of earlier answers. What follows the
recordings that stay gets theirs, so that a replay, which receives the old ids, finds it. A thought
stays as a whole, because its signature is bound to its content. How often a background run was
polled does not count, nor in which order requests ended that were sent at the same time.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote, unquote

from evalkit._lib.json import JSON, equal
from evalkit.cassette.bodies import to_text
from evalkit.cassette.matching import body_value, route_of, split_route
from evalkit.cassette.recording import Recording
from evalkit.protocol.sse import is_event_stream, read_events
from evalkit.protocol.step_reader import is_running, steps_of
from evalkit.protocol.stream_assembler import assemble
from evalkit.protocol.wire_facts import VOLATILE_MEASURES, VOLATILE_NAMES

_INTERACTION = re.compile(r"(?:^|/)interactions(?:/[^/:]+(?:[/:]cancel)?)?/?\Z")
_SEGMENT = re.compile(r"(?<=/)[^/?#]+")
_MOST_CONCURRENT = 16
# A shorter name may be a word of a text, where it must not be replaced.
_SHORTEST_NAME = 8

Body = TypeVar("Body", str | bytes, str | bytes | None)


def preserve(old: Sequence[Recording], new: Sequence[Recording]) -> list[Recording]:
    """Return new recordings, with the old ones instead of those before the first difference."""
    # Requests that are sent at the same time end in any order. Only where nothing is new is the old
    # order known to be a valid one.
    recordings, is_new = _match(old, new, _MOST_CONCURRENT)
    return _match(old, new, 1)[0] if is_new else recordings


def _match(
    old: Sequence[Recording], new: Sequence[Recording], window: int
) -> tuple[list[Recording], bool]:
    """Return the recordings, and whether anything in them is new.

    ``window`` is how many of the next new recordings may be the one that an old one is.
    """
    preserved: list[Recording] = []
    names: dict[str, str] = {}
    remaining = list(_rounds(new))
    for old_round in _rounds(old):
        for position, new_round in enumerate(remaining[:window]):
            renamed = _same_names(old_round[-1], _rename(new_round[-1], names))
            if renamed is not None:
                names.update(renamed)
                preserved += old_round
                del remaining[position]
                break
        else:
            break
    rest = [_rename(recording, names) for new_round in remaining for recording in new_round]
    return preserved + rest, bool(rest) or len(preserved) < len(old)


def _rounds(recordings: Iterable[Recording]) -> Iterator[list[Recording]]:
    """Yield each recording, after the polls before it that found a run unfinished."""
    pending: list[Recording] = []
    for recording in recordings:
        pending.append(recording)
        if recording.method != "GET" or not is_running(_interaction(recording) or {}):
            yield pending
            pending = []
    if pending:
        yield pending


def _same_names(old: Recording, new: Recording) -> dict[str, str] | None:
    """Return the old names of the new ones if two recordings are the same otherwise, or None."""
    if (old.method, old.status) != (new.method, new.status):
        return None
    if _segments(old) != _segments(new) or route_of(old.uri)[1] != route_of(new.uri)[1]:
        return None
    if not equal(body_value(old.request_body), body_value(new.request_body)):
        return None
    if bool(old.broken) != bool(new.broken) or _is_stream(old) != _is_stream(new):
        return None
    before, after = _interaction(old), _interaction(new)
    if before is None or after is None:
        return {} if equal(body_value(old.body), body_value(new.body)) else None
    if not equal(_without_volatile(before), _without_volatile(after)):
        return None
    names = dict(_name_pairs(before, after))
    are_safe = all(len(name) >= _SHORTEST_NAME for name in names)
    return names if are_safe else None


def _interaction(recording: Recording) -> dict[str, JSON] | None:
    """Return the interaction that was received, with the problems of its stream if it was one.

    None for anything else, for errors too.
    """
    if not _INTERACTION.search(split_route(recording.uri)[0]) or recording.status >= 300:
        return None
    if not _is_stream(recording):
        value = body_value(recording.body)
        return value if isinstance(value, dict) and "error" not in value else None
    events = read_events(to_text(recording.body))
    stream = assemble(events.events, garbage=events.garbage)
    if stream.interaction is None or stream.error is not None:
        return None
    return {**stream.interaction, "problems": [problem.code for problem in stream.problems]}


def _segments(recording: Recording) -> list[str]:
    return [unquote(segment) for segment in route_of(recording.uri)[0].split("/")]


def _is_stream(recording: Recording) -> bool:
    headers = recording.response_headers.items()
    return is_event_stream({name.lower(): values[0] for name, values in headers if values})


def _without_volatile(interaction: Mapping[str, JSON]) -> JSON:
    value = _drop_volatile(interaction)
    if steps := steps_of(interaction):
        value["steps"] = [_drop_volatile(step) for step in steps]
    return value


def _drop_volatile(value: Mapping[str, JSON]) -> dict[str, JSON]:
    volatile = (*VOLATILE_NAMES, *VOLATILE_MEASURES)
    return {key: item for key, item in value.items() if key not in volatile}


def _name_pairs(old: dict[str, JSON], new: dict[str, JSON]) -> Iterator[tuple[str, str]]:
    """Yield each name in a new interaction with that in the old one, where they differ."""
    for one, other in zip((old, *steps_of(old)), (new, *steps_of(new)), strict=False):
        for key in VOLATILE_NAMES:
            before, after = one.get(key), other.get(key)
            if isinstance(before, str) and isinstance(after, str) and before != after:
                yield after, before


def _rename(recording: Recording, names: Mapping[str, str]) -> Recording:
    """Return a recording with other names, each a whole JSON string or part of the address."""
    if not names:
        return recording
    uri = _SEGMENT.sub(
        lambda match: (
            quote(names[name], safe="") if (name := unquote(match[0])) in names else match[0]
        ),
        recording.uri,
    )
    strings = {json.dumps(new): json.dumps(old) for new, old in names.items()}
    pattern = re.compile("|".join(map(re.escape, strings)))

    def rename(body: Body) -> Body:
        if not isinstance(body, str):
            return body
        return pattern.sub(lambda match: strings[match[0]], body)

    request_body, body = rename(recording.request_body), rename(recording.body)
    return replace(recording, uri=uri, request_body=request_body, body=body)
