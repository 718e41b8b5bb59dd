"""The cassettes back end: recorded answers over HTTP, for any client. No connection is opened, nothing is written.

Strict: a request that no recording answers is refused with 404 and the report of the miss, a status that no SDK repeats. Which recording
answers is ``library``'s business; here files are read and recordings become replies, streams event by event.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

from evalkit._lib.files import display_path
from evalkit._lib.text import plural
from evalkit.cassette.loader import line_of, load_cassette
from evalkit.cassette.matching import body_value
from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from evalkit.cassette.yaml_scalars import to_text
from evalkit.errors import UsageError
from evalkit.protocol.sse import DONE, SseParser
from evalkit.server.calls import Call, Reply, error_reply
from evalkit.server.headers import forwarded_response_headers, secrets_of
from evalkit.server.replay.library import CassetteLibrary, PlayedCassette, normalize_request
from evalkit.server.requests.error_response import ErrorResponse

Timing = Literal["instant", "recorded"]

_FRAME = re.compile(r".*?(?:\r\n\r\n|\n\n|\r\r)|.+\Z", re.DOTALL)
_HINT = "evalkit serve --upstream URL --record {folder}   (and run the client against it)"


class CassetteBackend:
    """Serves the cassettes of a folder and all below it, or one file. ``log`` gets what is to be told at the end.

    Raises UsageError where there is no cassette, CassetteError (``file:line``) for one that cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        *,
        timing: Timing = "instant",
        again: bool = False,
        log: Callable[[str], object] = lambda line: None,
    ) -> None:
        self._paths = {display_path(path): path for path in _files(folder)}
        tapes = [_tape(name, path) for name, path in self._paths.items()]
        self._library = CassetteLibrary(tapes, again=again)
        self._recorded_timing = timing == "recorded"
        self._log = log
        self._hint = _HINT.format(folder=display_path(folder))
        self._closed = False
        count = sum(len(tape.recordings) for tape in tapes)
        self.title = f"{plural(count, 'recording')} of {plural(len(tapes), 'cassette')} in {display_path(folder)}"

    async def handle(self, call: Call) -> Reply:
        """Answer from a recording; a miss is a 404 whose message is its report."""
        redactor = _redactor(tuple(secrets_of(call)))
        text = redactor.text(to_text(call.body))[0] if redactor.active else call.body
        query = (
            parse_qsl(call.target.partition("?")[2], keep_blank_values=True)
            if call.target
            else call.query.items()
        )
        request = normalize_request(call.method, call.path, tuple(query), body_value(text))
        found = self._library.take(request)
        if found is None:
            report = self._library.miss(
                request,
                self._hint,
                lambda tape, number: line_of(self._paths[tape.name], number),
            )
            report = redactor.text(report)[0]
            return replace(error_reply(ErrorResponse(404, report, code="not_recorded")), by=report)
        by = f"{found.tape.name} recording {found.number + 1} of {len(found.tape.recordings)}"
        return reply_of(
            found.recording, server=found.tape.server, timed=self._recorded_timing, by=by
        )

    async def close(self) -> None:
        """Tell what was not played."""
        if not self._closed:
            self._closed = True
            for line in self._library.unplayed():
                self._log(line)


def reply_of(recording: Recording, *, server: str = "", timed: bool = False, by: str = "") -> Reply:
    """Return the reply that a recording is: whole, or cut where it broke; ``timed`` with the recorded delays, else at once."""
    headers = forwarded_response_headers(
        {name.lower(): ", ".join(values) for name, values in recording.response_headers.items()}
    )
    headers = {**({"server": server} if server else {}), **headers}
    end: Literal["whole", "cut"] = "whole" if recording.broken is None else "cut"
    body = recording.body
    if headers.get("content-type", "").startswith("text/event-stream"):
        if not isinstance(body, str):
            return Reply(recording.status, live=_bytes(body), headers=headers, end=end, by=by)
        frames = [found.group() for found in _FRAME.finditer(body)]
        gaps = _gaps(frames, recording.event_ms) if timed else ()
        return Reply(recording.status, frames=frames, headers=headers, gaps=gaps, end=end, by=by)
    delay = (recording.elapsed_ms or 0.0) / 1000 if timed else 0.0
    return Reply(recording.status, body, headers=headers, delay=delay, end=end, by=by)


def _gaps(frames: list[str], event_ms: tuple[float, ...]) -> list[float]:
    """Return the seconds to wait before each frame; only frames with data were timed, and the end of a stream was not."""
    times = iter(event_ms)
    gaps: list[float] = []
    last = 0.0
    for frame in frames:
        parser = SseParser()
        timed = [
            one
            for one in parser.feed(frame.encode("utf-8", "surrogateescape")) + parser.close()
            if one.data and one.data != DONE
        ]
        at = next(times, last) if timed else last
        gaps.append(max(at - last, 0.0) / 1000)
        last = max(at, last)
    return gaps


async def _bytes(body: bytes) -> AsyncIterator[bytes]:
    yield body


@lru_cache(maxsize=64)
def _redactor(secrets: tuple[str, ...]) -> Redactor:
    return Redactor(secrets)


def _tape(name: str, path: Path) -> PlayedCassette:
    cassette = load_cassette(path)
    if cassette is None:
        raise UsageError(f"{name}: there is no such cassette any more")
    server, shared = cassette.metadata.get("server"), cassette.metadata.get("shared")
    return PlayedCassette(
        name,
        cassette.recordings,
        server if isinstance(server, str) else "",
        shared if isinstance(shared, int) else 0,
    )


def _files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise UsageError(f"--cassettes {display_path(folder)}: there is no such folder or file")
    found = sorted(_below(folder), key=_in_order)
    if not found:
        raise UsageError(f"--cassettes {display_path(folder)}: there is no cassette (*.yaml) in it")
    return found


def _in_order(path: Path) -> tuple[str, ...]:
    """Sort ``name.yaml``, ``name.2.yaml``, …, ``name.10.yaml`` as they were recorded."""
    parts = str(path.with_suffix("")).split(".")
    return (*parts[:-1], f"{int(parts[-1]):09}") if parts[-1].isdecimal() else tuple(parts)


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        inner = path.relative_to(folder).parts
        if (
            path.suffix in (".yaml", ".yml")
            and path.is_file()
            and not any(part.startswith((".", "_")) for part in inner)
        ):
            yield path
