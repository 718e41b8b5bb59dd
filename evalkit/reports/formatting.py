"""How reports format values: JSON, counts, durations, long texts, findings.

Pure. Nothing here escapes HTML or makes hostile characters visible: templates and writers do that.
The page's script has the same rules in ``js/formatting.js``.
"""

import re
from dataclasses import fields
from typing import Any

from evalkit._lib.exact_json import write_exact
from evalkit._lib.json import JSON
from evalkit._lib.text import shorten
from evalkit.results.records import CheckRecord, FindingRecord, ResultHead
from evalkit.results.result_line import counts_as_test, trials_text
from evalkit.verdict import Where

TEXT_LIMIT = 20_000
"""Characters of one text that a page shows; the rest is only in results.jsonl."""

LINE = 72
"""Characters up to which JSON stays on one line."""

HEADLINE = 400
"""Characters of the message in a row."""

_INSIDE_BRACKETS = re.compile(r"(?<=[{\[])\n *|\n *(?=[}\]])")
_LINE_BREAK = re.compile(r"\n *")
_SURROGATE = "[\ud800-\udfff]"
_WHERE = frozenset(field.name for field in fields(Where))

Findings = list[tuple[CheckRecord, FindingRecord]]


def clip(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return at most ``limit`` characters of a text; a last line says what is left out."""
    if len(text) <= limit:
        return text
    note = f"{limit:,} of {len(text):,} characters shown; the whole text is in results.jsonl"
    return f"{text[:limit]}\n… {note}"


def pretty(value: JSON) -> str:
    """Return a JSON value on one line if it is short, else indented by two.

    Lone surrogates stay escaped, as JSON text has them.
    """
    text = write_exact(value, indent=2, ensure_ascii=False)
    if len(text) <= 3 * LINE:
        # JSON has no line break inside a string, so every break may be undone.
        flat = _LINE_BREAK.sub(" ", _INSIDE_BRACKETS.sub("", text))
        text = flat if len(flat) <= LINE else text
    return re.sub(_SURROGATE, lambda match: f"\\u{ord(match.group()):04x}", text)


def count(number: int, word: str) -> str:
    """Return ``1 turn`` or ``1,234 turns``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def number_text(value: float) -> str:
    """Return a number for an SVG attribute: at most two decimals, no trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def findings_of(head: ResultHead) -> Findings:
    """Return each finding of a result with the check that reported it."""
    return [(check, finding) for check in head["checks"] for finding in check["findings"]]


def has_warning(findings: Findings) -> bool:
    """Whether one of the findings is a warning."""
    return any(finding["severity"] == "warn" for _, finding in findings)


def headline(head: ResultHead, findings: Findings) -> str:
    """Return in one line why a result has its verdict.

    That is its first finding, else its message; for a passed result its first warning, else ``""``.
    What pytest counts as something else says so first, then a trial what came of its test.
    """
    rest = _headline(head, findings)
    if "repeat" in head:
        repeat = head["repeat"]
        note = "" if counts_as_test(head) else f", so the test {repeat['verdict']}"
        rest = f"{trials_text(repeat)}{note}{': ' * bool(rest)}{rest}"
    if "pytest" in head:
        outcome, reason = head["pytest"]["outcome"], shorten(head["pytest"]["reason"], HEADLINE)
        return f"{outcome}{': ' * bool(reason)}{reason}{f' ({rest})' if rest else ''}"
    return rest


def test_name(head: ResultHead) -> str:
    """Return the name of a result's test in its suite; trials that are one test have its name."""
    name = head["id"].removeprefix(f"{head['suite']}::")
    return name.rpartition("#")[0] or name if "repeat" in head and head["trial"] > 1 else name


def _headline(head: ResultHead, findings: Findings) -> str:
    severity = "warn" if head["verdict"] == "passed" else "error"
    messages = [
        (check["name"], finding["message"])
        for check, finding in findings
        if finding["severity"] == severity
    ]
    if not messages:
        return "" if severity == "warn" else shorten(str(head["message"]), HEADLINE)
    name, message = messages[0]
    prefix = "warning, " if severity == "warn" else ""
    more = f" (and {len(messages) - 1:,} more)" if len(messages) > 1 else ""
    return f"{prefix}{name}: {shorten(message, HEADLINE)}{more}"


def place_of(check: CheckRecord, finding: FindingRecord) -> str:
    """Return a finding's place, ``turn 1, exchange 2, request /input/3``; ``""`` if it has none."""
    where: dict[str, Any] = {"turn": check["turn"]} if "turn" in check else {}
    where.update(finding["where"])
    return str(Where(**{name: value for name, value in where.items() if name in _WHERE}))
