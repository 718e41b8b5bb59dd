"""Findings and conversations as plain text: for JUnit, and for the page without JavaScript.

Pure. Long texts are cut; who writes the text escapes it and makes hostile characters visible.
"""

from collections.abc import Iterable, Iterator

from evalkit._lib.json import loads
from evalkit._lib.text import show
from evalkit.conversation.step_text import content_lines, headed, step_lines
from evalkit.protocol.api_errors import ApiError
from evalkit.reports.formatting import Findings, clip, place_of
from evalkit.results.records import ResultLine, TurnRecord

LIMIT = 4_000
"""Characters of one text."""


def findings_text(findings: Findings) -> str:
    """Return findings with their places, expected and actual values, one below the other."""
    lines = []
    for check, finding in findings:
        place = place_of(check, finding)
        prefix = "warning, " if finding["severity"] == "warn" else ""
        lines.append(
            f"{prefix}{check['name']}: {finding['message']}" + (f" ({place})" if place else "")
        )
        if "expected" in finding:
            lines.append(f"  expected: {show(finding['expected'], 400)}")
        if "got" in finding:
            lines.append(f"  got: {show(finding['got'], 400)}")
        if detail := finding.get("detail"):
            lines += [f"  {line}" for line in clip(detail, LIMIT).split("\n")]
    return "\n".join(lines)


def conversation_text(line: str, number: int) -> str:
    """Return the conversation of a result line: for each turn user message, steps, errors."""
    try:
        return "\n".join(_lines(loads(line))) or "no turn was run"
    except RecursionError:  # nested deeper than Python reads
        return f"The conversation is in line {number} of results.jsonl."


def _lines(result: ResultLine) -> Iterator[str]:
    conversations = result.get("conversations", ())
    titles = {
        one["first_turn"]: f"conversation {number} of {len(conversations)}"
        for number, one in enumerate(conversations, 1)
        if len(conversations) > 1
    }
    for turn in result["turns"]:
        if turn["number"] in titles:
            yield titles[turn["number"]]
        yield from _turn(turn)


def _turn(turn: TurnRecord) -> Iterator[str]:
    outcome = turn["outcome"].replace("_", " ")
    status = f", {turn['status']}" if turn["status"] not in (None, outcome) else ""
    yield f"turn {turn['number']} ({outcome}{status})"
    if turn["user"]:
        user = "simulated user" if "simulated" in turn else "user"
        yield _entry(headed(user, content_lines(turn["user"])))
    for number, entry in enumerate(turn["steps"], 1):
        title, *lines = step_lines(entry["step"])
        yield _entry([f"{number}. {title}", *lines])
    if error := turn.get("error"):
        read, message = ApiError(**error), error["message"]
        http = "HTTP " if read.status >= 300 else ""
        yield _entry(
            [f"API error: {'' if read.names_status else f'{http}{read.label}: '}{message}"]
        )
    if reason := turn.get("reason"):
        yield _entry([reason])


def _entry(lines: Iterable[str]) -> str:
    return "  " + clip("\n".join(lines), LIMIT).replace("\n", "\n  ")
