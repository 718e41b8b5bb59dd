"""Running an application: in the foreground for people, in a thread for tests and recordings. uvicorn's names stay in here."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from evalkit.errors import Crashed, UsageError
from evalkit.server.app import create_app
from evalkit.server.default_script import load_script

LOOPBACK = "127.0.0.1"
_START_SECONDS, _STOP_SECONDS = 30, 10
_WHY = {
    errno.EADDRINUSE: "the port is in use; take another one with --port, or --port 0 for any free one",
    errno.EACCES: "this port may not be used; ports below 1024 belong to the system",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def serve(app: Starlette, host: str, port: int, *, ready: Callable[[str], None] = lambda url: None) -> None:
    """Serve until interrupted. ``port`` 0 picks a free one; ``ready`` gets the base URL once it listens. Raises UsageError."""
    with _listen(host, port) as listener:
        url = _url(host, listener.getsockname()[1])
        try:
            _Server(app, on_ready=lambda: ready(url)).run(sockets=[listener])
        except KeyboardInterrupt:
            return  # the server has shut down by then; the signal is only raised again


@contextmanager
def serving(app: Starlette | None = None, *, port: int = 0) -> Iterator[str]:
    """Serve in a thread, on loopback only; the value is the base URL. Ends with the block, open streams are cut.

    Without ``app`` it serves the script that ships; port 0 is any free one. Raises UsageError for a port that cannot be had.
    """
    app = app or create_app(load_script())
    with _listen(LOOPBACK, port) as listener:
        started = threading.Event()
        server = _Server(app, on_ready=started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="evalkit serve", daemon=True)
        thread.start()
        if not started.wait(_START_SECONDS):
            raise Crashed(f"the local server did not start within {_START_SECONDS} s")
        try:
            yield _url(LOOPBACK, listener.getsockname()[1])
        finally:
            server.cuts = server.should_exit = True
            thread.join(_STOP_SECONDS)


class _Server(uvicorn.Server):
    """uvicorn that says when it listens and logs nothing but its own errors: its access log would show keys given as ``?key=``."""

    def __init__(self, app: Starlette, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(app, log_level="error", access_log=False, server_header=False, lifespan="on", timeout_graceful_shutdown=2)
        )
        self._on_ready = on_ready
        self.cuts = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.cuts:  # instead of uvicorn's force_exit, which would leave the back end open
            for connection in list(self.server_state.connections):
                connection.transport.abort()
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise UsageError(f"cannot serve on {host!r}: {error.strerror}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        why = _WHY.get(error.errno or 0, error.strerror) if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot serve on {host}:{port}: {why}") from error
    return listener


def _url(host: str, port: int) -> str:
    name = {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - named, not bound
    return f"http://{name}:{port}"
