"""What judges and repeated answers use is counted apart, and part of a budget on request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.compare.comparison import Comparison
from evalkit.compare.gates import Gate
from evalkit.compare.rows import Prices, result_row
from evalkit.compare.runs import compare
from evalkit.results import Run
from tests.compare.lines import line

PRICES = {
    "m": Prices(input_per_million=1, output_per_million=1),
    "judge": Prices(input_per_million=2, output_per_million=2),
}


def judged(name: str, judge: str = "judge", retried: int = 0, simulated: int = 0) -> dict[str, Any]:
    value = line(name)
    half = {"total_input_tokens": 50, "total_output_tokens": 50, "total_tokens": 100}
    value["metrics"]["tokens"] = half
    value["metrics"]["judge"] = {"tokens": half, "exchanges": 1}
    if retried:
        value["metrics"]["retried"] = {
            "tokens": {**half, "total_input_tokens": retried - 50, "total_tokens": retried},
            "exchanges": 1,
        }
    if simulated:
        tokens = {**half, "total_input_tokens": simulated - 50, "total_tokens": simulated}
        value["metrics"]["simulator"] = {"tokens": tokens, "exchanges": 1}
        value["simulator_exchanges"] = [{"number": 1, "request": {"body": {"model": judge}}}]
    value["judge_exchanges"] = [{"number": 1, "request": {"body": {"model": judge}}}]
    return value


def run(folder: Path, lines: list[dict[str, Any]]) -> Run:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"totals": {}, "options": {}, "suites": []}))
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return Run(folder)


def compared(
    tmp_path: Path,
    gate: dict[str, Any],
    prices: dict[str, Prices] = PRICES,
    **options: Any,
) -> Comparison:
    names = [f"s{number}" for number in range(10)]
    old = run(tmp_path / "old", [judged(name) for name in names])
    new = run(tmp_path / "new", [judged(name, **options) for name in names])
    return compare(old, new, gate=Gate.model_validate(gate), prices=prices)


def test_counted_apart(tmp_path: Path) -> None:
    actual = compared(tmp_path, {"tokens": {"max_mean": 100}}, retried=60)
    assert actual.verdict.verdict == "pass"
    assert actual.metrics["tokens"].candidate.mean == 100
    notes = [note for note in actual.warnings if note.startswith("not part of tokens and cost")]
    assert notes == [
        "not part of tokens and cost: 2,000 tokens of judges, cost 0.004 (both runs)",
        "not part of tokens and cost: 600 tokens of answers that were asked for again, "
        "cost 0.0006 (both runs)",
    ]


def test_included_on_request(tmp_path: Path) -> None:
    include = ["judge", "retried"]
    gate = {
        "tokens": {"max_mean": 100, "include": include},
        "cost": {"max_mean": 1, "include": include},
    }
    actual = compared(tmp_path, gate, retried=60)
    assert actual.metrics["tokens"].baseline.mean == 200
    assert actual.metrics["tokens"].candidate.mean == 260
    assert actual.metrics["cost"].candidate.mean == pytest.approx((100 + 200 + 60) / 1e6)
    assert [rule.verdict for rule in actual.verdict.rules if rule.rule == "tokens.max_mean"] == [
        "fail"
    ]
    assert not [note for note in actual.warnings if note.startswith("not part of")]


def test_a_judge_without_a_price_makes_the_cost_unknown(tmp_path: Path) -> None:
    gate = {"cost": {"max_mean": 1, "include": ["judge"]}}
    actual = compared(tmp_path, gate, {"m": PRICES["m"]})
    assert actual.verdict.verdict == "inconclusive"
    assert "evalkit.yaml has no price of 'judge'" in actual.verdict.reason
    assert "cost" not in actual.metrics


def test_simulated_users_are_counted_apart_and_included_on_request(tmp_path: Path) -> None:
    actual = compared(tmp_path, {"tokens": {"max_mean": 100}}, simulated=70)
    assert actual.metrics["tokens"].candidate.mean == 100
    note = "not part of tokens and cost: 700 tokens of simulated users, cost 0.0014 (both runs)"
    assert note in actual.warnings
    (tmp_path / "again").mkdir()
    gate = {"tokens": {"max_mean": 100, "include": ["simulator"]}}
    actual = compared(tmp_path / "again", gate, simulated=70)
    assert actual.metrics["tokens"].candidate.mean == 170
    assert "simulated users" not in "".join(actual.warnings)


def test_simulated_messages_are_not_a_change_of_the_request() -> None:
    def parts(message: str, goal: str) -> Any:
        value = line("a")
        user = {"goal": goal}
        spoken = {"user": [{"type": "text", "text": message}], "simulated": {"user": user}}
        turns = [{**value["turns"][0], **spoken, "number": number} for number in (1, 2)]
        for turn in turns:
            turn["entry"] = 1
        last = {**value["turns"][0], "number": 3, "entry": 2}
        return result_row({**value, "turns": [*turns, last]}).request_parts

    assert parts("one", "x") == parts("another", "x")
    assert parts("one", "x") != parts("one", "y")
    assert [name for name in parts("one", "x") if "turn" in name] == [
        "simulated user of turn 1",
        "message of turn 2",
    ]
