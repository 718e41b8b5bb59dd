"""Headers and keys of calls that are passed on or played again: which headers stay at home, and what of a call is secret. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from evalkit.protocol.wire_facts import CREDENTIAL_HEADERS, KEY_PARAMETERS
from evalkit.server.calls import Call

# RFC 9110, section 7.6.1: these belong to one connection. The length goes with the body, the date is put on by the server that sends.
_CONNECTION = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
     "upgrade")
)  # fmt: skip
_OWN = {"content-length", "date"}
_SHORTEST_PART = 8


def end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that do not belong to one connection; names are lower case."""
    named = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    return {
        name: value
        for name, value in headers.items()
        if name not in _CONNECTION and name not in named
    }


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """Return an answer's headers as this server sends them: the end-to-end ones, but for those it sends by itself."""
    return {name: value for name, value in end_to_end(headers).items() if name not in _OWN}


def secrets_of(call: Call) -> Iterator[str]:
    """Yield what of a call must never be written: its keys, in headers and in the query."""
    for name in CREDENTIAL_HEADERS:
        value = call.headers.get(name, "")
        for part in {value, value.rpartition(" ")[2]}:
            if len(part) >= _SHORTEST_PART:
                yield part
    query = parse_qsl(call.target.partition("?")[2]) if call.target else call.query.items()
    yield from (value for name, value in query if name.lower() in KEY_PARAMETERS and value)
