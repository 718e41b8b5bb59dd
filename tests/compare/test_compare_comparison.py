"""``comparison.json``, and the sentences for people."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from evalkit.compare.comparison_json import comparison_json
from evalkit.compare.evidence_rules import EVIDENCE_RULES
from evalkit.compare.gates import Gate, GateVerdict, RuleVerdict
from evalkit.compare.model_rules import MODEL_RULES
from evalkit.compare.sentences import next_step
from tests.compare.lines import comparison, line, split


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ((0, 0, 0, 0), "No pair was scored in both runs."),
        ((9, 0, 0, 0), "No pair differs (9 pairs)."),
        (
            (55, 0, 5, 0),
            "5 regressed, 0 improved, of 60 pairs: p = 0.0625. Significance was out of reach: only 5 scenarios differ, "
            "and so few can never give p < 0.05.",
        ),
        (
            (9, 0, 0, 1),
            "0 regressed, 1 improved, of 10 pairs: p = 1. Significance was out of reach: only 1 scenario differs, and",
        ),
        (
            (50, 0, 4, 3),
            "4 regressed, 3 improved, of 57 pairs: p = 1, not significant.",
        ),
        (
            (50, 0, 9, 1),
            "9 regressed, 1 improved, of 60 pairs: p = 0.02148, significant: the candidate is worse.",
        ),
        (
            (50, 0, 1, 9),
            "1 regressed, 9 improved, of 60 pairs: p = 0.02148, significant: the candidate is better.",
        ),
    ],
)
def test_significance(cells: tuple[int, ...], sentence: str) -> None:
    assert comparison(*split(*cells)).significance.startswith(sentence)


def test_sensitivity_of_311_pairs_with_a_tenth_differing() -> None:
    assert comparison(*split(280, 0, 16, 15)).sensitivity == (
        "With 311 scenarios of which 10% differ, a drop of 5.0 points would be found with 80 % power; a smaller one may be missed."
    )
    assert comparison(*split(3, 0, 0, 0)).sensitivity == (
        "With 3 scenarios of which none differs, no drop at all would be found with 80 % power: add scenarios."
    )
    assert "a drop of 0.8 points would be found" in comparison(*split(1000, 0, 0, 0)).sensitivity
    assert comparison([], []).sensitivity == ""


def test_cases_are_the_unit_where_all_scenarios_have_them() -> None:
    lines = [
        line("a", parts=[str(number)], case=str(number), trial=trial)
        for number in range(40)
        for trial in (1, 2)
    ]
    assert comparison(lines, lines).sensitivity.startswith(
        "With 40 cases (80 pairs, worth 40 independent) of which none differs, a drop of "
    )


@pytest.mark.parametrize(
    ("new", "conclusion"),
    [
        (
            [],
            "Do not ship yet: variants of the baseline are not in the candidate; there is nothing "
            "to compare.",
        ),
        (
            [line("a", "errored"), line("b", "errored")],
            "Not decided yet: results of the candidate errored; there is nothing to compare.",
        ),
        (
            [line("a"), line("b")],
            "Nothing found that speaks against shipping: 0 of 2 pairs regressed.",
        ),
        ([line("a"), line("b", "failed")], "Do not ship yet: 1 of 2 pairs regressed."),
        ([line("a"), line("b", "errored")], "Not decided yet: results of the candidate errored."),
    ],
)
def test_conclusion(new: list[dict[str, Any]], conclusion: str) -> None:
    assert comparison([line("a"), line("b")], new).conclusion == conclusion


@pytest.mark.parametrize(
    ("old", "new", "conclusion"),
    [
        (
            [line(f"c{number}") for number in range(12)],
            [line(f"c{number}", "failed") for number in range(12)],
            "The gate passes in spite of this: 12 of 12 pairs regressed",
        ),
        (
            [line("a", trial=trial) for trial in (1, 2, 3)] + [line("b")],
            [line("a", "failed", trial=trial) for trial in (1, 2, 3)] + [line("b")],
            "The gate passes in spite of this: 1 of 1 variant that always passed now always fail",
        ),
        (
            [line(f"c{number}") for number in range(12)],
            [line(f"c{number}", "passed" if number else "failed") for number in range(12)],
            "Nothing found that speaks against shipping: 1 of 12 pairs regressed",
        ),
    ],
)
def test_a_gate_that_lets_a_worse_candidate_pass_is_contradicted(
    old: list[dict[str, Any]], new: list[dict[str, Any]], conclusion: str
) -> None:
    actual = comparison(old, new, Gate(min_pass_rate=0.0))
    assert actual.verdict.verdict == "pass"
    assert actual.conclusion.startswith(conclusion)


def test_unpaired_variants_are_listed_as_often_as_the_gate_counts_them() -> None:
    verdicts = ("passed", "failed", "passed")
    trials = [line("b", verdict, trial=number) for number, verdict in enumerate(verdicts, 1)]
    actual = comparison([line("a"), *trials], [line("a")])
    assert "1 of 2 variants of the baseline are not in the candidate" in actual.verdict.reason
    assert [(title, [row.id for row in rows]) for title, rows in actual.unpaired] == [
        ("Removed", ["s::b#2"])
    ]
    added = comparison([line("a")], [line("a"), *trials]).unpaired
    assert [(title, [row.id for row in rows]) for title, rows in added] == [("Added", ["s::b#2"])]


@pytest.mark.parametrize(
    ("gate", "old", "new", "conclusion", "step"),
    [
        (
            {"tokens": {"max_increase": 0.1}},
            {"tokens": 100},
            {"tokens": None},
            "Not decided yet: tokens are not known.",
            "Run suites whose responses have usage, or remove the rule.",
        ),
        (
            {"tokens": {"max_increase": 0.1}},
            {"tokens": 0},
            {"tokens": 50},
            "Do not ship yet: the candidate needs too many tokens.",
            "Read which variants need more tokens.",
        ),
        (
            {"required_tags": ["smoke"], "max_errors": 1},
            {},
            {"verdict": "errored", "tags": ["smoke"]},
            "Not decided yet: results with a required tag errored or were skipped; there is nothing to "
            "compare.",
            "Remove the cause, which is not the model, and run again.",
        ),
        (
            {"min_pass_rate": 1},
            {},
            {"verdict": "failed"},
            "Do not ship yet: too few results pass; 1 of 1 pair regressed.",
            "Read the failures of the candidate.",
        ),
        (
            {"non_inferiority": {"margin": 0.05}},
            {},
            {},
            "Not decided yet: a drop beyond the margin is not ruled out.",
            "Record more scenarios or trials: evalkit plan says how many.",
        ),
        (
            {"max_regressions": 0},
            {"verdict": "failed"},
            {"verdict": "failed"},
            "Nothing found that speaks against shipping: 0 of 1 pair regressed; 1 failed in both runs.",
            "Review what changed, then sign the candidate: evalkit review, evalkit signoff.",
        ),
    ],
)
def test_the_rule_that_decided_is_named(
    gate: dict[str, Any], old: dict[str, Any], new: dict[str, Any], conclusion: str, step: str
) -> None:
    actual = comparison([line("a", **old)], [line("a", **new)], Gate.model_validate(gate))
    assert (actual.conclusion, actual.next_step) == (conclusion, step)


def test_every_rule_has_its_sentences() -> None:
    for rule in (*MODEL_RULES, *EVIDENCE_RULES):
        for outcome in ("fail", "inconclusive"):
            verdict = GateVerdict("g", outcome, "", (RuleVerdict(f"{rule}.x", outcome, ""),))
            assert next_step(verdict, comparison([], []).evidence)


def test_failures_that_only_the_candidate_has_are_a_warning() -> None:
    actual = comparison([line("a")], [line("a"), line("b", "failed"), line("c")])
    assert actual.verdict.verdict == "pass"
    assert actual.warnings == [
        "results that only the candidate has, and that failed: 1; they are in no pair"
    ]


def test_a_gate_without_a_rule_about_the_model_says_so() -> None:
    actual = comparison([line("a")], [], Gate.model_validate({"max_removed": None}))
    assert actual.verdict.verdict == "inconclusive"
    actual = comparison([line("a"), line("b")], [line("a")], Gate(max_removed=None))
    assert actual.verdict.reason.startswith("the gate has no rule about the model")


def test_the_conclusion_names_what_is_missing() -> None:
    both = [line("a"), line("b")]
    removed = comparison(both, [line("a")])
    assert removed.conclusion == (
        "Do not ship yet: variants of the baseline are not in the candidate."
    )
    assert removed.next_step.startswith("Restore the scenarios (also renamed ones)")
    deselected = comparison(both, [line("a")])
    deselected = replace(deselected, candidate=replace(deselected.candidate, deselected=1))
    assert deselected.conclusion == "Not decided yet: variants were deselected."
    assert deselected.next_step == "Run all variants, without -k, -m or node ids."


def test_conclusion_of_live_runs() -> None:
    old, new = (
        [
            line(
                f"c{number}", "failed" if number < failed else "passed", trial=trial, source="live"
            )
            for number in range(60)
            for trial in (1, 2, 3)
        ]
        for failed in (0, 3)
    )
    assert comparison(old, new).conclusion == (
        "Do not ship yet: 3 of 60 variants that always passed now always fail; the rest is within noise."
    )


def test_conclusion_where_too_few_scenarios_differ() -> None:
    old, new = (
        [line(f"c{number}", verdict, source="live") for number in range(5)]
        for verdict in ("passed", "failed")
    )
    old, new = ([*lines, line("same", source="live")] for lines in (old, new))
    assert comparison(old, new).conclusion == (
        "Not decided yet: 5 of 6 pairs regressed; only 5 scenarios differ, too few to rule out "
        "chance."
    )


def test_the_answer_shown_is_that_of_the_turn_that_failed() -> None:
    old, new = line("a"), line("a", "failed", text="No.")
    for one in (old, new):
        one["turns"].append({**one["turns"][0], "number": 2, "text": "You are welcome."})
    for place in ("check", "finding"):
        [check] = new["checks"]
        check["turn"] = 1 if place == "check" else None
        check["findings"][0]["where"] = {} if place == "check" else {"turn": 1}
        [change] = comparison([old], [new]).changed_variants("regressed")
        assert change.answer == "answer: No."
    check["findings"][0]["where"] = {}
    [change] = comparison([old], [new]).changed_variants("regressed")
    assert change.answer == "answer: You are welcome."


def test_times_that_cannot_be_compared_are_not_shown() -> None:
    old = [line(f"c{number}") for number in range(5)]
    same = comparison(old, old)
    assert [row.name for row in same.metric_rows if row.change] == [
        "mean tokens",
        "mean recorded ms",
    ]
    reason = {"elapsed_ms": "times cannot be compared"}
    other = replace(same, unknown=reason)
    assert [row.name for row in other.metric_rows if row.change] == ["mean tokens"]
    assert "times cannot be compared" in other.warnings


def test_a_dominating_scenario_is_named() -> None:
    old = [line(f"c{number}") for number in range(10)]
    old += [line("big", parts=[str(number)]) for number in range(30)]
    [warning] = comparison(old, old).warnings
    assert warning.startswith("one scenario has 75% of the pairs and decides most of the result: ")


def test_flakiness() -> None:
    one, twice = [line("a")], [line("a"), line("a", "failed", trial=2)]
    assert comparison(one, one).flakiness.startswith(
        "One trial per variant: nothing is known about flakiness."
    )
    assert comparison(one, twice).flakiness == (
        "Baseline: one trial per variant, nothing is known; candidate: trials disagree in 1 of 1 variants with several trials."
    )


def test_json() -> None:
    old = [
        line("same"),
        line("lost"),
        line("won", "failed"),
        line("said"),
        line("broke"),
        line("gone"),
    ]
    new = [
        line("new"),
        line("same"),
        line("lost", "failed"),
        line("won"),
        line("said", text="else"),
        line("broke", "errored"),
    ]
    actual = json.loads(
        json.dumps(comparison_json(comparison(old, new, Gate(max_regressions=1, max_removed=1))))
    )
    assert (actual["verdict"], actual["reason"]) == (
        "inconclusive",
        "1 of 6 results of the candidate errored, none may",
    )
    assert actual["pairs"] == {"both_passed": 2, "both_failed": 0, "regressed": 1, "improved": 1}
    assert {
        name: [one["id"] for one in actual[name]]
        for name in ("regressions", "improvements", "changed", "errors", "added", "removed")
    } == {
        "regressions": ["s::lost"],
        "improvements": ["s::won"],
        "changed": ["s::said"],
        "errors": ["s::broke"],
        "added": ["s::new"],
        "removed": ["s::gone"],
    }
    assert actual["regressions"][0] == {
        "id": "s::lost",
        "baseline_id": "s::lost",
        "verdicts": ["passed", "failed"],
        "location": "suites/s.yaml:3",
        "message": "lost failed",
        "findings_gained": ["text: text_missing"],
        "findings_lost": [],
    }
    assert actual["counts"] == {
        "paired": 5, "scored": 4, "clusters": 4, "unscored": 1, "added": 1, "removed": 1, "unmatched_trials": 0,
        "not_run": 0,
    }  # fmt: skip
    assert actual["by_check"] == {"text": {"regressed": 1, "improved": 1, "both_failed": 0}}
    assert (actual["mcnemar_p"], actual["difference"]) == (1.0, 0.0)
    assert actual["interval"][0] < 0 < actual["interval"][1]
    assert actual["candidate"]["errored"] == 1
    assert actual["candidate"]["results"] == 6
    assert actual["baseline"]["trials"]["flaky"] is None
    assert actual["metrics"]["tokens"]["ratio"] == 1


def test_errors_are_counted_but_in_no_average() -> None:
    old = [line("a"), line("b"), line("c")]
    new = [line("a"), line("b"), line("c", "errored", tokens=9_999)]
    actual = comparison_json(comparison(old, new))
    assert actual["candidate"]["pass_rate"] == 1
    assert actual["metrics"]["tokens"]["candidate"] == 100
    assert (
        actual["candidate"]["results"],
        actual["candidate"]["scored"],
        actual["candidate"]["errored"],
    ) == (3, 2, 1)
    assert actual["counts"]["paired"] == 3
