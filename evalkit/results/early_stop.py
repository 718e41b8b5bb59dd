"""What a run of ``--evalkit-until-decided`` left out, because its gate was decided."""

from collections.abc import Iterator, Mapping
from typing import Any

from evalkit._lib.text import plural
from evalkit.results.records import SequentialRecord

SIMULATED_ERRORS = (
    "In simulations of runs at the margin 2.3 % decided wrongly; at 95 % confidence 5 % may."
)
"""The worst row of ``benchmarks/sequential.py``, for pages."""
_VALIDITY = "the interval is valid under optional stopping"


def sequential_of(manifest: Mapping[str, Any]) -> SequentialRecord | None:
    """Return how the run could stop early; None for a run that could not."""
    record: SequentialRecord | None = manifest.get("sequential")
    return record


def left_out_tests(record: SequentialRecord | None) -> int:
    """Return the number of tests that were not run by plan."""
    return sum(record["not_run"].values()) if record is not None else 0


def early_stop_text(record: SequentialRecord) -> str:
    """Return when the run stopped and why, that its interval is valid, and what was saved."""
    total, left_out = plural(record["scenarios"], "scenario"), len(record["not_run"])
    text = f"all {total} ran"
    if left_out:
        text = f"stopped early after {record['scenarios'] - left_out} of {total}"
    text = f"{text}: decided ({record['decision']})"
    if record["decision"] is None:
        text = "not decided when the run ended"
    return "; ".join([f"{text}; {_VALIDITY}", *_savings(record)])


def _savings(record: SequentialRecord) -> Iterator[str]:
    saved = record.get("saved")
    if saved is None:
        return
    parts = [plural(len(record["not_run"]), "scenario"), plural(saved["results"], "result")]
    if saved["tokens"] is not None:
        parts.append(f"about {saved['tokens']:,} tokens")
    if saved["cost"] is not None:
        parts.append(f"cost {saved['cost']:,.4g} {saved['currency']}".rstrip())
    yield f"saved {', '.join(parts)} (by the results of {saved['source']})"
