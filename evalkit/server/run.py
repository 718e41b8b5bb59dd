"""Runs the application under uvicorn: in the foreground, or in a thread for tests and recordings.

ASGI has no message for a connection that breaks, so uvicorn's protocol puts itself into the scope
of each request, under ``EXTENSION``. Other servers lack this extension: there, a reply that breaks
off is left unfinished, and the server ends it in its own way.
"""

import asyncio
import errno
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from evalkit._lib.json import dumps
from evalkit.errors import Crashed, UsageError
from evalkit.server.app import EXTENSION, create_app
from evalkit.server.calls import ConnectionEnd
from evalkit.server.requests.error_response import bad_request
from evalkit.server.scripting.script import load_script

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 2.0
"""How long open responses may continue after the signal to stop."""

_START_SECONDS, _STOP_SECONDS = 30, 30
_CUT_SECONDS = 2.0
_TICK = 0.01
_DRAIN_TICK = 0.001
_WARNING_INTERVAL = 10.0
# Longer than clients keep idle connections, so that no client meets a closed one.
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 4096
# Connections accepted in one turn of the loop. When the process is out of file descriptors, asyncio
# fails and retries as often.
_ACCEPTED_AT_ONCE = 64
_MAX_FILES, _FEW_FILES = 65_536, 4_096
_NO_LINGER = struct.pack("ii", 1, 0)
_LISTEN_ERRORS = {
    errno.EADDRINUSE: "the port is in use; choose another one with --port, or any free one with "
    "--port 0",
    errno.EACCES: "permission denied; ports below 1024 belong to the system",
    errno.EADDRNOTAVAIL: "this machine does not have this address",
}


def serve(
    app: Starlette,
    host: str,
    port: int,
    *,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGINT or SIGTERM. Raises UsageError.

    ``port`` 0 picks a free one; ``ready`` gets the base URL when the server listens. After the
    signal, open responses have ``GRACE_SECONDS`` to end; then they are cut.
    """
    with _listen(host, port) as listener:
        url = _url(host, listener.getsockname()[1])
        _Server(app, on_ready=lambda: ready(url), grace=GRACE_SECONDS).run(sockets=[listener])


@contextmanager
def serving(app: Starlette | None = None, *, port: int = 0) -> Iterator[str]:
    """Serve in a thread, on loopback only, until the block ends; the value is the base URL.

    Without ``app`` it serves the built-in script; port 0 is any free one. Open streams are cut at
    the end. Raises UsageError for a port that cannot be used.
    """
    app = app or create_app(load_script())
    with _listen(LOOPBACK, port) as listener:
        started = threading.Event()
        server = _Server(app, on_ready=started.set, grace=0)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="evalkit serve", daemon=True
        )
        thread.start()
        if not started.wait(_START_SECONDS):
            raise Crashed(f"the local server did not start within {_START_SECONDS} s")
        try:
            yield _url(LOOPBACK, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(_STOP_SECONDS)


class _Connection(H11Protocol):
    """A client's connection: cancels ``task`` when the client leaves, and can be broken off."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.task: asyncio.Task[None] | None = None
        self.lost = False
        application = self.app

        async def with_connection(scope: Any, receive: Any, send: Any) -> None:
            scope["extensions"] = {EXTENSION: self}
            await application(scope, receive, send)

        self.app = with_connection

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost = True
        if self.task is not None:
            self.task.cancel()

    async def break_off(self, end: ConnectionEnd) -> None:
        """Close the connection after what was sent, or reset it; return when it is gone."""
        self.task = None
        if end == "reset":
            while self.transport.get_write_buffer_size() and not self.lost:
                await asyncio.sleep(_DRAIN_TICK)
            underlying: socket.socket | None = self.transport.get_extra_info("socket")
            if underlying is not None:
                # With a linger time of 0, a socket closes with RST instead of FIN (socket(7)).
                underlying.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.transport.abort()
        else:
            self.transport.close()
        while not self.lost:
            await asyncio.sleep(_DRAIN_TICK)

    def send_400_response(self, msg: str) -> None:
        """Refuse invalid HTTP with an error in the API's shape."""
        body = dumps(bad_request(msg).body()).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            "content-type: application/json; charset=utf-8\r\n"
            "connection: close\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn that reports when it listens, logs only its own errors, and stops gracefully.

    It writes no access log, which would show keys in ``?key=``. After a signal it accepts no
    new connection, gives open responses ``grace`` seconds, cuts them, and closes the back end. A
    second signal ends the grace time.
    """

    def __init__(self, app: Starlette, on_ready: Callable[[], None], *, grace: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Connection,
                ws="none",
                log_level="error",
                access_log=False,
                server_header=False,
                lifespan="on",
                backlog=_ACCEPTED_AT_ONCE,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self._on_ready = on_ready
        self._grace = grace
        self._is_closing = False
        self._last_warning = -_WARNING_INTERVAL

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(self._on_loop_error)
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._is_closing = True
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        # Connections that are being accepted right now need a turn to become known.
        await asyncio.sleep(_TICK)
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        await self._wait_until(lambda: not state.tasks or self.force_exit, self._grace)
        for connection in list(state.connections):
            connection.transport.abort()
        await self._wait_until(lambda: not state.tasks and not state.connections, _CUT_SECONDS)
        await self.lifespan.shutdown()

    async def _wait_until(self, condition: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            await asyncio.sleep(_TICK)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM, without raising them again at the end as uvicorn does."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {
            number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self._is_closing and isinstance(error, (ValueError, OSError)):
            return  # asyncio retried a listener that is closed by now
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
            loop.default_exception_handler(context)
        elif time.monotonic() > self._last_warning + _WARNING_INTERVAL:
            # Without file descriptors the loop fails thousands of times a second.
            self._last_warning = time.monotonic()
            line = (
                "evalkit serve: too many open files for another connection; "
                f"run `ulimit -n {_MAX_FILES}` before starting"
            )
            print(line, file=sys.stderr)  # noqa: T201


def raise_file_limit(limit: int = _MAX_FILES) -> str:
    """Raise this process's limit of open files; return a warning if it stays low, else ""."""
    try:
        import resource  # Unix only
    except ImportError:
        return ""
    allowed, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return ""
    target = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    if allowed < target:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            allowed = target
    if allowed >= _FEW_FILES:
        return ""
    connections = max(allowed - 50, 0)
    return (
        f"only {allowed} open files are allowed, about {connections} connections at once; "
        f"run `ulimit -n {limit}` for more"
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = _LISTEN_ERRORS.get(error.errno or 0) or error.strerror
        raise UsageError(f"cannot serve on {host}:{port}: {reason}") from error


def _url(host: str, port: int) -> str:
    host = f"[{host}]" if ":" in host else host
    # A server on all interfaces is reached through the loopback address.
    host = {"0.0.0.0": LOOPBACK, "[::]": "[::1]"}.get(host, host)  # noqa: S104 - not bound here
    return f"http://{host}:{port}"
