"""Recording: replays what cassette and journal can answer, sends the rest, and records it.

A response is on the disk before the conversation receives it, so a process that is killed later has
not lost it. Final HTTP errors are recorded too, because they happened. Transport errors are not:
they have no response.
"""

from collections.abc import Callable
from typing import Protocol

from evalkit.cassette.recorder import CassetteRecorder
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import recording_of, response_of
from evalkit.transports.replay import new_player, unplayed


class Endpoint(Protocol):
    """What is recorded: a live transport, with the URIs and secrets of its requests."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be written: the key and other secrets."""
        ...

    def uri(self, request: Request) -> str:
        """Return the URI a request is sent to."""
        ...

    def send(self, request: Request) -> Response:
        """Send a request and return the response."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class RecordTransport:
    """Records one cassette; ``live`` is called once, for the first request to send."""

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
        self._recorder.append(recording_of(request, self._endpoint.uri(request), response))
        return response

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
