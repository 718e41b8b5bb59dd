"""The cassettes back end: reads cassettes and serves their recordings, streams event by event.

It opens no connection and writes nothing. A request without a recording gets 404 and a report of
the miss; 404 is a status that no SDK retries.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

from evalkit._lib.files import display_path
from evalkit._lib.text import plural
from evalkit.cassette.bodies import to_text
from evalkit.cassette.files import line_of, load_cassette
from evalkit.cassette.matching import body_value
from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from evalkit.errors import UsageError
from evalkit.protocol.sse import DONE, frames, is_event_stream, split_frames
from evalkit.protocol.wire_facts import ADDRESS_HEADERS
from evalkit.server.calls import (
    Call,
    ConnectionEnd,
    Reply,
    error_reply,
    forwarded_response_headers,
    local_address,
    local_target,
    secrets_of,
)
from evalkit.server.replay.library import CassetteLibrary, PlayedCassette, normalize_request
from evalkit.server.requests.error_response import ErrorResponse

Timing = Literal["instant", "recorded"]

_HINT = "evalkit serve --upstream URL --record {folder}   (and run the client against it)"


class CassetteBackend:
    """Serves the cassettes below a folder, or one file. ``log`` gets what was not played.

    Raises UsageError without a cassette, CassetteError (``file:line``) for an invalid one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        timing: Timing = "instant",
        again: bool = False,
        log: Callable[[str], object] = lambda line: None,
    ) -> None:
        self._paths = {display_path(path): path for path in _find_cassettes(folder)}
        cassettes = [_load(name, path) for name, path in self._paths.items()]
        self._library = CassetteLibrary(cassettes, again=again)
        self._is_timed = timing == "recorded"
        self._log = log
        self._hint = _HINT.format(folder=display_path(folder))
        self._is_closed = False
        recordings = plural(sum(len(cassette.recordings) for cassette in cassettes), "recording")
        total = plural(len(cassettes), "cassette")
        self.title = f"{recordings} of {total} in {display_path(folder)}"

    async def handle(self, call: Call) -> Reply:
        """Reply from a recording; a miss is a 404 with a report."""
        redactor = _redactor(frozenset(secrets_of(call)))
        body = redactor.text(to_text(call.body)) if redactor.active else call.body
        query = tuple(parse_qsl(call.target.partition("?")[2], keep_blank_values=True))
        request = normalize_request(call.method, call.path, query, body_value(body))
        match = self._library.take(request)
        if match is None:
            report = self._library.miss_report(request, self._hint, self._line_of)
            report = redactor.text(report)
            return replace(error_reply(ErrorResponse(404, report, code="not_recorded")), by=report)
        cassette, number = match
        by = f"{cassette.name} recording {number + 1} of {len(cassette.recordings)}"
        reply = reply_of(match.recording, server=cassette.server, timed=self._is_timed, by=by)
        addresses = {
            name: local_address(local_target(reply.headers[name]), call)
            for name in ADDRESS_HEADERS & reply.headers.keys()
        }
        return replace(reply, headers={**reply.headers, **addresses})

    async def close(self) -> None:
        """Log what was not played."""
        if not self._is_closed:
            self._is_closed = True
            for line in self._library.unplayed():
                self._log(line)

    def _line_of(self, cassette: PlayedCassette, number: int) -> int | None:
        return line_of(self._paths[cassette.name], number)


def reply_of(recording: Recording, *, server: str = "", timed: bool = False, by: str = "") -> Reply:
    """Return the reply of a recording, cut where it was broken.

    With ``timed`` it has the recorded delays, else none.
    """
    recorded = {
        name.lower(): ", ".join(values) for name, values in recording.response_headers.items()
    }
    headers = forwarded_response_headers(recorded)
    if server:
        headers.setdefault("server", server)
    end: ConnectionEnd = "whole" if recording.broken is None else "cut"
    reply = Reply(recording.status, recording.body, headers=headers, end=end, by=by)
    if not is_event_stream(headers):
        return replace(reply, delay=(recording.elapsed_ms or 0.0) / 1000) if timed else reply
    if isinstance(recording.body, bytes):
        return replace(reply, live=_single_chunk(recording.body))
    pieces = split_frames(recording.body)
    return replace(reply, frames=pieces, gaps=_gaps(pieces, recording.event_ms) if timed else ())


def _gaps(pieces: Sequence[str], event_ms: Sequence[float]) -> list[float]:
    """Return the seconds to wait before each frame; only events have a recorded time."""
    times = iter(event_ms)
    gaps: list[float] = []
    last = 0.0
    for piece in pieces:
        is_event = any(frame.data and frame.data != DONE for frame in frames(piece))
        time = next(times, last) if is_event else last
        gaps.append(max(time - last, 0.0) / 1000)
        last = max(time, last)
    return gaps


async def _single_chunk(body: bytes) -> AsyncIterator[bytes]:
    yield body


@lru_cache(maxsize=64)  # compiling a redactor takes 0.4 ms, longer than the rest of a request
def _redactor(secrets: frozenset[str]) -> Redactor:
    return Redactor(sorted(secrets))


def _load(name: str, path: Path) -> PlayedCassette:
    cassette = load_cassette(path)
    assert cassette is not None  # the file was found a moment ago
    server, shared = cassette.metadata.get("server"), cassette.metadata.get("shared")
    return PlayedCassette(
        name,
        cassette.recordings,
        server=server if isinstance(server, str) else "",
        shared=shared if isinstance(shared, int) else 0,
    )


def _find_cassettes(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise UsageError(f"--cassettes {display_path(folder)}: no such folder or file")
    paths = [
        path
        for path in folder.rglob("*")
        if path.suffix in (".yaml", ".yml")
        and path.is_file()
        and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    ]
    if not paths:
        raise UsageError(
            f"--cassettes {display_path(folder)}: no cassettes (*.yaml) in this folder"
        )
    return sorted(paths, key=_recorded_order)


def _recorded_order(path: Path) -> tuple[str, ...]:
    """Sort ``name.yaml``, ``name.2.yaml``, …, ``name.10.yaml`` by number."""
    parts = str(path.with_suffix("")).split(".")
    if parts[-1].isdecimal():
        parts[-1] = f"{int(parts[-1]):09}"
    return tuple(parts)
