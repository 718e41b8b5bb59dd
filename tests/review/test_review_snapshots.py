"""Approving snapshots: the file says what was accepted, and nothing else is ever written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit._lib.json import MISSING
from evalkit.checks.snapshot.files import Kind, render
from evalkit.errors import UsageError
from evalkit.review.decisions import Book
from tests.review.runs_to_review import ADA, desk, fails, file_of, passes, project, snapshot


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
def test_accepting_writes_what_came(
    tmp_path: Path, kind: Kind, expected: Any, got: Any, text: str
) -> None:
    path = tmp_path / file_of("a", kind)
    made = desk(tmp_path, [snapshot("a", got, expected, kind)])
    if expected is not MISSING:
        path.parent.mkdir(parents=True)
        path.write_text(render(kind, expected))
    (entry,) = made.decide([made.look().standings[0].item.key], "accept", ADA)
    assert path.read_text(encoding="utf-8") == text
    assert entry.wrote == file_of("a", kind)


@pytest.mark.parametrize("choice", ["reject", "skip"])
def test_what_is_not_accepted_is_not_written(tmp_path: Path, choice: Any) -> None:
    made = desk(tmp_path, [snapshot("a", "new", "old")])
    path = tmp_path / file_of("a")
    path.parent.mkdir(parents=True)
    path.write_text("old\n")
    (entry,) = made.decide([made.look().standings[0].item.key], choice, ADA)
    assert (path.read_text(), entry.wrote) == ("old\n", "")


@pytest.mark.parametrize(
    ("kind", "expected", "got", "held", "fine"),
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
def test_a_file_that_changed_since_the_run_is_left_alone(
    tmp_path: Path, kind: Kind, expected: Any, got: Any, held: str | None, fine: bool
) -> None:
    path = tmp_path / file_of("a", kind)
    made = desk(tmp_path, [snapshot("a", got, expected, kind)])
    key = made.look().standings[0].item.key
    if held is not None:
        path.parent.mkdir(parents=True)
        path.write_bytes(held.encode())
    if fine:
        made.decide([key], "accept", ADA)
        assert path.read_text() == render(kind, got)
    else:
        with pytest.raises(UsageError, match="changed since the run, so nothing was approved"):
            made.decide([key], "accept", ADA)
        assert (path.read_bytes().decode() if path.exists() else None) == held
        assert Book(made.run.directory).read() == []


def test_a_value_that_is_approved_already_is_accepted_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / file_of("a")
    made = desk(tmp_path, [snapshot("a", "new", "old")])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"new\r\n")
    (entry,) = made.decide([made.look().standings[0].item.key], "accept", ADA)
    assert (path.read_bytes(), entry.wrote) == (b"new\r\n", "")


def test_trials_that_agree_are_approved_together_and_those_that_do_not_one_alone(
    tmp_path: Path,
) -> None:
    made = desk(
        tmp_path,
        [snapshot("a", "same"), snapshot("a", "same", trial=2), snapshot("a", "other", trial=3)],
    )
    look = made.look()
    keys = [one.item.key for one in look.standings]
    with pytest.raises(UsageError, match="two values at once"):
        made.decide(keys, "accept", ADA)
    assert not (tmp_path / file_of("a")).exists()
    first, second = made.decide(keys[:2], "accept", ADA)
    assert (first.wrote, second.wrote) == (file_of("a"), "")
    with pytest.raises(UsageError, match="changed since the run"):
        made.decide(keys[2:], "accept", ADA)


def test_a_group_is_approved_whole_or_not_at_all(tmp_path: Path) -> None:
    made = desk(tmp_path, [snapshot("a", "new", "old"), snapshot("b", "new", "old")])
    for name, text in (("a", "old\n"), ("b", "changed by hand\n")):
        path = tmp_path / file_of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with pytest.raises(UsageError, match="weather/b"):
        made.decide([one.item.key for one in made.look().standings], "accept", ADA)
    assert (tmp_path / file_of("a")).read_text() == "old\n"
    assert made.look().summary.left == 2


def test_a_snapshot_whose_result_changed_is_not_written(tmp_path: Path) -> None:
    made = desk(tmp_path, [snapshot("a", "new")])
    key = made.look().standings[0].item.key
    project(tmp_path, [snapshot("a", "newer")])
    with pytest.raises(UsageError, match="have changed"):
        made.decide([key], "accept", ADA)
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
def test_no_result_writes_anywhere_else(
    tmp_path: Path, file: str, prepare: Callable[[Path], None] | None
) -> None:
    root = tmp_path / "project"
    made = desk(root, [snapshot("a", "evil", file=file.replace("{root}", str(root)))])
    if prepare is not None:
        prepare(root)
    before = sorted(path for path in tmp_path.rglob("*") if path.name != ".decisions.yaml.lock")
    with pytest.raises(UsageError, match="is no snapshot of"):
        made.decide([made.look().standings[0].item.key], "accept", ADA)
    assert (
        sorted(path for path in tmp_path.rglob("*") if path.name != ".decisions.yaml.lock")
        == before
    )


def test_without_its_suite_nothing_is_approved(tmp_path: Path) -> None:
    made = desk(tmp_path, [snapshot("a", "new"), fails("b")])
    (tmp_path / "suites/weather.yaml").unlink()
    keys = [one.item.key for one in made.look().standings]
    with pytest.raises(UsageError, match="name the project with --root"):
        made.decide(keys[:1], "accept", ADA)
    made.decide(keys[1:], "accept", ADA)


def test_a_file_is_there_before_the_decision_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = desk(tmp_path, [snapshot("a", "new"), passes("b")])
    key = made.look().standings[0].item.key

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("evalkit.review.decisions.write_atomic", full)
        with pytest.raises(UsageError):
            made.decide([key], "accept", ADA)
    assert made.look().summary.left == 1
    (entry,) = made.decide([key], "accept", ADA)
    assert entry.wrote == ""
    assert (tmp_path / file_of("a")).read_text() == "new\n"
