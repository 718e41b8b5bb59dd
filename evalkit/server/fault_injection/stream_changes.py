"""Streams, frame by frame: cutting bytes into frames as they come, and changing them on the way. Nothing is held back but an unfinished frame.

A ``Change`` looks at one frame at a time and says what goes out for it: pieces of text, how long each waits, and whether the stream ends
with it. One change serves one stream. Frames without ``data:`` (comments) pass by untouched and do not count as events.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import NamedTuple

_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")


class ChangedFrame(NamedTuple):
    """What goes out: ``wait`` seconds, then ``text``; ``last`` ends the stream behind it."""

    text: str
    wait: float = 0.0
    last: bool = False


Change = Callable[[int, str], Sequence[ChangedFrame]]
"""Takes the number of an event in its stream, from 1, and its frame's text."""


class FrameSplitter:
    """Cuts bytes behind every blank line. ``feed`` returns the frames that are whole, ``rest`` what is left; joined, they are the bytes."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes and return the frames they complete."""
        # A blank line is found where it may begin before the new bytes, so a frame that grows is not searched from its start each time.
        buffer, start, at = self._pending + data, 0, max(0, len(self._pending) - 3)
        found = []
        while end := _BLANK_LINE.search(buffer, at):
            found.append(buffer[start : end.end()])
            start = at = end.end()
        self._pending = buffer[start:]
        return found

    def rest(self) -> bytes:
        """Return the bytes behind the last blank line."""
        rest, self._pending = self._pending, b""
        return rest


class Events:
    """Applies a change to the frames of one stream, counting its events."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._number = 0

    def take(self, frame: str) -> Sequence[ChangedFrame]:
        """Return what goes out for a frame."""
        if not is_event(frame):
            return (ChangedFrame(frame),)
        self._number += 1
        return self._change(self._number, frame)


def is_event(frame: str) -> bool:
    """Say whether a frame carries data."""
    return frame.startswith("data") or "\ndata" in frame or "\rdata" in frame


def change_frames(
    frames: Sequence[str], gaps: Sequence[float], change: Change
) -> tuple[list[str], list[float]]:
    """Return a stream's frames and gaps as a change leaves them."""
    events = Events(change)
    texts: list[str] = []
    waits: list[float] = []
    for index, frame in enumerate(frames):
        gap = gaps[index] if index < len(gaps) else 0.0
        for text, wait, last in events.take(frame):
            texts.append(text)
            waits.append(gap + wait)
            gap = 0.0
            if last:
                return texts, waits
    return texts, waits


class Changed:
    """A live body on its way through a change. ``aclose`` lets go of what it comes from, even before the first part was asked for."""

    def __init__(self, live: AsyncIterator[bytes], parts: AsyncGenerator[bytes, None]) -> None:
        self._live = live
        self._parts = parts

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._parts)

    async def aclose(self) -> None:
        """Stop; twice is no error."""
        await self._parts.aclose()
        await close(self._live)


async def close(live: AsyncIterator[bytes] | None) -> None:
    """Let go of a live body that is not read to its end."""
    if stop := getattr(live, "aclose", None):
        await stop()


def change_live(live: AsyncIterator[bytes], change: Change) -> Changed:
    """Return a stream that arrives, changed, each frame as soon as it is whole."""
    return Changed(live, _changed_frames(live, Events(change)))


def change_whole(live: AsyncIterator[bytes], change: Callable[[bytes], bytes]) -> Changed:
    """Return a body that arrives in parts and is no stream of events, changed as a whole."""
    return Changed(live, _changed_whole(live, change))


async def _changed_whole(
    live: AsyncIterator[bytes], change: Callable[[bytes], bytes]
) -> AsyncGenerator[bytes, None]:
    yield change(b"".join([part async for part in live]))


async def _changed_frames(
    live: AsyncIterator[bytes], events: Events
) -> AsyncGenerator[bytes, None]:
    frames = FrameSplitter()
    async for frame in _frames(live, frames):
        for text, wait, last in events.take(frame.decode("utf-8", "surrogateescape")):
            if wait:
                await asyncio.sleep(wait)
            yield text.encode("utf-8", "surrogateescape")
            if last:
                return


async def _frames(live: AsyncIterator[bytes], frames: FrameSplitter) -> AsyncIterator[bytes]:
    async for data in live:
        for frame in frames.feed(data):
            yield frame
    if rest := frames.rest():
        yield rest
