"""The live transport: sends requests with httpx, retries them, and reads streams.

A stream is read chunk by chunk: each event is passed to ``on_event`` and its time is noted when it
arrives. Once a stream is open it is never retried: if it breaks, the response has what arrived and
the reason. A plain response that breaks off is retried.

The key is set as a header at the last moment, so that it is not in any local variable, repr,
message or log. TLS certificates are verified and redirects are not followed: the key is sent to the
configured host only.
"""

import random as _random
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import cache

import httpx

from evalkit._lib.limits import TooLarge, exceeded, limits
from evalkit._lib.text import plural
from evalkit.cassette.bodies import to_text
from evalkit.cassette.content_codings import STREAMED_CODINGS, Inflater, codings_of, decompress_body
from evalkit.errors import (
    ConnectFailed,
    Disconnected,
    ResponseTooLarge,
    TimedOut,
    TransportError,
)
from evalkit.protocol.error_bodies import read_error
from evalkit.protocol.sse import DONE, Frame, SseParser
from evalkit.protocol.wire_facts import API_KEY_HEADER, API_REVISION, is_retryable
from evalkit.transcript import Request, Response
from evalkit.transports.address import check_key, parse_base_url
from evalkit.transports.bounded_network import ReadBudget, charge_budgets, reading_within
from evalkit.transports.conversion import body_text
from evalkit.transports.httpx_errors import mapped_errors

REQUEST_TIMEOUT = 300.0
CONNECT_TIMEOUT = 10.0


RETRIES = 4
LONGEST_WAIT = 60.0
_FIRST_WAIT, _MAX_WAIT, _JITTER = 0.5, 8.0, 0.25


class LiveTransport:
    """Sends requests to ``base_url``. Raises UsageError for an invalid base URL or key.

    ``timeout`` is the time limit in seconds for all requests of this transport together, from the
    first on (a scenario's ``timeout``); ``request_timeout`` that for one request with its retries;
    None means no limit. ``retries`` is how often a request is retried. ``on_event`` is called with
    the data of each server-sent event as it arrives, ``on_retry`` before each retry. ``client`` is
    an ``httpx.Client`` that shares connections with other transports; it is not closed here.
    ``clock``, ``sleep``, ``random`` and ``now`` are replaced by tests.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None,
        timeout: float | None = None,
        retries: int = RETRIES,
        on_event: Callable[[str], None] | None = None,
        *,
        on_retry: Callable[[], None] | None = None,
        request_timeout: float | None = REQUEST_TIMEOUT,
        client: httpx.Client | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = _random.random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.unplayed: list[str] = []
        self._address = parse_base_url(base_url)
        self._key = check_key(key)
        self._timeout = timeout
        self._request_timeout = request_timeout
        self._retries = retries
        self._on_event = on_event or (lambda data: None)
        self._on_retry = on_retry or (lambda: None)
        self._shared_client = client
        self._own_client: httpx.Client | None = None
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._now = now
        self._end: float | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be written: the key."""
        return (self._key,) if self._key else ()

    def uri(self, request: Request) -> str:
        """Return the URI a request is sent to."""
        return self._address.uri(request)

    def send(self, request: Request) -> Response:
        """Send a request, with retries; an HTTP error is a response.

        Raises ConnectFailed, TimedOut or Disconnected.
        """
        end = self._request_end()
        attempt = 0
        while True:
            outcome: Response | TransportError
            try:
                outcome = self._send_once(request, end)
            except (ConnectFailed, Disconnected, TimedOut) as error:
                outcome = error
            wait = self._retry_wait(attempt, outcome, end)
            if wait is None:
                break
            attempt += 1
            self._on_retry()
            self._sleep(wait)
        if isinstance(outcome, Response):
            return outcome
        if attempt:
            raise type(outcome)(f"{outcome}, tried {plural(attempt + 1, 'time')}")
        raise outcome

    def finish(self, completed: bool) -> None:
        """Do nothing; nothing is recorded."""

    def close(self) -> None:
        """Close the connections of this transport; may be called twice."""
        if self._own_client is not None:
            self._own_client.close()
            self._own_client = None

    def _request_end(self) -> float:
        start = self._clock()
        if self._end is None:
            self._end = float("inf") if self._timeout is None else start + self._timeout
        if start >= self._end:
            raise TimedOut(
                f"{self._address.host}: the {self._timeout:g} s for this scenario are used up"
            )
        return (
            self._end
            if self._request_timeout is None
            else min(self._end, start + self._request_timeout)
        )

    def _retry_wait(
        self, attempt: int, outcome: Response | TransportError, end: float
    ) -> float | None:
        response = outcome if isinstance(outcome, Response) else None
        is_final = response is not None and not is_retryable(response.status)
        if is_final or attempt >= self._retries:
            return None
        wait = retry_wait(attempt, response, self._random, self._now)
        return wait if wait is not None and self._clock() + wait < end else None

    def _send_once(self, request: Request, end: float) -> Response:
        text = body_text(request)
        headers = {
            "accept": "text/event-stream" if request.streamed else "application/json",
            "accept-encoding": "gzip, deflate",
            "api-revision": API_REVISION,
            "user-agent": "evalkit",
        }
        if text is not None:
            headers["content-type"] = "application/json"
        start = self._clock()
        seconds = max(end - start, 0.001) if end != float("inf") else None
        connect_seconds = min(CONNECT_TIMEOUT, seconds or CONNECT_TIMEOUT)
        budget = ReadBudget(self._address.host, end, self._clock)
        with (
            mapped_errors(self._address.host),
            reading_within(budget),
            self._client().stream(
                request.method,
                self.uri(request),
                content=None if text is None else text.encode(),
                headers=headers,
                timeout=httpx.Timeout(seconds, connect=connect_seconds),
                auth=self._add_key,
                follow_redirects=False,
            ) as received,
        ):
            budget.body_starts()
            response = Response(received.status_code, dict(received.headers), "")
            if received.is_success and response.is_stream:
                self._read_stream(received, response, start, end)
            else:
                response.text = self._decompressed(b"".join(self._chunks(received, end)), received)
            response.elapsed_ms = self._milliseconds_since(start)
            return response

    def _read_stream(
        self, received: httpx.Response, response: Response, start: float, end: float
    ) -> None:
        parser = SseParser()
        times: list[float] = []
        chunks: list[bytes] = []
        size = 0
        coding = received.headers.get("content-encoding", "identity").strip().lower()
        if coding not in STREAMED_CODINGS:
            raise Disconnected(f"{self._address.host}: the stream is compressed as {coding!r}")
        inflater = Inflater(coding)

        def note_events(frames: list[Frame]) -> None:
            for frame in frames:
                if frame.data and frame.data != DONE:
                    if len(times) == limits().events:
                        raise self._too_large("events", "the stream has too many events")
                    times.append(self._milliseconds_since(start))
                    self._on_event(frame.data)

        try:
            for chunk in self._chunks(received, end):
                for piece in inflater.feed(chunk):
                    size += len(piece)
                    self._check_size(size)
                    chunks.append(piece)
                    note_events(parser.feed(piece))
        except ResponseTooLarge:
            raise
        except TransportError as error:
            response.broken = str(error)
        except zlib.error:
            response.broken = f"{self._address.host}: the response cannot be decompressed"
        note_events(parser.close())
        response.text = to_text(b"".join(chunks))
        response.event_ms = tuple(times)

    def _chunks(self, received: httpx.Response, end: float) -> Iterator[bytes]:
        host = self._address.host
        size = 0
        with mapped_errors(host):
            for chunk in received.iter_raw():
                size += len(chunk)
                self._check_size(size)
                yield chunk
                if self._clock() >= end:
                    raise TimedOut(f"{host}: the response did not end within the time limit")

    def _check_size(self, size: int) -> None:
        if size > limits().response:
            raise self._too_large("response", "the response is too large")

    def _too_large(self, limit: str, what: str) -> ResponseTooLarge:
        return ResponseTooLarge(exceeded(limit, f"{self._address.host}: {what}"))

    def _decompressed(self, body: bytes, received: httpx.Response) -> str:
        coding = {"content-encoding": [received.headers.get("content-encoding", "")]}
        try:
            data = decompress_body(body, coding)
        except TooLarge as error:
            raise ResponseTooLarge(f"{self._address.host}: {error}") from None
        except ValueError as error:
            raise Disconnected(f"{self._address.host}: {error}") from None
        if data is body and body and set(codings_of(coding)) - {"identity", ""}:
            raise Disconnected(f"{self._address.host}: the response cannot be decompressed")
        return to_text(data)

    def _milliseconds_since(self, start: float) -> float:
        return round((self._clock() - start) * 1000, 1)

    def _client(self) -> httpx.Client:
        if self._shared_client is not None:
            return self._shared_client
        if self._own_client is None:
            self._own_client = httpx.Client(verify=_tls_context())
            charge_budgets(self._own_client)
        return self._own_client

    def _add_key(self, request: httpx.Request) -> httpx.Request:
        if self._key:
            request.headers[API_KEY_HEADER] = self._key
        return request


@cache  # loading the machine's certificates takes longer than a local server's response
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def retry_wait(
    attempt: int,
    response: Response | None,
    random: Callable[[], float],
    now: Callable[[], float],
) -> float | None:
    """Return the seconds to wait before a retry, None if the server asks for too long a wait.

    This is the policy of the SDKs (docs/protocol.md section 7). The wait doubles from half a second
    to eight, minus a random quarter, so that many clients spread. What the response asks for takes
    precedence; 0 means the usual wait. If a server asks for more than a minute, its response is
    final.

    ``attempt`` counts retries from 0. ``random`` returns a number in [0, 1), ``now`` the seconds
    since 1970.
    """
    requested = _requested_wait(response, now) if response is not None else None
    if requested is not None and requested > LONGEST_WAIT:
        return None
    if requested:
        return requested
    wait = min(_MAX_WAIT, _FIRST_WAIT * 2.0 ** min(attempt, 10))
    return wait * (1.0 - _JITTER * random())


def _requested_wait(response: Response, now: Callable[[], float]) -> float | None:
    """Return the wait that a response asks for, None if it does not.

    In this order: ``retry-after-ms``, ``Retry-After`` (seconds with fractions, or a date: RFC 9110,
    section 10.2.3), ``RetryInfo`` in the body (section 12).
    """
    milliseconds = _seconds(response.headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    retry_after = response.headers.get("retry-after", "")
    seconds = _seconds(retry_after)
    if seconds is None:
        with suppress(ValueError, OverflowError):
            seconds = max(0.0, parsedate_to_datetime(retry_after).timestamp() - now())
    return seconds or read_error(response.status, response.text).retry_delay


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
