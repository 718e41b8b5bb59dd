"""A result as the results of its turns: which checks, verdict and name each of them has."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.compare.rows import result_row
from evalkit.compare.turn_results import aligned_turns, turn_results, whole_id
from tests.compare.lines import line


def conversation(
    *outcomes: str, checks: list[dict[str, Any]], name: str = "a", **options: Any
) -> Any:
    whole = line(name, **options)
    (turn,) = whole["turns"]
    whole["turns"] = [
        {**turn, "number": number, "outcome": outcome, "steps": [], "exchanges": []}
        for number, outcome in enumerate(outcomes, 1)
    ]
    return {**whole, "settings": {}, "checks": checks}


def check(
    verdict: str, *turns: int | None, severity: str = "error", **fields: Any
) -> dict[str, Any]:
    findings = [
        {"code": "c", "severity": severity, "message": "m", "where": {"turn": turn} if turn else {}}
        for turn in turns
    ]
    return {"name": "text", "verdict": verdict, "findings": findings, **fields}


@pytest.mark.parametrize(
    ("outcomes", "checks", "verdicts"),
    [
        (("completed",) * 2, [check("failed", 2, turn=2)], ["passed", "failed"]),
        (("completed",) * 2, [check("failed", 2)], ["passed", "failed"]),
        (("completed",) * 2, [check("errored", None)], ["errored", "errored"]),
        (("completed",) * 2, [check("passed", None, severity="warn")], ["passed", "passed"]),
        # What a suite expects of a whole conversation is expected of no turn, except of the only one.
        (("completed",) * 2, [check("failed", None, declared="a.yaml:1")], ["passed", "passed"]),
        (("completed",), [check("failed", None, declared="a.yaml:1")], ["failed"]),
        (("incomplete", "not_run"), [check("errored", 1, turn=1)], ["errored", "skipped"]),
    ],
)  # fmt: skip
def test_the_verdict_of_a_turn(outcomes: Any, checks: Any, verdicts: list[str]) -> None:
    turns = list(turn_results(conversation(*outcomes, checks=checks)))
    assert [turn["verdict"] for turn in turns] == verdicts
    assert [bool(turn["message"]) for turn in turns] == [
        one in ("failed", "errored") for one in verdicts
    ]


def test_turns_are_variants_of_one_scenario_and_one_test() -> None:
    whole = conversation("completed", "completed", checks=[], parts=["x"], trial=2, case="x")
    first, second = map(result_row, turn_results(whole))
    assert [first.id, second.id] == ["s::a[x] turn 1#2", "s::a[x] turn 2#2"]
    assert first.cluster == second.cluster == "s::a[x]"
    assert first.variant != second.variant
    assert [first.counts, second.counts] == [True, False]
    assert {whole_id(row.id) for row in (first, second)} == {"s::a[x]#2"}
    assert first.conversation == second.conversation == result_row(whole).answer_digest


def test_a_result_without_turns_is_paired_with_the_first_turn() -> None:
    skipped = line("a", "skipped")
    skipped["turns"] = []
    other = conversation("completed", "completed", checks=[], name="b")
    turns = [*turn_results(conversation("completed", "completed", checks=[])), *turn_results(other)]
    rows, others = [result_row(one) for one in turns], [result_row(skipped)]
    assert [row.key[2] for row in aligned_turns(rows, others)] == [(), ("turn 1",), ("turn 2",)]
    assert aligned_turns(others, rows) == others
