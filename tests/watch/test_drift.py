"""The p of looks are exact and uniform, bets are fair, changes are found where they begin."""

from __future__ import annotations

import random
from itertools import product
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.watch import Service, delays, largest_capitals
from evalkit._lib.version import VERSION
from evalkit.compare.drift import Bets, look_p, series_p
from evalkit.compare.drift_signals import find_signals
from evalkit.results.records import VerdictName
from evalkit.results.watch_history import Look, WatchedTurn

VALUES = st.integers(0, 3).map(float)
SERIES = st.lists(st.lists(VALUES, min_size=2, max_size=4), min_size=1, max_size=3)


@given(SERIES, st.floats(0, 1))
def test_p_is_the_share_of_exchanges_with_a_larger_sum(
    series: list[list[float]], tie: float
) -> None:
    """Few different values count by their rank, so the sum of ranks can be enumerated."""
    ranks = [[sorted(set(one)).index(value) for value in one] for one in series]
    sums = [sum(choice) for choice in product(*ranks)]
    today = sum(one[-1] for one in ranks)
    expected = (sum(one > today for one in sums) + tie * sums.count(today)) / len(sums)
    p = series_p(
        {str(number): one[:-1] for number, one in enumerate(series)},
        {str(number): one[-1] for number, one in enumerate(series)},
        tie,
    )
    assert p == pytest.approx(expected)


@given(
    st.lists(st.floats(0, 1e6), min_size=2, max_size=30),
    st.randoms(use_true_random=False),
)
def test_p_is_uniform_over_the_positions_of_today(
    values: list[float], chance: random.Random
) -> None:
    """Whatever the values: if today's may be any of them, at most a share x has a p below x."""
    ps = []
    for index, value in enumerate(values):
        others = values[:index] + values[index + 1 :]
        for step in range(10):
            p = series_p({"a": others}, {"a": value}, (step + 0.5) / 10)
            assert p is not None
            ps.append(p)
    for limit in (0.1, 0.25, 0.5, chance.random()):
        assert sum(p <= limit for p in ps) / len(ps) <= limit + 0.1 / 2 + 1e-9


def test_without_an_earlier_result_there_is_no_p() -> None:
    assert series_p({}, {"a": 1.0}, 0.5) is None
    assert series_p({"b": [1.0]}, {"a": 1.0}, 0.5) is None
    assert look_p([], {"a": 1.0}, 0.5) is None
    assert look_p([{"a": 1.0}], {}, 0.5) is None


def test_a_constant_series_says_nothing() -> None:
    assert series_p({"a": [0.0] * 9}, {"a": 0.0}, 0.3) == 0.3
    alone = series_p({"b": [0.0, 0.0]}, {"b": 1.0}, 0.5)
    assert series_p({"a": [0.0] * 9, "b": [0.0, 0.0]}, {"a": 0.0, "b": 1.0}, 0.5) == alone


def test_a_slow_network_slows_all_requests_of_a_look_and_is_one_look() -> None:
    looks = [{"a": 1.0, "b": 2.0}] * 9
    assert look_p(looks, {"a": 3.0, "b": 4.0}, 1.0) == 1 / 10
    assert look_p(looks, {"a": -1.0, "b": 0.0}, 1.0) == 1.0
    # One slow request of many is not a slow look.
    assert look_p([{"a": 1.0, "b": 1.0, "c": 1.0}] * 9, {"a": 1.0, "b": 1.0, "c": 9.0}, 1.0) == 1


@given(st.lists(st.floats(0, 1), max_size=40))
def test_a_bet_can_lose_everything_but_never_more(ps: list[float]) -> None:
    bets = Bets()
    assert bets.capital == pytest.approx(1)
    for p in ps:
        bets.add(p)
        assert bets.capital > 0


def test_bets_are_fair() -> None:
    """The mean capital over all p, by numeric integration, stays 1 after one more look."""
    steps = 3_000
    for before in ((), (0.3,), (0.01, 0.9)):
        capitals = []
        for step in range(steps):
            # Denser near 0, where most is won: p = u**8 has the density weights below.
            u = (step + 0.5) / steps
            bets = Bets([*before, u**8])
            capitals.append(bets.capital * 8 * u**7)
            if step == 0:
                start = Bets(before).capital
        assert fmean(capitals) == pytest.approx(start, rel=0.02)


def test_the_change_point_is_where_small_ps_begin() -> None:
    quiet = [0.4, 0.9, 0.2, 0.7, 0.5, 0.6, 0.3, 0.8]
    for changed in ([0.001, 0.01, 0.002], [1e-12]):
        assert Bets([*quiet, *changed]).change_point == len(quiet)


@pytest.mark.parametrize("measure", ["verdicts", "tokens", "latency"])
def test_a_quiet_service_hardly_ever_alarms(measure: str) -> None:
    """A short version of ``python -m benchmarks.watch``: at most 5 % may ever reach 20."""
    found = largest_capitals(6, (0.9, 0.99, 1.0), measure, histories=60, looks=50)
    assert sum(one >= 20 for one in found) <= 8
    assert max(found) < 500


@pytest.mark.parametrize(
    ("measure", "after", "most"),
    [
        ("verdicts", Service(rates=(0.5,)), 3),
        ("tokens", Service(tokens=2.0), 3),
        ("latency", Service(latency=3.0), 12),
    ],
)
def test_a_change_is_soon_an_alarm(measure: str, after: Service, most: int) -> None:
    found = delays(Service(), after, 20, 30, histories=5, measure=measure)
    assert max(found) <= most


@pytest.mark.parametrize(
    ("id_", "stays"), [("s::a turn 1", False), ("s::new turn 1", True)], ids=["again", "another"]
)
def test_an_alarm_ends_where_one_of_its_turns_begins_a_new_series(id_: str, stays: bool) -> None:
    quiet = [look_with("passed", p=(number % 10 + 0.5) / 10) for number in range(40)]
    alarm = [look_with("failed", p=0.001) for _ in range(6)]
    assert find_signals([*quiet, *alarm], 0.01)
    last = look_with("failed", p=0.001)
    last.turns.append(WatchedTurn(id=id_, series="new", verdict="passed"))
    assert bool(find_signals([*quiet, *alarm, last], 0.01)) is stays


def look_with(verdict: VerdictName, *, p: float) -> Look:
    turn = WatchedTurn(id="s::a turn 1", series="a", verdict=verdict)
    return Look(
        time="2026-01-01T00:00:00Z",
        evalkit=VERSION,
        endpoint="http://127.0.0.1",
        models=[],
        requests=1,
        tokens=1,
        news=[],
        p={"verdicts": p},
        turns=[turn],
    )
