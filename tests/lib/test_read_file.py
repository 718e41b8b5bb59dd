"""Only regular files with their own content are read; what may never end is an error at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit._lib.files import read_file


def test_a_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\x00\r\n\xff")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "file") == read_file(tmp_path / "link") == b"\x00\r\n\xff"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_loop(path: Path) -> None:
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n")


@pytest.mark.parametrize(
    ("create", "reason"),
    [
        (pointer, "a Git LFS pointer, not the file itself; run git lfs pull"),
        (pipe, "not a regular file"),
        (device, "not a regular file"),
        (Path.mkdir, "Is a directory"),
        (link_loop, "Too many levels of symbolic links"),
    ],
)
def test_anything_else_is_an_error_at_once(
    tmp_path: Path, create: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "entry"
    create(path)
    errors: list[OSError] = []

    def read() -> None:
        try:
            read_file(path)
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    assert [error.strerror or str(error) for error in errors] == [reason]
