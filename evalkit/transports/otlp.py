"""Send telemetry to a collector: OTLP over HTTP, in JSON.

Source: the OpenTelemetry Protocol 1.9, section OTLP/HTTP.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx

from evalkit._lib.json import dumps
from evalkit._lib.text import shorten
from evalkit.errors import UsageError
from evalkit.transports.address import parse_collector
from evalkit.transports.httpx_errors import mapped_errors

_RETRYABLE = frozenset({429, 502, 503, 504})
_WAITS = (1.0, 2.0, 4.0)
_LONGEST_WAIT = 30.0
_TIMEOUT = 30.0


def send_otlp(
    endpoint: str,
    requests: Iterable[tuple[str, Mapping[str, Any]]],
    headers: Mapping[str, str],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Send requests (path below the endpoint, body); return what the collector rejected.

    A busy collector is asked again, four times in all. Raises UsageError where the address is
    invalid or the collector refuses, ConnectFailed and other transport errors where it is not
    reached.
    """
    address, rejected = parse_collector(endpoint), list[str]()
    host = shorten(address.host, 100)
    with mapped_errors(host), httpx.Client(timeout=_TIMEOUT, headers=dict(headers)) as client:
        for path, body in requests:
            response = _send(client, address.base + path, dumps(body), sleep)
            if not response.is_success:
                raise UsageError(
                    f"{host}{path}: the collector returned {response.status_code} "
                    f"{response.reason_phrase} (expected 200); is this its OTLP/HTTP address?"
                )
            rejected += _rejected(response)
    return rejected


def _send(
    client: httpx.Client, url: str, body: str, sleep: Callable[[float], None]
) -> httpx.Response:
    content_type = {"content-type": "application/json"}
    for wait in _WAITS:
        response = client.post(url, content=body.encode(), headers=content_type)
        if response.status_code not in _RETRYABLE:
            return response
        asked = response.headers.get("retry-after", "")
        sleep(min(float(asked), _LONGEST_WAIT) if asked.isdecimal() else wait)
    return client.post(url, content=body.encode(), headers=content_type)


def _rejected(response: httpx.Response) -> list[str]:
    """Return the message of a partial success: the collector took some records only."""
    try:
        partial = response.json().get("partialSuccess") or {}
    except (ValueError, AttributeError):
        return []
    message = partial.get("errorMessage") if isinstance(partial, dict) else None
    return [shorten(str(message), 200)] if message else []
