"""The client of the service behind the proxy: forwards calls, and yields responses unchanged.

Changed on the way are: headers that belong to one connection; the host; ``accept-encoding``, so
that responses can be read and recorded; the key, if another one is configured; addresses below the
base URL to which the service sends a client (uploads, redirects): they lead back through the proxy.
Nothing is ever sent to another address. TLS certificates are verified, redirects are not followed.
Retries are up to the client, with one exception: a pooled connection that turns out to be closed
when a request is sent says nothing about the service (RFC 9112, section 9.3.1).
"""

import time
from collections.abc import AsyncIterator, Mapping
from urllib.parse import unquote_plus

import httpx

from evalkit.errors import TimedOut, TransportError
from evalkit.protocol.wire_facts import (
    ADDRESS_HEADERS,
    API_KEY_HEADER,
    AUTH_PARAMETERS,
)
from evalkit.server.calls import Call, end_to_end, local_address
from evalkit.server.proxy.upstream_url import upstream_url
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.transports.address import check_key, parse_base_url
from evalkit.transports.bounded_network import ReadBudget, charge_budgets, reading_within
from evalkit.transports.httpx_errors import mapped_errors

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 600.0
"""How long an upstream may send nothing, or only part of its headers, until it counts as gone."""

_KEEP_ALIVE_SECONDS = 2.0  # less than servers keep idle connections
_MAX_IDLE = 16  # few, because httpcore scans all connections for each request
# With the last three rows some servers select another host, path or method than was requested.
_NOT_FORWARDED = frozenset(
    {
        "host",
        "content-length",
        "accept-encoding",
        "expect",
        *("forwarded", "x-forwarded-host", "x-forwarded-server", "x-host", "x-original-host"),
        *("x-forwarded-path", "x-forwarded-prefix", "x-original-url", "x-rewrite-url"),
        *("x-http-method", "x-http-method-override", "x-method-override"),
    }
)


class Upstream:
    """Forwards calls to ``base_url``, with ``key`` in place of the client's, if given.

    Raises UsageError for an invalid URL or key.
    """

    def __init__(
        self, base_url: str, key: str | None = None, *, silence: float = SILENCE_SECONDS
    ) -> None:
        self._address = parse_base_url(base_url)
        self._key = check_key(key)
        self._silence = silence
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(silence, connect=CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(
                max_connections=None,
                max_keepalive_connections=_MAX_IDLE,
                keepalive_expiry=_KEEP_ALIVE_SECONDS,
            ),
            follow_redirects=False,
        )
        self._client.headers.clear()
        charge_budgets(self._client)

    @property
    def base(self) -> str:
        """The base URL."""
        return self._address.base

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be written: the key."""
        return (self._key,) if self._key else ()

    def uri(self, call: Call) -> str:
        """Return the URI a call is forwarded to. Raises ErrorResponse (400)."""
        path, _, query = call.target.partition("?")
        if self._key:
            query = "&".join(
                pair
                for pair in query.split("&")
                if unquote_plus(pair.partition("=")[0]).lower() not in AUTH_PARAMETERS
            )
        return upstream_url(self._address.base, path, query)

    def led_back(self, headers: Mapping[str, str], call: Call) -> dict[str, str]:
        """Return response headers whose addresses lead through the proxy, as ``call`` reached it.

        These are the addresses below the base URL. Others are unchanged: the proxy forwards nothing
        to them.
        """
        changed = dict(headers)
        for name in ADDRESS_HEADERS & headers.keys():
            if headers[name].startswith(f"{self._address.base}/"):
                changed[name] = local_address(headers[name].removeprefix(self._address.base), call)
        return changed

    async def send(self, call: Call) -> httpx.Response:
        """Forward a call; the body still arrives.

        Raises TransportError without a response, ErrorResponse (400) for a path that is refused.
        """
        headers = {
            name: value
            for name, value in end_to_end(call.headers).items()
            if name not in _NOT_FORWARDED
        }
        headers["accept-encoding"] = "identity"
        if self._key:
            headers.pop("authorization", None)
            headers[API_KEY_HEADER] = self._key
        with mapped_errors(self._address.host):
            while True:
                events: list[str] = []
                try:
                    return await self._send_once(call, headers, events)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    if any(event.startswith("connection.connect") for event in events):
                        raise  # not a pooled connection

    async def close(self) -> None:
        """Close the connections; may be called twice."""
        await self._client.aclose()

    async def _send_once(
        self, call: Call, headers: dict[str, str], events: list[str]
    ) -> httpx.Response:
        async def trace(event: str, _: object) -> None:
            events.append(event)

        request = self._client.build_request(
            call.method,
            self.uri(call),
            content=call.body or None,
            headers=headers,
            extensions={"trace": trace},
        )
        # httpx's time limit holds for each read: headers may arrive byte by byte.
        budget = ReadBudget(self._address.host, time.monotonic() + self._silence)
        with reading_within(budget):
            response = await self._client.send(request, stream=True)
        budget.body_starts()
        return response


async def received_chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """Yield a body's bytes as they arrive. Raises TransportError where they break off."""
    with mapped_errors(response.url.netloc.decode()):
        async for chunk in response.aiter_raw():
            yield chunk


def error_response(error: TransportError) -> ErrorResponse:
    """Return the client's error: 504 if time ran out, else 502. The official SDKs retry both."""
    status = 504 if isinstance(error, TimedOut) else 502
    return ErrorResponse(status, f"upstream {error}", code="upstream_failed")
