"""Turns of few steps, and what a check reports for them."""

from __future__ import annotations

from typing import Any

from evalkit.checks.core.base import View
from evalkit.verdict import CheckResult, Verdict
from tests.checks.building import transcript
from tests.checks.examples import check_entry


def judge(entry: Any, source: Any, *, whole: bool = False) -> CheckResult:
    made = transcript(source)
    return check_entry(entry, View(made, None if whole or not made.turns else made.turns[-1]))


def codes(entry: Any, source: Any, *, whole: bool = False) -> list[str]:
    result = judge(entry, source, whole=whole)
    assert result.verdict is not Verdict.ERRORED, result
    return [finding.code for finding in result.findings]


def says(text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": text}
    if annotations:
        block["annotations"] = list(annotations)
    return {"type": "model_output", "content": [block]}


def output(text: str) -> dict[str, Any]:
    return {"steps": [says(text)]}


CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "c1",
    "name": "look",
    "arguments": {"at": "sky", "deep": {"a": 1, "b": [1, 2]}},
}


RESULT: dict[str, Any] = {
    "type": "function_result",
    "call_id": "c1",
    "name": "look",
    "result": "blue",
}


SEARCH: dict[str, Any] = {
    "type": "google_search_call",
    "id": "s1",
    "arguments": {"queries": ["sky"]},
}


FOUND: dict[str, Any] = {"type": "google_search_result", "call_id": "s1", "result": []}


TOOLS: dict[str, Any] = {"tools": [{"type": "function", "name": "look"}]}
