"""Totals in words for the terminal, each number with what it is a part of: the same words at the end of a session and of a merge."""

from __future__ import annotations

from evalkit._lib.text import plural
from evalkit.results.manifest import Totals


def told(totals: Totals) -> str:
    """Return how many variants were collected and what became of them, in one line; what is deselected or not run only where there is some."""
    left = totals.collected - totals.run - totals.deselected
    parts = [
        f"{totals.passed} passed",
        f"{totals.failed} failed",
        f"{totals.errored} errored",
        f"{totals.skipped} skipped",
    ]
    parts += [f"{totals.deselected} deselected"] * bool(totals.deselected) + [f"{left} not run"] * (
        left > 0
    )
    return f"{plural(totals.collected, 'variant')}: {', '.join(parts)}"
