"""GitHub's runner: annotations at the YAML line of each failed check, and the step summary. At most nine of ten annotations it shows a step.

Nothing is written unless the runner's own environment asks for it (``GITHUB_ACTIONS``, ``GITHUB_STEP_SUMMARY``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.reports.ci.escaping import annotation
from evalkit.results import Run
from evalkit.results.result_line import parse_head

MOST = 9
"""Annotations of one run; GitHub shows ten of a kind for a step, and other steps may have some."""


def error_commands(run: Run) -> list[str]:
    """Return workflow commands for what failed or errored, each at the line its check was declared in; the last counts the others."""
    found = [
        head for head in map(parse_head, run.lines()) if head["verdict"] in ("failed", "errored")
    ]
    shown = found if len(found) <= MOST else found[: MOST - 1]
    lines = [_annotation(head) for head in shown]
    if len(found) > len(shown):
        more = found[len(shown)]
        lines.append(
            annotation(
                more["path"],
                more["line"],
                "evalkit",
                f"and {len(found) - len(shown)} more results failed or errored",
            )
        )
    return lines


def append_summary(run: Run, environment: Mapping[str, str]) -> None:
    """Append ``summary.md`` to the step summary where the runner keeps one. Raises OSError."""
    path = environment.get("GITHUB_STEP_SUMMARY")
    summary = run.directory / "summary.md"
    if path and summary.exists():
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary.read_text(encoding="utf-8") + "\n")


def _annotation(head: Mapping[str, Any]) -> str:
    for check, finding in _failures(head):
        path, _, line = str(check.get("declared") or "").rpartition(":")
        message = f"{check['name']}: {finding['message']} ({finding['code']})"
        return annotation(
            path or head["path"], int(line) if line.isdigit() else head["line"], head["id"], message
        )
    return annotation(
        head["path"],
        head["line"],
        head["id"],
        str(head["message"]).partition("\n")[0] or head["verdict"],
    )


def _failures(head: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for check in head["checks"]:
        if check["verdict"] in ("failed", "errored"):
            yield from (
                (check, finding) for finding in check["findings"] if finding["severity"] == "error"
            )
