"""pytest's reports of tests: attach the outcome of a variant, read as what pytest counts a test."""

from typing import Any

import pytest

from evalkit.pytest_plugin.options import RESULT
from evalkit.session.trials import ItemOutcome
from evalkit.verdict import Verdict


def attach_outcome(report: pytest.TestReport, outcome: ItemOutcome, name: str = RESULT) -> None:
    """Attach an outcome to a report: pytest-xdist carries extra attributes with plain values."""
    setattr(report, name, plain_outcome(outcome))


def plain_outcome(outcome: ItemOutcome) -> dict[str, Any]:
    """Return an outcome as plain values."""
    results = [
        {
            "verdict": str(one.verdict),
            "line": one.line,
            "tally": one.tally,
            "cassette": one.cassette,
            # pytest-xdist carries text; most results have no media.
            "media": {name: data.decode("latin-1") for name, data in one.media.items()},
        }
        for one in outcome.results
    ]
    miss = next((one.miss for one in outcome.results if one.miss is not None), None)
    verdict = str(outcome.verdict)
    return {"verdict": verdict, "results": results, "miss": miss}


def outcome_of_setup(call: pytest.CallInfo[None]) -> tuple[Verdict, str]:
    """Return the verdict of a variant that was not run, and why it was not."""
    if call.excinfo is None:
        return Verdict.ERRORED, "not run"
    error = call.excinfo.value
    skipped = isinstance(error, pytest.skip.Exception | pytest.xfail.Exception)
    reason = str(error) or call.excinfo.typename
    return Verdict.SKIPPED if skipped else Verdict.ERRORED, reason


def counted_as(report: pytest.TestReport, verdict: str) -> tuple[str, str]:
    """Return as what pytest counts a test (``xfailed``, say), and its reason."""
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed", report.wasxfail
    if report.failed and verdict == "errored":
        return "errored", ""
    return report.outcome, crash_message(report) if report.outcome != verdict else ""


def crash_message(report: pytest.TestReport) -> str:
    """Return in one line why pytest did not pass a test."""
    longrepr: Any = report.longrepr
    if isinstance(longrepr, tuple):  # of a skip: file, line, reason
        return str(longrepr[2])
    crash = getattr(longrepr, "reprcrash", None)
    return str(crash.message if crash else longrepr or "")
