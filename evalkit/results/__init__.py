"""Results: one line per variant, a journal of lines, a run directory."""

from evalkit.results.journal import Journal
from evalkit.results.line import Identity, result_line, tally, tally_of
from evalkit.results.manifest import Manifest, Totals
from evalkit.results.run import Run

__all__ = ["Identity", "Journal", "Manifest", "Run", "Totals", "result_line", "tally", "tally_of"]
