"""Scenarios over many runs: rates with denominators, flips, costs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from evalkit.compare.history import PastResult, PastRun, RunHistory, build_history
from evalkit.compare.rows import Prices

RUNS = [PastRun(name, str(number), "0.1.0", True) for number, name in enumerate(("r1", "r2", "r3"))]


def entry(run: str, id_: str, verdict: str = "passed", tokens: int = 10) -> PastResult:
    counts = {"total_tokens": tokens, "total_input_tokens": tokens, "total_output_tokens": 0}
    return PastResult(
        run=run,
        id=id_,
        scenario=id_.partition("[")[0],
        model="m",
        prompt="",
        verdict=verdict,
        tokens=counts,
        elapsed_ms=None,
    )


def built(*entries: PastResult, prices: dict[str, Prices] | None = None) -> RunHistory:
    return build_history(
        RUNS, sorted(entries, key=lambda one: (one.scenario, one.id, one.run)), prices
    )


@pytest.mark.parametrize(
    ("verdicts", "flips"),
    [
        (["passed", "passed", "passed"], 0),
        (["passed", "failed", "passed"], 2),
        (["passed", "errored", "failed"], 1),
        (["passed", "errored", "passed"], 0),
        (["skipped", "skipped", "failed"], 0),
    ],
)
def test_flips(verdicts: Sequence[str], flips: int) -> None:
    actual = built(
        *(entry(run.name, "s::a", verdict) for run, verdict in zip(RUNS, verdicts, strict=True))
    )
    assert [line.flips for line in actual.scenarios] == [flips]
    assert actual.total.flips == flips


def test_points_have_denominators() -> None:
    actual = built(
        entry("r1", "s::a[x]"),
        entry("r1", "s::a[y]", "failed"),
        entry("r1", "s::a[z]", "errored", 40),
        entry("r3", "s::a[x]"),
    )
    (line,) = actual.scenarios
    first, second, third = line.points
    assert first is not None
    assert (first.results, first.scored, first.passed, first.errored, first.rate, first.tokens) == (
        3,
        2,
        1,
        1,
        0.5,
        20,
    )
    assert second is None
    assert line.last is third
    assert (first.cost, first.elapsed_ms) == (None, None)


def test_scenarios_are_sorted_by_flips_then_rate() -> None:
    actual = built(
        entry("r1", "s::steady"), entry("r2", "s::steady"),
        entry("r1", "s::bad", "failed"), entry("r2", "s::bad", "failed"),
        entry("r1", "s::flips"), entry("r2", "s::flips", "failed"),
        entry("r1", "s::errs", "errored"),
    )  # fmt: skip
    assert [line.scenario for line in actual.scenarios] == [
        "s::flips",
        "s::bad",
        "s::steady",
        "s::errs",
    ]


def test_costs() -> None:
    actual = built(
        entry("r1", "s::a", tokens=500_000),
        prices={"m": Prices(input_per_million=2, output_per_million=1)},
    )
    assert actual.total.points[0] is not None
    assert actual.total.points[0].cost == 1


def test_json() -> None:
    value = built(entry("r1", "s::a")).to_json()
    assert [run["name"] for run in value["runs"]] == ["r1", "r2", "r3"]
    assert value["scenarios"][0]["scenario"] == "s::a"
    assert value["scenarios"][0]["points"][0]["rate"] == 1
    assert value["scenarios"][0]["points"][1:] == [None, None]


def test_nothing() -> None:
    assert build_history([], []).scenarios == []
