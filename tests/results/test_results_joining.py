"""Manifests and results joined: what counts once, what is refused, what the joined manifest says where the runs differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import IntegrityError, UsageError
from evalkit.results import Totals, tally_of
from evalkit.results.joining import Results, Shard, check_sources, document, total
from evalkit.results.line import digests
from tests.results.shards import line, manifest

SCHEMA = json.loads((files("evalkit.results") / "schemas" / "manifest.schema.json").read_text())
OTHER = "sha256:" + "1" * 64


def shard(name: str, lines: Sequence[str] = (), **more: Any) -> Shard:
    return Shard(name, manifest(lines, **more))


def take(results: Results, of: Shard, *lines: str) -> list[str]:
    """Return those of the lines that are to be written."""
    of.digest = of.digest or OTHER
    kept = []
    for text in lines:
        stated = digests(text.encode())
        assert stated is not None
        value = json.loads(text)
        if results.take(of, value["id"], stated[0], tally_of(value)):
            kept.append(text)
    return kept


def joined(*parts: tuple[Shard, Sequence[str]]) -> dict[str, Any]:
    results = Results()
    for of, lines in parts:
        take(results, of, *lines)
    shards = [of for of, _ in parts]
    return document(shards, total(shards, results.totals), complete=True)


def counts(value: dict[str, Any]) -> dict[str, int]:
    totals = value["totals"]
    return {
        name: totals[name]
        for name in ("collected", "deselected", "passed", "failed")
        if totals[name]
    }


A, B, C, D = (line(name) for name in "abcd")


def test_shards_that_deselect_collect_the_same_variants_once() -> None:
    value = joined((shard("1", [A, B], collected=3), [A, B]), (shard("2", [C], collected=3), [C]))
    assert counts(value) == {"collected": 3, "passed": 3}
    assert value["suites"][0]["collected"] == 3


def test_shards_of_other_suites_add_up() -> None:
    other = line("a", "failed", suite="t")
    value = joined((shard("1", [A]), [A]), (shard("2", [other], suites=["t"]), [other]))
    assert counts(value) == {"collected": 2, "passed": 1, "failed": 1}
    assert [suite["path"] for suite in value["suites"]] == ["suites/s.yaml", "suites/t.yaml"]


def test_shards_that_share_some_suites_count_those_once() -> None:
    other = line("a", suite="t")
    value = joined(
        (shard("1", [A, other], collected=2, suites=["s", "t"]), [A, other]),
        (shard("2", [B], collected=2), [B]),
    )
    assert counts(value) == {"collected": 4, "deselected": 1, "passed": 3}


def test_shards_of_other_models_add_up() -> None:
    options = [{"model": models, "repeat": None} for models in (["x", "y"], ["z", "w"], ["w", "z"])]
    lines = [[line(f"a[{model}]")] for model in "xzw"]
    parts = [
        (shard(str(number), one, collected=2, options=options[number]), one)
        for number, one in enumerate(lines)
    ]
    value = joined(*parts)
    assert counts(value) == {"collected": 4, "deselected": 1, "passed": 3}
    assert value["options"]["model"] == ["x", "y", "z", "w"]


def test_what_every_shard_deselected_is_deselected_and_what_a_shard_owes_is_not() -> None:
    killed = shard("2", [], collected=5, ended=None, complete=False)
    killed.manifest["totals"].update(deselected=3)
    value = joined((shard("1", [A], collected=5), [A]), (killed, [B]))
    assert counts(value) == {"collected": 5, "deselected": 2, "passed": 2}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([("s", 2, "x"), ("s", 2, "x")], 2),
        ([("s", 2, "x"), ("s", 1, "x")], 1),
        ([("s", 2, "x"), ("t", 3, "x")], 5),
        ([("s", 2, "x"), ("s", 0, None)], 2),
    ],
)
def test_orphans_are_those_no_run_has_a_use_for(
    told: list[tuple[str, int, str | None]], expected: int
) -> None:
    shards = []
    for suite, count, ended in told:
        shards.append(shard("x", suites=[suite], ended=ended))
        shards[-1].manifest["totals"]["orphans"] = count
    assert total(shards, Totals()).orphans == expected


def test_an_equal_result_is_kept_once() -> None:
    results, one, two = Results(), shard("1"), shard("2")
    assert take(results, one, A, B) == [A, B]
    assert take(results, two, B, C) == [C]
    results.check()
    assert (results.totals.passed, one.counted.passed, two.counted.passed) == (3, 2, 2)


def test_two_different_results_are_told_all_at_once() -> None:
    results = Results()
    take(results, shard("one"), *(line(f"n{number}") for number in range(30)))
    take(
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
        "merge one of the two runs only; runs of two models are for 'evalkit compare'",
    ]


def test_a_result_twice_in_one_run_is_told_so() -> None:
    results = Results()
    take(results, shard("two"), line("x\u202e"), line("x\u202e", "failed"))
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
def test_shards_of_different_states_are_refused(change: Any, named: str) -> None:
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


def test_where_the_runs_differ_every_value_is_told() -> None:
    one = shard(
        "one", started="2026-01-01T10:00:03Z", environment={"CI": "true", "GITHUB_SHA": "a"}
    )
    two = shard("two", python="3.13.0", environment={"CI": "true"}, ended="2026-01-01T11:00:00Z")
    three = shard("three", ended=None, complete=False)
    two.manifest["options"].update(record="once", repeat=2)
    del three.manifest["options"]["repeat"]
    value = joined((one, [A]), (two, [B]), (three, [C]))
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
    again = Shard("first", value)
    again.digest = OTHER
    twice = document([again, two], Totals(), complete=False)
    assert (twice["python"], twice["options"]["record"], twice["environment"]["GITHUB_SHA"]) == (
        "3.12.1, 3.13.0",
        ["none", "once"],
        "a, unset",
    )
    for one_of in (value, twice):
        jsonschema.validate(one_of, SCHEMA)


def test_a_run_that_did_not_end_has_no_end() -> None:
    assert joined((shard("1", ended=None), [A]))["ended"] is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda value: value.pop("schema_version"), "it has no 'schema_version'"),
        (lambda value: value.update(schema_version=2), "its schema_version is 2, not 1"),
        (lambda value: value.update(started=None), "'started' is None"),
        (lambda value: value.update(suites=None), "object is not iterable"),
        (lambda value: value["suites"][0].pop("collected"), "it has no 'collected'"),
        (lambda value: value.update(cassettes=[1]), "not subscriptable"),
        (lambda value: value["totals"].update(passed="1"), "'passed' is '1'"),
        (lambda value: value.update(environment={"CI": 1}), "'CI' is 1"),
    ],
)
def test_a_manifest_that_is_none_is_refused(change: Any, why: str) -> None:
    value = manifest([])
    change(value)
    with pytest.raises(UsageError) as raised:
        Shard("one", value)
    told = str(raised.value)
    assert told.startswith("one/manifest.json is not as this evalkit writes it: ")
    assert why in told


def test_a_run_that_counted_other_results_is_not_what_it_was() -> None:
    lost = shard("one", [A, B])
    take(Results(), lost, A)
    with pytest.raises(
        IntegrityError, match=r"one: manifest\.json says 2 passed, counting the results gives 1"
    ):
        lost.check_count()
    killed = shard("one", [], ended=None)
    take(Results(), killed, A)
    killed.check_count()


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
def test_totals_are_those_of_one_run_whatever_the_cut(
    drawn: tuple[list[str], list[set[int]]],
) -> None:
    """However the variants of a suite are chosen for shards, shards that overlap too, the joined run counts each once."""
    verdicts, cuts = drawn
    lines = [line(f"n{number}", verdict) for number, verdict in enumerate(verdicts)]
    parts = []
    for number, cut in enumerate(cuts):
        chosen = [lines[index] for index in sorted(cut)]
        parts.append((shard(str(number), chosen, collected=len(lines)), chosen))
    value = joined(*parts)
    alone = manifest([lines[index] for index in sorted(set().union(*cuts))], collected=len(lines))
    assert value["totals"] == alone["totals"]
    assert value["suites"] == alone["suites"]
    jsonschema.validate(value, SCHEMA)
