"""The example comparison, recomputed with scipy, statsmodels and counting."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

ROOT = Path(__file__).parents[2]
Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("revisions")
    command = [sys.executable, "examples/revisions/compare.py", str(folder)]
    stored = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert stored.returncode == 4, stored.stdout + stored.stderr
    (folder / "terminal.txt").write_text(stored.stdout)
    return folder


@pytest.fixture(scope="module")
def actual(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(
        (folder / "candidate/comparison/comparison.json").read_text()
    )
    return value


@pytest.fixture(scope="module")
def runs(folder: Path) -> tuple[Results, Results]:
    def read(name: str) -> Results:
        lines = (folder / name / "results.jsonl").read_text().splitlines()
        return {value["id"]: value for value in map(json.loads, lines)}

    return read("baseline"), read("candidate")


@pytest.fixture(scope="module")
def pairs(runs: tuple[Results, Results]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    old, new = runs
    both = [(old[id_], new[id_]) for id_ in old if id_ in new]
    return [pair for pair in both if all(side["verdict"] in ("passed", "failed") for side in pair)]


def passed(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> tuple[Any, Any]:
    old, new = (np.array([pair[side]["verdict"] == "passed" for pair in pairs]) for side in (0, 1))
    return old, new


def near(value: Any) -> Any:
    return pytest.approx(value, abs=1e-9)


def test_the_known_flips(actual: dict[str, Any]) -> None:
    assert actual["counts"]["paired"] == 180
    assert actual["pairs"] == {
        "both_passed": 154,
        "both_failed": 3,
        "regressed": 10,
        "improved": 12,
    }
    assert {one["id"].partition("#")[0] for one in actual["regressions"]} == {
        "revisions::capital-kenya", "revisions::capital-peru", "revisions::capital-cuba", "revisions::sum-99-1",
    }  # fmt: skip
    assert [one["id"] for one in actual["errors"]] == ["revisions::strings-in-violin"]
    assert (actual["verdict"], actual["candidate"]["errored"], actual["candidate"]["scored"]) == (
        "inconclusive",
        1,
        179,
    )


def test_table_and_mcnemar(actual: dict[str, Any], pairs: list[Any]) -> None:
    old, new = passed(pairs)
    counted = [
        [int((old & new).sum()), int((old & ~new).sum())],
        [int((~old & new).sum()), int((~old & ~new).sum())],
    ]
    assert list(actual["pairs"].values()) == [
        counted[0][0],
        counted[1][1],
        counted[0][1],
        counted[1][0],
    ]
    assert actual["mcnemar_p"] == near(mcnemar(counted, exact=True).pvalue)
    assert actual["mcnemar_p"] == near(
        stats.binomtest(counted[0][1], counted[0][1] + counted[1][0]).pvalue
    )


def test_difference_and_intervals(actual: dict[str, Any], pairs: list[Any]) -> None:
    old, new = passed(pairs)
    differences = new.astype(float) - old.astype(float)
    groups = [pair[0]["scenario"] for pair in pairs]
    fit = sm.OLS(differences, np.ones(len(differences))).fit(
        cov_type="cluster",
        cov_kwds={"groups": np.unique(groups, return_inverse=True)[1]},
        use_t=True,
    )
    robust = fit.conf_int()[0]
    assert actual["difference"] == near(differences.mean())
    assert actual["intervals"]["cluster_robust"] == [near(robust[0]), near(robust[1])]
    score = tango(actual["pairs"]["improved"], actual["pairs"]["regressed"], len(pairs))
    assert actual["intervals"]["score"] == [
        pytest.approx(score[0], abs=1e-7),
        pytest.approx(score[1], abs=1e-7),
    ]
    assert actual["interval"] == [near(min(robust[0], score[0])), near(max(robust[1], score[1]))]
    drawn = np.random.default_rng(5)
    sums, sizes = (
        np.array([len([*group]) if size else sum(group) for group in grouped(groups, differences)])
        for size in (False, True)
    )
    picks = drawn.integers(0, len(sums), (4000, len(sums)))
    oracle = np.quantile(sums[picks].sum(1) / sizes[picks].sum(1), [0.025, 0.975])
    assert actual["intervals"]["bootstrap"] == [pytest.approx(value, abs=0.015) for value in oracle]


def grouped(groups: list[str], values: Any) -> list[list[float]]:
    stored = defaultdict(list)
    for group, value in zip(groups, values, strict=True):
        stored[group].append(float(value))
    return list(stored.values())


def tango(gained: int, lost: int, count: int) -> tuple[float, float]:
    """Tango's interval by its definition: the ends are where a score test, its nuisance share found by maximisation, just rejects."""

    def score(difference: float) -> float:
        def unlikely(share: float) -> float:
            parts = (
                (gained, share + difference),
                (lost, share),
                (count - gained - lost, 1 - 2 * share - difference),
            )
            return -math.fsum(number * math.log(part) for number, part in parts)

        bounds = (max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12)
        share = optimize.minimize_scalar(
            unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-14}
        ).x
        return (gained - lost - count * difference) / math.sqrt(
            count * (2 * share + difference - difference**2)
        )

    z, middle = stats.norm.ppf(0.975), (gained - lost) / count
    return (
        optimize.brentq(lambda value: score(value) - z, -0.5, middle, xtol=1e-12),
        optimize.brentq(lambda value: score(value) + z, middle, 0.5, xtol=1e-12),
    )


def test_detectable_drop(actual: dict[str, Any], pairs: list[Any]) -> None:
    share = (actual["pairs"]["improved"] + actual["pairs"]["regressed"]) / len(pairs)
    z, power = stats.norm.ppf(0.975), stats.norm.ppf(0.8)
    drop = optimize.brentq(
        lambda drop: (
            drop * math.sqrt(len(pairs))
            - z * math.sqrt(share)
            - power * math.sqrt(share - drop * drop)
        ),
        1e-9,
        share,
    )
    assert actual["detectable"] == near(drop)


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_rates_and_trials(actual: dict[str, Any], runs: tuple[Results, Results], side: str) -> None:
    results = runs[side == "candidate"].values()
    verdicts = defaultdict(list)
    for result in results:
        if result["verdict"] in ("passed", "failed"):
            verdicts[result["scenario"]].append(result["verdict"] == "passed")
    flat = [verdict for stored in verdicts.values() for verdict in stored]
    reported = actual[side]
    assert reported["pass_rate"] == near(np.mean(flat))
    assert reported["pass_rate_interval"] == [
        near(end) for end in proportion_confint(sum(flat), len(flat), method="wilson")
    ]
    assert (
        len(reported["trials"]["flaky"])
        == sum(len(set(stored)) > 1 for stored in verdicts.values())
        > 0
    )
    for k in (1, 2, 3):
        draws = [
            list(itertools.combinations(stored, k))
            for stored in verdicts.values()
            if len(stored) >= k
        ]
        for name, holds in (("pass_at", any), ("pass_hat", all)):
            assert reported["trials"][name][str(k)] == near(
                np.mean([np.mean([holds(draw) for draw in drawn]) for drawn in draws])
            )


def test_tags(actual: dict[str, Any], pairs: list[Any]) -> None:
    names = sorted({tag for _, new in pairs for tag in new["tags"]})
    assert names == ["arithmetic", "geography", "measures"]
    p_values = []
    for name in names:
        old, new = passed([pair for pair in pairs if name in pair[1]["tags"]])
        lost, gained = int((old & ~new).sum()), int((~old & new).sum())
        p_values.append(stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0)
    assert [actual["by_tag"][name]["p"] for name in names] == [near(p) for p in p_values]
    assert [actual["by_tag"][name]["p_holm"] for name in names] == [
        near(p) for p in multipletests(p_values, method="holm")[1]
    ]


def test_tokens_and_cost(actual: dict[str, Any], pairs: list[Any]) -> None:
    prices = ((0.30, 2.50), (0.35, 2.80))

    def cost(side: int, tokens: dict[str, int]) -> float:
        read, written = prices[side]
        return (
            tokens["total_input_tokens"] * read
            + (tokens["total_output_tokens"] + tokens["total_thought_tokens"]) * written
        ) / 1e6

    groups = np.unique([pair[0]["scenario"] for pair in pairs], return_inverse=True)[1]
    for name, value in (("tokens", lambda side, tokens: tokens["total_tokens"]), ("cost", cost)):
        old, new = (
            np.array([value(side, pair[side]["metrics"]["tokens"]) for pair in pairs])
            for side in (0, 1)
        )
        fit = sm.OLS(new - old, np.ones(len(old))).fit(
            cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
        )
        reported = actual["metrics"][name]
        assert reported["baseline"] == near(old.mean())
        assert reported["ratio"] == near(new.mean() / old.mean())
        assert reported["interval"] == [near(end) for end in fit.conf_int()[0]]


def test_the_terminal_says_the_same(folder: Path, actual: dict[str, Any]) -> None:
    reported = (folder / "terminal.txt").read_text()
    lines = reported.splitlines()
    assert lines[1].startswith(
        "INCONCLUSIVE  gate release: neither shown non-inferior nor inferior"
    )
    assert "baseline passed               154                10" in reported
    assert "10 regressed, 12 improved, of 179 pairs: p = 0.8318, not significant." in reported
    assert "  revisions::capital-kenya  3 of 3 trials" in reported
    assert f"{actual['difference'] * 100:+.1f} points" in reported
