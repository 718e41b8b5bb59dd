"""Replay: responses come from a cassette and nowhere else. Nothing imported here opens a socket."""

from collections.abc import Callable
from pathlib import Path

from evalkit._lib.files import display_path
from evalkit.cassette.loader import line_of
from evalkit.cassette.matching import Player
from evalkit.cassette.miss_report import (
    MissContext,
    UnmatchedRequest,
    describe_recording,
    format_miss_report,
)
from evalkit.cassette.recorder import count_interrupted
from evalkit.cassette.recording import Cassette, Recording
from evalkit.cassette.redaction import Redactor
from evalkit.errors import CassetteMiss
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import response_of


class MissReporter:
    """Builds the CassetteMiss of a request without a recording."""

    def __init__(self, path: Path, label: str, hint: Callable[[], str], redactor: Redactor) -> None:
        self._path = path
        self._label = label
        self._hint = hint
        self._redactor = redactor

    def miss(self, player: Player, request: Request, *, missing: bool) -> CassetteMiss:
        """Return the exception for a request; ``missing`` if the cassette file does not exist."""
        note = ""
        if missing and (count := count_interrupted(self._path)):
            note = (
                f"an interrupted recording is beside it, with {count} finished exchanges; "
                "recording continues from there"
            )
        text = format_miss_report(
            player,
            MissContext(
                label=self._label,
                name=display_path(self._path),
                hint=self._hint(),
                missing=missing,
                note=note,
            ),
            UnmatchedRequest(request.method, request.path, request.query, request.body),
            lambda number: line_of(self._path, number),
        )
        return CassetteMiss(self._redactor.text(text))


class ReplayTransport:
    """Replays one cassette; without a cassette every request is a miss."""

    def __init__(
        self, cassette: Cassette | None, redactor: Redactor, reporter: MissReporter
    ) -> None:
        self.unplayed: list[str] = []
        self._is_missing = cassette is None
        self._player = new_player(cassette.recordings if cassette else [], redactor)
        self._reporter = reporter

    def send(self, request: Request) -> Response:
        """Return the recorded response. Raises CassetteMiss."""
        player = self._player
        number = player.take(request.method, request.path, request.query, request.body)
        if number is None:
            raise self._reporter.miss(player, request, missing=self._is_missing)
        return response_of(player.recordings[number], "replayed")

    def finish(self, completed: bool) -> None:
        """Do nothing; nothing is recorded."""

    def close(self) -> None:
        """List what was not played."""
        self.unplayed = list(unplayed(self._player).values())


def new_player(recordings: list[Recording], redactor: Redactor) -> Player:
    """Return a player that redacts requests as its recordings were redacted."""
    redact = (lambda text: redactor.text(text)) if redactor.active else None
    return Player(recordings, redact)


def unplayed(player: Player) -> dict[int, str]:
    """Return descriptions of the recordings that were not played, by number."""
    return {
        number: describe_recording(player.recordings[number], number)
        for number in player.unplayed()
    }
