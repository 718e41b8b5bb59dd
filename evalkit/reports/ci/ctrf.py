"""``ctrf.json``: a run in the Common Test Report Format (ctrf.io), for CI tools that read it.

CTRF has no word for a test that could not be judged: an errored variant is ``failed`` there, so that nobody takes it for fine, and its
``rawStatus`` is ``errored``. Times are those of the recordings, in milliseconds; ``start`` and ``stop`` the session's, since the epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from evalkit._lib.files import atomic_writer
from evalkit._lib.json import dumps
from evalkit._lib.text import visible
from evalkit.reports.formatting import HEADLINE, found, headline
from evalkit.reports.line_reports import LineReport, Maker
from evalkit.reports.overview import Tally
from evalkit.results import Run
from evalkit.results.records import ResultHead

STATUSES = {"passed": "passed", "failed": "failed", "errored": "failed", "skipped": "skipped"}
"""Verdict to CTRF's status."""


@LineReport
@contextmanager
def write(run: Run) -> Iterator[Maker]:
    """Write ``ctrf.json`` into the run's directory and return its path. Raises UsageError naming a result line that cannot be read."""
    path = run.directory / "ctrf.json"
    with atomic_writer(path) as file:
        yield _Ctrf(run, path, file)


class _Ctrf:
    def __init__(self, run: Run, path: Path, file: BinaryIO) -> None:
        self._run = run
        self._path = path
        self._file = file
        self._counts: Counter[str] = Counter()
        file.write(
            b'{"reportFormat":"CTRF","specVersion":"0.0.0","generatedBy":"evalkit","results":{"tests":['
        )

    def take(self, head: ResultHead, line: str, number: int) -> None:
        test = dumps(_test(head))
        self._file.write((",\n" if self._counts else "\n").encode() + test.encode())
        self._counts[STATUSES[head["verdict"]]] += 1

    def finish(self, suites: Mapping[str, Tally]) -> Path:
        tail = {
            "summary": _summary(self._run.manifest, self._counts),
            "tool": _tool(self._run.manifest),
        }
        self._file.write(b"\n]," + dumps(tail)[1:].encode() + b"}\n")
        return self._path


def _test(head: Mapping[str, Any]) -> dict[str, Any]:
    metrics, variant = head["metrics"], head["variant"]
    test: dict[str, Any] = {
        "name": visible(head["id"]),
        "status": STATUSES[head["verdict"]],
        "rawStatus": head["verdict"],
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
    if head["verdict"] != "passed":
        test["message"] = visible(headline(head, found(head)))[: 2 * HEADLINE]
        test["trace"] = visible(str(head["message"]))
    return test


def _summary(manifest: Mapping[str, Any], counts: Counter[str]) -> dict[str, Any]:
    started, ended = (_milliseconds(manifest.get(name)) for name in ("started", "ended"))
    named = {name: counts[name] for name in ("passed", "failed", "skipped")}
    return {
        "tests": counts.total(),
        **named,
        "pending": 0,
        "other": 0,
        "start": started,
        "stop": max(started, ended),
    }


def _tool(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {"name": "evalkit", "version": str(manifest.get("evalkit", ""))}


def _milliseconds(timestamp: Any) -> int:
    try:
        return int(datetime.fromisoformat(str(timestamp)).timestamp() * 1000)
    except ValueError:
        return 0
