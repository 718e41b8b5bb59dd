"""Results: one line per variant, the journal of lines, the run directory, merged runs."""

from evalkit.results.journal import Journal
from evalkit.results.manifest import Manifest, Totals
from evalkit.results.result_line import Identity, Tally, result_line, tally, tally_of
from evalkit.results.run_directory import Run

__all__ = [
    "Identity",
    "Journal",
    "Manifest",
    "Run",
    "Tally",
    "Totals",
    "result_line",
    "tally",
    "tally_of",
]
