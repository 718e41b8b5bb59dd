"""Judges in comparisons: corrected rates, what a calibration is bound to, and the gate's rule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evalkit.compare.comparison import Comparison
from evalkit.compare.comparison_json import comparison_json
from evalkit.compare.gates import Gate
from evalkit.compare.runs import compare
from evalkit.results.calibrations import Calibration, find_calibration
from evalkit.results.judgments import NAME, JudgeKey, read_judge_rates, stored_judgments
from evalkit.verdict import Judgment
from tests.compare.judged_lines import judged, judgment
from tests.reports.sample import make_run

JUDGED = "2026-11-01T00:00:00Z"
GOOD = {f"weather::s{n}": [1, 0, 0, 0] if n < 60 else [0, 0, 0, 1] for n in range(100)}
FAIR = GOOD | {f"weather::s{n}": [0, 1, 0, 0] for n in range(8)}
FAIR |= {f"weather::s{n}": [0, 0, 1, 0] for n in range(60, 68)}


def calibration(**changes: Any) -> Calibration:
    values = {
        "rubric": "The answer is polite.",
        "rubric_digest": "a" * 64,
        "expected": {"min": 0.7},
        "model": "gemini-3.5-flash",
        "model_version": "gemini-3.5-flash-001",
        "judged": JUDGED,
        "labels": 100,
        "clusters": GOOD,
    }
    return Calibration.model_validate(values | changes)


def results(passing: int, **changes: Any) -> list[str]:
    return [judged(f"s{n}", judgment(n < passing, **changes)) for n in range(60)]


def compared(
    folder: Path,
    new: Sequence[str],
    calibrations: Sequence[Calibration] = (),
    gate: dict[str, Any] | None = None,
    started: str = "2026-11-22T13:00:00Z",
) -> Comparison:
    return compare(
        make_run(folder / "old", results(50)),
        make_run(folder / "new", new, started=started),
        gate=Gate.model_validate(gate) if gate is not None else None,
        calibrations=calibrations,
    )


def test_corrected_rates_are_beside_the_judges_own(tmp_path: Path) -> None:
    actual = compared(tmp_path, results(40), [calibration(clusters=FAIR)])
    raw, corrected = actual.judge_rows
    assert (raw.label, raw.baseline, raw.candidate) == (
        "judge: The answer is polite.",
        "83.3% of 60",
        "66.7% of 60",
    )
    assert raw.change == "-16.7 points"
    assert corrected.label == "corrected by 100 labels"
    # Sensitivity 52/60, specificity 32/40: (2/3 + 0.8 - 1) / (2/3) = 70 %.
    assert corrected.candidate.startswith("70.0% (")
    assert corrected.change == "-25.0 points"
    assert actual.judge_sentences[1].startswith("corrected by 100 labels: difference -25.0 points")
    (record,) = comparison_json(actual)["judges"]
    assert record["candidate"]["corrected"]["value"] == pytest.approx(0.7)
    assert record["candidate"]["sensitivity"]["value"] == pytest.approx(52 / 60)
    low, high = record["corrected_interval"]
    assert low < record["corrected_difference"] < high
    assert json.loads(json.dumps(record)) == record


def test_another_judge_has_no_difference(tmp_path: Path) -> None:
    actual = compared(tmp_path, results(40, version="gemini-3.5-flash-002"), [calibration()])
    raw, corrected = actual.judge_rows
    assert (raw.baseline, raw.change) == ("", "")
    assert corrected.candidate == (
        "unknown: the judge was calibrated for 'gemini-3.5-flash-001', and 'gemini-3.5-flash-002' "
        "answers now"
    )


def test_runs_without_judges_have_no_rows(tmp_path: Path) -> None:
    lines = [judged(f"s{n}") for n in range(3)]
    gate = {"judge": {"min_kappa": 0.6}, "max_removed": None}
    actual = compared(tmp_path, lines, gate=gate)
    assert actual.judge_rows == []
    assert comparison_json(actual)["judges"] == []
    (rule,) = (rule for rule in actual.verdict.rules if rule.rule == "judge")
    assert rule.message == "no judge was asked in the candidate"


KEY = JudgeKey("a" * 64, '{"min":0.7}', "gemini-3.5-flash", "gemini-3.5-flash-001")
BINDINGS = {
    "nothing is calibrated": ([], "is not calibrated"),
    "limit": (
        [calibration(expected={"min": 0.8})],
        """was calibrated for another limit: '{"min":0.8}', not '{"min":0.7}'""",
    ),
    "model": (
        [calibration(model="gemini-3.6-flash")],
        "was calibrated for 'gemini-3.6-flash', and 'gemini-3.5-flash' judges now",
    ),
    "version": (
        [calibration(model_version="")],
        "was calibrated for an unnamed version, and 'gemini-3.5-flash-001' answers now",
    ),
    "rubric": (
        [calibration(rubric_digest="b" * 64)],
        "has another rubric than when its answers were calibrated",
    ),
    "other scenarios": (
        [calibration(rubric_digest="b" * 64, clusters={"other::a": [1, 0, 0, 0]}, labels=1)],
        "is not calibrated",
    ),
}


@pytest.mark.parametrize(("calibrations", "reason"), BINDINGS.values(), ids=BINDINGS)
def test_a_calibration_is_bound_to_its_judge(calibrations: list[Calibration], reason: str) -> None:
    assert find_calibration(KEY, {"weather::s1"}, calibrations) == (None, reason)
    both = [*calibrations, calibration()]
    assert find_calibration(KEY, {"weather::s1"}, both) == (calibration(), "")


def test_what_makes_a_judgment_uncertain_is_no_part_of_the_judge() -> None:
    line = json.loads(judged("a", judgment(True)))
    (before,) = stored_judgments(line)
    line["checks"][0]["judgments"][0]["expected"]["min_confidence"] = 0.9
    (after,) = stored_judgments(line)
    assert after.key == before.key == KEY


RULES: dict[str, tuple[list[Calibration], dict[str, Any], str, str]] = {
    "calibrated": ([calibration()], {}, "pass", "was calibrated on answers of 21 days before"),
    "missing": ([], {}, "fail", "is not calibrated; label its answers and run 'evalkit calibrate"),
    "good": ([calibration()], {"max_age": "30d", "min_kappa": 0.8}, "pass", "kappa 1.00"),
    "old": ([calibration()], {"max_age": "20d"}, "fail", "21 days before the run, at most 20d"),
    "low": (
        [calibration(clusters=FAIR)],
        {"min_kappa": 0.95},
        "fail",
        "at least 0.95 is needed; make the rubric clearer",
    ),
    "unclear": (
        [calibration(clusters=FAIR)],
        {"min_kappa": 0.65},
        "inconclusive",
        "at least 0.65 is needed; label more of its answers",
    ),
    "alike": (
        [calibration(clusters={"weather::a": [9, 0, 0, 0]}, labels=9)],
        {"min_kappa": 0.1},
        "inconclusive",
        "has no kappa: all its labels are alike",
    ),
    "future": (
        [calibration(judged="2026-11-23T00:00:00Z")],
        {},
        "fail",
        "later than this run (2026-11-22T13:00:00Z); calibrate it on answers of this run",
    ),
}


@pytest.mark.parametrize(("calibrations", "bound", "outcome", "message"), RULES.values(), ids=RULES)
def test_the_rule_of_a_gate(
    tmp_path: Path,
    calibrations: list[Calibration],
    bound: dict[str, Any],
    outcome: str,
    message: str,
) -> None:
    actual = compared(tmp_path, results(50), calibrations, {"judge": bound})
    (rule,) = (rule for rule in actual.verdict.rules if rule.rule.startswith("judge"))
    assert (rule.rule, rule.verdict) == ("judge.aaaaaaaa", outcome)
    assert rule.message.startswith("the judge of 'The answer is polite.' (gemini-3.5-flash-001) ")
    assert message in rule.message
    assert actual.verdict.verdict == outcome
    assert actual.next_step


def test_a_run_without_a_start_has_no_age(tmp_path: Path) -> None:
    actual = compared(tmp_path, results(50), [calibration()], {"judge": {}}, started="")
    assert actual.verdict.verdict == "inconclusive"
    assert "the run has no start" in actual.verdict.reason


def test_stored_rates_of_another_shape_are_refused(tmp_path: Path) -> None:
    for text in ("[]", '{"judges": [{}]}', "{", '{"judges": [{"rubric": 1}]}'):
        (tmp_path / NAME).write_text(text)
        with pytest.raises(Exception, match="is not what evalkit calibrate writes"):
            read_judge_rates(tmp_path)


def several(first: Judgment, second: Judgment) -> list[str]:
    return [judged(f"s{n}", first, second) for n in range(30)]


def test_each_rubric_is_a_judge_of_its_own(tmp_path: Path) -> None:
    other = judgment(False, rubric="It is short.", digest="b" * 64)
    lines = several(judgment(True), other)
    actual = compared(tmp_path, lines, [calibration()])
    assert [row.candidate for row in actual.judge_rows[::2]] == ["100.0% of 30", "0.0% of 30"]
