"""The transport that records into a cassette, and one that redacts as a recording would."""

from collections.abc import Callable
from dataclasses import replace

from evalkit.cassette.bodies import to_text
from evalkit.cassette.recorder import CassetteRecorder
from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from evalkit.transcript import Request, Response
from evalkit.transports.cassette_transports import Endpoint, Transport, new_player, unplayed
from evalkit.transports.conversion import recording_of, response_of


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


def _as_stored(response: Response, stored: Recording) -> Response:
    """Return a response as its recording has it, so that a replay gives the same results."""
    return replace(response, text=to_text(stored.body), broken=stored.broken)
