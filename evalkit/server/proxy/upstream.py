"""The service behind a proxy: calls go out as they came in, answers come back as they are. httpx's names stay in here.

What is changed on the way: headers that belong to one connection; the host; ``accept-encoding``, so that answers come as they are to be read
and recorded; the key, where another one is configured. TLS certificates are verified, redirects are not followed. Nothing is asked twice,
repeating is the client's business; but for a kept connection that turns out to be closed when the next request goes out on it, which says
nothing about the service (RFC 9112, section 9.3.1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_plus, urlencode

from evalkit.errors import ConnectFailed, TimedOut, TransportError
from evalkit.protocol.wire_facts import API_KEY_HEADER, KEY_PARAMETERS
from evalkit.server.calls import Call
from evalkit.server.headers import end_to_end
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.transports.address import address, check_key

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 600.0
"""How long an upstream may send nothing at all before it counts as gone."""

KEEP_SECONDS = 2.0
"""How long an idle connection is kept: less than servers do."""

KEPT = 16
"""How many of them: httpcore's pool looks at all connections for each idle one, whenever a request starts or ends."""

_NOT_SENT = ("host", "content-length", "accept-encoding", "expect")
_STATUS = ((ConnectFailed, 502), (TimedOut, 504), (TransportError, 502))


@dataclass(slots=True)
class UpstreamResponse:
    """An answer whose body is still to come: status, headers (lower case), and the body's bytes as they arrive, unchanged.

    ``chunks`` raises TransportError where it breaks off. ``close`` lets go of the connection.
    """

    status: int
    headers: dict[str, str]
    response: httpx.Response
    host: str

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        from evalkit.transports.httpx_errors import mapped

        with mapped(self.host):
            async for chunk in self.response.aiter_raw():
                yield chunk

    async def close(self) -> None:
        """Let go of the connection."""
        await self.response.aclose()


class Upstream:
    """Sends calls to ``base_url``, whose path prefix is kept. ``key`` is sent instead of the client's. Raises UsageError for either."""

    def __init__(
        self, base_url: str, key: str | None = None, *, silence: float = SILENCE_SECONDS
    ) -> None:
        self._address = address(base_url)
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
        """Return the URI a call is sent to."""
        path, _, query = target_of(call).partition("?")
        if self._key:
            pairs = [
                pair
                for pair in query.split("&")
                if unquote_plus(pair.partition("=")[0]).lower() not in KEY_PARAMETERS
            ]
            query = "&".join(pairs)
        return self._address.base + path + (f"?{query}" if query else "")

    async def send(self, call: Call) -> UpstreamResponse:
        """Ask the upstream. Raises TransportError where no answer comes."""
        import httpx

        from evalkit.transports.httpx_errors import mapped

        if self._client is None:
            limits = httpx.Limits(
                max_connections=None, max_keepalive_connections=KEPT, keepalive_expiry=KEEP_SECONDS
            )
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(self._silence, connect=CONNECT_SECONDS, pool=None),
                limits=limits,
                follow_redirects=False,
            )
            self._client.headers.clear()
        headers = {
            name: value for name, value in end_to_end(call.headers).items() if name not in _NOT_SENT
        }
        headers["accept-encoding"] = "identity"
        if self._key:
            headers.pop("authorization", None)
            headers[API_KEY_HEADER] = self._key
        with mapped(self._address.host):
            response = await self._sent(self._client, call, headers)
        return UpstreamResponse(
            response.status_code,
            _joined(response.headers.multi_items()),
            response,
            self._address.host,
        )

    async def _sent(
        self, client: httpx.AsyncClient, call: Call, headers: dict[str, str]
    ) -> httpx.Response:
        import httpx

        while True:
            fresh = False

            async def trace(event: str, _: object) -> None:
                nonlocal fresh
                fresh = fresh or event.startswith("connection.connect")

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
                if fresh:
                    raise

    async def close(self) -> None:
        """Close the connections; twice is no error."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def target_of(call: Call) -> str:
    """Return path and query of a call, percent-encoded."""
    if call.target:
        return call.target
    return quote(call.path) + (f"?{urlencode(call.query)}" if call.query else "")


def refusal(error: TransportError) -> ErrorResponse:
    """Return what a client gets where no answer came: 502, or 504 where time ran out. Official SDKs ask again after either."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return ErrorResponse(status, f"upstream {error}", code="upstream_failed")


def _joined(items: Sequence[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in items:
        name = name.lower()
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
