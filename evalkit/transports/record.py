"""Recording: what the cassette or the journal can answer is played, everything else goes to the endpoint and is kept.

An answer is on the disk before the conversation sees it, so a process killed later has not lost it. Final HTTP errors are recorded too:
they are what happened. A transport error is not: there is no answer to keep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from evalkit.cassette.matching import Player
from evalkit.cassette.recorder import CassetteRecorder
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import recording_of, response_of
from evalkit.transports.replay import unplayed


class Endpoint(Protocol):
    """What is recorded from: a live transport that tells where a request goes, and what must never be written."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The key, and whatever else of the endpoint is secret."""
        ...

    def uri(self, request: Request) -> str:
        """Return the URI a request is sent to."""
        ...

    def send(self, request: Request) -> Response:
        """Ask the endpoint."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class RecordTransport:
    """Records one cassette. ``live`` is called when the first answer is needed that nothing holds; what it returns is closed at the end."""

    def __init__(self, recorder: CassetteRecorder, live: Callable[[], Endpoint]) -> None:
        self.unplayed: list[str] = []
        self._recorder = recorder
        self._live = live
        self._endpoint: Endpoint | None = None
        redactor = recorder.redactor
        self._player = Player(
            recorder.playable, (lambda text: redactor.text(text)[0]) if redactor.active else None
        )
        # Of a journal, what is not played is not kept; so only the old cassette's recordings can be left unplayed.
        self._kept = len(recorder.old.recordings) if recorder.old and recorder.decision.keeps else 0

    def send(self, request: Request) -> Response:
        """Answer a request and keep the answer. Raises TransportError, UsageError or SecretLeak."""
        number = self._player.take(request.method, request.path, request.query, request.body)
        if number is not None:
            self._recorder.played(number)
            return response_of(self._player.recordings[number], "replayed")
        if self._endpoint is None:
            self._endpoint = self._live()
            self._recorder.redactor = self._recorder.redactor.knowing(self._endpoint.secrets)
        response = self._endpoint.send(request)
        response.source = "recorded"
        if server := response.headers.get("server"):
            self._recorder.describe(server=server)
        self._recorder.append(recording_of(request, self._endpoint.uri(request), response))
        return response

    def finish(self, held: bool) -> None:
        """Make the cassette of what was recorded, if the scenario was held to its end. Raises UsageError or SecretLeak."""
        self._recorder.finish(held)

    def close(self) -> None:
        """Close the endpoint and let go of the cassette; without :meth:`finish` the journal stays."""
        self.unplayed = [
            line
            for line, number in zip(unplayed(self._player), self._player.unplayed(), strict=True)
            if number < self._kept
        ]
        try:
            if self._endpoint is not None:
                self._endpoint.close()
        finally:
            self._recorder.close()
