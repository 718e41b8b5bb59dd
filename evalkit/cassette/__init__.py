"""Cassettes: vcrpy's format, reviewable and safe. Reading, matching, redacting, media, and recording that survives a crash."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.cassette.format import Cassette, Recording, parse, render
    from evalkit.cassette.record_modes import RECORD_MODES, RecordMode
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

_HOMES = {
    "format": ("Cassette", "Recording", "parse", "render"),
    "record_modes": ("RECORD_MODES", "RecordMode"),
    "serializer": ("for_pytest_recording", "vcr_serializer"),
}


def __getattr__(name: str) -> Any:
    # Replay has no use for most of this room, nor for what it imports.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
