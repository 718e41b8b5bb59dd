"""``--evalkit-resume``: what a run that was cut short had found out is kept, and only the rest is run.

Results that passed or failed are kept as they stand; errors and skips, which say nothing of the model, are run again. A result counts only for the
suite it was made from: if a suite changed since, nothing of the run can be gone on with, and that is said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError
from evalkit.results import Run, tally_of
from evalkit.results.journal import RESULTS
from evalkit.session import VariantOutcome
from evalkit.verdict import Verdict

_KEPT = ("passed", "failed")


def kept_results(directory: Path, suites: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the result lines of a run directory to go on from, by id; none where there is no run. ``suites`` are those collected, by path.

    Raises UsageError: a suite changed since, a line that cannot be read.
    """
    if not (directory / RESULTS).exists():
        return {}
    run = Run(directory)
    before = {one.get("path"): one.get("digest") for one in run.manifest.get("suites", ())}
    changed = [
        path for path, one in suites.items() if before.get(path) not in (None, one["digest"])
    ]
    if changed:
        raise UsageError(
            f"cannot go on with {directory}: {', '.join(sorted(changed))} changed since; run without --evalkit-resume"
        )
    found = {}
    for number, line in enumerate(run.lines(), 1):
        try:
            result = json.loads(line)
            if result["verdict"] in _KEPT:
                found[result["id"]] = line
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"cannot go on with {directory / RESULTS}:{number}: {error}; run without --evalkit-resume"
            ) from error
    return found


def outcome_of(line: str) -> VariantOutcome:
    """Return the outcome that a kept line tells."""
    result = json.loads(line)
    return VariantOutcome(
        Verdict(result["verdict"]), result["message"], line, tally_of(result), result["cassette"]
    )
