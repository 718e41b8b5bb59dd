"""Transports: replay from a cassette, record into one, live. One per scenario; a conversation cannot tell which it talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.cassette.record_modes import RECORD_MODES, RecordMode
from evalkit.transports.base import Transport
from evalkit.transports.factory import open_transport

if TYPE_CHECKING:
    from evalkit.transports.live import LiveTransport

__all__ = ["RECORD_MODES", "LiveTransport", "RecordMode", "Transport", "open_transport"]


def __getattr__(name: str) -> Any:
    if name != "LiveTransport":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from evalkit.transports.live import (
        LiveTransport,
    )  # replay has no use for it, nor for what it imports

    return LiveTransport
