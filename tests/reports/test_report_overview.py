"""The top of the page: a verdict nobody can misread, and denominators that are true."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.reports.overview import Overview, Tally, overview
from tests.reports.sample import manifest


def head(
    verdict: str, *, tokens: int = 10, unplayed: int = 0, severities: tuple[str, ...] = ()
) -> dict[str, Any]:
    findings = [{"severity": severity} for severity in severities]
    return {
        "verdict": verdict,
        "tags": ["smoke"],
        "checks": [{"findings": findings}],
        "unplayed": ["one"] * unplayed,
        "metrics": {"tokens": {"total_tokens": tokens}} if verdict != "skipped" else {},
    }


def seen(*verdicts: str, **changes: Any) -> Overview:
    tally = Tally()
    for verdict in verdicts:
        tally.add(head(verdict))
    return overview(manifest(**changes), tally)


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
            "1 of 2 scored failed; 1 could not be judged",
        ),
        (
            ["passed", "errored"],
            {},
            "errored",
            "Errored",
            "1 of 2 could not be judged; of 1 scored none failed",
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
def test_the_verdict_of_a_run(
    verdicts: list[str], changes: dict[str, Any], style: str, verdict: str, sentence: str
) -> None:
    found = seen(*verdicts, **changes)
    assert (found.style, found.verdict, found.sentence) == (style, verdict, sentence)


def test_every_number_says_what_it_is_a_part_of() -> None:
    tally = Tally()
    for one in (
        head("passed", severities=("warn", "warn")),
        head("passed"),
        head("failed", unplayed=2),
        head("errored"),
        head("skipped"),
    ):
        tally.add(one)
    for totals, word, whole in (
        ({"collected": 6}, "collected", "variants"),
        ({"collected": 10, "deselected": 4}, "selected", "of 10 collected"),
    ):
        tiles = overview(manifest(totals=totals), tally).tiles
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
            "This run did not finish. What it had written when it ended is below.",
        ),
        ({"totals": {"collected": 4}}, "3 variants without a result."),
        (
            {"totals": {"passed": 7, "failed": 0}},
            "manifest.json counts 7 passed, 0 failed; results.jsonl holds the numbers shown here.",
        ),
        ({"totals": {"orphans": 1}}, "1 cassette on disk that no scenario uses."),
    ],
)
def test_what_is_not_as_it_should_be_is_said_first(changes: dict[str, Any], notice: str) -> None:
    assert seen("passed", **changes).notices == [notice]


def test_nothing_is_said_of_a_run_that_is_whole() -> None:
    totals = {"collected": 2, "passed": 1, "failed": 1, "errored": 0, "skipped": 0, "orphans": 0}
    assert seen("passed", "failed", totals=totals).notices == []


def test_the_bar_is_the_run() -> None:
    assert seen("failed", "passed", "passed", "skipped").bar == [
        ("failed", "0.000", "25.000"),
        ("passed", "25.000", "50.000"),
        ("skipped", "75.000", "25.000"),
    ]


def test_facts_are_those_of_the_manifest() -> None:
    facts = dict(seen("passed").facts)
    assert facts["Versions"] == [
        "evalkit 0.1.0",
        "python 3.11.7",
        "pytest 9.0.1",
        "platform Linux x86_64",
    ]
    assert facts["Options"] == ["record none", "cassettes cassettes", "strict false"]
    assert facts["Suites"] == ["suites/weather.yaml  sha256:" + "ab" * 32]


def test_a_merged_run_says_what_it_was_merged_from() -> None:
    facts = dict(overview({"merged": [{"path": "shards/1", "digest": "sha256:1"}]}, Tally()).facts)
    assert facts["Merged from"] == ["shards/1  sha256:1"]


def test_a_manifest_may_hold_next_to_nothing() -> None:
    assert dict(overview({}, Tally()).facts) == {"Ended": ["not recorded"]}


def test_tallies_of_suites_add_up() -> None:
    first, second = Tally(), Tally()
    first.add(head("passed", severities=("warn",)))
    second.add(head("failed", unplayed=1))
    first.merge(second)
    assert (
        first.results,
        first.scored,
        first.warned,
        first.warnings,
        first.unplayed,
        first.checks,
        first.tokens,
    ) == (2, 2, 1, 1, 1, 2, 20)
    assert first.tags["smoke"] == 2
