"""Intercept an application's HTTP traffic with vcrpy. Nothing else of vcrpy is used.

vcrpy patches httpx, httpx2, requests, urllib3, aiohttp, http.client and others while one of its
cassettes is in use, and asks the cassette what to do with each request. The cassette class below
passes these calls to a ``TapeSession`` (``Cassette.use`` works for any subclass). It overrides
public methods only; vcrpy's own files are never read or written.

vcrpy calls ``can_play_response_for`` first, then ``play_response``; or ``write_protected`` and
``filter_request`` before a failure; or ``append`` after a real response. It passes the same
request object each time. The first call takes the recording, so that two threads never take the
same one; the later calls look the request object up.

The patches are global to the process and two would mix, so only one tape runs at a time.
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
from evalkit.taping.tape_session import TapeRequest, TapeSession

LOOPBACK = "loopback"
"""In a list of ignored hosts: this machine."""
_LOOPBACK_HOSTS = ("localhost", "::1")
_lock = threading.Lock()
_running_label = [""]


@contextmanager
def only_tape(label: str) -> Iterator[None]:
    """Keep other tapes of this process out while the block runs.

    Raises UsageError if one runs already.
    """
    if not _lock.acquire(blocking=False):
        raise UsageError(
            f"{label}: another tape is running in this process ({_running_label[0]}), and vcrpy "
            "patches the whole process; end it first"
        )
    try:
        _running_label[0] = label
        yield
    finally:
        _lock.release()


@contextmanager
def patched_http(session: TapeSession, ignored_hosts: Sequence[str]) -> Iterator[None]:
    """Route the traffic of every HTTP library through a tape while the block runs.

    Call it only inside :func:`only_tape`.
    """
    logger = logging.getLogger("vcr")
    level = logger.level
    # Below this level vcrpy logs the URI of each request, which may contain a key.
    logger.setLevel(logging.WARNING)
    try:
        with _TapeCassette.use(
            path=str(session.plan.path), session=session, ignored_hosts=tuple(ignored_hosts)
        ):
            yield
    finally:
        logger.setLevel(level)


class _TapeCassette(Cassette):  # type: ignore[misc]
    def __init__(self, path: str, session: TapeSession, ignored_hosts: Sequence[str]) -> None:
        super().__init__(path=path, record_mode=RecordMode.NONE)
        self._session = session
        self._ignored_hosts = ignored_hosts
        self._recordings: WeakKeyDictionary[Any, Recording | None] = WeakKeyDictionary()
        self._start_times: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    @classmethod
    def load(cls, **kwargs: Any) -> _TapeCassette:
        return cls(**kwargs)

    @property
    def write_protected(self) -> bool:
        return not self._session.records

    def can_play_response_for(self, request: Any) -> bool:
        if self._is_ignored(request):
            return False
        if request not in self._recordings:
            self._recordings[request] = self._session.play(_tape_request(request))
            self._start_times[request] = time.monotonic()
        return self._recordings[request] is not None

    def play_response(self, request: Any) -> dict[str, Any]:
        recording = self._recordings.get(request)
        if recording is None:
            self._session.miss(_tape_request(request))
        return vcr_response(recording)

    def filter_request(self, request: Any) -> Any:
        if self._is_ignored(request):
            return None
        if self.write_protected:
            self._session.miss(_tape_request(request))
        return request

    def find_requests_with_most_matches(
        self, request: Any
    ) -> list[tuple[Any, list[str], list[Any]]]:
        return [(request, [], [])]

    def append(self, request: Any, response: Mapping[str, Any]) -> None:
        if self._is_ignored(request):
            return
        now = time.monotonic()
        body = response["body"].get("string") or b""
        headers = {
            str(name): [str(value) for value in ([values] if isinstance(values, str) else values)]
            for name, values in response["headers"].items()
        }
        self._session.record(
            _tape_request(request),
            status=response["status"]["code"],
            headers=headers,
            body=body.encode() if isinstance(body, str) else bytes(body),
            elapsed_ms=(now - self._start_times.get(request, now)) * 1000,
        )

    def _is_ignored(self, request: Any) -> bool:
        host = request.host or ""
        is_loopback = host in _LOOPBACK_HOSTS or host.startswith("127.")
        return host in self._ignored_hosts or (is_loopback and LOOPBACK in self._ignored_hosts)


def _tape_request(request: Any) -> TapeRequest:
    headers = {_text(name): _text(value) for name, value in request.headers.items()}
    return TapeRequest(str(request.method).upper(), str(request.uri), _body(request.body), headers)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _body(body: Any) -> str | bytes | None:
    if isinstance(body, dict | list):
        # aiohttp passes its ``json`` argument on.
        return request_text(body)
    if hasattr(body, "read"):
        body = body.read()
    if body is None or isinstance(body, str):
        return body or None
    try:
        is_buffer = isinstance(body, bytes | bytearray | memoryview)
        data = bytes(body) if is_buffer else b"".join(body)
    except TypeError:
        raise UsageError(
            f"a tape cannot record a request body of type {type(body).__name__}; "
            "send text, bytes or JSON"
        ) from None
    try:
        return data.decode() or None
    except UnicodeDecodeError:
        return data
