"""The text that pytest shows of a variant that failed: its findings, one block each."""

from collections.abc import Iterable, Iterator

from evalkit._lib.json import MISSING
from evalkit._lib.text import escape_log_commands, show, visible
from evalkit.verdict import CONVERSATION, TEST, CheckResult, Finding, Verdict

_FINDINGS_PER_CHECK = 20


def failure_text(title: str, location: str, results: Iterable[CheckResult]) -> str:
    """Return the title with its location, then one block for each finding of a failed check."""
    blocks = [f"{title}  ({location})"]
    for result in results:
        if result.verdict in (Verdict.FAILED, Verdict.ERRORED):
            for finding in result.findings[:_FINDINGS_PER_CHECK]:
                blocks += _finding(result, finding)
            more = len(result.findings) - _FINDINGS_PER_CHECK
            if more > 0:
                blocks.append(f"    … and {more} more findings of {result.name}")
    return escape_log_commands("\n".join(blocks))


def _finding(result: CheckResult, finding: Finding) -> Iterator[str]:
    place = str(finding.where) or (f"turn {result.turn}" if result.turn else CONVERSATION)
    at = "" if result.name == TEST else f" at {place}"
    declared = f"  ({result.declared})" if result.declared else ""
    yield ""
    yield f"{result.name}: {visible(finding.message)}"
    yield f"    {finding.code}{at}{declared}"
    if finding.detail:
        for line in visible(finding.detail).split("\n"):
            yield f"    {line}".rstrip()
        return
    for label, value in (("expected", finding.expected), ("got", finding.got)):
        if value is not MISSING:
            yield f"    {label:<8}  {show(value, 200)}"
