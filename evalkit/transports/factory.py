"""Choosing the transport of a scenario: by the record mode, and by what lies on the disk (the table is ``cassette.record_modes``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit._lib.json import JSON
from evalkit.cassette.loader import load_cassette
from evalkit.cassette.record_modes import DECISIONS, RecordMode, check_mode
from evalkit.cassette.recording import Cassette
from evalkit.cassette.redaction import Redactor
from evalkit.errors import UsageError
from evalkit.transports.base import Transport
from evalkit.transports.replay import MissReporter, ReplayTransport

if TYPE_CHECKING:
    from evalkit.transports.record import Endpoint


_NOTHING_SECRET = Redactor()


def open_transport(
    *,
    mode: RecordMode,
    path: Path | str,
    live: Callable[[], Endpoint] | None,
    metadata: Mapping[str, JSON],
    hint: Callable[[], str],
    secrets: Sequence[str] = (),
    label: str,
    patterns: Sequence[str] = (),
    media: Path | None = None,
) -> Transport:
    """Return the transport that plays or records the cassette ``path``.

    ``live`` makes the endpoint, once, when an answer must be recorded; it is closed with the transport. ``hint`` gives the command
    that records this scenario again, ``label`` is its name in messages. ``secrets`` and ``patterns`` are redacted from whatever is written and
    compared. ``media`` is the folder of media files, by default ``_media`` two folders above the cassette.

    Raises UsageError (unknown mode, cannot record here, someone else is recording), CassetteError (a cassette that cannot be read, in every
    mode). A missing cassette is a CassetteMiss of the first request.
    """
    redactor = Redactor(secrets, patterns) if secrets or patterns else _NOTHING_SECRET
    misses = lambda: MissReporter(Path(path), label, hint(), redactor)  # noqa: E731 - made only when there is a miss
    # A journal is no matter to a run that only plays, so it is looked for only by one that records, under its lock.
    if mode == "none":
        return ReplayTransport(_recordings(load_cassette(path, media)), redactor, misses)
    check_mode(mode)
    if (
        not DECISIONS[mode, True, False].records
        and (cassette := load_cassette(path, media)) is not None
    ):
        return ReplayTransport(cassette.recordings, redactor, misses)
    if live is None:
        raise UsageError(f"{label}: record mode {mode!r} needs an endpoint to record from")

    from evalkit.cassette.recorder import CassetteRecorder
    from evalkit.transports.record import RecordTransport

    recorder = CassetteRecorder(Path(path), mode, metadata=metadata, redactor=redactor, media=media)
    if not recorder.decision.records:
        recorder.close()
        return ReplayTransport(_recordings(recorder.old), redactor, misses)
    return RecordTransport(recorder, live)


def _recordings(cassette: Cassette | None) -> list[Any] | None:
    return None if cassette is None else cassette.recordings
