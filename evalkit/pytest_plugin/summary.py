"""What the terminal says at the end of a session: what was run, with denominators, what was left over, where the report is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evalkit._lib.text import plural

if TYPE_CHECKING:
    from evalkit.pytest_plugin.state import State

_TOLD = 5


class Line(NamedTuple):
    """One line of the summary."""

    text: str
    alarming: bool = False


def summary(state: State, start: Path) -> Iterator[Line]:
    """Yield the lines; paths are shown from ``start``, where the user stands."""
    totals = state.manifest.totals
    yield Line(totals.summary)
    yield Line(
        f"{totals.scored} scored by {plural(totals.checks, 'check')}, {plural(totals.warnings, 'warning')}, {totals.tokens:,} tokens"
    )
    yield from _some("", state.warned)
    yield Line(
        f"{plural(totals.unplayed, 'recording')} left unplayed, {plural(len(state.orphans), 'cassette')} used by no variant"
    )
    yield from _some("unplayed in ", state.unplayed)
    yield from _some("unused ", state.orphans)
    if state.strict and (state.unplayed or state.orphans):
        yield Line(
            "failed by --evalkit-strict: the recordings and cassettes above are not used",
            alarming=True,
        )
    yield from (Line(text, alarming=True) for text in state.unwritten)
    page = state.directory / "index.html"
    yield Line(f"report: {page.relative_to(start) if page.is_relative_to(start) else page}")


def _some(word: str, names: Sequence[str]) -> Iterator[Line]:
    for name in names[:_TOLD]:
        yield Line(f"  {word}{name}")
    if len(names) > _TOLD:
        yield Line(f"  … and {len(names) - _TOLD} more")
