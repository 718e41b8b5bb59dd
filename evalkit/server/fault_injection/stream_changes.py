"""Changes to server-sent streams, frame by frame, both complete ones and ones that still arrive.

A ``Change`` receives one event at a time and returns what is sent for it: texts, how long each
waits, and whether the stream ends there. One change serves one stream. Frames without ``data:``
(comments) pass unchanged and do not count as events.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Sequence
from itertools import chain, count, repeat
from typing import NamedTuple

_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")
_DATA_LINE = re.compile(r"(?:\A|[\n\r])data")


class ChangedFrame(NamedTuple):
    """A text to send after ``wait`` seconds; ``is_last`` ends the stream after it."""

    text: str
    wait: float = 0.0
    is_last: bool = False


Change = Callable[[int, str], Sequence[ChangedFrame]]
"""Takes the number of an event in its stream, from 1, and the text of its frame."""


class ChangedBody:
    """A live body with a change applied. Closing it closes its source, even if it was not read."""

    def __init__(self, source: AsyncIterable[bytes], chunks: AsyncGenerator[bytes, None]) -> None:
        self._source = source
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def aclose(self) -> None:
        """Close the source; may be called twice."""
        await self._chunks.aclose()
        await close(self._source)


def change_frames(
    frames: Sequence[str], gaps: Sequence[float], change: Change
) -> tuple[list[str], list[float]]:
    """Return a stream's frames and gaps with a change applied."""
    change_next = _count_events(change)
    texts: list[str] = []
    waits: list[float] = []
    for frame, gap in zip(frames, chain(gaps, repeat(0.0)), strict=False):
        for text, wait, is_last in change_next(frame):
            texts.append(text)
            waits.append(gap + wait)
            gap = 0.0
            if is_last:
                return texts, waits
    return texts, waits


async def close(live: AsyncIterable[bytes] | None) -> None:
    """Close a live body that is not read to its end."""
    if aclose := getattr(live, "aclose", None):
        await aclose()


def _count_events(change: Change) -> Callable[[str], Sequence[ChangedFrame]]:
    numbers = count(1)

    def change_next(frame: str) -> Sequence[ChangedFrame]:
        return change(next(numbers), frame) if _DATA_LINE.search(frame) else (ChangedFrame(frame),)

    return change_next


async def changed_frames(
    source: AsyncIterable[bytes], change: Change
) -> AsyncGenerator[bytes, None]:
    """Yield a live stream with a change applied to each frame as soon as it is complete."""
    change_next = _count_events(change)
    async for frame in split_live_frames(source):
        for text, wait, is_last in change_next(frame.decode("utf-8", "surrogateescape")):
            if wait:
                await asyncio.sleep(wait)
            yield text.encode("utf-8", "surrogateescape")
            if is_last:
                return


async def split_live_frames(source: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Split a live stream after each blank line, as it arrives."""
    pending = b""
    async for data in source:
        # A blank line can start up to three bytes before the new data. Searching from there, not
        # from the start, keeps a long frame in small pieces linear.
        start, search_from = 0, max(0, len(pending) - 3)
        pending += data
        while end := _BLANK_LINE.search(pending, search_from):
            yield pending[start : end.end()]
            start = search_from = end.end()
        pending = pending[start:]
    if pending:
        yield pending


async def changed_body(
    source: AsyncIterable[bytes], change: Callable[[bytes], bytes]
) -> AsyncGenerator[bytes, None]:
    """Yield a live body that is not a stream of events, changed as a whole."""
    yield change(b"".join([chunk async for chunk in source]))
