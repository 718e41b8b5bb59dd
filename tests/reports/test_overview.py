"""The summary of a run: verdict, counts with denominators, notices, facts."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.reports.overview import Overview, ResultCounts, overview
from tests.reports.sample import manifest as sample_manifest


def sample(**changes: Any) -> Any:
    return sample_manifest(**changes)


def head(
    verdict: str, *, tokens: int = 10, unplayed: int = 0, severities: tuple[str, ...] = ()
) -> Any:
    findings = [{"severity": severity} for severity in severities]
    return {
        "verdict": verdict,
        "suite": "weather",
        "scenario": "london",
        "variant": {},
        "tags": ["smoke"],
        "checks": [{"findings": findings}],
        "unplayed": ["one"] * unplayed,
        "metrics": {"tokens": {"total_tokens": tokens}} if verdict != "skipped" else {},
    }


def summary(*verdicts: str, **changes: Any) -> Overview:
    counts = ResultCounts()
    for verdict in verdicts:
        counts.add(head(verdict))
    return overview(sample(**changes), counts)


@pytest.mark.parametrize(
    ("verdicts", "changes", "style", "verdict", "sentence"),
    [
        (["passed", "passed"], {}, "passed", "Passed", "all 2 scored passed"),
        (["passed", "skipped"], {}, "passed", "Passed", "all 1 scored passed"),
        (["passed", "failed"], {}, "failed", "Failed", "1 of 2 scored failed"),
        (
            ["passed", "failed", "errored"],
            {},
            "failed",
            "Failed",
            "1 of 2 scored failed; 1 could not be evaluated",
        ),
        (
            ["passed", "errored"],
            {},
            "errored",
            "Errored",
            "1 of 2 could not be evaluated; of 1 scored none failed",
        ),
        (["skipped"], {}, "skipped", "Nothing scored", "1 variant, 1 skipped"),
        ([], {}, "skipped", "Nothing scored", "0 variants, 0 skipped"),
        (
            ["passed"],
            {"complete": False},
            "errored",
            "Not finished",
            "1 of 1 have a result; of 1 scored none failed",
        ),
        (
            ["passed"],
            {"totals": {"collected": 3}},
            "errored",
            "Not finished",
            "1 of 3 have a result; of 1 scored none failed",
        ),
        (
            ["passed"],
            {"totals": {"collected": 9, "deselected": 8}},
            "passed",
            "Passed",
            "all 1 scored passed",
        ),
        (
            ["passed"],
            {"totals": {"collected": 9, "deselected": 7}},
            "errored",
            "Not finished",
            "1 of 2 have a result; of 1 scored none failed",
        ),
        (["failed"], {"complete": False}, "failed", "Failed", "1 of 1 scored failed"),
    ],
)
def test_verdict_of_a_run(
    verdicts: list[str], changes: dict[str, Any], style: str, verdict: str, sentence: str
) -> None:
    found = summary(*verdicts, **changes)
    assert (found.style, found.verdict, found.sentence) == (style, verdict, sentence)


def test_every_number_has_its_denominator() -> None:
    counts = ResultCounts()
    for one in (
        head("passed", severities=("warn", "warn")),
        head("passed"),
        head("failed", unplayed=2),
        head("errored"),
        head("skipped"),
    ):
        counts.add(one)
    for totals, word, whole in (
        ({"collected": 6}, "collected", "variants"),
        ({"collected": 10, "deselected": 4}, "selected", "of 10 collected"),
    ):
        tiles = overview(sample(totals=totals), counts).tiles
        assert [(tile.number, tile.label, tile.of) for tile in tiles] == [
            ("6", word, whole),
            ("3", "scored", f"of 6 {word}"),
            ("2", "passed", "of 3 scored"),
            ("1", "failed", "of 3 scored"),
            ("1", "errored", f"of 6 {word}"),
            ("1", "skipped", f"of 6 {word}"),
            ("2", "warnings", "in 1 variant"),
            ("2", "unplayed", "recordings"),
        ]


@pytest.mark.parametrize(
    ("changes", "notice"),
    [
        (
            {"complete": False},
            "This run did not finish. The results written until then are below.",
        ),
        ({"totals": {"collected": 4}}, "3 variants without a result."),
        (
            {"totals": {"passed": 7, "failed": 0}},
            "manifest.json counts 7 passed, 0 failed; the numbers on this page are those of "
            "results.jsonl.",
        ),
        ({"totals": {"orphans": 1}}, "1 cassette on disk that no scenario uses."),
    ],
)
def test_notices_report_what_is_wrong(changes: dict[str, Any], notice: str) -> None:
    assert summary("passed", **changes).notices == [notice]


def test_complete_run_has_no_notices() -> None:
    totals = {"collected": 2, "passed": 1, "failed": 1, "errored": 0, "skipped": 0, "orphans": 0}
    assert summary("passed", "failed", totals=totals).notices == []


def test_bar_has_the_verdicts_of_the_run() -> None:
    assert summary("failed", "passed", "passed", "skipped").bar == [
        ("failed", "0.000", "25.000"),
        ("passed", "25.000", "50.000"),
        ("skipped", "75.000", "25.000"),
    ]


def test_facts_are_from_the_manifest() -> None:
    facts = dict(summary("passed").facts)
    assert facts["Versions"] == [
        "evalkit 0.1.0",
        "python 3.11.7",
        "pytest 9.0.1",
        "platform Linux x86_64",
    ]
    assert facts["Options"] == ["record none", "cassettes cassettes", "strict false"]
    assert facts["Suites"] == ["suites/weather.yaml  sha256:" + "ab" * 32]


def test_merged_run_lists_its_runs() -> None:
    manifest: Any = {"merged": [{"path": "shards/1", "digest": "sha256:1"}]}
    facts = dict(overview(manifest, ResultCounts()).facts)
    assert facts["Merged from"] == ["shards/1  sha256:1"]


def test_manifest_may_be_almost_empty() -> None:
    manifest: Any = {}
    assert dict(overview(manifest, ResultCounts()).facts) == {"Ended": ["not recorded"]}


def test_results_add_up() -> None:
    total = ResultCounts()
    total.add(head("passed", severities=("warn",)))
    total.add(head("failed", unplayed=1))
    assert (
        total.results,
        total.scored,
        total.warned,
        total.warnings,
        total.unplayed,
        total.checks,
        total.tokens,
    ) == (2, 2, 1, 1, 1, 2, 20)
    assert total.tags["smoke"] == 2
