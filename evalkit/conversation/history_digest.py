"""Digests of histories: cheap to compare, equal for all spellings of the same history. Pure.

A history is re-sent with every request of a stateless conversation, so each prefix of it gets a
running digest, for the cost of reading it once. These differences do not count: the shape of
``input`` (a string, content, steps), the order of keys, the spelling of numbers, and fields without
a value (null, ``""``, ``[]``, ``{}``), which official SDKs add and drop, and which a streamed
response has where a plain one has none (docs/protocol.md sections 2.1, 9, 11). Function results
have a digest apart from all other steps, because a client may put them behind their calls or
behind the last one.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from evalkit._lib.json import JSON, canonical
from evalkit.protocol.step_reader import RawStep, content_blocks, type_of
from evalkit.protocol.step_types import CLIENT_STEPS

_WITHOUT_VALUE: tuple[JSON, ...] = (None, "", [], {})


class HistoryDigest(NamedTuple):
    """The digests of a history's steps and of its function results.

    ``has_model`` says whether a model has contributed anything.
    """

    steps: bytes = b""
    results: bytes = b""
    has_model: bool = False


EMPTY = HistoryDigest()


def prefix_digests(steps: Iterable[RawStep], start: HistoryDigest = EMPTY) -> list[HistoryDigest]:
    """Return the digest before the first step, and that after each of them."""
    digests = [start]
    for step in steps:
        before = digests[-1]
        if type_of(step) == "function_result":
            digest = before._replace(results=step_digest(step, before.results))
        else:
            has_model = before.has_model or not is_client_step(step)
            digest = HistoryDigest(step_digest(step, before.steps), before.results, has_model)
        digests.append(digest)
    return digests


def is_client_step(step: RawStep) -> bool:
    """Return whether clients create steps of this type."""
    return type_of(step) in CLIENT_STEPS


def marks(steps: Sequence[RawStep]) -> Iterator[str]:
    """Yield the signatures and call ids of steps, the latest first.

    They identify a conversation even if the rest of a history was altered.
    """
    for step in reversed(steps):
        for name in ("signature", "id", "call_id"):
            mark = step.get(name)
            if isinstance(mark, str) and mark:
                yield mark


def model_step_digests(steps: Sequence[RawStep]) -> Iterator[bytes]:
    """Yield a digest of each step of the model except thoughts, the latest first.

    They are what remains of a history without its signatures.
    """
    for step in reversed(steps):
        if not is_client_step(step) and type_of(step) != "thought":
            yield step_digest(step)


def value_digest(value: JSON) -> bytes:
    """Return a digest that is equal for equal values in the sense of this module."""
    return _digest(b"", value)


def step_digest(step: RawStep, before: bytes = b"") -> bytes:
    """Return the digest of a step after a history with the digest ``before``."""
    if type_of(step) == "user_input":
        content = [
            {"type": "text", **block} if isinstance(block, dict) else block
            for block in content_blocks(step)
        ]
        step = {**step, "content": content}
    return _digest(before, step)


def _digest(before: bytes, value: JSON) -> bytes:
    try:
        text = canonical(_with_values(value))
    except RecursionError:
        # Nested hundreds of levels deep: only what precedes it counts.
        text = str(type(value))
    return blake2b(before + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _with_values(value: JSON) -> JSON:
    if isinstance(value, dict):
        pairs = ((key, _with_values(item)) for key, item in value.items())
        return {key: item for key, item in pairs if item not in _WITHOUT_VALUE}
    if isinstance(value, list):
        return [_with_values(item) for item in value]
    return value
