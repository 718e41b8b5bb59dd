"""Replay: answers come from a cassette and nowhere else. Nothing imported here knows a socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evalkit._lib.files import display_path
from evalkit.cassette.loader import line_of
from evalkit.cassette.matching import Player
from evalkit.cassette.recorder import count_interrupted
from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from evalkit.errors import CassetteMiss
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import response_of


class MissReporter:
    """Makes the miss reports of one scenario."""

    def __init__(self, path: Path, label: str, hint: str, redactor: Redactor) -> None:
        self._path = path
        self._label = label
        self._hint = hint
        self._redactor = redactor

    def of(self, player: Player, request: Request, *, missing: bool) -> CassetteMiss:
        """Return the exception for a request that ``player`` cannot answer; ``missing`` where there is no cassette file."""
        from evalkit.cassette import miss_report

        left = count_interrupted(self._path) if missing else 0
        note = (
            f"an interrupted recording is beside it, with {left} finished exchanges; recording goes on from there"
            if left
            else ""
        )
        place = miss_report.MissContext(
            self._label, display_path(self._path), self._hint, missing, note
        )
        text = miss_report.format_miss_report(
            player,
            place,
            request.method,
            request.path,
            request.query,
            request.body,
            lambda number: line_of(self._path, number),
        )
        return CassetteMiss(self._redactor.text(text)[0])


class ReplayTransport:
    """Plays the recordings of one cassette. ``recordings`` is None where there is no cassette: then every request is a miss."""

    def __init__(
        self,
        recordings: list[Recording] | None,
        redactor: Redactor,
        misses_of: Callable[[], MissReporter],
    ) -> None:
        self.unplayed: list[str] = []
        self._missing = recordings is None
        self._player = Player(recordings or (), _redact(redactor))
        self._misses_of = misses_of

    def send(self, request: Request) -> Response:
        """Answer from the cassette. Raises CassetteMiss."""
        player = self._player
        number = player.take(request.method, request.path, request.query, request.body)
        if number is None:
            raise self._misses_of().of(player, request, missing=self._missing)
        return response_of(player.recordings[number], "replayed")

    def finish(self, held: bool) -> None:
        """Nothing is recorded, so there is nothing to finish."""

    def close(self) -> None:
        """Tell what was not played."""
        self.unplayed = unplayed(self._player)


def unplayed(player: Player) -> list[str]:
    """Describe the recordings that were not played."""
    left = player.unplayed()
    if not left:
        return []
    from evalkit.cassette import miss_report

    return [miss_report.describe_recording(player.recordings[number], number) for number in left]


def _redact(redactor: Redactor) -> Callable[[str], str] | None:
    return (lambda text: redactor.text(text)[0]) if redactor.active else None
