"""``ctrf.json``: a run in the Common Test Report Format (ctrf.io).

CTRF has no status for a test that could not be evaluated: an errored variant is ``failed`` there,
and its ``rawStatus`` is ``errored``. Durations are those of the recordings, in milliseconds;
``start`` and ``stop`` are the session's, in milliseconds since the epoch.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from evalkit._lib.files import atomic_writer
from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import escape_log_commands, visible
from evalkit.reports.formatting import HEADLINE, findings_of, headline, test_name
from evalkit.reports.line_reports import LineReport
from evalkit.reports.overview import ResultCounts
from evalkit.reports.text_spool import TextSpan, TextSpool
from evalkit.results import Run
from evalkit.results.records import ManifestRecord, ResultHead
from evalkit.results.result_line import counts_as_test, outcome_of

STATUSES = {
    "passed": "passed",
    "failed": "failed",
    "errored": "failed",
    "skipped": "skipped",
    "xfailed": "skipped",
    "xpassed": "passed",
}
"""As what pytest counts a test to CTRF's status."""

_HEAD = '{"reportFormat":"CTRF","specVersion":"0.0.0","generatedBy":"evalkit","results":{"tests":['


class Ctrf(LineReport):
    """Writes ``ctrf.json`` into the run directory."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._spool = TextSpool()
        self._tests: list[TextSpan] = []
        self._counts: Counter[str] = Counter()

    def add(self, head: ResultHead, line: str, number: int) -> None:
        """Add a test; trials that are one test have one entry."""
        if not counts_as_test(head):
            return
        self._tests.append(self._spool.put(dumps(_test(head))))
        self._counts[STATUSES[outcome_of(head)]] += 1

    def finish(self, suites: Mapping[str, ResultCounts], total: ResultCounts) -> Path:
        """Write the file."""
        manifest = self.run.manifest
        for name in manifest.get("not_collected", ()):
            broken = {"name": name, "status": "failed", "rawStatus": "errored", "duration": 0}
            broken |= {"filePath": name, "message": "could not be collected"}
            self._tests.append(self._spool.put(dumps(broken)))
            self._counts["failed"] += 1
        tool = {"name": "evalkit", "version": str(manifest.get("evalkit", ""))}
        tail = {"summary": _summary(manifest, self._counts), "tool": tool}
        path = self.run.directory / "ctrf.json"
        with atomic_writer(path) as file:
            file.write(_HEAD.encode())
            for index, span in enumerate(self._tests):
                file.write(f"{',' if index else ''}\n{self._spool.get(span)}".encode())
            file.write(f"\n],{dumps(tail)[1:]}}}\n".encode())
        return path

    def close(self) -> None:
        """Drop temporary files."""
        self._spool.close()


def _test(head: ResultHead) -> dict[str, JSON]:
    metrics, variant = head["metrics"], head["variant"]
    test: dict[str, JSON] = {
        "name": visible(f"{head['suite']}::{test_name(head)}"),
        "status": STATUSES[outcome_of(head)],
        "rawStatus": outcome_of(head),
        "duration": round(metrics.get("elapsed_ms", 0)),
        "suite": visible(head["suite"]),
        "filePath": head["path"],
        "line": head["line"],
        "tags": [visible(tag) for tag in head["tags"]],
        "extra": {
            "scenario": head["scenario"],
            "model": variant.get("model") or variant.get("agent"),
            "trial": head["trial"],
            "tokens": metrics.get("tokens", {}).get("total_tokens"),
            "cassette": head["cassette"],
        },
    }
    if "repeat" in head:
        test["flaky"] = (
            head["repeat"]["verdict"] == "passed"
            and head["repeat"]["passed"] < head["repeat"]["trials"]
        )
    if outcome_of(head) != "passed":
        test["message"] = visible(headline(head, findings_of(head)))[: 2 * HEADLINE]
        test["trace"] = escape_log_commands(visible(str(head["message"])))
    return test


def _summary(manifest: ManifestRecord, counts: Counter[str]) -> dict[str, int]:
    started = _milliseconds(manifest.get("started"))
    return {
        "tests": counts.total(),
        "passed": counts["passed"],
        "failed": counts["failed"],
        "skipped": counts["skipped"],
        "pending": 0,
        "other": 0,
        "start": started,
        "stop": max(started, _milliseconds(manifest.get("ended"))),
    }


def _milliseconds(timestamp: Any) -> int:
    try:
        return int(datetime.fromisoformat(str(timestamp)).timestamp() * 1000)
    except ValueError:
        return 0
