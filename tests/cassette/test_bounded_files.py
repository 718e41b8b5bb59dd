"""Cassettes that fight back: each is one error with its file and line, in bounded time."""

from __future__ import annotations

import base64
import gzip
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from evalkit._lib.limits import set_limits
from evalkit.cassette.content_codings import decompress_body
from evalkit.cassette.files import load_cassette
from evalkit.errors import CassetteError

HEAD = "interactions:\n- request:\n    method: GET\n    uri: https://h/\n  response:\n"
STATUS = "    status: {code: 200, message: OK}\n"
END = "version: 1\n"


@pytest.fixture(autouse=True)
def _small_limits() -> Iterator[None]:
    set_limits(["response=1MB", "cassette=4MB"])
    yield
    set_limits([])


def load(path: Path) -> str:
    with pytest.raises(CassetteError) as caught:
        load_cassette(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message.partition("\n    ")[0]
    return message


def compressed(coding: str, data: bytes) -> str:
    body = base64.b64encode(data).decode()
    return (
        f"{HEAD}{STATUS}    headers: {{content-encoding: [{coding}]}}\n"
        f"    body: {{string: !!binary {body}}}\n{END}"
    )


BOMB = b"x" * (8 << 20)


@pytest.mark.parametrize(
    ("coding", "data"),
    [("gzip", gzip.compress(BOMB)), ("gzip, gzip", gzip.compress(gzip.compress(BOMB)))],
)
def test_a_body_that_opens_to_more_than_the_limit(tmp_path: Path, coding: str, data: bytes) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(compressed(coding, data))
    assert "limit: 1 MB" in load(path)


@pytest.mark.parametrize(("library", "coding"), [("brotli", "br"), ("zstandard", "zstd")])
def test_codings_of_other_libraries_are_bounded(library: str, coding: str) -> None:
    module = import_module(library)
    compress = module.compress if coding == "br" else module.ZstdCompressor().compress
    assert decompress_body(compress(b"ab" * 999), {"content-encoding": [coding]}) == b"ab" * 999
    with pytest.raises(ValueError, match="limit: 1 MB"):
        decompress_body(compress(BOMB), {"content-encoding": [coding]})


def test_a_huge_sparse_file(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(4 << 30)
    assert "raise the limit 'cassette'" in load(path)


def test_a_folder_a_pipe_and_a_loop(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    for name in ("folder", "pipe", "loop", "device"):
        load(tmp_path / f"{name}.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0\1\2",
        "\ud800",
        HEAD,
        f"{HEAD}{STATUS}",
        "interactions: []\nversion: 2\n",
        "interactions: []\nversion: one\n",
        "- a\n",
        f"interactions: {'[' * 5000}",
        "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(60_000)) + END,
        f"interactions: []\nx: [{'1,' * 50_000}1]\nversion: 3\n",
    ],
    ids=lambda text: text[:12],
)
def test_other_files_that_are_not_cassettes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    load(path)
