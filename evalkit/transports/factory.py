"""The transport interface, and the choice of a variant's transport by its record mode.

A transport serves one variant. Two of them share nothing, so variants that run in parallel threads
cannot mix. Test doubles are transports, never patches. The record modes are a table in
``cassette.record_modes``.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from evalkit._lib.json import JSON
from evalkit.cassette.loader import load_cassette
from evalkit.cassette.record_modes import DECISIONS, RecordMode, check_mode
from evalkit.cassette.recorder import CassetteRecorder
from evalkit.cassette.redaction import Redactor
from evalkit.errors import UsageError
from evalkit.transcript import Request, Response
from evalkit.transports.record import Endpoint, RecordTransport
from evalkit.transports.replay import MissReporter, ReplayTransport


class Transport(Protocol):
    """Sends or replays requests. After :meth:`close`, ``unplayed`` lists unused recordings."""

    unplayed: list[str]

    def send(self, request: Request) -> Response:
        """Return the response to a request; an HTTP error is a response.

        Raises CassetteMiss (not recorded), TransportError (no usable response), UsageError (cannot
        record, base URL) or SecretLeak.
        """
        ...

    def finish(self, completed: bool) -> None:
        """Note that the variant is over, and whether it ran to its end."""
        ...

    def close(self) -> None:
        """Release files and connections; may be called twice."""
        ...


def open_transport(
    *,
    mode: RecordMode,
    path: Path,
    live: Callable[[], Endpoint] | None,
    metadata: Mapping[str, JSON],
    hint: Callable[[], str],
    secrets: Sequence[str] = (),
    label: str,
    patterns: Sequence[str] = (),
    media: Path | None = None,
) -> Transport:
    """Return the transport that replays or records the cassette ``path``.

    ``live`` creates the endpoint when the first response must be recorded; the endpoint is closed
    with the transport. ``hint`` returns the command that records this variant again, ``label`` is
    its name in messages. ``secrets`` and ``patterns`` are redacted in everything that is written or
    compared. ``media`` is the folder of media files, by default ``_media`` two folders above the
    cassette.

    Raises UsageError (unknown mode, cannot record, another process records) or CassetteError (an
    invalid cassette, in every mode). A missing cassette is a CassetteMiss of the first request.
    """
    redactor = Redactor(secrets, patterns)
    reporter = MissReporter(path, label, hint, redactor)
    if mode != "none":
        check_mode(mode)
    if mode == "none" or not DECISIONS[mode, True, False].records:
        # Only recording looks for a journal, under its lock.
        cassette = load_cassette(path, media)
        if cassette is not None or mode == "none":
            return ReplayTransport(cassette, redactor, reporter)
    if live is None:
        raise UsageError(f"{label}: record mode {mode!r} needs an endpoint to record from")
    recorder = CassetteRecorder(path, mode, metadata=metadata, redactor=redactor, media=media)
    if not recorder.decision.records:
        recorder.close()
        return ReplayTransport(recorder.old, redactor, reporter)
    return RecordTransport(recorder, live)
