"""Results: one line per variant, the journal of lines, the run directory, merged runs."""

from evalkit.results.manifest import Manifest, Totals
from evalkit.results.records import Identity
from evalkit.results.result_line import Tally, result_line, result_record, tally_of
from evalkit.results.run_directory import Journal, Run

__all__ = [
    "Identity",
    "Journal",
    "Manifest",
    "Run",
    "Tally",
    "Totals",
    "result_line",
    "result_record",
    "tally_of",
]
