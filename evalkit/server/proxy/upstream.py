"""The client of the service behind the proxy: forwards calls, and yields responses unchanged.

Changed on the way are: headers that belong to one connection; the host; ``accept-encoding``, so
that responses can be read and recorded; the key, if another one is configured. TLS certificates are
verified, redirects are not followed. Retries are up to the client, with one exception: a pooled
connection that turns out to be closed when a request is sent says nothing about the service (RFC
9112, section 9.3.1).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

import httpx

from evalkit.errors import TimedOut, TransportError
from evalkit.protocol.wire_facts import API_KEY_HEADER, KEY_PARAMETERS
from evalkit.server.calls import Call
from evalkit.server.headers import end_to_end
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.transports.address import check_key, parse_base_url
from evalkit.transports.httpx_errors import mapped_errors

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 600.0
"""How long an upstream may send nothing before it counts as gone."""

_KEEP_ALIVE_SECONDS = 2.0  # less than servers keep idle connections
_MAX_IDLE = 16  # few, because httpcore scans all connections for each request
_NOT_FORWARDED = ("host", "content-length", "accept-encoding", "expect")


@dataclass(slots=True)
class UpstreamResponse:
    """A response whose body still arrives; header names are in lower case."""

    status: int
    headers: dict[str, str]
    response: httpx.Response
    host: str

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they arrive. Raises TransportError where they break off."""
        with mapped_errors(self.host):
            async for chunk in self.response.aiter_raw():
                yield chunk

    async def close(self) -> None:
        """Close the response."""
        await self.response.aclose()


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
        self._client: httpx.AsyncClient | None = None

    @property
    def base(self) -> str:
        """The base URL."""
        return self._address.base

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be written: the key."""
        return (self._key,) if self._key else ()

    def uri(self, call: Call) -> str:
        """Return the URI a call is forwarded to."""
        path, _, query = call.target.partition("?")
        if self._key:
            query = "&".join(pair for pair in query.split("&") if not _is_key_parameter(pair))
        return self._address.base + path + (f"?{query}" if query else "")

    async def send(self, call: Call) -> UpstreamResponse:
        """Forward a call. Raises TransportError without a response."""
        if self._client is None:
            self._client = self._new_client()
        headers = {
            name: value
            for name, value in end_to_end(call.headers).items()
            if name not in _NOT_FORWARDED
        }
        headers["accept-encoding"] = "identity"
        if self._key:
            headers.pop("authorization", None)
            headers[API_KEY_HEADER] = self._key
        host = self._address.host
        with mapped_errors(host):
            response = await self._send(self._client, call, headers)
        return UpstreamResponse(response.status_code, dict(response.headers), response, host)

    async def close(self) -> None:
        """Close the connections; may be called twice."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _new_client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=_MAX_IDLE,
            keepalive_expiry=_KEEP_ALIVE_SECONDS,
        )
        client = httpx.AsyncClient(
            timeout=httpx.Timeout(self._silence, connect=CONNECT_SECONDS, pool=None),
            limits=limits,
            follow_redirects=False,
        )
        client.headers.clear()
        return client

    async def _send(
        self, client: httpx.AsyncClient, call: Call, headers: dict[str, str]
    ) -> httpx.Response:
        while True:
            events: list[str] = []

            async def trace(event: str, _: object, events: list[str] = events) -> None:
                events.append(event)

            request = client.build_request(
                call.method,
                self.uri(call),
                content=call.body or None,
                headers=headers,
                extensions={"trace": trace},
            )
            try:
                return await client.send(request, stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if any(event.startswith("connection.connect") for event in events):
                    raise  # not a pooled connection


def error_response(error: TransportError) -> ErrorResponse:
    """Return the client's error: 504 if time ran out, else 502. The official SDKs retry both."""
    status = 504 if isinstance(error, TimedOut) else 502
    return ErrorResponse(status, f"upstream {error}", code="upstream_failed")


def _is_key_parameter(pair: str) -> bool:
    return unquote_plus(pair.partition("=")[0]).lower() in KEY_PARAMETERS
