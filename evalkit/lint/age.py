"""Topic ``age``: when a cassette was recorded, by which version of the format, from which revision of the API.

The time is the metadata's ``recorded``, else the newest ``Date`` of the answers; with neither there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from evalkit._lib.text import show
from evalkit.cassette.format import VERSION
from evalkit.lint.findings import Found
from evalkit.lint.options import Options
from evalkit.lint.tape import Tape
from evalkit.protocol.wire_facts import API_REVISION

_YEAR = 365.0


def age(tape: Tape, options: Options) -> Iterator[Found]:
    """Yield what the time of recording and the versions ask to look at."""
    recorded = _recorded(tape)
    if recorded is not None:
        days = (options.now - recorded).total_seconds() / 86_400
        limit = _YEAR if options.max_age is None else options.max_age
        if days > limit:
            message = f"recorded {recorded:%Y-%m-%d}, {days:,.0f} days ago"
            yield Found(
                "old" if options.max_age is None else "stale",
                message,
                None,
                expected=f"at most {limit:g} days",
                got=round(days),
            )
    metadata = tape.cassette.metadata
    version = metadata.get("format")
    if version is not None and version != VERSION:
        message = (
            f"written by version {show(version, 30)} of the format, this evalkit knows {VERSION}"
        )
        yield Found("format_other", message, None, "metadata", "/format", VERSION, version)
    for revision, number in _revisions(tape):
        message = f"recorded from revision {show(revision, 30)} of the API, what is known here is {API_REVISION}"
        part, pointer = ("metadata", "/api_revision") if number is None else ("request", None)
        yield Found("revision_other", message, number, part, pointer, API_REVISION, revision)


def _revisions(tape: Tape) -> Iterator[tuple[object, int | None]]:
    """Yield the other revision that was asked for, with its recording: by the metadata, else by the first header that names one."""
    told = tape.cassette.metadata.get("api_revision")
    if told is not None:
        if told != API_REVISION:
            yield told, None
        return
    for number, recording in enumerate(tape.recordings, 1):
        for name, values in recording.request_headers.items():
            if str(name).lower() == "api-revision" and values and values[0] != API_REVISION:
                yield values[0], number
                return


def _recorded(tape: Tape) -> datetime | None:
    told = tape.cassette.metadata.get("recorded")
    if told is not None:
        return _iso(told)
    times = []
    for recording in tape.recordings:
        for name, values in recording.response_headers.items():
            if str(name).lower() == "date":
                times += [time for time in map(_http, values) if time is not None]
    return max(times, default=None)


def _iso(text: object) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(str(text)))
    except (ValueError, OverflowError):
        return None


def _http(text: str) -> datetime | None:
    try:
        return _aware(parsedate_to_datetime(text))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
