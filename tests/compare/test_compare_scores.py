"""Scores of judges are compared pair by pair, over clusters, wherever a comparison is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from evalkit.cli.compare_terminal import print_comparison
from evalkit.compare.comparison import Comparison
from evalkit.compare.comparison_json import comparison_json
from evalkit.compare.metrics import score_differences
from evalkit.compare.pairing import Pair
from evalkit.compare.rows import result_row
from evalkit.compare.runs import compare
from evalkit.reports.ci.comparison_markdown import write_comment, write_summary
from evalkit.reports.page.comparison_page import write as write_page
from evalkit.results import Run
from tests.compare.lines import line
from tests.compare.test_compare_extra_usage import run


def judgment(score: float | None, **fields: Any) -> dict[str, Any]:
    record = {
        "kind": "yes_no",
        "rubric": "It offers a refund.",
        "rubric_digest": "a" * 64,
        "model": "gemini-decision-1",
        "verdict": "passed",
        "expected": {"min": 0.5},
        **fields,
    }
    return record if score is None else {**record, "score": score}


def judged(name: str, *judgments: dict[str, Any]) -> dict[str, Any]:
    value = line(name)
    value["checks"] = [
        {"name": "judge", "verdict": "passed", "findings": [], "judgments": [one]}
        for one in judgments
    ]
    return value


def compared(tmp_path: Path, old: dict[str, list[Any]], new: dict[str, list[Any]]) -> Comparison:
    return compare(
        run(tmp_path / "old", [judged(name, *ones) for name, ones in old.items()]),
        run(tmp_path / "new", [judged(name, *ones) for name, ones in new.items()]),
    )


def test_the_mean_difference_has_an_interval_over_clusters(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(8)]
    old = {name: [judgment(0.6), judgment(0.8)] for name in names}
    new = {name: [judgment(0.8), judgment(0.8 + number / 100)] for number, name in enumerate(names)}
    comparison = compared(tmp_path, old, new)
    (score,) = comparison.scores
    assert (score.name, score.metric.pairs) == ("It offers a refund.", 8)
    assert score.metric.baseline.mean == pytest.approx(0.7)
    assert score.metric.difference == pytest.approx(0.1175)
    assert score.metric.interval is not None
    low, high = score.metric.interval
    assert 0 < low < 0.1175 < high
    assert score.metric.ratio is None
    assert comparison.verdict.verdict == "pass", "every answer passes in both runs"
    row = comparison.metric_rows[0]
    assert (row.label, row.change) == ("score: It offers a refund.", "+0.118")
    assert row.between == f"{low:+.4g} and {high:+.4g}"


def test_every_form_shows_the_scores(tmp_path: Path) -> None:
    hostile = judgment(1, rubric="\x1b[31m<script>alert(1)</script>")
    names = ["a", "b", "c"]
    comparison = compared(
        tmp_path,
        {name: [judgment(0.4), {**hostile, "rubric_digest": "b" * 64}] for name in names},
        {name: [judgment(0.9), {**hostile, "rubric_digest": "b" * 64}] for name in names},
    )
    console = Console(width=80, record=True)
    print_comparison(comparison, console)
    runs = Run(tmp_path / "old"), Run(tmp_path / "new")
    files = [
        write_comment(comparison, tmp_path),
        write_summary(comparison, tmp_path),
        write_page(comparison, *runs, tmp_path),
    ]
    texts = [file.read_text() for file in files]
    for form in [console.export_text(), *texts]:
        assert "score: " in form
        assert "+0.5" in form
        assert "\x1b" not in form
    for text in texts:
        assert "<script>alert" not in re.sub("`[^`\n]*`", "", text)
    record = json.loads(json.dumps(comparison_json(comparison)))["scores"][0]
    assert record["pairs"] == 3
    assert (record["baseline"], record["candidate"]) == pytest.approx((0.4, 0.9))
    assert record["judges"] == ["gemini-decision-1", "gemini-decision-1"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (judgment(0.5), judgment(0.5, rubric_digest="b" * 64)),
        (judgment(0.5), judgment(None)),
        (judgment(None, choice="a"), judgment(None, choice="b")),
        (judgment(0.5), judgment(0.5, question="refund")),
    ],
)
def test_other_questions_are_not_compared(tmp_path: Path, old: Any, new: Any) -> None:
    comparison = compared(tmp_path, {"a": [old]}, {"a": [new]})
    assert comparison.scores == []
    assert not any(row.subject for row in comparison.metric_rows)


def test_another_judge_is_a_warning(tmp_path: Path) -> None:
    old = {name: [judgment(0.5, model_version="gemini-decision-1-001")] for name in "ab"}
    new = {name: [judgment(0.7, model_version="gemini-decision-1-002")] for name in "ab"}
    assert (
        "1 rubric was judged by gemini-decision-1-001 in the baseline and by "
        "gemini-decision-1-002 in the candidate: a difference of the scores may be the judges'"
        in compared(tmp_path, old, new).warnings
    )


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8))
def test_swapped_runs_give_the_opposite_difference(scores: list[tuple[float, float]]) -> None:
    rows = [
        [result_row(judged(f"s{number}", judgment(score))) for score in pair]
        for number, pair in enumerate(scores)
    ]
    (forth,) = score_differences([Pair(old, new) for old, new in rows])
    (back,) = score_differences([Pair(new, old) for old, new in rows])
    assert forth.metric.difference == pytest.approx(-back.metric.difference)
    assert forth.metric.interval is not None
    assert back.metric.interval is not None
    assert forth.metric.interval.low == pytest.approx(-back.metric.interval.high)
