"""Server-sent events: bytes to frames, text to the service's events. Does no IO.

The grammar is that of the HTML standard, section 9.2.6: lines end with LF, CR or CRLF; a line is
``field: value``; a blank line ends a frame; ``:`` starts a comment; a leading byte order mark is
dropped. These deviations follow docs/protocol.md section 6:

* A last frame without a blank line counts, so that a truncated stream shows what it has.
* A bare ``{"error": …}`` outside any field, alone or in a list, is a frame: the service was seen to
  break off like that. It may span several lines. Other lines that are not fields are ignored, as in
  the standard.
* ``event:`` and ``id:`` are stored in the frame and have no effect: the service names an event in
  its ``event_type``.
* Bytes that are not UTF-8 become lone surrogates (PEP 383), so no input is lost and none raises.

The meaning and the order of events are the business of ``stream_assembler``.
"""

import codecs
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from evalkit._lib.json import JSON
from evalkit.protocol.api_errors import find_error
from evalkit.protocol.received_json import read_received

DONE = "[DONE]"

_MAX_BARE_LINES = 200
_NOT_JSON: Any = object()


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Return whether a body is server-sent events, by its content type in any case."""
    content_type = headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == "text/event-stream"


class Frame(NamedTuple):
    """One frame: its ``event:`` and ``id:`` (None if missing) and its ``data:`` joined by LF."""

    event: str | None
    data: str
    id: str | None


class EventList(NamedTuple):
    """The events of a stream in order, as raw JSON.

    ``done`` tells whether ``[DONE]`` arrived. ``garbage`` has the data that is not JSON, each with
    its number among all events, from 1.
    """

    events: list[JSON]
    done: bool
    garbage: list[tuple[int, str]]


class SseParser:
    """Incremental parser of bytes that may be cut anywhere. Never raises."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._frames = _FrameBuilder()
        self._unfinished_line: list[str] = []
        self._started = False
        self._after_cr = False

    def feed(self, data: bytes) -> list[Frame]:
        """Parse the next bytes; return the frames that they complete."""
        return self._take(self._decode(data))

    def close(self) -> list[Frame]:
        """End the stream; return the frames that the end completes."""
        frames = self._take(self._decode(b"", final=True))
        last_line = "".join(self._unfinished_line)
        self._unfinished_line = []
        return frames + _without_cut(self._frames.take([last_line, ""]))

    def _take(self, text: str) -> list[Frame]:
        if not text:
            return []
        if not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        # A CRLF may be cut in two.
        if self._after_cr:
            text = text.removeprefix("\n")
        self._after_cr = text.endswith("\r")
        first, *rest = _to_lf(text).split("\n")
        self._unfinished_line.append(first)
        if not rest:
            return []
        lines = ["".join(self._unfinished_line), *rest[:-1]]
        self._unfinished_line = [rest[-1]]
        return self._frames.take(lines)


class _FrameBuilder:
    """Collects whole lines into frames; its state is the unfinished frame."""

    def __init__(self) -> None:
        self._data: list[str] = []
        self._event: str | None = None
        self._id: str | None = None
        self._bare: list[str] = []

    def take(self, lines: Iterable[str]) -> list[Frame]:
        frames: list[Frame] = []
        for line in lines:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if self._data:
                    frames.append(Frame(self._event, "\n".join(self._data), self._id))
                self._data = []
                self._event = self._id = None
                self._bare = []
            elif name == "data":
                self._data.append(value)
            elif name == "event":
                self._event = value
            elif name == "id":
                self._id = value
            elif self._bare or line.lstrip().startswith(("{", "[")):
                frames += self._bare_error(line.strip())
        return frames

    def _bare_error(self, line: str) -> list[Frame]:
        if len(self._bare) == _MAX_BARE_LINES:
            self._bare = []
        self._bare.append(line)
        if not line.endswith(("}", "]")):
            return []
        whole = "\n".join(self._bare)
        # The lines before an error may be something else.
        for text in (whole, line):
            value = _parse(text)
            is_error = find_error(value) is not None
            if is_error or (text == whole and value is not _NOT_JSON):
                self._bare = []
                return [Frame(None, text, None)] if is_error else []
        return []


def frames(text: str) -> list[Frame]:
    """Return the frames of a whole body."""
    *lines, last_line = _to_lf(text.removeprefix("\ufeff")).split("\n")
    builder = _FrameBuilder()
    return builder.take(lines) + _without_cut(builder.take([last_line, ""]))


def _without_cut(last: list[Frame]) -> list[Frame]:
    """Return the frame that the end of a body completes, unless its JSON was cut."""
    return [
        frame
        for frame in last
        if not frame.data.startswith(("{", "[")) or _parse(frame.data) is not _NOT_JSON
    ]


def read_events(text: str) -> EventList:
    """Return the events of a whole body, up to ``[DONE]``.

    An object without ``event_type`` and with an ``error``, alone or in a list, becomes an ``error``
    event; so does any object of a frame that is named ``error``. All other JSON is returned
    unchanged. Empty data is not an event.
    """
    return events_of_frames(frames(text))


def events_of_frames(source: Iterable[Frame]) -> EventList:
    """Return the events in frames, see :func:`read_events`."""
    events: list[JSON] = []
    garbage: list[tuple[int, str]] = []
    for frame in source:
        if frame.data == DONE:
            return EventList(events, True, garbage)
        if not frame.data:
            continue
        value = _parse(frame.data)
        if value is _NOT_JSON:
            garbage.append((len(events) + len(garbage) + 1, frame.data))
            continue
        if not (isinstance(value, dict) and "event_type" in value):
            error = find_error(value)
            if error is None and frame.event == "error" and isinstance(value, dict):
                error = {"error": value}
            value = value if error is None else {"event_type": "error", **error}
        events.append(value)
    return EventList(events, False, garbage)


_END_OF_FRAME = re.compile(r"(?>\r\n|\r|\n){2,}")


def split_frames(text: str) -> list[str]:
    """Split a body after every blank line; the joined parts are the body.

    A part is the text of one frame, and may be only a comment. Blank lines before the first frame
    belong to it. The last part may lack its blank line.
    """
    parts = []
    start = 0
    for end in _END_OF_FRAME.finditer(text):
        if end.start() > start:
            parts.append(text[start : end.end()])
            start = end.end()
    if start < len(text):
        parts.append(text[start:])
    return parts


def _to_lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _parse(text: str) -> JSON:
    try:
        return read_received(text)
    except (ValueError, RecursionError):
        return _NOT_JSON
