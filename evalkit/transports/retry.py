"""How long to wait before a retry: the policy of the SDKs (docs/protocol.md section 7). No clock.

Retried are requests without a response, and those with a retryable status. A stream that is open is
never retried, because the interaction may have been created. The wait doubles from half a second to
eight, minus a random quarter, so that many clients spread. ``retry-after-ms`` or ``Retry-After``
(seconds with fractions, or a date: RFC 9110, section 10.2.3) of a response take precedence; 0 means
the usual wait. If a server asks for more than a minute, its response is final.
"""

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

RETRIES = 4
LONGEST_WAIT = 60.0
_FIRST_WAIT, _MAX_WAIT, _JITTER = 0.5, 8.0, 0.25


def retry_wait(
    attempt: int, headers: Mapping[str, str], random: Callable[[], float], now: Callable[[], float]
) -> float | None:
    """Return the seconds to wait before a retry, None if the server asks for too long a wait.

    ``attempt`` counts retries from 0. ``headers`` are the response's, names in lower case, empty
    without a response; ``random`` returns a number in [0, 1), ``now`` the seconds since 1970.
    """
    requested = _requested_wait(headers, now)
    if requested is not None and requested > LONGEST_WAIT:
        return None
    if requested:
        return requested
    wait = min(_MAX_WAIT, _FIRST_WAIT * 2.0 ** min(attempt, 10))
    return wait * (1.0 - _JITTER * random())


def _requested_wait(headers: Mapping[str, str], now: Callable[[], float]) -> float | None:
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    retry_after = headers.get("retry-after", "")
    seconds = _seconds(retry_after)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now())
    except (ValueError, OverflowError):
        return None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
