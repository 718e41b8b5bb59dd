"""The transport interface, and the transport that replays a cassette.

A transport serves one variant. Two of them share nothing, so variants that run in parallel threads
cannot mix. Test doubles are transports, never patches. Nothing imported here opens a socket.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from evalkit._lib.files import display_path
from evalkit.cassette.files import line_of
from evalkit.cassette.matching import Player
from evalkit.cassette.miss_report import (
    UnmatchedRequest,
    describe_recording,
    format_miss_report,
    miss_cause,
)
from evalkit.cassette.recording import Cassette, Recording
from evalkit.cassette.redaction import Redactor
from evalkit.errors import CassetteMiss
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import response_of


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
    # Start-up cost: most sessions have no miss.
    from evalkit.cassette.recorder import count_interrupted

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


def new_player(recordings: list[Recording], redactor: Redactor) -> Player:
    """Return a player that redacts requests as its recordings were redacted."""
    return Player(recordings, redactor)


def unplayed(player: Player) -> dict[int, str]:
    """Return descriptions of the recordings that were not played, by number."""
    return {
        number: describe_recording(player.recordings[number], number)
        for number in player.unplayed()
    }
