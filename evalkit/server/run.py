"""Running an application: in the foreground for people, in a thread for tests and recordings. uvicorn's names stay in here."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette

from evalkit.errors import Crashed, UsageError
from evalkit.server.app import create_app
from evalkit.server.connection import Connection
from evalkit.server.scripting.default_script import load_script

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 2.0
"""How long open answers may go on after the signal to stop."""

_START_SECONDS, _STOP_SECONDS = 30, 10
_CUT_SECONDS = 2.0
_TICK = 0.01
_TELL_AGAIN_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = (
    75  # longer than clients keep idle connections, so that none meets a closed one
)
_BACKLOG = 4096
_AT_ONCE = (
    64  # accepted in one turn of the loop; where files are short, asyncio tries as often in vain
)
_FILES, _FEW_FILES = 65_536, 4_096
_WHY = {
    errno.EADDRINUSE: "the port is in use; take another one with --port, or --port 0 for any free one",
    errno.EACCES: "this port may not be used; ports below 1024 belong to the system",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


def serve(
    app: Starlette,
    host: str,
    port: int,
    *,
    ready: Callable[[str], None] = lambda url: None,
    grace: float = GRACE_SECONDS,
) -> None:
    """Serve until SIGINT or SIGTERM. ``port`` 0 picks a free one; ``ready`` gets the base URL once it listens. Raises UsageError.

    What is being answered then has ``grace`` seconds to end; streams that are still open are cut.
    """
    with _listen(host, port) as listener:
        url = _url(host, listener.getsockname()[1])
        _Server(app, on_ready=lambda: ready(url), grace=grace).run(sockets=[listener])


@contextmanager
def serving(app: Starlette | None = None, *, port: int = 0) -> Iterator[str]:
    """Serve in a thread, on loopback only; the value is the base URL. Ends with the block, open streams are cut.

    Without ``app`` it serves the script that ships; port 0 is any free one. Raises UsageError for a port that cannot be had.
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


class _Server(uvicorn.Server):
    """uvicorn that says when it listens and logs nothing but its own errors: its access log would show keys given as ``?key=``.

    A signal ends it in order: no new connection, open answers have ``grace`` seconds to end and are cut then, the back end is closed; the
    process lives on. A second signal ends the grace.
    """

    def __init__(self, app: Starlette, on_ready: Callable[[], None], *, grace: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                log_level="error",
                access_log=False,
                server_header=False,
                lifespan="on",
                backlog=_AT_ONCE,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self._on_ready = on_ready
        self._problems = _LoopProblems()
        self._grace = grace

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(self._problems)
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._problems.closing = True
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        await asyncio.sleep(_TICK)  # connections that are just being accepted come to be known
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        await self._until(lambda: not state.tasks or self.force_exit, self._grace)
        for connection in list(state.connections):
            connection.transport.abort()
        await self._until(lambda: not state.tasks and not state.connections, _CUT_SECONDS)
        await self.lifespan.shutdown()

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            await asyncio.sleep(_TICK)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM; unlike uvicorn's own, without raising them again once all is closed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


class _LoopProblems:
    """What the event loop complains of. Of too few files it does so thousands of times a second, and tries again: one line is enough."""

    def __init__(self) -> None:
        self._told = -_TELL_AGAIN_SECONDS
        self.closing = False

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.closing and isinstance(error, (ValueError, OSError)):
            return  # it tried again on a listener that is closed by now
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)):
            loop.default_exception_handler(context)
        elif time.monotonic() > self._told + _TELL_AGAIN_SECONDS:
            self._told = time.monotonic()
            line = f"evalkit serve: no file is left for another connection; `ulimit -n {_FILES}` before starting allows more"
            print(line, file=sys.stderr)  # noqa: T201


def allow_connections(wanted: int = _FILES) -> str:
    """Let this process open as many files as it may, up to ``wanted``; return a line for people where that is few, else nothing."""
    try:
        import resource
    except ImportError:  # not a Unix
        return ""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = resource.RLIM_INFINITY
    if soft == infinite or soft >= wanted:
        return ""
    allowed = wanted if hard == infinite else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (ValueError, OSError):
        allowed = soft
    if allowed >= _FEW_FILES:
        return ""
    return f"only {allowed} files may be open here, so about {max(allowed - 50, 0)} connections at once; `ulimit -n {wanted}` allows more"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise UsageError(f"cannot serve on {host!r}: {error.strerror}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        why = (
            _WHY.get(error.errno or 0, error.strerror) if isinstance(error, OSError) else str(error)
        )
        raise UsageError(f"cannot serve on {host}:{port}: {why}") from error
    return listener


def _url(host: str, port: int) -> str:
    name = {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - named, not bound
    return f"http://{name}:{port}"
