"""What a session with suites prints at its end: counts, recording, what is unused, what to do."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit._lib.files import display_path
from evalkit._lib.text import plural, visible
from evalkit.pytest_plugin.state import SessionState

_LISTED = 5
SummaryLine = tuple[str, dict[str, bool]]
"""A text, and pytest's markup of it."""


def summary_lines(state: SessionState, start: Path) -> Iterator[SummaryLine]:
    """Yield what is printed below the title; ``start`` is the folder that paths are relative to."""
    stop = [(text, {"yellow": True}) for text in _stop(state)]
    if state.selection:
        yield state.selection, {}
    if state.journal is None:
        yield from stop
        return
    yield from ((text, {}) for text in _summary(state))
    if state.strict and (state.unplayed or state.unused_cassettes):
        text = (
            "failed by --evalkit-strict: the recordings and cassettes above are not used; "
            "record their tests with --evalkit-record all, and delete the cassettes"
        )
        yield text, {"red": True}
    if state.gate_text:
        yield visible(state.gate_text), {}
    yield from stop
    yield from ((text, {"red": True}) for text in state.report_errors)
    if state.collector_error:
        # The results are complete without it, so the session does not fail.
        yield visible(state.collector_error), {"yellow": True}
    page = state.directory / "index.html"
    if page.is_file():
        yield f"report: {page.relative_to(start) if page.is_relative_to(start) else page}", {}


def _stop(state: SessionState) -> Iterator[str]:
    """Yield why the session stopped early, and how to continue."""
    settings, reason = state.settings, state.runner.ledger.stop_reason
    if not reason and not state.is_interrupted:
        return
    # A second Ctrl-C also ends the connection to a cluster: that is not what happened.
    yield f"stopped: {'interrupted' if state.is_interrupted else reason}"
    if settings.may_record and not settings.live and settings.mode != "all":
        yield "what is complete is recorded; the same command continues"
    else:
        yield "what is complete has its results; the same command with --evalkit-resume continues"


def _summary(state: SessionState) -> Iterator[str]:
    totals = state.manifest.totals
    yield totals.summary
    yield from _first("not collected: ", sorted(state.not_collected))
    yield (
        f"{totals.scored} scored by {plural(totals.checks, 'check')}, "
        f"{plural(totals.warnings, 'warning')}, {totals.tokens:,} tokens"
    )
    if state.settings.may_record:
        ledger = state.runner.ledger
        yield ledger.totals.summary(ledger.has_prices, live=state.settings.live)
    yield from _first("", state.cluster.notes if state.cluster is not None else ())
    if state.settings.locked is not None:
        yield f"locked: each turn continues the turns of {display_path(state.settings.locked)}"
    yield from _first("judge ", state.judges)
    yield from _first("flaky: ", state.flaky)
    yield from _first("", state.warnings)
    yield (
        f"{plural(totals.unplayed, 'recording')} left unplayed, "
        f"{plural(len(state.unused_cassettes), 'cassette')} used by no variant"
    )
    yield from _first("unplayed in ", state.unplayed)
    yield from _first("unused ", state.unused_cassettes)


def _first(label: str, names: Sequence[str]) -> Iterator[str]:
    for name in names[:_LISTED]:
        yield f"  {label}{name}"
    if len(names) > _LISTED:
        yield f"  … and {len(names) - _LISTED} more"
