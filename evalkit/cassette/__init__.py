"""Cassettes: vcrpy's format, reviewable and safe. Reading, matching, redacting, media, and recording that survives a crash."""

from evalkit.cassette.format import Cassette, Recording, parse, render
from evalkit.cassette.modes import RECORD_MODES, RecordMode
from evalkit.cassette.serializer import for_pytest_recording, vcr_serializer

__all__ = ["RECORD_MODES", "Cassette", "RecordMode", "Recording", "for_pytest_recording", "parse", "render", "vcr_serializer"]
