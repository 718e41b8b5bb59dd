"""The only place where httpx's exceptions become evalkit's. Messages name host and cause only."""

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

# The first class that matches decides: subclasses are before their bases.
_ERRORS: tuple[tuple[type[Exception], type[EvalkitError], str], ...] = (
    (httpx.ConnectTimeout, ConnectFailed, "cannot connect within the time limit"),
    (httpx.PoolTimeout, ConnectFailed, "no connection became free within the time limit"),
    (httpx.ConnectError, ConnectFailed, "cannot connect"),
    (httpx.ProxyError, ConnectFailed, "the proxy refused the connection"),
    (httpx.TimeoutException, TimedOut, "no response within the time limit"),
    (httpx.UnsupportedProtocol, UsageError, "invalid base URL"),
    (httpx.InvalidURL, UsageError, "invalid base URL"),
    (httpx.DecodingError, Disconnected, "the response cannot be decompressed"),
    (httpx.TransportError, Disconnected, "the connection broke off"),
    (httpx.StreamError, Disconnected, "the response cannot be read"),
    (httpx.HTTPError, TransportError, "the request failed"),
)


@contextmanager
def mapped_errors(host: str) -> Iterator[None]:
    """Raise evalkit's exceptions in place of httpx's; ``host`` is its name in messages."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise to_evalkit_error(error, host) from None


def to_evalkit_error(error: Exception, host: str) -> EvalkitError:
    """Return evalkit's exception for one of httpx's."""
    kind, message = next(
        (kind, message) for foreign, kind, message in _ERRORS if isinstance(error, foreign)
    )
    detail = shorten(str(error), 160)
    return kind(f"{host}: {message}{f' ({detail})' if detail else ''}")
