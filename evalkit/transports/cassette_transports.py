"""The transport interface, and the transports that replay a cassette or record into one.

A transport serves one variant. Two of them share nothing, so variants that run in parallel threads
cannot mix. Test doubles are transports, never patches. Nothing imported here opens a socket. What a
record mode may do is a table in ``cassette.recorder``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from evalkit._lib.files import display_path
from evalkit._lib.json import JSON
from evalkit.cassette.bodies import to_text
from evalkit.cassette.files import line_of, load_cassette
from evalkit.cassette.matching import Player
from evalkit.cassette.miss_report import (
    UnmatchedRequest,
    describe_recording,
    format_miss_report,
    miss_cause,
)
from evalkit.cassette.recorder import (
    DECISIONS,
    CassetteRecorder,
    RecordMode,
    check_mode,
    count_interrupted,
)
from evalkit.cassette.recording import Cassette, Recording
from evalkit.cassette.redaction import Redactor
from evalkit.errors import CassetteMiss, UsageError
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import recording_of, response_of


class Transport(Protocol):
    """Sends or replays requests. After :meth:`close`, ``unplayed`` lists unused recordings."""

    unplayed: list[str]

    def send(self, request: Request) -> Response:
        """Return the response to a request; an HTTP error is a response.

        Raises CassetteMiss (not recorded), TransportError (no usable response), UsageError (cannot
        record, base URL) or SecretLeak.
        """

    def finish(self, completed: bool) -> None:
        """Note that the variant is over, and whether it ran to its end."""

    def close(self) -> None:
        """Release files and connections; may be called twice."""


class Endpoint(Protocol):
    """What is recorded: a live transport, with the URIs and secrets of its requests."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be written: the key and other secrets."""

    def uri(self, request: Request) -> str:
        """Return the URI a request is sent to."""

    def send(self, request: Request) -> Response:
        """Send a request and return the response."""

    def close(self) -> None:
        """Close the connections."""


def cassette_miss(
    player: Player,
    request: Request,
    *,
    missing: bool,
    path: Path,
    label: str,
    hint: str | Callable[[], str],
    redactor: Redactor,
) -> CassetteMiss:
    """Return the exception for a request; ``missing`` if the cassette file does not exist."""
    note = ""
    if missing and (count := count_interrupted(path)):
        note = (
            f"an interrupted recording is beside it, with {count} finished exchanges; "
            "recording continues from there"
        )
    unmatched = UnmatchedRequest(request.method, request.path, request.query, request.body)
    text = format_miss_report(
        player,
        unmatched,
        lambda number: line_of(path, number),
        label=label,
        name=display_path(path),
        hint=hint if isinstance(hint, str) else hint(),
        missing=missing,
        note=note,
    )
    cause = miss_cause(player, unmatched, missing=missing)
    return CassetteMiss(redactor.text(text), redactor.text(cause))


class ReplayTransport:
    """Replays one cassette; without a cassette every request is a miss."""

    def __init__(
        self,
        cassette: Cassette | None,
        redactor: Redactor,
        miss: Callable[[Player, Request], CassetteMiss],
    ) -> None:
        self.unplayed: list[str] = []
        self._player = new_player(cassette.recordings if cassette else [], redactor)
        self._miss = miss

    def send(self, request: Request) -> Response:
        """Return the recorded response. Raises CassetteMiss."""
        player = self._player
        number = player.take(request.method, request.path, request.query, request.body)
        if number is None:
            raise self._miss(player, request)
        return response_of(player.recordings[number], "replayed")

    def finish(self, completed: bool) -> None:
        """Do nothing; nothing is recorded."""

    def close(self) -> None:
        """List what was not played."""
        self.unplayed = list(unplayed(self._player).values())


class RedactingTransport:
    """Sends requests and returns responses without secrets, as a recording would have them.

    A message that quotes a part of a response could quote a part of a secret.
    """

    def __init__(self, endpoint: Transport, redactor: Redactor) -> None:
        self.unplayed: list[str] = []
        self._endpoint, self._redactor = endpoint, redactor

    def send(self, request: Request) -> Response:
        """Return the response, redacted. Raises what the endpoint raises, and SecretLeak."""
        response = self._endpoint.send(request)
        recording = recording_of(request, request.path, response)
        self._redactor = self._redactor.with_secrets_in(recording)
        stored, _ = self._redactor.recording(recording)
        return _as_stored(response, stored)

    def finish(self, completed: bool) -> None:
        """Do nothing; nothing is recorded."""

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()


class RecordTransport:
    """Replays what cassette and journal can answer, sends the rest, and records it.

    A response is on the disk before the conversation receives it, so a process that is killed later
    has not lost it. Final HTTP errors are recorded too, because they happened. Transport errors are
    not: they have no response. ``live`` is called once, for the first request to send.
    """

    def __init__(self, recorder: CassetteRecorder, live: Callable[[], Endpoint]) -> None:
        self.unplayed: list[str] = []
        self._recorder = recorder
        self._live = live
        self._endpoint: Endpoint | None = None
        self._player = new_player(recorder.replayable, recorder.redactor)
        # An unplayed exchange of a journal is dropped; it does not count as unplayed.
        old = recorder.old if recorder.decision.keeps_old else None
        self._old_count = len(old.recordings) if old else 0

    def send(self, request: Request) -> Response:
        """Return a response, recorded. Raises TransportError, UsageError or SecretLeak."""
        number = self._player.take(request.method, request.path, request.query, request.body)
        if number is not None:
            self._recorder.mark_played(number)
            return response_of(self._player.recordings[number], "replayed")
        if self._endpoint is None:
            self._endpoint = self._live()
            self._recorder.redactor = self._recorder.redactor.with_secrets(self._endpoint.secrets)
        response = self._endpoint.send(request)
        response.source = "recorded"
        if server := response.headers.get("server"):
            self._recorder.describe(server=server)
        stored = self._recorder.append(recording_of(request, self._endpoint.uri(request), response))
        return _as_stored(response, stored)

    def finish(self, completed: bool) -> None:
        """Write the cassette if the variant ran to its end. Raises UsageError or SecretLeak."""
        self._recorder.finish(completed)

    def close(self) -> None:
        """Close endpoint and cassette; without :meth:`finish` the journal stays."""
        descriptions = unplayed(self._player).items()
        self.unplayed = [text for number, text in descriptions if number < self._old_count]
        try:
            if self._endpoint is not None:
                self._endpoint.close()
        finally:
            self._recorder.close()


def open_transport(
    *,
    mode: RecordMode,
    path: Path,
    live: Callable[[], Endpoint] | None,
    metadata: Mapping[str, JSON],
    hint: str | Callable[[], str],
    secrets: Sequence[str] = (),
    label: str,
    patterns: Sequence[str] = (),
    media: Path | None = None,
) -> Transport:
    """Return the transport that replays or records the cassette ``path``.

    ``live`` creates the endpoint when the first response must be recorded; the endpoint is closed
    with the transport. ``hint`` is the command that records this variant again, or a function that
    returns it; ``label`` is its name in messages. ``secrets`` and ``patterns`` are redacted in
    everything that is written or compared. ``media`` is the folder of media files, by default
    ``_media`` two folders above the cassette.

    Raises UsageError (unknown mode, cannot record, another process records) or CassetteError (an
    invalid cassette, in every mode). A missing cassette is a CassetteMiss of the first request.
    """
    redactor = Redactor(secrets, patterns)
    miss = partial(cassette_miss, path=path, label=label, hint=hint, redactor=redactor)
    if mode != "none":
        check_mode(mode)
    if mode == "none" or not DECISIONS[mode, True, False].records:
        # Only recording looks for a journal, under its lock.
        cassette = load_cassette(path, media)
        if cassette is not None or mode == "none":
            return ReplayTransport(cassette, redactor, partial(miss, missing=cassette is None))
    if live is None:
        raise UsageError(f"{label}: record mode {mode!r} needs an endpoint to record from")
    recorder = CassetteRecorder(path, mode, metadata=metadata, redactor=redactor, media=media)
    if not recorder.decision.records:
        recorder.close()
        return ReplayTransport(recorder.old, redactor, partial(miss, missing=False))
    return RecordTransport(recorder, live)


def _as_stored(response: Response, stored: Recording) -> Response:
    """Return a response as its recording has it, so that a replay gives the same results."""
    return replace(response, text=to_text(stored.body), broken=stored.broken)


def new_player(recordings: list[Recording], redactor: Redactor) -> Player:
    """Return a player that redacts requests as its recordings were redacted."""
    return Player(recordings, redactor)


def unplayed(player: Player) -> dict[int, str]:
    """Return descriptions of the recordings that were not played, by number."""
    return {
        number: describe_recording(player.recordings[number], number)
        for number in player.unplayed()
    }
