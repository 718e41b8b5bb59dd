"""Figures of a run: rates with intervals, distributions with round bins, each with a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.compare.clusters import rate_interval
from evalkit.reports.overview import ResultCounts
from evalkit.reports.page.figures import BINS, figures
from evalkit.verdict import Verdict
from tests.reports.page_reading import Page
from tests.reports.sample import line, make_run, passing, write_page


def counts(*scenarios: tuple[int, int]) -> ResultCounts:
    """Return counts of scenarios with so many scored and passed results."""
    result = ResultCounts()
    for number, (scored, passed) in enumerate(scenarios):
        result.scored_of["", f"s{number}"], result.passed_of["", f"s{number}"] = scored, passed
    return result


def distribution(values: list[float]) -> list[tuple[str, int]]:
    """Return the bins of a distribution of tokens."""
    total = ResultCounts()
    total.sizes.extend(values)
    return [(one.label, one.variants) for one in figures({}, total).distributions[0].bins]


def test_rates_are_of_scored_results_lowest_first() -> None:
    suites = {
        "good": counts(*[(1, 1)] * 10),
        "bad": counts((1, 1), (1, 0), (1, 0), (1, 0)),
        "silent": counts(),
    }
    [rates] = figures(suites, ResultCounts()).rates
    assert [(one.name, one.passed, one.scored, one.share) for one in rates.rows] == [
        ("bad", 1, 4, "25.0 %"),
        ("good", 10, 10, "100.0 %"),
    ]
    low, high = rate_interval(suites["bad"].passed[""])
    assert rates.rows[0].interval == f"{100 * low:.1f} to {100 * high:.1f} %"
    assert float(rates.rows[0].start) == pytest.approx(100 * low, abs=0.01)
    assert float(rates.rows[0].width) == pytest.approx(100 * (high - low), abs=0.01)


def test_trials_of_a_scenario_are_one_unit_of_evidence() -> None:
    def width(*scenarios: tuple[int, int]) -> float:
        [rates] = figures({"suite": counts(*scenarios)}, ResultCounts()).rates
        return float(rates.rows[0].width)

    # Ten equal trials of each scenario show no more than one.
    assert width(*[(10, 10)] * 3, (10, 0)) >= 0.95 * width(*[(1, 1)] * 3, (1, 0))
    assert width((50, 50)) == 100


def test_long_table_counts_the_rest() -> None:
    [rates] = figures({f"s{number}": counts((1, 1)) for number in range(50)}, ResultCounts()).rates
    assert (len(rates.rows), rates.more) == (40, 10)


@pytest.mark.parametrize(
    ("values", "bins"),
    [
        ([7], [("7 to 8", 1)]),
        ([0, 0], [("0 to 1", 2)]),
        ([1, 2, 2, 4], [("1 to 2", 1), ("2 to 3", 2), ("3 to 4", 0), ("4 to 5", 1)]),
        (
            [100, 900],
            [
                ("100 to 200", 1),
                *((f"{n}00 to {n + 1}00", 0) for n in range(2, 9)),
                ("900 to 1,000", 1),
            ],
        ),
    ],
)
def test_bins_have_round_edges(values: list[float], bins: list[tuple[str, int]]) -> None:
    assert distribution(values) == bins


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50))
def test_every_value_is_in_one_of_few_bins(values: list[float]) -> None:
    bins = distribution(values)
    assert sum(count for _, count in bins) == len(values)
    assert len(bins) <= BINS


def test_page_has_a_table_beside_each_chart(tmp_path: Path) -> None:
    lines = [passing(index) for index in range(4)] + [
        line("bad", verdict=Verdict.FAILED, tags=["smoke", "<b>"])
    ]
    page = Page(write_page(make_run(tmp_path, lines)))
    tables = page.all("table", "rates")
    assert "weather4 of 580.0 %25.7 to 97.9 %" in tables[0].text
    assert "<b>0 of 10.0 %0.0 to 100.0 % smoke4 of 5" in tables[1].text
    [tokens, times] = page.all("div", "distribution")
    assert tokens.text.startswith(
        "Tokens of a variant4 variants: half at most 591, 95 of 100 at most 591, the largest 591"
    )
    assert times.text.startswith("Recorded time of a variant4 variants: half at most 1.2 s")
    assert len(page.all("rect", "bin")) == 2


def test_run_without_numbers_has_no_figures(tmp_path: Path) -> None:
    page = Page(write_page(make_run(tmp_path, [line("later", verdict=Verdict.SKIPPED)])))
    assert page.all("details", "charts") == []
