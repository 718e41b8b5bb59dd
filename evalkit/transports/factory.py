"""The transport for a cassette by the session's record mode, see ``cassette.record_modes``."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from evalkit._lib.json import JSON
from evalkit.cassette.files import load_cassette
from evalkit.cassette.journal import remove_folded_journal
from evalkit.cassette.record_modes import DECISIONS, RecordMode, check_mode
from evalkit.cassette.redaction import Redactor
from evalkit.errors import UsageError
from evalkit.transports.cassette_transports import (
    Endpoint,
    ReplayTransport,
    Transport,
    cassette_miss,
)


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
        # Only recording resumes a journal, under its lock.
        cassette = load_cassette(path, media)
        if mode != "none":
            remove_folded_journal(path)
        if cassette is not None or mode == "none":
            return ReplayTransport(cassette, redactor, partial(miss, missing=cassette is None))
    if live is None:
        raise UsageError(f"{label}: record mode {mode!r} needs an endpoint to record from")
    # Start-up cost: a replay records nothing.
    from evalkit.cassette.recorder import CassetteRecorder
    from evalkit.transports.record_transport import RecordTransport

    recorder = CassetteRecorder(path, mode, metadata=metadata, redactor=redactor, media=media)
    if not recorder.decision.records:
        recorder.close()
        return ReplayTransport(recorder.old, redactor, partial(miss, missing=False))
    return RecordTransport(recorder, live)
