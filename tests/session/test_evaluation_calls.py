"""Calls of undeclared functions: reported by the conversation without a ``tool_calls`` check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalkit.plugins import Catalog
from evalkit.session.evaluation import Evaluator
from evalkit.session.python_targets import PythonTargets
from evalkit.suite import expand, load
from evalkit.transcript import Step, Transcript, Turn
from evalkit.verdict import Verdict

SUITE = """\
suite: s
defaults: {{model: gemini-3.5-flash}}
tools: {{tool: {{description: t, parameters: {{type: object, properties: {{}}}}, result: done}}}}
scenarios: [{{id: a, tools: [tool], turns: [{{user: hello, expect: [{turn}]}}], expect: [{whole}]}}]
"""


@pytest.mark.parametrize(
    ("name", "turn", "whole", "count"),
    [
        ("tool", "", "", 0),
        ("other", "", "", 1),
        ("other", "{not: tool_calls}", "", 0),
        ("other", "", "{not: tool_calls}", 0),
        (None, "", "", 1),
        (["tool"], "", "", 1),
        ({"tool": 1}, "", "", 1),
    ],
)
def test_undeclared_call_is_reported_without_a_tool_calls_check(
    tmp_path: Path, name: Any, turn: str, whole: str, count: int
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SUITE.format(turn=turn, whole=whole))
    (variant,) = expand(load(path, root=tmp_path, checks=Catalog()))
    step = Step({"type": "function_call", "name": name, "arguments": {}, "id": "c"}, "model", 1)
    results = Evaluator(variant, PythonTargets(tmp_path), lambda selector: None).evaluate(
        Transcript(turns=[Turn(1, [], steps=[step])])
    )
    found = [result for result in results if result.name == "conversation"]
    assert len(found) == count
    assert all(
        result.verdict is Verdict.FAILED and result.findings[0].code == "undeclared_tool"
        for result in found
    )
    assert all(result.findings[0].where.turn == 1 for result in found)
