"""The index of runs: what it reads, what it drops, and that it can always be rebuilt."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import UsageError
from evalkit.results.index import FILE, RunIndex
from tests.compare.lines import line


def run(folder: Path, *lines: dict[str, Any], **manifest: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    (folder / "manifest.json").write_text(
        json.dumps({"evalkit": "0.1.0", "complete": True, **manifest})
    )
    return folder


def names(folder: Path) -> tuple[list[str], list[tuple[str, str, str]], list[str]]:
    with RunIndex(folder) as index:
        index.refresh()
        return (
            [one.name for one in index.runs()],
            [(one.run, one.id, one.verdict) for one in index.results()],
            index.skipped,
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
    with RunIndex(tmp_path) as index:
        assert [entry.complete for entry in index.runs()] == [False, True]
        assert next(index.results()).tokens == {"total_tokens": 100}


def test_changed_runs_are_read_again_and_deleted_ones_dropped(tmp_path: Path) -> None:
    first, second = (
        run(tmp_path / "a", line("x"), started="1"),
        run(tmp_path / "b", line("x"), started="2"),
    )
    names(tmp_path)
    run(first, line("x", "failed"), line("y"), started="1")
    second.rename(tmp_path / "c")
    assert names(tmp_path)[:2] == (
        ["a", "c"],
        [("a", "s::x", "failed"), ("c", "s::x", "passed"), ("a", "s::y", "passed")],
    )


def test_runs_in_hidden_folders_are_ignored(tmp_path: Path) -> None:
    run(tmp_path / ".reports" / "a", line("x"))
    run(tmp_path / ".reports" / ".b.0123.tmp" / "b", line("x"))
    assert names(tmp_path / ".reports")[0] == ["a"]


def test_unchanged_runs_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "a", line("x"))
    names(tmp_path)
    monkeypatch.setattr("evalkit.results.index.Run", None)
    assert names(tmp_path)[0] == ["a"]


@pytest.mark.parametrize("damage", ["garbage", "other version", "other tables", "empty", "missing"])
def test_damaged_index_is_rebuilt(tmp_path: Path, damage: str) -> None:
    run(tmp_path / "a", line("x"))
    expected = names(tmp_path)
    file = tmp_path / FILE
    if damage in ("garbage", "empty"):
        file.write_bytes(b"not a database" * 99 if damage == "garbage" else b"")
    elif damage == "missing":
        file.unlink()
    else:
        database = sqlite3.connect(file)
        database.execute(
            "pragma user_version = 99" if damage == "other version" else "drop table result"
        )
        database.commit()
        database.close()
    assert names(tmp_path) == expected


def test_folder_that_is_not_a_run_is_skipped_with_a_reason(tmp_path: Path) -> None:
    run(tmp_path / "good", line("x"))
    run(tmp_path / "other", {"not": "ours"})
    run(tmp_path / "torn").joinpath("manifest.json").write_text("{")
    runs, results, skipped = names(tmp_path)
    assert runs == ["good"]
    assert len(results) == 1
    assert len(skipped) == 2
    assert "other: not a run of evalkit (KeyError('variant'))" in skipped[0]
    assert "torn/manifest.json cannot be read" in skipped[1]


def test_incomplete_last_line_is_dropped(tmp_path: Path) -> None:
    with (run(tmp_path / "a", line("x")) / "results.jsonl").open("a") as file:
        file.write('{"id": "half')
    assert names(tmp_path)[1] == [("a", "s::x", "passed")]


def test_index_is_in_memory_where_the_folder_is_not_writable(tmp_path: Path) -> None:
    run(tmp_path / "a", line("x"))
    (tmp_path / FILE).mkdir()  # root may write anywhere, so the file's name is taken
    assert names(tmp_path)[0] == ["a"]


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder of runs"):
        RunIndex(tmp_path / "none")
