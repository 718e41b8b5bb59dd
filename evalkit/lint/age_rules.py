"""Topic ``age``: when a cassette was recorded, in which format, from which revision of the API.

The time is ``recorded`` of the metadata, else the newest ``Date`` of the responses. Without both
nothing is reported.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from evalkit._lib.text import show
from evalkit.cassette.recording import VERSION
from evalkit.lint.cassette_view import CassetteView
from evalkit.lint.rules import LintOptions, RuleFinding
from evalkit.protocol.wire_facts import API_REVISION

_DAYS_OF_A_YEAR = 365.0


def check_age(view: CassetteView, options: LintOptions) -> Iterator[RuleFinding]:
    """Yield findings about the time of recording and about versions."""
    recorded = _recorded(view)
    if recorded is not None:
        days = (options.now - recorded).total_seconds() / 86_400
        limit = _DAYS_OF_A_YEAR if options.max_age is None else options.max_age
        if days > limit:
            yield RuleFinding(
                "old" if options.max_age is None else "stale",
                f"recorded {recorded:%Y-%m-%d}, {days:,.0f} days ago",
                expected=f"at most {limit:g} days",
                got=round(days),
            )
    version = view.cassette.metadata.get("format")
    if version is not None and version != VERSION:
        yield RuleFinding(
            "format_other",
            f"written in format version {show(version, 30)}, this evalkit knows {VERSION}",
            part="metadata",
            pointer="/format",
            expected=VERSION,
            got=version,
        )
    yield from _check_revision(view)


def _check_revision(view: CassetteView) -> Iterator[RuleFinding]:
    """Yield another API revision: of the metadata, else of the first request header with one."""
    revision, exchange = view.cassette.metadata.get("api_revision"), None
    if revision is None:
        in_headers = (
            (value, number)
            for number, recording in enumerate(view.recordings, 1)
            for value in _header(recording.request_headers, "api-revision")[:1]
            if value != API_REVISION
        )
        revision, exchange = next(in_headers, (None, None))
    if revision is not None and revision != API_REVISION:
        yield RuleFinding(
            "revision_other",
            f"recorded from revision {show(revision, 30)} of the API; evalkit knows {API_REVISION}",
            exchange=exchange,
            part="metadata" if exchange is None else "request",
            pointer="/api_revision" if exchange is None else None,
            expected=API_REVISION,
            got=revision,
        )


def _recorded(view: CassetteView) -> datetime | None:
    recorded = view.cassette.metadata.get("recorded")
    if recorded is not None:
        return _parse(str(recorded), datetime.fromisoformat)
    times = [
        time
        for recording in view.recordings
        for value in _header(recording.response_headers, "date")
        if (time := _parse(value, parsedate_to_datetime)) is not None
    ]
    return max(times, default=None)


def _header(headers: dict[str, list[str]], name: str) -> list[str]:
    return [
        value for key, values in headers.items() if str(key).lower() == name for value in values
    ]


def _parse(text: str, parse: Callable[[str], datetime]) -> datetime | None:
    try:
        time = parse(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
