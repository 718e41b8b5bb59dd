"""Cassettes in vcrpy's format: reading, matching, redaction, media, crash-safe recording."""

from evalkit.cassette.format import parse, render
from evalkit.cassette.recorder import RECORD_MODES, RecordMode
from evalkit.cassette.recording import Cassette, Recording
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
