"""Text for people, atomic file writes, the registry and the clock."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from evalkit._lib.clock import timestamp
from evalkit._lib.files import atomic_folder, is_inside, write_atomic, write_new
from evalkit._lib.json import MISSING
from evalkit._lib.registry import Registry
from evalkit._lib.text import did_you_mean, plural, shorten, show, visible


def test_visible_replaces_invisible_characters_by_their_code_points() -> None:
    assert (
        visible("a\u202eb\x1b[31m\x00\u200b\ud800")
        == "a<U+202E>b<U+001B>[31m<U+0000><U+200B><U+D800>"
    )
    assert visible("plain ä 漢\n\ttext") == "plain ä 漢\n\ttext"


INVISIBLE_KINDS = {
    "tag": "\U000e0041",
    "variation selector": "\ufe01",
    "supplementary variation selector": "\U000e0100",
    "bidirectional": "\u202e\u2066\u200f\u061c",
    "zero width": "\u200b\u200c\u200d\ufeff\u2060",
    "soft hyphen": "\u00ad",
    "filler": "\u115f\u3164\uffa0\u2800",
    "line separator": "\u2028\u2029\x85",
    "control": "\x00\x07\x08\x1b\x7f\x9b\r",
    "space": "\u00a0\u2003\u202f\u3000"[:3],
    "Mongolian": "\u180b\u180e",
    "invisible operator": "\u2061\u2064",
}


@pytest.mark.parametrize("kind", INVISIBLE_KINDS)
def test_every_invisible_character_is_named(kind: str) -> None:
    for char in INVISIBLE_KINDS[kind]:
        assert visible(f"pass{char}word") == f"pass<U+{ord(char):04X}>word"


def test_the_colored_form_of_an_emoji_is_not_hidden_text() -> None:
    text = "\u2764\ufe0f \u26a0\ufe0f 1\ufe0f\u20e3 \U0001f600"
    assert visible(text) == text
    assert visible("\u2764\ufe0f\ufe0f 1\ufe0f") == "\u2764\ufe0f<U+FE0F> 1<U+FE0F>"


def test_shorten_keeps_both_ends() -> None:
    assert shorten("x" * 200, 21) == "x" * 13 + "…" + "x" * 7
    assert len(shorten("y" * 10_000, 80)) == 80
    assert show("a" * 10) == '"aaaaaaaaaa"'
    assert show(MISSING) == "(absent)"
    assert show({"b": None}) == '{"b": null}'


def test_suggestions_and_plurals() -> None:
    assert did_you_mean("step", ["steps", "status"]) == " (did you mean 'steps'?)"
    assert did_you_mean("zebra", ["steps"]) == ""
    assert (plural(1, "variant"), plural(2, "variant"), plural(0, "reply", "replies")) == (
        "1 variant",
        "2 variants",
        "0 replies",
    )


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.txt"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file.txt"]


def test_a_rewrite_keeps_the_file_mode(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_atomic(path, "a")
    path.chmod(0o640)
    write_atomic(path, b"b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_is_inside_follows_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    assert is_inside(root, root / "a" / ".." / "b")
    assert not is_inside(root, root / ".." / "b")
    assert not is_inside(root, root / "link" / "b")


def test_registry_suggests_the_nearest_name_and_refuses_a_second_definition() -> None:
    registry: Registry[int] = Registry("check", "evalkit.no-such-group")
    registry.add("steps", 1)
    registry.add("steps", 1)
    assert list(registry) == ["steps"]
    with pytest.raises(KeyError, match="did you mean 'steps'"):
        registry.get("step")
    with pytest.raises(ValueError, match="registered already"):
        registry.add("steps", 2)


def test_the_clock_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert timestamp() == "1970-01-01T00:00:00Z"


def test_a_write_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    write_atomic(tmp_path / "file", "text")
    assert len(synced) == 2  # the file, and the folder in which it was renamed
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_new_file_never_replaces_an_existing_one(tmp_path: Path) -> None:
    write_new(tmp_path / "deep" / "file", b"first")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "deep" / "file", b"second")
    assert [path.read_bytes() for path in (tmp_path / "deep").iterdir()] == [b"first"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "run"
    target.mkdir()
    (target / "old").write_text("old")
    (target / "notes").mkdir()
    (target / "notes" / "note").write_text("kept")
    with (  # noqa: PT012
        pytest.raises(RuntimeError),
        atomic_folder(target, keep=lambda name: True) as folder,
    ):
        (folder / "new").write_text("new")
        raise RuntimeError
    assert sorted(path.name for path in target.iterdir()) == ["notes", "old"]
    with atomic_folder(target, keep=lambda name: name != "old") as folder:
        (folder / "new").write_text("new")
    assert sorted(path.name for path in target.iterdir()) == ["new", "notes"]
    assert (target / "notes" / "note").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
