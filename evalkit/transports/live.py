"""Live: requests go to the endpoint through httpx. What a chunk, a time-out and a retry are is decided here, when to retry in ``retrying``.

A stream is read chunk by chunk: every event is handed to ``on_event`` when it has arrived, and its arrival is noted. Once a stream is
open it is never asked for again: if it breaks, the response says so and keeps what came. A plain answer that breaks off is asked for
again.

The key travels in a header that is put on at the last moment, so that it is in no local variable, representation, message or log.
TLS certificates are verified, redirects are not followed: the key goes to the configured host only.
"""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from evalkit._lib.text import plural
from evalkit.cassette.yaml_scalars import to_text
from evalkit.errors import ConnectFailed, Disconnected, TimedOut, TransportError
from evalkit.protocol.sse import DONE, Frame, SseParser
from evalkit.protocol.wire_facts import API_KEY_HEADER, API_REVISION, is_retryable
from evalkit.transcript import Request, Response
from evalkit.transports import retry
from evalkit.transports.address import check_key, parse_base_url
from evalkit.transports.conversion import body_text

if TYPE_CHECKING:
    import ssl

    import httpx

REQUEST_TIMEOUT = 300.0
CONNECT_TIMEOUT = 10.0


class LiveTransport:
    """Sends requests to ``base_url``.

    ``timeout`` is the time in seconds for everything this transport sends, from its first request on (a scenario's ``timeout``);
    ``request_timeout`` the time for one request with its retries; None is no limit. ``retries`` is how often a request is repeated.
    ``on_event`` is called with the data of each server-sent event as it arrives. ``client`` is an ``httpx.Client`` to share connections
    with other transports; it is not closed here. ``clock``, ``sleep``, ``random`` and ``now`` are time.monotonic, time.sleep,
    random.random and time.time unless a test says otherwise.

    Raises UsageError for a base URL or a key that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None,
        timeout: float | None = None,
        retries: int = retry.RETRIES,
        on_event: Callable[[str], None] | None = None,
        *,
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
        self._shared = client
        self._own: httpx.Client | None = None
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._now = now
        self._ends: float | None = None

    def __repr__(self) -> str:
        return f"LiveTransport({self._address.base!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be written: the key."""
        return (self._key,) if self._key else ()

    def uri(self, request: Request) -> str:
        """Return the URI a request is sent to."""
        return self._address.uri(request)

    def send(self, request: Request) -> Response:
        """Ask the endpoint, repeatedly where that may help. Raises ConnectFailed, TimedOut or Disconnected; an HTTP error is an answer."""
        ends = self._deadline()
        attempt = 0
        while True:
            response: Response | None = None
            failure: TransportError | None = None
            try:
                response = self._once(request, ends)
            except (ConnectFailed, Disconnected, TimedOut) as error:
                failure = error
            wait = self._wait(attempt, response, ends)
            if wait is None:
                break
            attempt += 1
            self._sleep(wait)
        if response is not None:
            return response
        assert failure is not None
        raise (
            type(failure)(f"{failure}, tried {plural(attempt + 1, 'time')}") if attempt else failure
        )

    def finish(self, held: bool) -> None:
        """Nothing is recorded here."""

    def close(self) -> None:
        """Close the connections this transport opened."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def _deadline(self) -> float:
        start = self._clock()
        if self._ends is None:
            self._ends = float("inf") if self._timeout is None else start + self._timeout
        if start >= self._ends:
            raise TimedOut(
                f"{self._address.host}: the {self._timeout:g} s for this scenario are used up"
            )
        return min(
            self._ends,
            float("inf") if self._request_timeout is None else start + self._request_timeout,
        )

    def _wait(self, attempt: int, response: Response | None, ends: float) -> float | None:
        if attempt >= self._retries or (response is not None and not is_retryable(response.status)):
            return None
        wait = retry.pause(
            attempt, response.headers if response is not None else {}, self._random, self._now
        )
        return wait if wait is not None and self._clock() + wait < ends else None

    def _once(self, request: Request, ends: float) -> Response:
        import httpx

        from evalkit.transports.httpx_errors import mapped_errors

        text = body_text(request)
        headers = {
            "accept": "text/event-stream" if request.streamed else "application/json",
            "api-revision": API_REVISION,
            "user-agent": "evalkit",
            **({} if text is None else {"content-type": "application/json"}),
        }
        began = self._clock()
        left = max(ends - began, 0.001) if ends != float("inf") else None
        limits = httpx.Timeout(left, connect=min(CONNECT_TIMEOUT, left or CONNECT_TIMEOUT))
        with (
            mapped_errors(self._address.host),
            self._client().stream(
                request.method,
                self.uri(request),
                content=None if text is None else text.encode(),
                headers=headers,
                timeout=limits,
                auth=self._sign,
                follow_redirects=False,
            ) as answer,
        ):
            response = Response(answer.status_code, dict(answer.headers), "")
            if answer.is_success and response.is_stream:
                self._stream(answer, response, began, ends)
            else:
                response.text = to_text(b"".join(self._chunks(answer, ends)))
            response.elapsed_ms = round((self._clock() - began) * 1000, 1)
            return response

    def _stream(
        self, answer: httpx.Response, response: Response, began: float, ends: float
    ) -> None:
        parser = SseParser()
        arrivals: list[float] = []
        chunks: list[bytes] = []

        def arrived(frames: list[Frame]) -> None:
            for frame in frames:
                if frame.data and frame.data != DONE:
                    arrivals.append(round((self._clock() - began) * 1000, 1))
                    self._on_event(frame.data)

        try:
            for chunk in self._chunks(answer, ends):
                chunks.append(chunk)
                arrived(parser.feed(chunk))
        except TransportError as error:
            response.broken = str(error)
        arrived(parser.close())
        response.text = to_text(b"".join(chunks))
        response.event_ms = tuple(arrivals)

    def _chunks(self, answer: httpx.Response, ends: float) -> Iterator[bytes]:
        from evalkit.transports.httpx_errors import mapped_errors

        with mapped_errors(self._address.host):
            for chunk in answer.iter_bytes():
                yield chunk
                if self._clock() >= ends:
                    raise TimedOut(f"{self._address.host}: the answer did not end within the time")

    def _client(self) -> httpx.Client:
        if self._shared is not None:
            return self._shared
        if self._own is None:
            import httpx

            self._own = httpx.Client(verify=_tls())
        return self._own

    def _sign(self, request: httpx.Request) -> httpx.Request:
        if self._key:
            request.headers[API_KEY_HEADER] = self._key
        return request


@cache
def _tls() -> ssl.SSLContext:
    """Return the one TLS context of the process: reading the machine's certificates takes longer than a local server's answer."""
    import httpx

    return httpx.create_ssl_context()
