"""The example comparison, recomputed with scipy, statsmodels and counting."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from tests.environment import ONLY_EVALKIT

ROOT = Path(__file__).parents[2]
Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("revisions")
    command = [sys.executable, "examples/revisions/compare.py", str(folder)]
    stored = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **ONLY_EVALKIT},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
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


def test_table_and_p(actual: dict[str, Any], pairs: list[Any]) -> None:
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
    sums = [int(sum(group)) for group in scenarios(pairs).values()]
    flips = [
        sum(sign * one for sign, one in zip(signs, filter(None, sums), strict=True))
        for signs in itertools.product((1, -1), repeat=sum(map(bool, sums)))
    ]
    assert actual["p"] == near(np.mean(np.abs(flips) >= abs(sum(sums))))


def scenarios(pairs: list[Any]) -> dict[str, list[float]]:
    """Return the differences of pairs by scenario."""
    old, new = passed(pairs)
    stored = defaultdict(list)
    for (result, _), difference in zip(pairs, new.astype(float) - old.astype(float), strict=True):
        stored[result["scenario"]].append(float(difference))
    return stored


def robust(values: list[list[float]]) -> tuple[float, float, float]:
    """Return the mean over clusters, its error and degrees of freedom, by matrices."""
    sizes = np.array([len(group) for group in values])
    shares, means = sizes / sizes.sum(), np.array([np.mean(group) for group in values])
    rows = np.eye(len(sizes)) - shares
    form = sum(
        share**2 / (1 - 2 * share + shares @ shares) * np.outer(row, row)
        for share, row in zip(shares, rows, strict=True)
    )
    freedom = np.trace(form) ** 2 / np.trace(form @ form)
    return float(shares @ means), math.sqrt(means @ form @ means), float(freedom)


def independent_pairs(actual: dict[str, Any], pairs: list[Any]) -> tuple[float, float]:
    """Return how many independent pairs the pairs are worth, and the degrees of freedom."""
    mean, error, freedom = robust(list(scenarios(pairs).values()))
    share = (actual["pairs"]["improved"] + actual["pairs"]["regressed"]) / len(pairs)
    return len(pairs) * (share - mean**2) / (len(pairs) - 1) / error**2, freedom


def test_difference_and_intervals(actual: dict[str, Any], pairs: list[Any]) -> None:
    mean, error, freedom = robust(list(scenarios(pairs).values()))
    half = stats.t.ppf(0.975, freedom) * error
    assert actual["difference"] == near(mean)
    assert actual["intervals"]["cluster_robust"] == [near(mean - half), near(mean + half)]
    worth, _ = independent_pairs(actual, pairs)
    assert actual["clusters"]["independent_pairs"] == near(worth)
    gained, lost = (
        actual["pairs"][name] * worth / len(pairs) for name in ("improved", "regressed")
    )
    score = tango(gained, lost, worth)
    assert actual["intervals"]["score"] == [pytest.approx(end, abs=1e-7) for end in score]
    unseen = 1.959963985**2 / (actual["clusters"]["effective"] + 1.959963985**2)
    ends = [(mean - half, mean + half), score, (mean - unseen, mean + unseen)]
    assert actual["interval"] == [
        pytest.approx(min(low for low, _ in ends), abs=1e-7),
        pytest.approx(max(high for _, high in ends), abs=1e-7),
    ]


def tango(gained: float, lost: float, count: float) -> tuple[float, float]:
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
    worth, freedom = independent_pairs(actual, pairs)
    t, power = stats.t.ppf(0.975, freedom), stats.t.ppf(0.8, freedom)
    drops = [
        optimize.brentq(
            lambda drop, count=count, share=share: (
                drop * math.sqrt(count)
                - t * math.sqrt(max(share, drop))
                - power * math.sqrt(max(share, drop) - drop * drop)
            ),
            1e-9,
            1,
        )
        for count, share in ((worth, share), (actual["clusters"]["effective"], 0.0))
    ]
    assert actual["detectable"] == near(max(drops))


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
    low, high = reported["pass_rate_interval"]
    wide = proportion_confint(sum(flat), len(flat), method="wilson")
    assert low < wide[0] < np.mean(flat) < wide[1] < high
    assert (
        len(reported["trials"]["flaky"])
        == sum(len(set(stored)) > 1 for stored in verdicts.values())
        > 0
    )
    for k in (1, 2, 3):
        draws = [
            list(itertools.combinations(stored, k))
            for stored in verdicts.values()
            if len(stored) == 3  # the same variants for every k
        ]
        for name, holds in (("pass_at", any), ("pass_hat", all)):
            assert reported["trials"][name][str(k)] == near(
                np.mean([np.mean([holds(draw) for draw in drawn]) for drawn in draws])
            )


def test_tags(actual: dict[str, Any], pairs: list[Any]) -> None:
    names = sorted({tag for _, new in pairs for tag in new["tags"]})
    assert names == ["arithmetic", "geography", "measures"]
    p_values = [actual["by_tag"][name]["p"] for name in names]
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

    for name, value in (("tokens", lambda side, tokens: tokens["total_tokens"]), ("cost", cost)):
        old, new = (
            np.array([value(side, pair[side]["metrics"]["tokens"]) for pair in pairs])
            for side in (0, 1)
        )
        changes = defaultdict(list)
        for pair, change in zip(pairs, new - old, strict=True):
            changes[pair[0]["scenario"]].append(float(change))
        mean, error, freedom = robust(list(changes.values()))
        half = stats.t.ppf(0.975, freedom) * error
        reported = actual["metrics"][name]
        assert reported["baseline"] == near(old.mean())
        assert reported["medians"] == [near(np.median(old)), near(np.median(new))]
        assert reported["p95"] == [near(np.quantile(old, 0.95)), near(np.quantile(new, 0.95))]
        assert reported["ratio"] == near(new.mean() / old.mean())
        assert reported["interval"] == [near(mean - half), near(mean + half)]


def test_the_terminal_says_the_same(folder: Path, actual: dict[str, Any]) -> None:
    reported = (folder / "terminal.txt").read_text()
    lines = reported.splitlines()
    assert lines[1].startswith("INCONCLUSIVE  Not decided yet: 3 of 53 variants that always passed")
    assert "neither shown non-inferior nor inferior: the difference of 179" in reported
    assert "baseline passed               154                10" in reported
    assert f"10 regressed, 12 improved, of 179 pairs: p = {actual['p']:.4g}, not" in reported
    assert "  revisions::capital-kenya  all 3 trials" in reported
    assert f"{actual['difference'] * 100:+.1f} points" in reported
