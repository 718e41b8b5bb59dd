"""The servers that programs run against: the script, a recording proxy, and its cassettes."""

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
    """Serve the included script; the value is the base URL."""
    with serving() as url:
        yield url


@contextmanager
def proxy(upstream: str, folder: Path) -> Iterator[str]:
    """Serve a proxy that records into a folder; fails if it logs a problem."""
    log: list[str] = []
    with serving(create_app(open_proxy(upstream, folder, log=log.append))) as url:
        yield url
    assert log == []


@contextmanager
def cassettes(folder: Path) -> Iterator[str]:
    """Serve a folder of cassettes; fails if a recording was not played."""
    log: list[str] = []
    with serving(create_app(CassetteBackend(folder, log=log.append))) as url:
        yield url
    assert log == []
