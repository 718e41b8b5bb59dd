"""What programs are run against: the script, a recording proxy in front of it, and the cassettes the proxy made, with nothing behind them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evalkit.server import create_app, serving
from evalkit.server.proxy.backend import open_proxy
from evalkit.server.replay.backend import CassetteBackend

SCRIPT, PROXY, CASSETTES = "script", "proxy", "cassettes"
BACKENDS = (SCRIPT, PROXY, CASSETTES)


@contextmanager
def script() -> Iterator[str]:
    """Serve the script that ships; the value is the base URL."""
    with serving() as url:
        yield url


@contextmanager
def proxy(upstream: str, folder: Path) -> Iterator[str]:
    """Serve a proxy that records into a folder; at the end its cassettes are there. Fails for whatever it had to say."""
    said: list[str] = []
    with serving(create_app(open_proxy(upstream, folder, log=said.append))) as url:
        yield url
    assert said == []


@contextmanager
def cassettes(folder: Path) -> Iterator[str]:
    """Serve a folder of cassettes. Fails for a recording that was not played."""
    said: list[str] = []
    with serving(create_app(CassetteBackend(folder, log=said.append))) as url:
        yield url
    assert said == []
