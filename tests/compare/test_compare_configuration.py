"""Differences besides the model, and warnings."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.compare.configuration_changes import (
    change_warnings,
    request_changes,
    run_changes,
)
from evalkit.compare.pairing import pair_runs
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
    assert max(len(change.baseline), len(change.candidate)) <= 62
    assert "Say [-please-]{+nothing+}." in str(change)
    assert "…" in str(change)


def test_prompts_are_part_of_the_request() -> None:
    old, new = line("a"), line("a")
    old["turns"][0]["user"], new["turns"][0]["user"] = (
        [{"type": "text", "text": text}] for text in ("Hi", "Hello")
    )
    (change,) = request_changes(pair_runs(rows([old]), rows([new])))
    assert change.setting == "message of turn 1"


def test_turns_that_did_not_happen_do_not_differ() -> None:
    old, new, errored = line("a"), line("a"), line("a", "errored")
    turn = old["turns"][0]
    old["turns"].append({**turn, "number": 2, "user": [{"type": "text", "text": "More?"}]})
    new["turns"].append({**turn, "number": 2, "user": [], "outcome": "not_run"})
    errored["turns"] = []
    for one in (new, errored):
        assert request_changes(pair_runs(rows([old]), rows([one]))) == []
        assert request_changes(pair_runs(rows([one]), rows([old]))) == []


def test_the_version_and_the_tier_that_answered_are_listed() -> None:
    old, new = line("a"), line("a")
    bodies = {"body": {"model": "m-001", "service_tier": "standard"}}
    events = {"events": [{"event_type": "x"}, {"interaction": {"model": "m-002"}}]}
    for one, response in ((old, bodies), (new, events)):
        one["turns"][0]["exchanges"] = [{"response": response}, {}]
    changes = request_changes(pair_runs(rows([old]), rows([new])))
    assert sorted(map(str, changes)) == [
        'model that answered (1 pair): "m-001" → "m-002"',
        'tier that answered (1 pair): "standard" → absent',
    ]
    assert change_warnings(changes) == []


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
