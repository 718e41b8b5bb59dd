"""What a variant that did not pass says: one block per check that has something to say, in the order of the conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from evalkit._lib.json import MISSING
from evalkit._lib.text import escape_log_commands, show, visible
from evalkit.verdict import CheckResult, Finding, Verdict

_TOLD = 20


def failure_text(identity: str, location: str, checks: Iterable[CheckResult]) -> str:
    """Return the failure text: the variant and its place, then each finding with its check, place, detail, expected and got."""
    blocks = [f"{identity}  ({location})"]
    for check in checks:
        if check.verdict in (Verdict.FAILED, Verdict.ERRORED):
            blocks += _check(check)
    return escape_log_commands("\n".join(blocks))


def _check(check: CheckResult) -> Iterator[str]:
    for finding in check.findings[:_TOLD]:
        yield ""
        yield _head(check, finding)
        if finding.detail:
            yield "\n".join(f"    {line}".rstrip() for line in visible(finding.detail).split("\n"))
        else:
            for word, value in (("expected", finding.expected), ("got", finding.got)):
                if value is not MISSING:
                    yield f"    {word:<8}  {show(value, 200)}"
    if len(check.findings) > _TOLD:
        yield f"    … and {len(check.findings) - _TOLD} more findings of {check.name}"


def _head(check: CheckResult, finding: Finding) -> str:
    place = str(finding.where) or (f"turn {check.turn}" if check.turn else "conversation")
    declared = f"  ({check.declared})" if check.declared else ""
    return f"{check.name}: {visible(finding.message)}\n    {finding.code} at {place}{declared}"
