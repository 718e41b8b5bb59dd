"""The tape that runs, and which requests it handles.

Clients are patched once per process, by the modules ``http_client_patch``, ``httpx_patch``,
``aiohttp_patch`` and ``socket_guard``; what they intercept is routed here. While no tape runs,
every request takes its usual way. All threads and tasks of the process share the running tape. A
thread that a replaying tape leaves behind belongs to it still: its requests are refused, because
nothing that a replay started may reach a server.
"""

import gzip
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from evalkit._lib.loopback import is_loopback_host
from evalkit.cassette.bodies import restyle_json, to_bytes
from evalkit.errors import CassetteMiss, UsageError
from evalkit.taping.http_wire import WireResponse, value_lists
from evalkit.taping.tape_session import TapeRequest, TapeSession

# The key of a recorded response whose body the client does not decompress.
_CODING, _ENCODING = "content_encoding", "content-encoding"
_COMPRESSED = ("gzip", "x-gzip", "deflate")
LOOPBACK = "loopback"
"""In a list of ignored hosts: this machine."""
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - a client that connects to it reaches this machine
_lock = threading.Lock()
_running_label = [""]
_running: list["RunningTape"] = []
_left_behind: WeakKeyDictionary[threading.Thread, "RunningTape"] = WeakKeyDictionary()


@contextmanager
def only_tape(label: str) -> Iterator[None]:
    """Keep other tapes of this process out while the block runs.

    Raises UsageError if one runs already.
    """
    if not _lock.acquire(blocking=False):
        raise UsageError(
            f"{label}: another tape is running in this process ({_running_label[0]}), and the "
            "threads of an application share one; end it first"
        )
    try:
        _running_label[0] = label
        yield
    finally:
        _lock.release()


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine."""
    return host in _ANY_ADDRESS or is_loopback_host(host)


class RunningTape:
    """A tape's session, and the hosts whose requests it leaves alone."""

    def __init__(self, session: TapeSession, ignored_hosts: Sequence[str]) -> None:
        self.session = session
        self.ignored_hosts = set(ignored_hosts)

    def ignores(self, host: str) -> bool:
        """Return whether requests to a host are neither recorded nor replayed."""
        ignored = self.ignored_hosts
        return host in ignored or (LOOPBACK in ignored and is_loopback(host))

    def replay(self, request: TapeRequest) -> WireResponse | None:
        """Return the recorded response; None if the request must be sent.

        Raises CassetteMiss where nothing is recorded.
        """
        recording = self.session.play(request)
        if recording is None:
            if not self.session.records:
                self.session.miss(request)
            return None
        headers = [
            (name, value) for name, values in recording.response_headers.items() for value in values
        ]
        text = recording.body
        if recording.json_style and isinstance(text, str):
            text = restyle_json(text, recording.json_style)
        body = text if isinstance(text, bytes) else to_bytes(text)
        coding = recording.extra.get(_CODING)
        if isinstance(coding, str):
            headers.append(("content-encoding", coding))
            is_zlib = coding.lower() == "deflate"
            body = zlib.compress(body) if is_zlib else gzip.compress(body, mtime=0)
        return WireResponse(recording.status, recording.reason, headers, body)

    def record(
        self,
        request: TapeRequest,
        response: WireResponse,
        started: float,
        *,
        is_decompressed_above: bool = True,
    ) -> None:
        """Write a response to disk; ``started`` is the monotonic time of the request.

        A client that leaves decompression to the application gets a compressed body in replay too.
        Several clients do not know ``x-gzip``, which is the same as ``gzip``.
        """
        coding = value_lists(response.headers).get(_ENCODING, [""])[0]
        if is_decompressed_above and coding.lower() != "x-gzip":
            coding = ""
        self.session.record(
            request,
            response.status,
            value_lists(response.headers),
            response.body,
            started,
            reason=response.reason,
            extra={_CODING: coding} if coding.lower() in _COMPRESSED else {},
        )

    def refuse_connection(self, host: str) -> None:
        """Raise CassetteMiss for a connection that no tape can answer."""
        self.session.fail(
            CassetteMiss(
                f"{self.session.plan.label}: a connection to {host!r} in replay (only requests of "
                "known HTTP clients are recorded); list the host in evalkit_ignore_hosts, or do "
                "without it"
            )
        )


@contextmanager
def run_tape(tape: RunningTape) -> Iterator[None]:
    """Route requests to a tape while the block runs. Call it only inside :func:`only_tape`."""
    before = set(threading.enumerate())
    _running.append(tape)
    try:
        yield
    finally:
        _running.remove(tape)
        if not tape.session.records:
            for thread in set(threading.enumerate()) - before:
                _left_behind[thread] = tape


def running_tape(host: str) -> RunningTape | None:
    """Return the tape that handles a request of this thread to a host; None without one."""
    tape = _running[-1] if _running else _left_behind.get(threading.current_thread())
    return None if tape is None or tape.ignores(host) else tape


def ignore_addresses(host: str, addresses: Sequence[str]) -> None:
    """Let the running tape ignore the addresses of a host that it ignores."""
    for tape in _running:
        if tape.ignores(host):
            tape.ignored_hosts.update(addresses)
