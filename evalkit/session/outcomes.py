"""The outcome of a variant, or of a test of an application: its result line and what it counts."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from evalkit._lib.text import visible
from evalkit.results import Tally, result_line, tally_of
from evalkit.results.media import extract_media, has_media
from evalkit.results.records import ResultLine
from evalkit.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantOutcome:
    """The outcome of a variant: verdict, failure text, result line, numbers for the totals.

    ``cassette`` is the cassette's path in the folder of cassettes, None in a live session.
    ``media`` are the files that the line names, by name. ``miss`` has the cause of the first
    request without a recording, and the report about it without its command.
    ``is_unreachable`` says that the endpoint could not be reached.
    """

    verdict: Verdict
    message: str
    line: str
    tally: Tally
    cassette: str | None
    media: Mapping[str, bytes] = field(default_factory=dict)
    miss: tuple[str, str] | None = None
    is_unreachable: bool = False


def rendered_outcome(record: ResultLine, redact: Callable[[str], str]) -> VariantOutcome:
    """Return a result as an outcome: its line without secrets, its media, its counts."""
    line = result_line(record, redact)
    media: dict[str, bytes] = {}
    if has_media(line):
        # Nested hundreds of levels, data stays in the line.
        with suppress(RecursionError):
            record = extract_media(record, lambda text: redact(text) == text, media, {})
            line = result_line(record, redact)
    counts = tally_of(record)
    counts["warned"] = [redact(visible(text)) for text in counts["warned"]]
    return VariantOutcome(
        verdict=Verdict(record["verdict"]),
        message=record["message"],
        line=line,
        tally=counts,
        cassette=record["cassette"],
        media=media,
    )
