"""Cassettes in vcrpy's format: reading, matching, redaction, media, crash-safe recording."""

from typing import TYPE_CHECKING, Any

from evalkit.cassette.record_modes import RECORD_MODES, RecordMode
from evalkit.cassette.recording import Cassette, Recording

if TYPE_CHECKING:
    from evalkit.cassette.format import parse, render
    from evalkit.cassette.serializer import for_pytest_recording, vcr_serializer

__all__ = [
    "RECORD_MODES",
    "Cassette",
    "RecordMode",
    "Recording",
    "for_pytest_recording",
    "parse",
    "render",
    "vcr_serializer",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Start-up cost: a replay writes no cassette.
    from evalkit.cassette import serializer

    return getattr(serializer, name)
