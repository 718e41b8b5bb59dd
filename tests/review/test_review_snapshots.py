"""Approving snapshots writes accepted values and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit._lib.json import MISSING
from evalkit.checks.snapshot import Kind, render
from evalkit.errors import UsageError
from evalkit.review.decisions import DecisionFile
from tests.review.runs_to_review import (
    ADA,
    decide,
    fails,
    file_of,
    passes,
    project,
    session,
    snapshot,
)


@pytest.mark.parametrize(
    ("kind", "expected", "got", "text"),
    [
        ("text", MISSING, "It is 22 degrees.\n", "It is 22 degrees.\n\n"),
        ("text", MISSING, "", "\n"),
        ("text", "old", "n\u00e9w \ud800", "n\u00e9w \\ud800\n"),
        ("json", MISSING, {"b": 1, "a": [2]}, '{\n  "b": 1,\n  "a": [\n    2\n  ]\n}\n'),
        ("steps", [["thought"]], [["thought", "model_output"]], "thought\nmodel_output\n"),
    ],
)
def test_accepting_writes_the_new_value(
    tmp_path: Path, kind: Kind, expected: Any, got: Any, text: str
) -> None:
    path = tmp_path / file_of("a", kind)
    built = session(tmp_path, [snapshot("a", got, expected, kind)])
    if expected is not MISSING:
        path.parent.mkdir(parents=True)
        path.write_text(render(kind, expected))
    (entry,) = decide(built, [built.state().statuses[0].item.key], "accept", ADA)
    assert path.read_text(encoding="utf-8") == text
    assert entry.written_file == file_of("a", kind)


@pytest.mark.parametrize("choice", ["reject", "skip"])
def test_what_is_not_accepted_is_not_written(tmp_path: Path, choice: Any) -> None:
    built = session(tmp_path, [snapshot("a", "new", "old")])
    path = tmp_path / file_of("a")
    path.parent.mkdir(parents=True)
    path.write_text("old\n")
    (entry,) = decide(built, [built.state().statuses[0].item.key], choice, ADA)
    assert (path.read_text(), entry.written_file) == ("old\n", "")


@pytest.mark.parametrize(
    ("kind", "expected", "got", "stored", "fine"),
    [
        ("text", "old", "new", "old\n", True),
        ("text", "old", "new", "old", True),
        ("text", "o\nld", "new", "o\r\nld\r\n", True),
        ("text", "old", "new", "older\n", False),
        ("text", "old", "new", None, False),
        ("text", MISSING, "new", "", False),
        ("text", MISSING, "new", "old\n", False),
        ("json", {"a": 1}, {"a": 2}, '{"a": 1.0}', True),
        ("json", {"a": 1}, {"a": 2}, '{"ignored": 7, "a": 1}', True),
        ("json", {"a": 1}, {"a": 2}, '{"a": 3}', False),
        ("json", {"a": 1}, {"a": 2}, "{}", False),
        ("json", {"a": 1}, {"a": 2}, "{", False),
        ("steps", [["thought"]], [["model_output"]], "thought\n\nthought\n", False),
    ],
)
def test_a_file_that_changed_since_the_run_is_not_written(
    tmp_path: Path, kind: Kind, expected: Any, got: Any, stored: str | None, fine: bool
) -> None:
    path = tmp_path / file_of("a", kind)
    built = session(tmp_path, [snapshot("a", got, expected, kind)])
    key = built.state().statuses[0].item.key
    if stored is not None:
        path.parent.mkdir(parents=True)
        path.write_bytes(stored.encode())
    if fine:
        decide(built, [key], "accept", ADA)
        assert path.read_text() == render(kind, got)
    else:
        with pytest.raises(UsageError, match="changed since the run, so nothing was approved"):
            decide(built, [key], "accept", ADA)
        assert (path.read_bytes().decode() if path.exists() else None) == stored
        assert DecisionFile(built.run.directory).read() == []


def test_a_value_that_is_approved_already_is_accepted_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / file_of("a")
    built = session(tmp_path, [snapshot("a", "new", "old")])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"new\r\n")
    (entry,) = decide(built, [built.state().statuses[0].item.key], "accept", ADA)
    assert (path.read_bytes(), entry.written_file) == (b"new\r\n", "")


def test_trials_are_approved_together_only_if_they_agree(
    tmp_path: Path,
) -> None:
    built = session(
        tmp_path,
        [snapshot("a", "same"), snapshot("a", "same", trial=2), snapshot("a", "other", trial=3)],
    )
    state = built.state()
    keys = [one.item.key for one in state.statuses]
    with pytest.raises(UsageError, match="two different values"):
        decide(built, keys, "accept", ADA)
    assert not (tmp_path / file_of("a")).exists()
    first, second = decide(built, keys[:2], "accept", ADA)
    assert (first.written_file, second.written_file) == (file_of("a"), "")
    with pytest.raises(UsageError, match="changed since the run"):
        decide(built, keys[2:], "accept", ADA)


def test_a_group_is_approved_whole_or_not_at_all(tmp_path: Path) -> None:
    built = session(tmp_path, [snapshot("a", "new", "old"), snapshot("b", "new", "old")])
    for name, text in (("a", "old\n"), ("b", "changed by hand\n")):
        path = tmp_path / file_of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with pytest.raises(UsageError, match="weather/b"):
        decide(built, [one.item.key for one in built.state().statuses], "accept", ADA)
    assert (tmp_path / file_of("a")).read_text() == "old\n"
    assert built.state().summary["undecided"] == 2


def test_a_snapshot_of_a_changed_result_is_not_written(tmp_path: Path) -> None:
    built = session(tmp_path, [snapshot("a", "new")])
    key = built.state().statuses[0].item.key
    project(tmp_path, [snapshot("a", "newer")])
    with pytest.raises(UsageError, match="have changed"):
        decide(built, [key], "accept", ADA)
    assert not (tmp_path / file_of("a")).exists()


def _link_out(root: Path) -> None:
    (root.parent / "outside").mkdir()
    (root / "suites/_snapshots").symlink_to(root.parent / "outside")


@pytest.mark.parametrize(
    ("file", "prepare"),
    [
        ("../outside.txt", None),
        ("suites/weather.yaml", None),
        ("suites/_snapshots/../../x/y.txt", None),
        ("suites/_snapshots/weather/a.sh", None),
        ("suites/_snapshots/weather/deep/er.txt", None),
        ("other/_snapshots/weather/a.text.txt", None),
        ("{root}/suites/_snapshots/weather/a.text.txt", None),
        ("suites/_snapshots/weather/a\0b.txt", None),
        ("suites/_snapshots/weather/..\\a.txt", None),
        (file_of("a"), _link_out),
    ],
)
def test_nothing_is_written_outside_the_snapshot_folder(
    tmp_path: Path, file: str, prepare: Callable[[Path], None] | None
) -> None:
    root = tmp_path / "project"
    built = session(root, [snapshot("a", "evil", file=file.replace("{root}", str(root)))])
    if prepare is not None:
        prepare(root)
    before = sorted(path for path in tmp_path.rglob("*") if path.name != ".decisions.yaml.lock")
    with pytest.raises(UsageError, match="not a snapshot of"):
        decide(built, [built.state().statuses[0].item.key], "accept", ADA)
    assert (
        sorted(path for path in tmp_path.rglob("*") if path.name != ".decisions.yaml.lock")
        == before
    )


def test_without_its_suite_nothing_is_approved(tmp_path: Path) -> None:
    built = session(tmp_path, [snapshot("a", "new"), fails("b")])
    (tmp_path / "suites/weather.yaml").unlink()
    keys = [one.item.key for one in built.state().statuses]
    with pytest.raises(UsageError, match="name the project with --root"):
        decide(built, keys[:1], "accept", ADA)
    decide(built, keys[1:], "accept", ADA)


def test_the_file_is_written_before_its_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = session(tmp_path, [snapshot("a", "new"), passes("b")])
    key = built.state().statuses[0].item.key

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("evalkit.review.decisions.write_atomic", full)
        with pytest.raises(UsageError):
            decide(built, [key], "accept", ADA)
    assert built.state().summary["undecided"] == 1
    (entry,) = decide(built, [key], "accept", ADA)
    assert entry.written_file == ""
    assert (tmp_path / file_of("a")).read_text() == "new\n"
