"""Replay or record the requests of a tape, one at a time.

This module depends on no HTTP library and patches nothing; ``running_tape`` calls it. The
parts that suites use do the work: ``Player`` matches, ``CassetteRecorder`` writes journal and
cassette, ``Redactor`` removes keys. So cassettes of tapes and of suites are alike. Clients may
call from several threads.

``faults`` stores what is raised into the application: an application or SDK may swallow it, and
the test must fail nevertheless.
"""

import os
import re
import threading
import time
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit

from evalkit._lib.json import JSON
from evalkit.cassette.bodies import to_text
from evalkit.cassette.content_codings import decompress_body
from evalkit.cassette.files import load_cassette
from evalkit.cassette.headers import body_headers
from evalkit.cassette.journal import remove_folded_journal
from evalkit.cassette.matching import Player, body_value, split_route
from evalkit.cassette.record_modes import DECISIONS, RecordMode, check_mode
from evalkit.cassette.recorder import CassetteRecorder
from evalkit.cassette.recording import Headers, Recording
from evalkit.cassette.redaction import Redactor
from evalkit.cassette.secret_fields import secrets_in, secrets_in_recording
from evalkit.conversation.reconstruct import is_interaction
from evalkit.errors import CassetteMiss, EvalkitError, ToolCrashed, UsageError
from evalkit.transcript import Request, Response, Source
from evalkit.transports.cassette_transports import cassette_miss, unplayed
from evalkit.transports.conversion import recording_of

_BOUNDARY = re.compile(r'multipart/.*?;\s*boundary="?([^";,\s]+)', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TapePlan:
    """What a tape reads and writes.

    ``label`` names the tape in messages, ``hint`` is the command that records it again. With
    ``live`` every request goes to the endpoint, without any cassette. ``secrets`` and
    ``patterns`` are redacted, like the keys in requests. ``metadata`` is for the cassette.
    """

    path: Path
    mode: RecordMode = "none"
    label: str = ""
    hint: str = ""
    live: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)
    patterns: tuple[str, ...] = ()
    metadata: Mapping[str, JSON] = field(default_factory=dict)


class TapeRequest(NamedTuple):
    """A request of a client, in the form in which it is matched and recorded.

    ``body`` is text, or bytes that are not UTF-8; None without a body. Names of headers are in
    lower case.
    """

    method: str
    uri: str
    body: str | bytes | None
    headers: Mapping[str, str]

    @classmethod
    def of(cls, method: str, uri: str, headers: Mapping[str, str], body: bytes) -> "TapeRequest":
        """Return a request whose body was read; the random boundary of a form becomes a fixed one.

        A compressed body is decompressed, because compressors write the time of day.
        """
        fields = {name.lower(): value for name, value in headers.items()}
        boundary = _BOUNDARY.match(fields.get("content-type", ""))
        if boundary is not None:
            fields["content-type"] = fields["content-type"].replace(boundary[1], "boundary")
            body = body.replace(boundary[1].encode(), b"boundary")
        coding = fields.get("content-encoding", "")
        data: str | bytes = body
        with suppress(ValueError):  # a coding that is not known, or more than the limit
            data = decompress_body(body, {"content-encoding": [coding]})
        try:
            text: str | bytes = data if isinstance(data, str) else data.decode()
        except UnicodeDecodeError:
            text = data
        return cls(method.upper(), uri, text or None, fields)

    def __repr__(self) -> str:
        # Tracebacks may show locals, and the rest of a request may contain a key.
        return f"TapeRequest({self.method} {self.path})"

    @property
    def path(self) -> str:
        """The path of the URI."""
        return urlsplit(self.uri).path

    @property
    def json(self) -> JSON:
        """The body as a JSON value; the body itself if it is not JSON; None without a body."""
        return body_value(self.body)


class TapedRecording(NamedTuple):
    """A redacted recording of a tape, whether it was replayed, recorded or live, and when.

    ``sent`` is the monotonic time of the request.
    """

    recording: Recording
    source: Source
    sent: float


class TapeSession:
    """One tape while it runs.

    ``recordings`` are those replayed and recorded so far, in the order in which their requests were
    sent. A cassette has the same order, so that equal requests that were sent at the same time get
    the same responses in replay.

    Raises UsageError (unknown mode, another process records the cassette) and CassetteError (a
    cassette that cannot be read, in every mode).
    """

    def __init__(self, plan: TapePlan) -> None:
        self.plan = plan
        self.recordings: list[TapedRecording] = []
        self.faults: list[EvalkitError] = []
        self.unplayed: list[str] = []
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._allowed: tuple[int, str] | None = None
        self._redactor = Redactor(plan.secrets, plan.patterns)
        self._recorder: CassetteRecorder | None = None
        self._sent: dict[int, float] = {}
        self._is_finished = False
        self._unanswered: dict[str, str] = {}
        self._is_missing = False
        self._is_described = False
        self._from_cassette = 0
        self._player = Player(self._open(), self._redactor)

    def _open(self) -> list[Recording]:
        plan = self.plan
        if plan.live:
            return []
        check_mode(plan.mode)
        if DECISIONS[plan.mode, True, False].records or (
            plan.mode != "none" and not plan.path.exists()
        ):
            recorder = CassetteRecorder(
                plan.path, plan.mode, metadata=plan.metadata, redactor=self._redactor
            )
            if recorder.decision.records:
                self._recorder = recorder
                if recorder.old is not None and recorder.decision.keeps_old:
                    self._from_cassette = len(recorder.old.recordings)
                return recorder.replayable
            recorder.close()
        elif plan.mode != "none":
            remove_folded_journal(plan.path)
        cassette = load_cassette(plan.path)
        if cassette is None:
            self._is_missing = True
            return []
        self._from_cassette = len(cassette.recordings)
        return cassette.recordings

    @property
    def records(self) -> bool:
        """Whether a request that is not in the cassette goes to the endpoint."""
        return self.plan.live or self._recorder is not None

    def play(self, request: TapeRequest) -> Recording | None:
        """Return the next recording for a request and count it as played; None without one.

        After a recording could not be written, raises the error again.
        """
        with self._lock:
            for fault in self.faults:
                if not isinstance(fault, CassetteMiss):
                    raise fault
            self._check_running(request)
            self._count(request)
            self._add_secrets(_secrets_in(request, None))
            path, query = split_route(request.uri)
            number = self._player.take(request.method, path, query, request.json)
            if number is None:
                if self._recorder is not None and os.getpid() != self._process:
                    # Its copy of the tape ends with it, so the recording would be lost.
                    self.fail(
                        UsageError(
                            f"{self.plan.label}: {request.method} {request.path} is sent by a "
                            "forked process (expected the process that started the tape); record "
                            "without worker processes"
                        )
                    )
                self._unanswered[_key(request)] = f"{request.method} {request.path}"
                return None
            if self._recorder is not None:
                self._recorder.mark_played(number)
            recording = self._player.recordings[number]
            self._add(recording, recording, "replayed", time.monotonic())
            return recording

    def _add(self, clean: Recording, stored: Recording, source: Source, sent: float) -> None:
        self._sent[id(stored)] = sent
        insort(self.recordings, TapedRecording(clean, source, sent), key=attrgetter("sent"))

    @contextmanager
    def at_most(self, requests: int, message: str) -> Iterator[None]:
        """Let the application send so many requests in the block; one more is a fault."""
        self._allowed = requests, message
        try:
            yield
        finally:
            self._allowed = None

    def _count(self, request: TapeRequest) -> None:
        if self._allowed is not None:
            remaining, message = self._allowed
            if not remaining:
                self.fail(ToolCrashed(f"{message}; the next is {request.method} {request.path}"))
            self._allowed = remaining - 1, message

    def miss(self, request: TapeRequest) -> NoReturn:
        """Raise CassetteMiss for a request that is not in the cassette."""
        with self._lock:
            plan = self.plan
            path, query = split_route(request.uri)
            error = cassette_miss(
                self._player,
                Request(request.method, path, request.json, query),
                missing=self._is_missing,
                path=plan.path,
                label=plan.label,
                hint=plan.hint,
                redactor=self._redactor,
            )
            self.fail(error)

    def fail(self, error: EvalkitError) -> NoReturn:
        """Raise an error into the application, and store it for the test."""
        self.faults.append(error)
        raise error

    def record(
        self,
        request: TapeRequest,
        status: int,
        headers: Headers,
        body: bytes,
        sent: float,
        *,
        reason: str = "",
        extra: Mapping[str, JSON] | None = None,
    ) -> None:
        """Write a response to disk, before the application receives it.

        ``sent`` is the monotonic time of the request.
        Raises SecretLeak, and UsageError where it cannot be written; the tape is unusable then.
        """
        with self._lock:
            self._check_running(request)
            self._unanswered.pop(_key(request), None)
            try:
                elapsed_ms = (time.monotonic() - sent) * 1000
                recording = stored = self._recording(request, status, headers, body, elapsed_ms)
                recording.reason = reason or recording.reason
                recording.extra = dict(extra or {})
                self._add_secrets(_secrets_in(request, recording))
                if self._recorder is not None:
                    self._describe(self._recorder, request, recording)
                    stored = self._recorder.append(recording)
            except EvalkitError as error:
                self.faults.append(error)
                raise
            clean, _ = self._redactor.recording(recording)
            self._add(clean, stored, "live" if self.plan.live else "recorded", sent)

    def _check_running(self, request: TapeRequest) -> None:
        if self._is_finished:
            message = f"a request after the end of its tape: {request.method} {request.path}"
            raise CassetteMiss(f"{self.plan.label}: {message}")

    def redact(self, text: str) -> str:
        """Replace secrets in a text, those of the requests so far too."""
        return self._redactor.text(text)

    @property
    def replaces_cassette(self) -> bool:
        """Whether the recording takes the place of an existing cassette."""
        recorder = self._recorder
        return recorder is not None and recorder.old is not None and not recorder.decision.keeps_old

    @property
    def unanswered(self) -> list[str]:
        """The requests that should be recorded, and whose response was not received."""
        return [] if self.plan.live else list(self._unanswered.values())

    def finish(self, complete: bool) -> None:
        """Write the cassette if everything went well, and release it in any case.

        Raises UsageError or SecretLeak.
        """
        with self._lock:
            self._is_finished = True
            try:
                if self._recorder is not None:
                    self._recorder.sort_new(self._sent)
                    self._recorder.finish(complete and not self.faults)
            finally:
                if self._recorder is not None:
                    self._recorder.close()
                lines = unplayed(self._player).items()
                self.unplayed = [line for number, line in lines if number < self._from_cassette]

    def _recording(
        self, request: TapeRequest, status: int, headers: Headers, body: bytes, elapsed_ms: float
    ) -> Recording:
        try:
            whole = decompress_body(body, headers)
        except ValueError as error:
            raise UsageError(
                f"{self.plan.label}: {request.method} {request.path}: {error}"
            ) from None
        response = Response(
            status,
            {},
            whole if isinstance(whole, str) else to_text(whole),
            elapsed_ms=round(elapsed_ms, 1),
        )
        value = request.json
        if value is not request.body and not isinstance(value, bytes):
            recording = recording_of(
                Request(request.method, request.uri, value), request.uri, response
            )
        else:
            recording = recording_of(Request(request.method, request.uri), request.uri, response)
            recording.request_body = request.body or ""
            recording.request_headers = {name: [text] for name, text in request.headers.items()}
        recording.response_headers = body_headers(request.method, headers)
        return recording

    def _describe(
        self, recorder: CassetteRecorder, request: TapeRequest, recording: Recording
    ) -> None:
        if server := recording.response_headers.get("server"):
            recorder.describe(server=server[0])
        if not self._is_described and is_interaction(recording):
            uri, body = urlsplit(request.uri), request.json
            model = (body.get("model") or body.get("agent")) if isinstance(body, dict) else None
            recorder.describe(
                endpoint=f"{uri.scheme}://{uri.netloc.rpartition('@')[2]}",
                model=model if isinstance(model, str) else None,
            )
            self._is_described = True

    def _add_secrets(self, secrets: Iterable[str]) -> None:
        self._redactor = self._player.redactor = self._redactor.with_secrets(secrets)
        if self._recorder is not None:
            self._recorder.redactor = self._redactor


def _key(request: TapeRequest) -> str:
    """Return what a retry has in common with a request; a host does not count in matching."""
    return repr((request.method, split_route(request.uri), request.body))


def _secrets_in(request: TapeRequest, recording: Recording | None) -> Iterator[str]:
    """Yield the secrets of a request and, if there is one, of its response."""
    yield from secrets_in(request.uri, request.headers.items(), request.body)
    if recording is not None:
        yield from secrets_in_recording(recording)
