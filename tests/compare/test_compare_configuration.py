"""Differences besides the model, and warnings."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.compare.pairing import change_warnings, pair_runs, request_changes, run_changes
from tests.compare.lines import line, rows

OLD: dict[str, Any] = {
    "evalkit": "0.1.0",
    "python": "3.11.7",
    "pytest": "9.0",
    "complete": True,
    "options": {"record": "none", "model": ["a"]},
    "suites": [
        {"suite": "weather", "digest": "sha256:aaaaaaaaaaaaaaaa"},
        {"suite": "gone", "digest": "sha256:b"},
    ],
}
NEW: dict[str, Any] = {
    "evalkit": "0.2.0",
    "python": "3.11.7",
    "pytest": "9.0",
    "complete": False,
    "options": {"record": "once", "model": ["b"]},
    "suites": [{"suite": "weather", "digest": "sha256:cccccccccccccccc"}],
}


def asking(scenario: str, **settings: Any) -> dict[str, Any]:
    return {**line(scenario), "settings": settings}


def test_each_request_change_is_listed_once() -> None:
    old = [
        asking(f"c{number}", model="m1", system_instruction="Be brief." * (number < 3))
        for number in range(5)
    ]
    new = [
        asking(
            f"c{number}",
            model="m2",
            system_instruction="Be kind." * (number < 3),
            service_tier="flex",
        )
        for number in range(5)
    ]
    assert [str(change) for change in request_changes(pair_runs(rows(old), rows(new)))] == [
        'service_tier (5 pairs): absent → "flex"',
        'system_instruction (3 pairs): "Be brief." → "Be kind."',
    ]


def test_long_values_are_shown_where_they_differ() -> None:
    start = "You are the assistant of a bank. " * 9
    old, new = (
        rows([asking("a", system_instruction=start + end)])
        for end in ("Say please.", "Say nothing.")
    )
    (change,) = request_changes(pair_runs(old, new))
    assert "please" in change.baseline
    assert "nothing" in change.candidate
    assert max(map(len, change[1:3])) <= 62


def test_prompts_are_part_of_the_request() -> None:
    old, new = line("a"), line("a")
    old["turns"][0]["user"], new["turns"][0]["user"] = (
        [{"type": "text", "text": text}] for text in ("Hi", "Hello")
    )
    (change,) = request_changes(pair_runs(rows([old]), rows([new])))
    assert change.setting == "prompts"


def test_hostile_values_are_made_visible() -> None:
    old, new = rows([asking("a", system_instruction="\x1b[31m\u202e")]), rows([asking("a")])
    (change,) = request_changes(pair_runs(old, new))
    assert str(change).isprintable()


def test_differences_between_manifests() -> None:
    assert [str(change) for change in list(run_changes(OLD, NEW))] == [
        "evalkit version: 0.1.0 → 0.2.0",
        "option record: none → once",
        "suite gone: sha256:b → absent",
        "suite weather: sha256:aaaaaaaaaaaa → sha256:cccccccccccc",
    ]
    assert list(run_changes(OLD, OLD)) == []


def test_change_warnings() -> None:
    actual = pair_runs(
        rows([asking("a", seed=1), asking("b", seed=1)]),
        rows([asking("a", seed=2), asking("b", seed=1)]),
    )
    changes = [*request_changes(actual), *list(run_changes(OLD, NEW))]
    assert change_warnings(changes) == [
        "the suites differ (gone, weather): a changed verdict may be due to the suite, "
        "not the model",
        "the requests differ (seed): the comparison is of more than the model",
    ]
    assert change_warnings([]) == []


@pytest.mark.parametrize("manifest", [{}, {"suites": None, "options": None}])
def test_empty_manifests_do_not_differ(manifest: dict[str, Any]) -> None:
    assert list(run_changes(manifest, manifest)) == []
