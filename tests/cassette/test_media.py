"""Long base64 is stored once, in a file named by its content, and restored byte for byte."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from evalkit._lib.files import sha256
from evalkit.cassette.files import PREFIX, THRESHOLD, MediaFolder
from evalkit.cassette.recording import Recording
from evalkit.errors import CassetteError, SecretLeak, UsageError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 130
TEXT = base64.b64encode(PNG).decode()


def answer(body: str) -> Recording:
    return Recording("POST", "http://h/v1beta/interactions", body, body=body)


def round_trip(folder: Path, body: str) -> tuple[str, list[str]]:
    moved = MediaFolder(folder).extract(answer(body))
    assert MediaFolder(folder).restore(moved) == answer(body)
    assert isinstance(moved.body, str)
    return moved.body, sorted(path.name for path in folder.glob("*"))


def test_an_image_is_stored_once_and_named_by_its_content(tmp_path: Path) -> None:
    body, files = round_trip(
        tmp_path / "_media",
        json.dumps({"a": {"data": TEXT, "mime_type": "image/png"}, "again": TEXT}),
    )
    name = f"{sha256(PNG)}.png"
    assert files == [name]
    assert json.loads(body) == {
        "a": {"data": f"{PREFIX}sha256:{name}", "mime_type": "image/png"},
        "again": f"{PREFIX}sha256:{name}",
    }
    assert (tmp_path / "_media" / name).read_bytes() == PNG


def test_media_in_a_stream(tmp_path: Path) -> None:
    body, files = round_trip(
        tmp_path, f'event: step.delta\ndata: {{"delta": {{"type": "image", "data": "{TEXT}"}}}}\n\n'
    )
    assert len(files) == 1
    assert len(body) < 300


@pytest.mark.parametrize(
    ("start", "extension"),
    [
        (b"\xff\xd8\xff", "jpg"),
        (b"RIFF\0\0\0\0WAVE", "wav"),
        (b"RIFF\0\0\0\0WEBP", "webp"),
        (b"\0\0\0\x20ftypisom", "mp4"),
        (b"%PDF-1.7", "pdf"),
        (b"?", "bin"),
    ],
)
def test_the_extension_follows_from_the_content(
    tmp_path: Path, start: bytes, extension: str
) -> None:
    _, files = round_trip(
        tmp_path, json.dumps({"data": base64.b64encode(start + bytes(30_000)).decode()})
    )
    assert [name.rpartition(".")[2] for name in files] == [extension]


@pytest.mark.parametrize(
    "value",
    [
        "A" * THRESHOLD,
        "A" * (THRESHOLD + 1),
        TEXT.replace("+", "-").replace("/", "_"),
        TEXT[:-2] + "R=" if not TEXT.endswith("=") else TEXT[:-3] + "R==",
        TEXT + "\\n",
        "\\/" + TEXT,
        "x " * THRESHOLD,
    ],
    ids=[
        "at the threshold",
        "not four by four",
        "URL-safe",
        "other padding bits",
        "line feed",
        "escaped",
        "plain text",
    ],
)
def test_text_that_cannot_be_restored_stays_in_the_body(tmp_path: Path, value: str) -> None:
    body = f'{{"data": "{value}"}}'
    moved, files = round_trip(tmp_path, body)
    assert moved == body
    assert files == []


@pytest.mark.parametrize(
    "text",
    [
        PREFIX,
        f"{PREFIX}sha256:{'0' * 64}.png",
        f"{PREFIX}!",
        f"x{PREFIX}!sha256:{'0' * 64}.png {PREFIX}{PREFIX}",
    ],
)
def test_text_that_looks_like_a_placeholder_reads_no_file(tmp_path: Path, text: str) -> None:
    round_trip(tmp_path, json.dumps({"text": text}))


def test_bytes_and_missing_bodies_are_not_changed(tmp_path: Path) -> None:
    item = Recording("GET", "http://h/", None, body=b"\xff")
    assert MediaFolder(tmp_path).extract(item) == item
    assert MediaFolder(tmp_path).restore(item) == item


@pytest.mark.parametrize("path", ["../../etc/passwd", "sha256:zz.png", f"sha256:{'0' * 64}.p/g"])
def test_a_placeholder_cannot_name_a_file_outside_the_folder(tmp_path: Path, path: str) -> None:
    item = answer(f'{{"a": "{PREFIX}{path}"}}')
    assert MediaFolder(tmp_path).restore(item) is not None
    assert MediaFolder(tmp_path).restore(item).body == item.body


def test_a_missing_or_changed_file_is_named(tmp_path: Path) -> None:
    moved = MediaFolder(tmp_path).extract(answer(f'{{"a": "{TEXT}"}}'))
    file = next(tmp_path.glob("*.png"))
    file.write_bytes(PNG[:-1] + b"x")
    with pytest.raises(CassetteError, match=f"{file.name} was changed"):
        MediaFolder(tmp_path).restore(moved)
    file.unlink()
    with pytest.raises(CassetteError, match=f"{file.name} is missing"):
        MediaFolder(tmp_path).restore(moved)
    file.mkdir()
    with pytest.raises(CassetteError, match=f"{file.name} cannot be read"):
        MediaFolder(tmp_path).restore(moved)


def test_recording_again_replaces_a_damaged_file(tmp_path: Path) -> None:
    MediaFolder(tmp_path).extract(answer(f'{{"a": "{TEXT}"}}'))
    file = next(tmp_path.glob("*.png"))
    file.write_bytes(b"damaged")
    MediaFolder(tmp_path).extract(answer(f'{{"a": "{TEXT}"}}'))
    assert file.read_bytes() == PNG


def test_a_correct_file_is_not_written_again(tmp_path: Path) -> None:
    MediaFolder(tmp_path).extract(answer(f'{{"a": "{TEXT}"}}'))
    file = next(tmp_path.glob("*.png"))
    before = file.stat()
    MediaFolder(tmp_path).extract(answer(f'{{"a": "{TEXT}"}}'))
    assert file.stat() == before


def test_the_guard_sees_the_bytes_first(tmp_path: Path) -> None:
    def guard(data: bytes, where: str) -> None:
        assert data == PNG
        raise SecretLeak(where)

    with pytest.raises(SecretLeak, match=r"\.png$"):
        MediaFolder(tmp_path / "m", guard).extract(answer(f'{{"a": "{TEXT}"}}'))
    assert not (tmp_path / "m").exists()


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("a file, not a folder")
    with pytest.raises(UsageError, match="media cannot be written"):
        MediaFolder(tmp_path / "m").extract(answer(f'{{"a": "{TEXT}"}}'))
