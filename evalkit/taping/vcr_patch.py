"""The border to vcrpy: its patching of HTTP libraries, and nothing else of it. Imported only when a tape starts to run.

vcrpy patches httpx, httpx2, requests, urllib3, aiohttp, http.client and others while a cassette of its is in use. What it does with a request it
asks its cassette; so a cassette class of our own (``vcr.cassette.Cassette.use`` makes a context of any subclass) puts the questions to a
``Taping``. Overridden are public methods only: ``load``, ``append``, ``can_play_response_for``, ``play_response``, ``filter_request``,
``find_requests_with_most_matches``, ``write_protected``. vcrpy's own file is never read or written.

vcrpy asks in this order: ``can_play_response_for``, then ``play_response``, or ``write_protected`` and ``filter_request`` before it gives up, or
after the real answer ``append``. Each with the same request object, which is how a question is known again: a recording is taken when it is first
asked for, so that two threads never take the same one.

vcrpy's patches are global to the process, and two of them at once would mix: only one tape runs at a time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from vcr.cassette import Cassette
from vcr.record_mode import RecordMode

from evalkit.cassette.bodies import request_text
from evalkit.cassette.recording import Recording
from evalkit.cassette.serializer import vcr_response
from evalkit.errors import UsageError
from evalkit.taping.recorder import TapeRequest, TapeSession

LOOPBACK = "loopback"
_LOOPBACK_HOSTS = ("localhost", "::1")
_ONE = threading.Lock()
_running: list[str] = []


@contextmanager
def only_one(label: str) -> Iterator[None]:
    """Keep other tapes of this process out while the block runs. Raises UsageError where one runs."""
    if not _ONE.acquire(blocking=False):
        raise UsageError(
            f"{label}: another tape is running in this process ({_running[0]}), and vcrpy patches the whole process; end it first"
        )
    try:
        _running[:] = [label]
        yield
    finally:
        _ONE.release()


@contextmanager
def patched(taping: TapeSession, ignored: Sequence[str]) -> Iterator[None]:
    """Route the traffic of every HTTP library through a tape while the block runs, but for the hosts ``ignored`` (``loopback``: this machine).

    Only inside :func:`only_one`.
    """
    logger = logging.getLogger("vcr")
    level = logger.level
    logger.setLevel(
        logging.WARNING
    )  # below, vcrpy logs the URI of each request, and a key may stand in it
    try:
        with _TapeCassette.use(path=str(taping.plan.path), taping=taping, ignored=tuple(ignored)):
            yield
    finally:
        logger.setLevel(level)


class _TapeCassette(Cassette):  # type: ignore[misc]
    def __init__(self, path: str, taping: TapeSession, ignored: Sequence[str]) -> None:
        super().__init__(path=path, record_mode=RecordMode.NONE)
        self._taping = taping
        self._ignored = ignored
        self._found: WeakKeyDictionary[Any, Recording | None] = WeakKeyDictionary()
        self._began: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    @classmethod
    def load(cls, **kwargs: Any) -> _TapeCassette:
        return cls(**kwargs)

    @property
    def write_protected(self) -> bool:
        return not self._taping.records

    def can_play_response_for(self, request: Any) -> bool:
        if self._passes(request):
            return False
        if request not in self._found:
            self._found[request] = self._taping.take(_asked(request))
            self._began[request] = time.monotonic()
        return self._found[request] is not None

    def play_response(self, request: Any) -> dict[str, Any]:
        recording = self._found.get(request)
        if recording is None:
            self._taping.miss(_asked(request))
        return vcr_response(recording)

    def filter_request(self, request: Any) -> Any:
        if self._passes(request):
            return None
        if self.write_protected:
            self._taping.miss(_asked(request))
        return request

    def find_requests_with_most_matches(
        self, request: Any
    ) -> list[tuple[Any, list[str], list[Any]]]:
        return [(request, [], [])]

    def append(self, request: Any, response: Mapping[str, Any]) -> None:
        if self._passes(request):
            return
        now = time.monotonic()
        elapsed = (now - self._began.get(request, now)) * 1000
        status, body = response["status"]["code"], response["body"].get("string") or b""
        headers = {
            str(name): [str(value) for value in ([values] if isinstance(values, str) else values)]
            for name, values in response["headers"].items()
        }
        self._taping.keep(
            _asked(request),
            status,
            headers,
            body.encode() if isinstance(body, str) else bytes(body),
            elapsed,
        )

    def _passes(self, request: Any) -> bool:
        host = request.host or ""
        return host in self._ignored or (
            LOOPBACK in self._ignored and (host in _LOOPBACK_HOSTS or host.startswith("127."))
        )


def _asked(request: Any) -> TapeRequest:
    headers = {_text(name): _text(value) for name, value in request.headers.items()}
    return TapeRequest(str(request.method), str(request.uri), _body(request.body), headers)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _body(body: Any) -> str | bytes | None:
    if body is None or isinstance(body, str):
        return body or None
    if isinstance(body, dict | list):  # aiohttp hands over what it was given as ``json``
        return request_text(body)
    if hasattr(body, "read"):
        body = body.read()
    try:
        data = (
            body.encode()
            if isinstance(body, str)
            else bytes(body)
            if isinstance(body, bytes | bytearray | memoryview)
            else b"".join(body)
        )
    except TypeError:
        raise UsageError(
            f"a request body of type {type(body).__name__} cannot be taped; send text, bytes or JSON"
        ) from None
    try:
        return data.decode() or None
    except UnicodeDecodeError:
        return data
