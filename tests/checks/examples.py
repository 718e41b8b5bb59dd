"""The examples in docs/checks: fenced blocks whose info string says what they are.

``yaml check`` contains entries of an ``expect`` list; with ``conversation`` they see all turns,
else the last one. ``json transcript`` is the transcript. Some checks need ``json sibling``,
``python target``, ``json judge`` (the judge's answer) or ``text approved`` (a snapshot's file).
With ``text output`` the entries must fail with exactly that text, without it they must pass.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evalkit._lib.json import MISSING
from evalkit._lib.text import show as value
from evalkit._lib.yaml import load
from evalkit.checks.core.base import Approved, View
from evalkit.checks.core.runner import run_check
from evalkit.plugins import Catalog
from evalkit.transcript import Response
from evalkit.verdict import CheckResult, Severity
from tests.checks.building import transcript

DOCS = Path(__file__).parents[2] / "docs" / "checks"
_BLOCK = re.compile(
    r"^```(\w+) (check|transcript|sibling|target|judge|approved|output)( conversation)?\n"
    r"(.*?)^```$",
    re.M | re.S,
)
_CATALOG = Catalog()


class Example(NamedTuple):
    page: str
    line: int
    entries: list[Any]
    conversation: bool
    transcript: Any
    sibling: Any
    target: str
    judge: str
    approved: str | None
    output: str | None


def examples(page: Path) -> Iterator[Example]:
    """Yield a page's examples, in order."""
    text = page.read_text(encoding="utf-8")
    parts: dict[str, Any] = {}
    blocks = [
        (found.group(2), found.group(3), found.group(4), text.count("\n", 0, found.start()) + 1)
        for found in _BLOCK.finditer(text)
    ]
    for place, (kind, scope, body, line) in enumerate(blocks):
        if kind == "check":
            parts = {"line": line, "entries": load(body), "conversation": bool(scope)}
        else:
            parts[kind] = body
        if place + 1 == len(blocks) or blocks[place + 1][0] == "check":
            yield Example(
                page.stem,
                parts["line"],
                parts["entries"],
                parts["conversation"],
                json.loads(parts["transcript"]),
                json.loads(parts["sibling"]) if "sibling" in parts else None,
                parts.get("target", ""),
                parts.get("judge", ""),
                parts.get("approved"),
                parts.get("output"),
            )


def run(example: Example) -> list[CheckResult]:
    """Run an example's checks."""
    made = transcript(example.transcript)
    sibling = transcript(example.sibling) if example.sibling is not None else None
    namespace: dict[str, Any] = {}
    exec(example.target, namespace)  # the page's own code
    turn = None if example.conversation else made.turns[-1]
    view = View(
        made,
        turn,
        resolve=lambda target: namespace[target.partition(":")[2]],
        sibling=lambda _: sibling,
        approved=lambda number, name, kind: Approved(
            f"suites/_snapshots/example/{name}.{'json' if kind == 'json' else 'txt'}",
            example.approved,
        ),
        ask=lambda request: judged(example.judge),
    )
    return [check_entry(entry, view) for entry in example.entries]


def judged(text: str) -> Response:
    """Return the response with a judge's answer: a decision, or what it writes."""
    if text.startswith('{"answers"'):
        return Response(200, {"content-type": "application/json"}, text)
    answer = {
        "status": "completed",
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": text}]}],
    }
    return Response(200, {"content-type": "application/json"}, json.dumps(answer))


def check_entry(entry: Any, view: View) -> CheckResult:
    """Run one ``expect`` entry over a view."""
    options: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    inner = options.get("not", entry)
    name = inner if isinstance(inner, str) else next(key for key in inner if key != "severity")
    check = _CATALOG.build(
        name, None if isinstance(inner, str) else inner[name], bare=isinstance(inner, str)
    )
    severity = Severity(options.get("severity", "error"))
    turn = view.turn.number if view.turn is not None else None
    return run_check(
        check, view, name=name, negate="not" in options, severity=severity, turn=turn, declared=""
    )


def show(result: CheckResult) -> str:
    """Print a result as the pages show it."""
    lines = []
    for finding in result.findings:
        lines += [
            f"{result.name}: {finding.message}",
            f"    {finding.code} at {str(finding.where) or 'conversation'}",
        ]
        if finding.detail:
            lines += [f"    {line}".rstrip() for line in finding.detail.split("\n")]
        elif finding.expected is not MISSING or finding.got is not MISSING:
            lines += [
                f"    expected  {value(finding.expected, 200)}",
                f"    got       {value(finding.got, 200)}",
            ]
    return "\n".join(lines) + "\n"
