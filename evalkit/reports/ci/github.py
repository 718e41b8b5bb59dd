"""GitHub's runner: annotations at the YAML line of each failed check, and the step summary.

Both are written only where the runner's environment asks for them (``GITHUB_ACTIONS``,
``GITHUB_STEP_SUMMARY``).
"""

from collections.abc import Mapping
from pathlib import Path

from evalkit.reports.ci.escaping import annotation
from evalkit.reports.formatting import findings_of, headline
from evalkit.results import Run
from evalkit.results.records import ResultHead
from evalkit.results.result_line import counts_as_test, outcome_of, parse_head

MOST = 9
"""Annotations of one run. GitHub shows ten of a kind per step; one is left to other tools."""


def error_commands(run: Run) -> list[str]:
    """Return workflow commands for failed and errored results; the last one counts the rest."""
    heads = map(parse_head, run.lines())
    failures = [
        head for head in heads if counts_as_test(head) and outcome_of(head) in ("failed", "errored")
    ]
    if len(failures) <= MOST:
        return [_annotation(head) for head in failures]
    first, others = failures[: MOST - 1], failures[MOST - 1 :]
    message = f"and {len(others)} more results failed or errored"
    rest = annotation(others[0]["path"], others[0]["line"], "evalkit", message)
    return [*map(_annotation, first), rest]


def append_summary(run: Run, environment: Mapping[str, str]) -> None:
    """Append ``summary.md`` to the runner's step summary, if there is one. Raises OSError."""
    path = environment.get("GITHUB_STEP_SUMMARY")
    summary = run.directory / "summary.md"
    if path and summary.exists():
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(summary.read_text(encoding="utf-8") + "\n")


def _annotation(head: ResultHead) -> str:
    """Return the annotation of a result's first error, at the line of its check."""
    path, line = head["path"], head["line"]
    message = str(head["message"]).partition("\n")[0] or headline(head, findings_of(head))
    errors = (
        (check, finding)
        for check in head["checks"]
        if check["verdict"] in ("failed", "errored")
        for finding in check["findings"]
        if finding["severity"] == "error"
    )
    for check, finding in errors:
        message = f"{check['name']}: {finding['message']} ({finding['code']})"
        declared, _, number = check.get("declared", "").rpartition(":")
        if declared and number.isdigit():
            path, line = declared, int(number)
        break
    return annotation(path, line, head["id"], message)
