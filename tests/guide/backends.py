"""What programs are run against: the script, a recording proxy in front of it, and the cassettes the proxy made, with nothing behind them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from evalkit.server import serving

SCRIPT, PROXY, CASSETTES = "script", "proxy", "cassettes"
BACKENDS = (SCRIPT,)


@contextmanager
def script() -> Iterator[str]:
    """Serve the script that ships; the value is the base URL."""
    with serving() as url:
        yield url
