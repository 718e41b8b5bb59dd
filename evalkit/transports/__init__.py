"""Transports: replay from a cassette, record into one, or live. Each serves one variant."""

from typing import TYPE_CHECKING, Any

from evalkit.cassette.record_modes import RECORD_MODES, RecordMode
from evalkit.transports.cassette_transports import Transport
from evalkit.transports.factory import open_transport

if TYPE_CHECKING:
    from evalkit.transports.live import LiveTransport

__all__ = ["RECORD_MODES", "LiveTransport", "RecordMode", "Transport", "open_transport"]


def __getattr__(name: str) -> Any:
    if name != "LiveTransport":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Replay needs neither this module nor httpx, which it imports.
    from evalkit.transports.live import LiveTransport

    return LiveTransport
