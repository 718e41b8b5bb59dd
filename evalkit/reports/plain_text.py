"""Findings and conversations as plain text: for JUnit, and for the page without JavaScript.

Pure. Long texts are cut; who writes the text escapes it and makes hostile characters visible.
"""

from collections.abc import Iterator

from evalkit._lib.json import JSON
from evalkit._lib.text import show
from evalkit.protocol.api_errors import ApiError
from evalkit.reports.formatting import Findings, clip, place_of
from evalkit.results.records import TurnRecord
from evalkit.results.result_line import parse_result

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
        result = parse_result(line)
    except RecursionError:  # nested deeper than Python reads
        return f"The conversation is in line {number} of results.jsonl."
    conversations = result.get("conversations", ())
    titles = {
        one["first_turn"]: f"conversation {number} of {len(conversations)}"
        for number, one in enumerate(conversations, 1)
        if len(conversations) > 1
    }
    lines: list[str] = []
    for turn in result["turns"]:
        lines += [titles[turn["number"]]] if turn["number"] in titles else []
        lines += _turn(turn)
    return "\n".join(lines) or "no turn was run"


def _turn(turn: TurnRecord) -> Iterator[str]:
    outcome = turn["outcome"].replace("_", " ")
    status = f", {turn['status']}" if turn["status"] not in (None, outcome) else ""
    yield f"turn {turn['number']} ({outcome}{status})"
    user = "simulated user" if "simulated" in turn else "user"
    for block in turn["user"]:
        yield f"  {user}: {_clipped(_block(block))}"
    for number, entry in enumerate(turn["steps"], 1):
        content = _clipped(_content(entry["step"]))
        yield f"  {number}. {entry['step'].get('type')}" + (f": {content}" if content else "")
    if error := turn.get("error"):
        read, message = ApiError(**error), _clipped(error["message"])
        http = "HTTP " if read.status >= 300 else ""
        yield f"  API error: {'' if read.names_status else f'{http}{read.label}: '}{message}"
    if reason := turn.get("reason"):
        yield f"  {_clipped(reason)}"


def _content(step: dict[str, JSON]) -> JSON:
    if "arguments" in step:
        return f"{step.get('name', '')} {show(step['arguments'], LIMIT)}".lstrip()
    content = step.get("content", step.get("result", ""))
    if not isinstance(content, list):
        return content
    is_blocks = all(isinstance(block, dict) and "type" in block for block in content)
    return " ".join(map(_block, content)) if is_blocks else content


def _block(block: JSON) -> str:
    """Return the text of a content block, or its type in brackets."""
    if isinstance(block, dict):
        return block["text"] if isinstance(block.get("text"), str) else f"[{block.get('type')}]"
    return str(block)


def _clipped(value: JSON) -> str:
    text = value if isinstance(value, str) else show(value, LIMIT)
    return clip(text, LIMIT).replace("\n", "\n     ")
