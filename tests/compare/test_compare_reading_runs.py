"""Reading many runs: their order, and what is left out with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.compare.compared_run import compared_run
from evalkit.compare.history import read_runs
from evalkit.errors import UsageError
from evalkit.results import Run
from tests.compare.lines import line


def run(folder: Path, *lines: dict[str, Any], **manifest: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    (folder / "manifest.json").write_text(
        json.dumps({"evalkit": "0.1.0", "complete": True, **manifest})
    )
    return folder


def names(folder: Path, last: int = 20) -> tuple[list[str], list[tuple[str, str, str]], list[str]]:
    runs, results, skipped = read_runs(folder, last)
    return (
        [one.name for one in runs],
        [(one.run, one.id, one.verdict) for one in results],
        skipped,
    )


def test_runs_are_ordered_by_time_and_results_by_id(tmp_path: Path) -> None:
    run(tmp_path / "late", line("b"), line("a", "failed"), started="2026-02-01T00:00:00Z")
    run(tmp_path / "deep" / "early", line("a"), started="2026-01-01T00:00:00Z", complete=False)
    runs, results, skipped = names(tmp_path)
    assert runs == ["deep/early", "late"]
    assert results == [
        ("deep/early", "s::a", "passed"),
        ("late", "s::a", "failed"),
        ("late", "s::b", "passed"),
    ]
    assert skipped == []
    entries, all_results, _ = read_runs(tmp_path, 20)
    assert [entry.complete for entry in entries] == [False, True]
    assert all_results[0].tokens == {"total_tokens": 100}


def test_only_the_last_valid_runs_are_read(tmp_path: Path) -> None:
    run(tmp_path / "a", line("x"), started="1")
    run(tmp_path / "b", line("x"), started="2")
    run(tmp_path / "c", {"not": "ours"}, started="3")
    run(tmp_path / "d", line("x"), started="4")
    runs, results, skipped = names(tmp_path, last=2)
    assert runs == ["b", "d"]
    assert [result[0] for result in results] == ["b", "d"]
    assert len(skipped) == 1


def test_runs_in_hidden_folders_are_ignored(tmp_path: Path) -> None:
    run(tmp_path / ".reports" / "a", line("x"))
    run(tmp_path / ".reports" / ".b.0123.tmp" / "b", line("x"))
    assert names(tmp_path / ".reports")[0] == ["a"]


def test_folder_that_is_not_a_run_is_skipped_with_a_reason(tmp_path: Path) -> None:
    run(tmp_path / "good", line("x"))
    run(tmp_path / "other", {"not": "ours"})
    run(tmp_path / "torn").joinpath("manifest.json").write_text("{")
    runs, results, skipped = names(tmp_path)
    assert runs == ["good"]
    assert len(results) == 1
    assert len(skipped) == 2
    assert "torn/manifest.json cannot be read" in skipped[0]
    assert "other: not a run of evalkit (KeyError('id'))" in skipped[1]


def test_of_a_result_that_appears_twice_the_last_counts(tmp_path: Path) -> None:
    run(tmp_path / "a", line("x", "failed"), line("y"), line("x"))
    assert sorted(names(tmp_path)[1]) == [("a", "s::x", "passed"), ("a", "s::y", "passed")]


def test_incomplete_last_line_is_dropped(tmp_path: Path) -> None:
    with (run(tmp_path / "a", line("x")) / "results.jsonl").open("a") as file:
        file.write('{"id": "half')
    assert names(tmp_path)[1] == [("a", "s::x", "passed")]


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder of runs"):
        read_runs(tmp_path / "none", 20)


@pytest.mark.parametrize("value", ["1e999", "-5", "true", '"many"'])
@pytest.mark.parametrize("field", ["tokens", "elapsed_ms"])
def test_a_count_that_is_not_one_is_no_result(tmp_path: Path, field: str, value: str) -> None:
    folder = run(tmp_path / "a", line("x", **{field: 77}), schema_version=1)  # type: ignore[arg-type]
    results = folder / "results.jsonl"
    results.write_text(results.read_text().replace("77", value))
    assert "is not a number from 0" in names(tmp_path)[2][0]
    with pytest.raises(
        UsageError, match=r"results\.jsonl:1: not a result .*is not a number from 0"
    ):
        compared_run(Run(folder), (), {})
