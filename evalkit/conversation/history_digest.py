"""Histories as digests: what two spellings of a conversation so far have in common, in a form that is cheap to compare. Pure.

A *trail* is a running digest (BLAKE2b) over the steps of a history, so that equal trails mean equal histories, and every prefix of a history
has a trail of its own for the cost of reading it once. What is no difference: the shape an ``input`` was sent in (a string, content, steps), key
order, number spelling, and fields without a value (null, ``""``, ``[]``, ``{}``), which official SDKs add and drop and which a streamed answer
has where a plain one has none (protocol sections 2.1, 9, 11). The client's function results have a digest apart from all other steps, because
a client may put them behind their calls or behind the last one.

What belongs to a history whoever altered the rest of it are its *marks*: signatures of thoughts, ids of calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from evalkit._lib.json import JSON, canonical
from evalkit.protocol.step_reader import content_blocks
from evalkit.protocol.step_types import CLIENT_STEPS, CONTENT_TYPES

RawStep = dict[str, JSON]

_CONTENT = frozenset(CONTENT_TYPES)
_RESULT = "function_result"
_NOTHING: tuple[JSON, ...] = (None, "", [], {})


class Trail(NamedTuple):
    """The digest of a history: of its steps, of its function results, and how many steps of users and of models it has."""

    steps: bytes = b""
    results: bytes = b""
    users: int = 0
    models: int = 0

    def after(self, step: RawStep) -> Trail:
        """Return the trail with one step more."""
        kind = step.get("type")
        if kind == _RESULT:
            return self._replace(results=_digest(self.results, step))
        user = kind == "user_input"
        return Trail(
            _digest(self.steps, step), self.results, self.users + user, self.models + (not user)
        )

    def through(self, steps: Iterable[RawStep]) -> Trail:
        """Return the trail with further steps."""
        trail = self
        for step in steps:
            trail = trail.after(step)
        return trail


START = Trail()


def trails(steps: Iterable[RawStep], start: Trail = START) -> list[Trail]:
    """Return the trail before any of the steps, and that after each of them."""
    found = [start]
    for step in steps:
        found.append(found[-1].after(step))
    return found


def input_steps(value: JSON) -> list[RawStep]:
    """Return an ``input`` of any shape as steps; what is no object is left out."""
    if isinstance(value, str):
        return [{"type": "user_input", "content": [{"type": "text", "text": value}]}]
    items = (
        [item for item in value if isinstance(item, dict)]
        if isinstance(value, list)
        else [value]
        if isinstance(value, dict)
        else []
    )
    if items and all(_kind(item, "text") in _CONTENT for item in items):
        return [{"type": "user_input", "content": items}]
    return items


def is_client(step: RawStep) -> bool:
    """Say whether a client makes steps of this type."""
    return _kind(step) in CLIENT_STEPS


def _kind(step: RawStep, usual: str = "") -> str:
    kind = step.get("type", usual)
    return kind if isinstance(kind, str) else ""


def marks(steps: Sequence[RawStep]) -> Iterator[str]:
    """Yield the signatures and call ids of steps, the latest first."""
    for step in reversed(steps):
        for name in ("signature", "id", "call_id"):
            mark = step.get(name)
            if isinstance(mark, str) and mark:
                yield mark


def said(steps: Sequence[RawStep]) -> Iterator[bytes]:
    """Yield a digest of each step a model made but its thoughts, the latest first: what is left of a history without its signatures."""
    for step in reversed(steps):
        if not is_client(step) and _kind(step) != "thought":
            yield _digest(b"", step)


def request_key(*parts: JSON) -> bytes:
    """Return a digest that is the same for requests that say the same."""
    return _hash(b"", list(parts))


def _digest(before: bytes, step: RawStep) -> bytes:
    if step.get("type") == "user_input":
        blocks = content_blocks(step)
        step = {
            **step,
            "content": [
                {"type": "text", **block} if isinstance(block, dict) else block for block in blocks
            ],
        }
    return _hash(before, step)


def _hash(before: bytes, value: JSON) -> bytes:
    try:
        text = canonical(_stripped(value))
    except RecursionError:  # nested hundreds of levels deep: told apart by its beginning only
        text = str(type(value))
    return blake2b(before + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _stripped(value: JSON) -> JSON:
    if type(value) is dict:
        kept = ((key, _stripped(item)) for key, item in value.items())
        return {key: item for key, item in kept if item not in _NOTHING}
    if type(value) is list:
        return [_stripped(item) for item in value]
    return value
