"""Merged manifests and results: what is counted once, what is refused, where the runs differ."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import IntegrityError, UsageError
from evalkit.results import Totals, tally_of
from evalkit.results.media import copy_files
from evalkit.results.merge import MergedResults
from evalkit.results.result_line import line_digests
from evalkit.results.shards import Shard, check_sources, complete_totals, merged_manifest
from tests.results.shards import ENDED, line, manifest

SCHEMA = json.loads((files("evalkit.results") / "schemas" / "manifest.schema.json").read_text())
OTHER = "sha256:" + "1" * 64


def shard(name: str, lines: Sequence[str] = (), **more: Any) -> Shard:
    return Shard(name, manifest(lines, **more))  # type: ignore[arg-type]


def add(results: MergedResults, to: Shard, *lines: str) -> list[str]:
    """Add results of a shard and return the lines that are to be written."""
    to.digest = to.digest or OTHER
    new = []
    for text in lines:
        digests = line_digests(text.encode())
        assert digests is not None
        value = json.loads(text)
        if results.add(to, value["id"], digests[0], tally_of(value)):
            new.append(text)
    return new


def merged(*parts: tuple[Shard, Sequence[str]]) -> dict[str, Any]:
    results = MergedResults()
    for one, lines in parts:
        add(results, one, *lines)
    shards = [one for one, _ in parts]
    totals = complete_totals(shards, results.totals)
    return dict(merged_manifest(shards, totals, complete=True))


def counts(value: dict[str, Any]) -> dict[str, int]:
    totals = value["totals"]
    return {
        name: totals[name]
        for name in ("collected", "deselected", "passed", "failed")
        if totals[name]
    }


A, B, C, D = (line(name) for name in "abcd")


def test_variants_deselected_by_shards_are_collected_once() -> None:
    value = merged((shard("1", [A, B], collected=3), [A, B]), (shard("2", [C], collected=3), [C]))
    assert counts(value) == {"collected": 3, "passed": 3}
    assert value["suites"][0]["collected"] == 3


def test_shards_of_different_suites_add_up() -> None:
    other = line("a", "failed", suite="t")
    value = merged((shard("1", [A]), [A]), (shard("2", [other], suites=["t"]), [other]))
    assert counts(value) == {"collected": 2, "passed": 1, "failed": 1}
    assert [suite["path"] for suite in value["suites"]] == ["suites/s.yaml", "suites/t.yaml"]


def test_suites_shared_by_shards_are_counted_once() -> None:
    other = line("a", suite="t")
    value = merged(
        (shard("1", [A, other], collected=2, suites=["s", "t"]), [A, other]),
        (shard("2", [B], collected=2), [B]),
    )
    assert counts(value) == {"collected": 4, "deselected": 1, "passed": 3}


def test_shards_of_different_models_add_up() -> None:
    options = [{"model": models, "repeat": None} for models in (["x", "y"], ["z", "w"], ["w", "z"])]
    lines = [[line(f"a[{model}]")] for model in "xzw"]
    parts = [
        (shard(str(number), one, collected=2, options=options[number]), one)
        for number, one in enumerate(lines)
    ]
    value = merged(*parts)
    assert counts(value) == {"collected": 4, "deselected": 1, "passed": 3}
    assert value["options"]["model"] == ["x", "y", "z", "w"]


def test_variants_missing_in_a_shard_are_not_deselected() -> None:
    killed = shard("2", [], collected=5, ended=None, complete=False)
    killed.manifest["totals"]["deselected"] = 3
    value = merged((shard("1", [A], collected=5), [A]), (killed, [B]))
    assert counts(value) == {"collected": 5, "deselected": 2, "passed": 2}


@pytest.mark.parametrize(
    ("counts_by_run", "expected"),
    [
        ([("s", 2, ENDED), ("s", 2, ENDED)], 2),
        ([("s", 2, ENDED), ("s", 1, ENDED)], 1),
        ([("s", 2, ENDED), ("t", 3, ENDED)], 5),
        ([("s", 2, ENDED), ("s", 0, None)], 2),
    ],
)
def test_orphans_are_files_that_no_run_uses(
    counts_by_run: list[tuple[str, int, str | None]], expected: int
) -> None:
    shards = []
    for suite, count, ended in counts_by_run:
        shards.append(shard("x", suites=[suite], ended=ended))
        shards[-1].manifest["totals"]["orphans"] = count
    assert complete_totals(shards, Totals()).orphans == expected


def test_equal_results_are_written_once() -> None:
    results, one, two = MergedResults(), shard("1"), shard("2")
    assert add(results, one, A, B) == [A, B]
    assert add(results, two, B, C) == [C]
    results.check()
    assert (results.totals.passed, one.counted.passed, two.counted.passed) == (3, 2, 2)


def test_different_results_are_listed_together() -> None:
    results = MergedResults()
    add(results, shard("one"), *(line(f"n{number}") for number in range(30)))
    add(
        results,
        shard("two"),
        *(line(f"n{number}", "failed") for number in range(29)),
        line("x\u202e"),
        line("x\u202e", "failed"),
    )
    with pytest.raises(UsageError) as raised:
        results.check()
    lines = str(raised.value).splitlines()
    assert len(lines) == 12
    assert lines[:2] == ["30 variants with two different results:", "  s::n0: one and two"]
    assert lines[-2:] == [
        "  … and 21 more",
        "merge only one of the two runs; compare runs of two models with 'evalkit compare'",
    ]


def test_result_twice_in_one_run_is_reported() -> None:
    results = MergedResults()
    add(results, shard("two"), line("x\u202e"), line("x\u202e", "failed"))
    with pytest.raises(
        UsageError, match=r"1 variant with two different results:\n  s::x<U\+202E>: twice in two\n"
    ):
        results.check()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda value: value["suites"][0].update(digest=OTHER), "suites/s.yaml: one and two"),
        (
            lambda value: value["suites"][0].update(
                files=[{"path": "suites/c.csv", "digest": OTHER}]
            ),
            "suites/c.csv: one and two",
        ),
        (
            lambda value: value.update(cassettes=[{"path": "s/a.yaml", "digest": None}]),
            "s/a.yaml: one and two",
        ),
        (lambda value: value["options"].update(cassettes="old/"), "two: old"),
    ],
)
def test_shards_of_different_sources_are_refused(change: Any, named: str) -> None:
    one, two = shard("one"), shard("two")
    for part in (one, two):
        part.manifest["suites"][0]["files"] = [
            {"path": "suites/c.csv", "digest": "sha256:" + "0" * 64}
        ]
        part.manifest["cassettes"].append({"path": "s/a.yaml", "digest": OTHER})
    check_sources([one, two])
    change(two.manifest)
    with pytest.raises(UsageError) as raised:
        check_sources([one, two])
    assert f"  {named}\n" in str(raised.value)


@pytest.mark.parametrize("other", ["23 degrees\n", None])
def test_shards_of_different_snapshots_are_refused(other: str | None) -> None:
    path = "suites/_snapshots/s/london.text.txt"
    one, two = shard("one"), shard("two")
    one.bar, two.bar = {path: "22 degrees\n"}, {path: "22 degrees\r\n", "suites/t.yaml": "t"}
    check_sources([one, shard("without"), two])
    two.bar = {path: other}
    with pytest.raises(UsageError, match=rf"1 file not the same .*\n  {path}: one and two\n"):
        check_sources([one, two])


def test_merged_run_names_suites_that_a_shard_could_not_collect() -> None:
    one, two = (
        shard(name, complete=False, not_collected=["suites/t.yaml", path])
        for name, path in (("one", "suites/u.yaml"), ("two", "suites/v.yaml"))
    )
    value = merged((one, [A]), (two, [B]))
    assert value["not_collected"] == ["suites/t.yaml", "suites/u.yaml", "suites/v.yaml"]
    jsonschema.validate(value, SCHEMA)


def test_every_value_is_listed_where_the_runs_differ() -> None:
    one = shard(
        "one", started="2026-01-01T10:00:03Z", environment={"CI": "true", "GITHUB_SHA": "a"}
    )
    two = shard("two", python="3.13.0", environment={"CI": "true"}, ended="2026-01-01T11:00:00Z")
    three = shard("three", ended=None, complete=False)
    two.manifest["options"].update(record="once", repeat=2)
    del three.manifest["options"]["repeat"]
    value = merged((one, [A]), (two, [B]), (three, [C]))
    assert value["python"] == "3.12.1, 3.13.0"
    assert value["evalkit"] == "0.1.0"
    assert value["environment"] == {"CI": "true, unset", "GITHUB_SHA": "a, unset"}
    assert value["options"] == {
        "record": ["none", "once"],
        "cassettes": "cassettes",
        "model": [],
        "repeat": [None, 2],
    }
    assert (value["started"], value["ended"]) == ("2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z")
    assert [origin["python"] for origin in value["merged"]] == ["3.12.1", "3.13.0", "3.12.1"]
    assert [origin["path"] for origin in value["merged"]] == ["one", "two", "three"]
    again = Shard("first", value)  # type: ignore[arg-type]
    again.digest = OTHER
    twice = merged_manifest([again, two], Totals(), complete=False)
    assert (twice["python"], twice["options"]["record"], twice["environment"]["GITHUB_SHA"]) == (
        "3.12.1, 3.13.0",
        ["none", "once"],
        "a, unset",
    )
    for one_of in (value, twice):
        jsonschema.validate(one_of, SCHEMA)


def test_run_that_did_not_end_has_no_end_time() -> None:
    assert merged((shard("1", ended=None), [A]))["ended"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda value: value.pop("schema_version"), "$: 'schema_version' is a required property"),
        (lambda value: value.update(schema_version=2), "$.schema_version: 1 was expected"),
        (lambda value: value.update(started=None), "$.started: None is not of type 'string'"),
        (lambda value: value.update(suites=None), "$.suites: None is not of type 'array'"),
        (lambda value: value["suites"][0].pop("collected"), "'collected' is a required property"),
        (lambda value: value.update(cassettes=[1]), "$.cassettes[0]: 1 is not of type 'object'"),
        (lambda value: value["totals"].update(passed="1"), "$.totals.passed: '1' is not of type"),
        (lambda value: value.update(environment={"CI": 1}), "$.environment.CI: 1 is not of type"),
    ],
)
def test_invalid_manifest_is_refused(change: Any, reason: str) -> None:
    value: Any = manifest([])
    change(value)
    with pytest.raises(UsageError) as raised:
        Shard("one", value)
    message = str(raised.value)
    assert message.startswith("one/manifest.json is not valid for this evalkit: ")
    assert reason in message


def test_run_that_counted_other_results_is_an_integrity_error() -> None:
    lost = shard("one", [A, B])
    add(MergedResults(), lost, A)
    with pytest.raises(
        IntegrityError, match=r"one: manifest\.json states 2 passed, the results have 1"
    ):
        lost.check_counts()
    killed = shard("one", [], ended=None)
    add(MergedResults(), killed, A)
    killed.check_counts()


@given(
    st.lists(
        st.sampled_from(["passed", "failed", "errored", "skipped"]), min_size=1, max_size=12
    ).flatmap(
        lambda verdicts: st.tuples(
            st.just(verdicts),
            st.lists(st.sets(st.integers(0, len(verdicts) - 1)), min_size=1, max_size=4),
        )
    )
)
def test_merged_totals_are_those_of_one_run(
    drawn: tuple[list[str], list[set[int]]],
) -> None:
    """However variants are distributed over shards, overlapping ones too, each counts once."""
    verdicts, cuts = drawn
    lines = [line(f"n{number}", verdict) for number, verdict in enumerate(verdicts)]
    parts = []
    for number, cut in enumerate(cuts):
        chosen = [lines[index] for index in sorted(cut)]
        parts.append((shard(str(number), chosen, collected=len(lines)), chosen))
    value = merged(*parts)
    alone = manifest([lines[index] for index in sorted(set().union(*cuts))], collected=len(lines))
    assert value["totals"] == alone["totals"]
    assert value["suites"] == alone["suites"]
    jsonschema.validate(value, SCHEMA)


def test_pipe_among_the_media_is_not_copied(tmp_path: Path) -> None:
    media = tmp_path / "shard" / "media"
    media.mkdir(parents=True)
    (media / "picture.png").write_bytes(b"picture")
    os.mkfifo(media / "pipe.png")
    copy_files(tmp_path / "shard", tmp_path / "merged")
    assert [path.name for path in (tmp_path / "merged" / "media").iterdir()] == ["picture.png"]


@pytest.mark.parametrize("member", ["tokens", "elapsed_ms"])
def test_number_that_no_run_has_is_not_tallied(member: str) -> None:
    metrics = {"tokens": {"total_tokens": 10**400}, "elapsed_ms": 10**400}
    result = json.loads(line("a", metrics={member: metrics[member]}))
    with pytest.raises(ValueError, match="is not a number from 0 to"):
        tally_of(result)
