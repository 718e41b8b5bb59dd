"""Topic ``media``: inline pictures, sound, films and documents of requests and answers are base64 and are what they are said to be.

A file that a stateless conversation sends again and again is judged once. Media given by ``uri`` alone have no bytes here. That media files beside
the cassettes are there and unaltered is the ``file`` topic's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evalkit._lib.json import JSON, pointer
from evalkit._lib.text import show
from evalkit.cassette.media import PREFIX
from evalkit.checks.media.files import decode, examine
from evalkit.lint.findings import Found
from evalkit.lint.tape import Tape
from evalkit.protocol.step_reader import steps_of
from evalkit.protocol.step_types import MEDIA_TYPES

_MOST = 12  # how deep a content block can stand below input or steps, with room


def media(tape: Tape) -> Iterator[Found]:
    """Yield what is wrong with inline media."""
    seen: set[tuple[str, str, int]] = set()
    for exchange in tape.api:
        body = exchange.request.body
        places: list[tuple[str, str, JSON]] = []
        if isinstance(body, dict):
            places.append(("request", "/input", body.get("input")))
        if exchange.interaction is not None:
            places.append(("response", "/steps", steps_of(exchange.interaction)))
        for part, at, value in places:
            for block, where in _blocks(value, at):
                data, declared = block["data"], block.get("mime_type")
                mark = (str(block["type"]), str(declared), hash(data))
                if mark in seen:
                    continue
                seen.add(mark)
                for code, message, expected, got in _judge(block, data, declared):
                    yield Found(code, message, exchange.number, part, where, expected, got)


def _blocks(value: JSON, at: str) -> Iterator[tuple[dict[str, JSON], str]]:
    """Yield every media block with inline data, wherever in steps or contents it stands."""
    todo = [(value, at, 0)]
    while todo:
        held, place, depth = todo.pop()
        if isinstance(held, dict):
            kind = held.get("type")
            if (
                isinstance(kind, str)
                and kind in MEDIA_TYPES
                and isinstance(held.get("data"), str)
                and held["data"]
            ):
                yield held, f"{place}/data"
            elif depth < _MOST:
                todo += [
                    (item, place + pointer(key), depth + 1)
                    for key, item in reversed(held.items())
                    if isinstance(item, dict | list)
                ]
        elif isinstance(held, list) and depth < _MOST:
            todo += [
                (item, f"{place}/{index}", depth + 1)
                for index, item in reversed(list(enumerate(held)))
                if isinstance(item, dict)
            ]


def _judge(
    block: dict[str, JSON], data: str, declared: JSON
) -> Iterator[tuple[str, str, Any, Any]]:
    kind = block["type"]
    if data.startswith(PREFIX):
        return  # its file is missing, which is told as that
    raw, reason = decode(data)
    if raw is None:
        yield (
            "media_not_base64",
            f"the {kind}'s data is not base64: {reason}",
            "base64",
            show(data, 40),
        )
        return
    facts = examine(raw, declared if isinstance(declared, str) else None)
    if facts.mismatch:
        yield (
            "media_type_differs",
            f"the {kind} is declared {show(declared, 40)}, but {facts.mismatch}",
            declared,
            facts.mime_type,
        )
    if facts.damage:
        yield (
            "media_damaged",
            f"the {kind} does not decode: {facts.damage}",
            facts.mime_type,
            f"{len(raw):,} bytes",
        )
