"""The border to httpx: its exceptions become evalkit's here, and only here. Messages name host and cause, never headers or keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from evalkit._lib.text import shorten
from evalkit.errors import (
    ConnectFailed,
    Disconnected,
    EvalkitError,
    TimedOut,
    TransportError,
    UsageError,
)

# The first class that fits decides: subclasses stand before their bases.
_KINDS: tuple[tuple[type[Exception], type[EvalkitError], str], ...] = (
    (httpx.ConnectTimeout, ConnectFailed, "no connection within the time"),
    (httpx.PoolTimeout, ConnectFailed, "no free connection within the time"),
    (httpx.ConnectError, ConnectFailed, "cannot connect"),
    (httpx.ProxyError, ConnectFailed, "the proxy refused"),
    (httpx.TimeoutException, TimedOut, "no answer within the time"),
    (httpx.UnsupportedProtocol, UsageError, "the base URL cannot be used"),
    (httpx.InvalidURL, UsageError, "the base URL cannot be used"),
    (httpx.DecodingError, Disconnected, "the answer cannot be decompressed"),
    (httpx.TransportError, Disconnected, "the connection broke off"),
    (httpx.StreamError, Disconnected, "the answer cannot be read"),
    (httpx.HTTPError, TransportError, "the request failed"),
)


@contextmanager
def mapped_errors(where: str) -> Iterator[None]:
    """Raise evalkit's exception for one of httpx's; ``where`` is the host as messages show it."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise to_evalkit_error(error, where) from None


def to_evalkit_error(error: Exception, where: str) -> EvalkitError:
    """Return evalkit's exception for one of httpx's."""
    kind, words = next(
        (kind, words) for foreign, kind, words in _KINDS if isinstance(error, foreign)
    )
    detail = shorten(str(error), 160)
    return kind(f"{where}: {words}{f' ({detail})' if detail else ''}")
