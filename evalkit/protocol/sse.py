"""Server-sent events: bytes in, frames out; text in, the service's events out. Sans-IO: nothing here waits, reads or writes.

The grammar is that of the HTML standard, section 9.2.6 (a stream is lines, ended by LF, CR or CRLF; ``field: value``; a blank line ends a
frame; ``:`` starts a comment; a leading BOM is dropped), with the deviations protocol section 6 asks for:

* a last frame without its blank line counts (one SDK reads it, one does not; a truncated stream must be seen as it is);
* a bare line ``{"error": …}`` outside any field is a frame of its own: the service was seen to refuse like that in mid-stream. It may be
  spread over several lines. Any other line that is no field is ignored, as the standard says;
* ``event:`` and ``id:`` are kept on the frame and decide nothing: the service's events name themselves by ``event_type``;
* bytes that are no UTF-8 are kept as lone surrogates (PEP 383), so that no input is lost and none raises.

What events mean, and whether they come in the right order, is ``assemble``'s business.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from evalkit._lib.json import JSON, loads

DONE = "[DONE]"

_MAX_BARE_LINES = 200


class Frame(NamedTuple):
    """One event as framed: its ``event:`` name and ``id:``, None where not given, and its ``data:`` lines joined by LF."""

    event: str | None
    data: str
    id: str | None


class EventList(NamedTuple):
    """A stream's events in order, as raw JSON.

    ``done`` says whether ``[DONE]`` was seen. ``garbage`` holds data that is not JSON, each with its number among all events, from 1.
    """

    events: list[JSON]
    done: bool
    garbage: list[tuple[int, str]]


class SseParser:
    """Incremental parser: ``feed`` bytes cut anywhere, ``close`` at the end. Never raises; never looks at what ``data`` says."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._lines = _Lines()
        self._pending: list[str] = []
        self._started = False
        self._after_cr = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes and return the frames they complete."""
        return self._take(self._decode(data))

    def close(self) -> list[Frame]:
        """Take the end of the stream and return the frame it completes, if any."""
        found = self._take(self._decode(b"", final=True))
        last = "".join(self._pending)
        self._pending = []
        return found + self._lines.take([last, ""])

    def _take(self, text: str) -> list[Frame]:
        if not text:
            return []
        if not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        if self._after_cr:
            text = text.removeprefix("\n")
            self._after_cr = False
        if "\r" in text:
            self._after_cr = text.endswith("\r")
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        first, *rest = text.split("\n")
        self._pending.append(first)
        if not rest:
            return []
        whole = ["".join(self._pending), *rest[:-1]]
        self._pending = [rest[-1]]
        return self._lines.take(whole)


class _Lines:
    """Folds whole lines into frames; what is between two calls is the frame being read."""

    def __init__(self) -> None:
        self._data: list[str] = []
        self._event: str | None = None
        self._id: str | None = None
        self._bare: list[str] = []

    def take(self, lines: Iterable[str]) -> list[Frame]:
        found: list[Frame] = []
        data = self._data
        for line in lines:
            if line.startswith("data:"):
                data.append(line[6:] if line.startswith(" ", 5) else line[5:])
            elif not line:
                if data:
                    found.append(
                        Frame(self._event, data[0] if len(data) == 1 else "\n".join(data), self._id)
                    )
                    data.clear()
                self._event = self._id = None
                self._bare.clear()
            elif line.startswith("event:"):
                self._event = line[7:] if line.startswith(" ", 6) else line[6:]
            elif line.startswith("id:"):
                self._id = line[4:] if line.startswith(" ", 3) else line[3:]
            elif line == "data":
                data.append("")
            elif line[0] == "{" or self._bare:
                found += self._refusal(line)
        return found

    def _refusal(self, line: str) -> list[Frame]:
        bare = self._bare
        if len(bare) == _MAX_BARE_LINES:
            bare.clear()
        bare.append(line)
        if not line.rstrip().endswith("}"):
            return []
        text = line
        value = _json(line) if line[0] == "{" else _NOT_JSON
        if value is _NOT_JSON and len(bare) > 1:
            text = "\n".join(bare)
            value = _json(text)
        if value is _NOT_JSON:
            return []
        bare.clear()
        return [Frame(None, text, None)] if isinstance(value, dict) and "error" in value else []


_NOT_JSON: Any = object()


def _json(text: str) -> JSON:
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return _NOT_JSON


def frames(text: str) -> list[Frame]:
    """Return the frames of a whole body."""
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    lines.append("")
    return _Lines().take(lines)


def read_events(text: str) -> EventList:
    """Return the events of a whole body; nothing after ``[DONE]`` is read.

    An object without ``event_type`` that has an ``error`` becomes an ``error`` event. Whatever else is JSON is kept as it is. Empty data is
    no event.
    """
    return events_of_frames(frames(text))


def events_of_frames(found: Iterable[Frame]) -> EventList:
    """Return the events that frames carry; see :func:`read_events`."""
    events: list[JSON] = []
    garbage: list[tuple[int, str]] = []
    for _, data, _ in found:
        if data == DONE:
            return EventList(events, True, garbage)
        if not data:
            continue
        try:
            value = loads(data)
        except (ValueError, RecursionError):
            garbage.append((len(events) + len(garbage) + 1, data))
            continue
        if type(value) is dict and "event_type" not in value and "error" in value:
            value = {"event_type": "error", **value}
        events.append(value)
    return EventList(events, False, garbage)


_END_OF_FRAME = re.compile(r"(?>\r\n|\r|\n){2,}")


def split_frames(text: str) -> list[str]:
    """Cut a body behind every blank line: each piece is one frame's raw text with its blank line(s). Joined, the pieces are the text.

    A piece may be only a comment, and the last may lack its blank line; blank lines before the first frame belong to it.
    """
    pieces = []
    start = 0
    for end in _END_OF_FRAME.finditer(text):
        if end.start() > start:
            pieces.append(text[start : end.end()])
            start = end.end()
    if start < len(text):
        pieces.append(text[start:])
    return pieces
