"""Pairing by identity, and the outcome of pairs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.compare.pairing import Flips, Pair, by_check, by_code, pair_runs, pair_table
from evalkit.compare.rows import result_row
from tests.compare.lines import line, rows

names = st.lists(st.sampled_from([f"c{number}" for number in range(30)]), unique=True)


def ids(actual: list[Pair]) -> list[str]:
    return [one.candidate.id for one in actual]


@given(names, names, st.randoms(use_true_random=False))
def test_pairs_do_not_depend_on_order(
    old: list[str], new: list[str], chance: random.Random
) -> None:
    """Whatever is put in, taken out or moved: the same names pair, the others are added or removed."""
    actual = pair_runs(rows(map(line, old)), rows(map(line, new)))
    chance.shuffle(old)
    again = pair_runs(rows(map(line, old)), rows(map(line, new)))
    assert ids(actual.pairs) == ids(again.pairs) == [f"s::{name}" for name in new if name in old]
    assert {row.id for row in actual.added} == {f"s::{name}" for name in set(new) - set(old)}
    assert {row.id for row in actual.removed} == {f"s::{name}" for name in set(old) - set(new)}
    assert not actual.unmatched
    assert all(one.baseline.key == one.candidate.key for one in actual.pairs)


def test_adding_a_scenario_changes_no_pair() -> None:
    old = [line(f"c{number}", "failed" if number % 3 else "passed") for number in range(9)]
    before = pair_runs(rows(old), rows(old))
    after = pair_runs(rows(old), rows([line("new"), *old]))
    assert before.pairs == after.pairs
    assert [row.id for row in after.added] == ["s::new"]


def test_surplus_trials_are_neither_added_nor_removed() -> None:
    one = [line("a"), line("b"), line("b", trial=2)]
    three = [line("a", trial=number) for number in (1, 2, 3)] + [
        line("b"),
        line("new", trial=1),
        line("new", trial=2),
    ]
    actual = pair_runs(rows(one), rows(three))
    assert [row.id for row in actual.unmatched] == ["s::a#2", "s::a#3", "s::b#2"]
    assert [row.id for row in actual.added] == ["s::new", "s::new#2"]
    assert actual.removed == []


def test_the_last_of_repeated_results_counts() -> None:
    actual = pair_runs(rows([line("a"), line("a", "failed")]), rows([line("a")]))
    assert [one.change for one in actual.pairs] == ["improved"]


def test_models_pair_when_the_model_is_what_differs() -> None:
    old = [line("a", parts=["m-1", "plain"], model="m-1")]
    new = [line("a", parts=["m-2", "plain"], model="m-2")]
    assert pair_runs(rows(old), rows(new)).pairs == []
    actual = pair_runs(rows(old, drop_model=True), rows(new, drop_model=True))
    assert [(one.baseline.model, one.candidate.model) for one in actual.pairs] == [("m-1", "m-2")]
    assert actual.pairs[0].candidate.key == ("s", "a", ("plain",), 1)


@pytest.mark.parametrize(
    ("before", "after", "change", "difference"),
    [
        (line("a"), line("a"), "same", 0),
        (line("a"), line("a", text="other"), "changed", 0),
        (
            line("a", "failed", checks={"text": "x"}),
            line("a", "failed", checks={"text": "y"}),
            "changed",
            0,
        ),
        (line("a"), line("a", "failed"), "regressed", -1),
        (line("a", "failed"), line("a"), "improved", 1),
        (line("a", "errored"), line("a"), "unscored", 1),
        (line("a"), line("a", "errored"), "unscored", -1),
        (line("a", "skipped"), line("a", "skipped"), "unscored", 0),
    ],
)
def test_changes(
    before: dict[str, object], after: dict[str, object], change: str, difference: int
) -> None:
    actual = Pair(result_row(before), result_row(after))
    assert actual.change == change
    assert actual.difference == difference


def test_signatures_ids_and_times_are_not_compared() -> None:
    assert (
        Pair(
            result_row(line("a", model="m1", elapsed_ms=3)),
            result_row(line("a", model="m2", elapsed_ms=9)),
        ).change
        == "same"
    )


def test_table_and_flips() -> None:
    old = rows(
        [
            line("a", checks={"text": "passed", "steps": "passed"}),
            line("b", "failed", checks={"text": "missing", "steps": "passed"}),
            line("c", "failed", checks={"text": "missing"}),
            line("d", checks={"text": "passed"}),
            line("e", "errored", checks={"text": "errored"}),
        ]
    )
    new = rows(
        [
            line("a", "failed", checks={"text": "missing", "steps": "passed"}),
            line("b", "failed", checks={"text": "passed", "steps": "parted"}),
            line("c", "failed", checks={"text": "forbidden"}),
            line("d", checks={"json": "passed"}),
            line("e", checks={"text": "passed"}),
        ]
    )
    scored = pair_runs(old, new).scored
    assert pair_table(scored) == (1, 2, 1, 0)
    assert by_check(scored) == {"steps": Flips(1, 0, 0), "text": Flips(1, 1, 1)}
    assert by_code(scored) == {
        "steps: parted": Flips(1, 0, 0),
        "text: forbidden": Flips(1, 0, 0),
        "text: missing": Flips(1, 2, 0),
    }


def test_the_worst_verdict_of_a_check_counts() -> None:
    one = line("a", "failed")
    one["checks"] = [
        {"name": "text", "verdict": "failed", "findings": [], "turn": 1},
        {"name": "text", "verdict": "passed", "findings": [], "turn": 2},
    ]
    assert result_row(one).checks == {"text": "failed"}


def test_unknown_values_are_none() -> None:
    row = result_row(line("a", tokens=None, elapsed_ms=None))
    assert (row.tokens, row.elapsed_ms, row.cost) == (None, None, None)
    assert (row.cluster, row.location) == ("s::a", "suites/s.yaml:3")
