"""What a tape does with one request: answer it from the cassette, keep what the endpoint answered, or say why neither can be.

It knows no HTTP library and patches nothing (``vcrpatch`` does, and asks here). The same parts as for suites do the work: ``Player`` matches,
``Recorder`` keeps the journal and writes the cassette, ``Redactor`` takes out keys, the miss report says what differs; so a cassette is the same,
whoever recorded it. Clients may ask from several threads.

Faults are remembered in ``faults``: an application or SDK may swallow what is raised into it, and the test must be told all the same.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from evalkit._lib.json import JSON
from evalkit.cassette.bodies import decompress_body
from evalkit.cassette.loader import load_cassette
from evalkit.cassette.matching import Player, body_value, route_of
from evalkit.cassette.record_modes import DECISIONS, RecordMode, check_mode
from evalkit.cassette.recorder import CassetteRecorder
from evalkit.cassette.recording import Cassette, Headers, Recording
from evalkit.cassette.redaction import SHORTEST, Redactor
from evalkit.cassette.yaml_scalars import to_text
from evalkit.conversation.reconstruct import TranscriptBuilder, is_interaction
from evalkit.errors import CassetteMiss, EvalkitError, UsageError
from evalkit.protocol.wire_facts import CREDENTIAL_HEADERS, KEY_PARAMETERS, SECRET_FIELDS
from evalkit.transcript import Request, Response, Source, Transcript
from evalkit.transports.conversion import recording_of
from evalkit.transports.replay import MissReporter, unplayed

_TOKENS = re.compile("|".join(SECRET_FIELDS))
_IN_JSON = re.compile(rf'"(?:{_TOKENS.pattern})"\s*:\s*"([^"\\]+)"')


@dataclass(frozen=True, slots=True)
class TapePlan:
    """What a tape is to do. ``label`` names it in messages, ``hint`` is the command that records it again.

    ``live``: ask the endpoint for everything, read and write no cassette. ``secrets`` and ``patterns`` are redacted beside the keys that
    requests carry. ``metadata`` goes into the cassette.
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
    """A request as a client makes it. ``body`` is text, or bytes that are no UTF-8; None where there is none."""

    method: str
    uri: str
    body: str | bytes | None
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Asked({self.method} {urlsplit(self.uri).path})"  # a key stands in the rest, and tracebacks may show locals

    @property
    def json(self) -> JSON:
        """The body as a JSON value, itself where it is none, None where there is none."""
        return body_value(self.body)


class TapedRecording(NamedTuple):
    """One recording of a tape, redacted, and whether it was played or recorded just now."""

    recording: Recording
    source: Source


def transcript_of(taped: Iterable[TapedRecording]) -> Transcript:
    """Return the one conversation of some recordings."""
    reader = TranscriptBuilder()
    for one in taped:
        reader.add(one.recording, source=one.source)
    return reader.transcript


class TapeSession:
    """One tape while it runs. ``taped`` is what was played and recorded so far, in order.

    Raises UsageError (unknown mode, someone else is recording), CassetteError (a cassette that cannot be read, in every mode).
    """

    def __init__(self, plan: TapePlan) -> None:
        self.plan = plan
        self.taped: list[TapedRecording] = []
        self.faults: list[EvalkitError] = []
        self.unplayed: list[str] = []
        self._lock = threading.RLock()
        self._redactor = Redactor(plan.secrets, plan.patterns)
        self._recorder: CassetteRecorder | None = None
        self._missing = False
        self._described = False
        self._kept = 0
        self._player = Player(self._open(), lambda text: self._redactor.text(text)[0])

    def _open(self) -> list[Recording]:
        plan = self.plan
        if plan.live:
            return []
        check_mode(plan.mode)
        if plan.mode != "none" and (
            DECISIONS[plan.mode, True, False].records or not plan.path.exists()
        ):
            recorder = CassetteRecorder(
                plan.path, plan.mode, metadata=plan.metadata, redactor=self._redactor
            )
            if recorder.decision.records:
                self._recorder = recorder
                self._kept = (
                    len(recorder.old.recordings) if recorder.old and recorder.decision.keeps else 0
                )
                return recorder.playable
            recorder.close()
        cassette: Cassette | None = load_cassette(plan.path)
        self._missing = cassette is None
        self._kept = len(cassette.recordings) if cassette else 0
        return cassette.recordings if cassette else []

    @property
    def records(self) -> bool:
        """Whether a request that the cassette does not hold goes to the endpoint."""
        return self.plan.live or self._recorder is not None

    def take(self, asked: TapeRequest) -> Recording | None:
        """Return the recording that answers a request, and count it as played; None if there is none."""
        with self._lock:
            self._stop()
            self._learn(_secrets_of(asked, ""))
            path, query = route_of(asked.uri)
            number = self._player.take(asked.method, path, query, asked.json)
            if number is None:
                return None
            if self._recorder is not None:
                self._recorder.played(number)
            recording = self._player.recordings[number]
            self.taped.append(TapedRecording(recording, "replayed"))
            return recording

    def miss(self, asked: TapeRequest) -> NoReturn:
        """Raise CassetteMiss for a request that is not in the cassette."""
        with self._lock:
            plan = self.plan
            path, query = route_of(asked.uri)
            misses = MissReporter(plan.path, plan.label, plan.hint, self._redactor)
            raise self._fault(
                misses.of(
                    self._player,
                    Request(asked.method, path, asked.json, query),
                    missing=self._missing,
                )
            )

    def keep(
        self, asked: TapeRequest, status: int, headers: Headers, body: bytes, elapsed_ms: float
    ) -> None:
        """Keep what the endpoint answered, on the disk before the application sees it.

        Raises SecretLeak, and UsageError where it cannot be written or read back; the tape then answers nothing more.
        """
        with self._lock:
            try:
                recording = self._recording(asked, status, headers, body, elapsed_ms)
                self._learn(
                    _secrets_of(asked, recording.body if isinstance(recording.body, str) else "")
                )
                if self._recorder is not None:
                    self._describe(asked, recording)
                    self._recorder.append(recording)
                self.taped.append(
                    TapedRecording(
                        self._redactor.recording(recording)[0],
                        "live" if self.plan.live else "recorded",
                    )
                )
            except EvalkitError as error:
                raise self._fault(error) from None

    def finish(self, held: bool) -> None:
        """Make the cassette of what was recorded, if all went well to the end. Raises UsageError or SecretLeak. Let go of it in any case."""
        with self._lock:
            try:
                if self._recorder is not None:
                    self._recorder.finish(held and not self.faults)
            finally:
                if self._recorder is not None:
                    self._recorder.close()
                left = zip(unplayed(self._player), self._player.unplayed(), strict=True)
                self.unplayed = [line for line, number in left if number < self._kept]

    def _recording(
        self, asked: TapeRequest, status: int, headers: Headers, body: bytes, elapsed_ms: float
    ) -> Recording:
        try:
            whole = decompress_body(body, headers)
        except ValueError as error:
            raise UsageError(
                f"{self.plan.label}: {asked.method} {urlsplit(asked.uri).path}: {error}"
            ) from None
        plain = {name.lower(): ", ".join(values) for name, values in headers.items()}
        response = Response(
            status, plain, whole if isinstance(whole, str) else to_text(whole), round(elapsed_ms, 1)
        )
        sent = asked.json
        if isinstance(sent, bytes) or sent is asked.body:
            recording = recording_of(Request(asked.method, asked.uri), asked.uri, response)
            kinds = {
                name.lower(): [value]
                for name, value in asked.headers.items()
                if name.lower() == "content-type"
            }
            return replace(recording, request_body=asked.body or "", request_headers=kinds)
        return recording_of(Request(asked.method, asked.uri, sent), asked.uri, response)

    def _describe(self, asked: TapeRequest, recording: Recording) -> None:
        assert self._recorder is not None
        if server := recording.response_headers.get("server"):
            self._recorder.describe(server=server[0])
        if self._described or not is_interaction(recording):
            return
        parts, body = urlsplit(asked.uri), asked.json
        model = (body.get("model") or body.get("agent")) if isinstance(body, dict) else None
        self._recorder.describe(
            endpoint=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            model=model if isinstance(model, str) else None,
        )
        self._described = True

    def _learn(self, secrets: Iterator[str]) -> None:
        fresh = [secret for secret in secrets if len(secret.strip()) >= SHORTEST]
        self._redactor = self._redactor.knowing(fresh)
        if self._recorder is not None:
            self._recorder.redactor = self._redactor

    def _stop(self) -> None:
        leak = next((fault for fault in self.faults if not isinstance(fault, CassetteMiss)), None)
        if leak is not None:
            raise leak

    def _fault(self, error: EvalkitError) -> EvalkitError:
        self.faults.append(error)
        return error


def _secrets_of(asked: TapeRequest, answer: str) -> Iterator[str]:
    """Yield what a request and its answer tell of keys: in headers and query, and the tokens of an authorization server."""
    for name, value in asked.headers.items():
        if name.lower() in CREDENTIAL_HEADERS:
            yield value.rpartition(" ")[2]
    for name, value in parse_qsl(urlsplit(asked.uri).query):
        if unquote(name).lower() in KEY_PARAMETERS:
            yield value
    for text in (asked.body, answer):
        if isinstance(text, str) and _TOKENS.search(text):
            yield from _IN_JSON.findall(text)
            yield from (value for name, value in parse_qsl(text) if _TOKENS.fullmatch(name))
