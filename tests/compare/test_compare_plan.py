"""How many scenarios and trials would settle a question, and whether they do."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.decisions import PILOTS, plan_power
from evalkit.cli.main import main
from evalkit.compare.compared_run import ComparedRun
from evalkit.compare.evidence import evidence
from evalkit.compare.intervals import Interval
from evalkit.compare.pairing import pair_runs
from evalkit.compare.plan import pilot_of, plan_rows, scenarios_needed, trials_needed
from evalkit.compare.sample_size import Spread, clusters_for_bound, clusters_needed
from tests.compare.lines import line, rows, split


def pilot_run(verdicts: dict[str, str]) -> ComparedRun:
    """Return a run: for each scenario its trials, ``P`` passed and ``F`` failed."""
    lines = [
        line(name, "passed" if letter == "P" else "failed", trial=number)
        for name, letters in verdicts.items()
        for number, letter in enumerate(letters, 1)
    ]
    return ComparedRun(name="pilot", rows=rows(lines))


@pytest.mark.parametrize("pilot", PILOTS)
@pytest.mark.parametrize("trials", [1, 3])
def test_a_plan_keeps_its_promise(pilot: tuple[float, float], trials: int) -> None:
    planned, power = plan_power(pilot, variants=1, trials=trials, margin=0.1, samples=400)
    assert 30 < planned < 1000
    # Two standard errors of the simulation are 0.04.
    assert 0.7 <= power <= 0.93


def test_variances_of_a_pilot() -> None:
    found = pilot_of(pilot_run({"a": "PPPP", "b": "FFFF", "c": "PPPP", "d": "FFFF"}))
    assert found is not None
    assert (found.scenarios, found.variants, found.rate, found.knows_trials) == (4, 1, 0.5, True)
    # Every trial of a scenario agrees: what differs, differs between scenarios.
    assert found.within == pytest.approx(0.25 / 13)
    assert found.between == pytest.approx(0.25 - 0.25 / 13)
    flaky = pilot_of(pilot_run({"a": "PPFF", "b": "PFPF"}))
    assert flaky is not None
    assert flaky.between == 0
    assert flaky.within == pytest.approx(0.25)
    once = pilot_of(pilot_run({"a": "P", "b": "F"}))
    assert once is not None
    assert (once.knows_trials, once.within, once.between) == (False, 0.25, 0)
    assert pilot_of(pilot_run({})) is None


def test_a_second_run_shows_how_differently_scenarios_change() -> None:
    old = [line(name, trial=trial) for name in "abcd" for trial in (1, 2, 3)]
    new = [
        line(name, "failed" if name == "a" else "passed", trial=trial)
        for name in "abcd"
        for trial in (1, 2, 3)
    ]
    run = ComparedRun(name="pilot", rows=rows(old))
    found = pilot_of(run, pair_runs(rows(old), rows(new)).scored)
    assert found is not None
    assert found.knows_change
    assert found.change == pytest.approx(0.25 - 2 * found.within / 3)


def test_trials_do_not_replace_scenarios() -> None:
    found = pilot_of(pilot_run({f"s{number}": "PPPF" for number in range(40)}))
    assert found is not None
    needed = [scenarios_needed(found, 0.05, trials) for trials in (1, 2, 5, 10, 100)]
    assert needed == sorted(needed, reverse=True, key=lambda one: one or math.inf)
    assert (needed[-1] or 0) >= 73
    assert trials_needed(found, 0.05, 0.8, 0.95) is None
    assert trials_needed(found, 0.15, 0.8, 0.95) is not None
    table = plan_rows(found, 0.05, 0.8, 0.95)
    assert [row.trials for row in table] == [1, 2, 3, 5, 10]
    assert table[1].results == 2 * table[1].scenarios
    assert table[1].spending.tokens == 100 * table[1].results


@pytest.mark.parametrize("cells", [(20, 0, 0, 0), (50, 2, 4, 3), (30, 0, 1, 0)])
def test_so_many_clusters_would_show_a_margin(cells: tuple[int, ...]) -> None:
    old, new = split(*cells)
    spread = evidence(pair_runs(rows(old), rows(new)).scored).spread
    assert spread is not None
    needed = clusters_needed(0.06, spread, 0.5 + 1e-9, 0.95)
    assert needed is not None
    times = math.ceil(needed / sum(cells))
    old, new = split(*(times * cell for cell in cells))
    assert evidence(pair_runs(rows(old), rows(new)).scored).interval.low > -0.06
    more = clusters_needed(0.06, spread, 0.9, 0.95)
    assert more is not None
    assert more >= needed


def test_no_number_of_clusters_shows_what_is_not_so() -> None:
    assert clusters_needed(0.05, Spread(-0.06, 0.1, 0.2), 0.8, 0.95) is None


def test_clusters_for_a_bound() -> None:
    interval = Interval(0.8, 0.96)
    assert clusters_for_bound(interval, 0.9, 0.9, 50, 0.8) is None
    assert clusters_for_bound(interval, 0.9, 0.85, 50, 0.8) == math.ceil(
        50 * (0.1 / 0.05 * 1.4294) ** 2
    )
    assert clusters_for_bound(interval, 0.9, 0.81, 50, 0.8) == 127


def test_the_command(tmp_path: Path) -> None:
    from tests.cli.test_cli_compare import run

    old = run(str(tmp_path / "old"), [line(f"s{number}") for number in range(30)])
    new = run(str(tmp_path / "new"), [line(f"s{number}") for number in range(30)])
    result = CliRunner().invoke(main, ["plan", str(old), str(new), "--margin", "0.05"])
    assert result.exit_code == 0, result.output
    assert "To show with a chance of 80%" in result.output
    assert "The 30 scenarios of this run are too few" in result.output
    assert CliRunner().invoke(main, ["plan", str(old), "--margin", "2"]).exit_code == 2
