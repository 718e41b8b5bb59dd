"""Headers and secrets of calls that are forwarded or replayed. No IO."""

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from evalkit.protocol.wire_facts import CREDENTIAL_HEADERS, KEY_PARAMETERS
from evalkit.server.calls import Call

# RFC 9110, section 7.6.1.
_CONNECTION_HEADERS = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_SENT_BY_SERVER = {"content-length", "date"}
_SHORTEST_SECRET = 8


def end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that do not belong to one connection; names are in lower case."""
    listed = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    excluded = _CONNECTION_HEADERS | listed
    return {name: value for name, value in headers.items() if name not in excluded}


def forwarded_response_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return a response's headers as this server forwards them."""
    forwarded = end_to_end(headers)
    return {name: value for name, value in forwarded.items() if name not in _SENT_BY_SERVER}


def secrets_of(call: Call) -> Iterator[str]:
    """Yield what must never be written of a call: keys in its headers and in its query."""
    for name in CREDENTIAL_HEADERS & call.headers.keys():
        value = call.headers[name]
        # The value of an authorization header is "Bearer <token>"; the token alone is secret too.
        for secret in {value, value.rpartition(" ")[2]}:
            if len(secret) >= _SHORTEST_SECRET:
                yield secret
    for name, value in parse_qsl(call.target.partition("?")[2]):
        if name.lower() in KEY_PARAMETERS:
            yield value
