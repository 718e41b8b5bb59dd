"""When to ask again, and after how long: the SDKs' own policy (protocol section 7). Pure; the clock is handed in.

Asked again: 408, 409, 429, every 5xx, and requests that got no answer. Not asked again: a stream that is open, whatever becomes of it,
since a create may have happened. The pause doubles from half a second to eight, less a random quarter so that many clients part; an
answer's ``retry-after-ms`` or ``Retry-After`` (seconds, fractions of them, or a date: RFC 9110, section 10.2.3) wins over that, 0 means
the pause. A server that asks for more than a minute is taken to say no: its answer is final.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

RETRIES = 4
LONGEST_WAIT = 60.0
_FIRST, _CAP, _JITTER = 0.5, 8.0, 0.25


def pause(
    attempt: int, headers: Mapping[str, str], random: Callable[[], float], now: Callable[[], float]
) -> float | None:
    """Return the seconds to wait before retry number ``attempt`` (from 0), None where the server asks for too long a wait.

    ``headers`` are the answer's, names in lower case, empty where none came; ``random`` gives [0, 1), ``now`` the time since 1970 in
    seconds.
    """
    asked = _asked(headers, now)
    if asked is not None and asked > LONGEST_WAIT:
        return None
    if asked:
        return asked
    return float(min(_CAP, _FIRST * 2.0 ** min(attempt, 10)) * (1.0 - _JITTER * random()))


def _asked(headers: Mapping[str, str], now: Callable[[], float]) -> float | None:
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if name in headers:
            seconds = _seconds(headers[name])
            if seconds is not None:
                return seconds * unit
            if name == "retry-after":
                return _until(headers[name], now)
    return None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _until(text: str, now: Callable[[], float]) -> float | None:
    from email.utils import (
        parsedate_to_datetime,
    )  # brings sockets with it, so not before a date must be read

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now())
    except (ValueError, OverflowError):
        return None
