"""Media on the page: safe types only, long data once, everything else told in words."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from evalkit.reports.page import media as media_module
from evalkit.reports.page.media import LONG, NAME, SAFE, MediaBook
from tests.reports.sample_cases import png


@pytest.fixture
def book() -> Iterator[MediaBook]:
    made = MediaBook()
    yield made
    made.close()


def block(data: str, mime: str = "image/png") -> dict[str, str]:
    return {"type": "image", "data": data, "mime_type": mime}


@pytest.mark.parametrize(
    ("mime", "element"),
    [("image/png", "img"), ("IMAGE/JPEG", "img"), ("audio/wav", "audio"), ("video/mp4", "video")],
)
def test_a_safe_type_is_shown_as_a_data_uri(book: MediaBook, mime: str, element: str) -> None:
    shown = book.show(block("AAAA", mime))
    assert (shown.element, shown.source, shown.caption) == (
        element,
        f"data:{mime.lower()};base64,AAAA",
        f"{mime.lower()}, 3 bytes",
    )


@pytest.mark.parametrize(
    ("content", "caption"),
    [
        (
            block("PHN2Zz4=", "image/svg+xml"),
            "image/svg+xml, 5 bytes, not shown; the data is in results.jsonl",
        ),
        (block("PGI+", "text/html"), "text/html, 3 bytes, not shown; the data is in results.jsonl"),
        (
            {"type": "image", "data": "AAAA"},
            "image of no stated type, 3 bytes, not shown; the data is in results.jsonl",
        ),
        (block('"><script>'), "image/png, 10 characters that are not base64, not shown"),
        (block(""), "image/png, 0 characters that are not base64, not shown"),
        (block("AAAA\n"), "image/png, 5 characters that are not base64, not shown"),
        ({"type": "image", "mime_type": "image/png"}, "image/png, without data"),
        ({"type": "image", "data": 5, "mime_type": "image/png"}, "image/png, without data"),
        (
            {"type": "video", "uri": "https://example.org/a", "mime_type": "video/mp4"},
            "video/mp4, not in the answer itself",
        ),
    ],
)
def test_what_is_not_shown_is_told(
    book: MediaBook, content: dict[str, object], caption: str
) -> None:
    shown = book.show(content)
    assert (shown.element, shown.source, shown.caption) == ("", "", caption)


def test_no_safe_type_can_run_anything() -> None:
    assert not [
        mime
        for mime in SAFE
        if "svg" in mime
        or "html" in mime
        or "xml" in mime
        or not mime.startswith(("image/", "audio/", "video/"))
    ]


def test_too_large_media_is_left_out(book: MediaBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_module, "TOO_LONG", LONG)
    data = "A" * (LONG + 4)
    line = book.strip(json.dumps({"data": data}))
    assert data not in line
    assert "too large" in book.show(block(data)).caption
    assert list(book.unshown()) == []


def test_long_data_is_shown_once_and_named_afterwards(book: MediaBook) -> None:
    data = png()
    assert len(data) > LONG
    first, second = book.show(block(data)), book.show(block(data))
    assert first.source == f"data:image/png;base64,{data}"
    assert (second.source, second.digest, second.anchor) == ("", first.digest, first.anchor)
    assert (
        first.caption
        == second.caption
        == f"image/png, {(len(base64.b64decode(data)) + 512) // 1024} KiB"
    )


def test_a_stripped_line_names_its_data_and_the_data_is_kept(book: MediaBook) -> None:
    data = png()
    line = json.dumps(
        {"content": [block(data), block(data)], "signature": data}, separators=(",", ":")
    )
    stripped = json.loads(book.strip(line))
    name = stripped["content"][0]["data"]
    assert name.startswith(NAME)
    assert stripped["content"][1]["data"] == name
    assert stripped["signature"] == data
    assert list(book.unshown()) == [(name.removeprefix(NAME), data)]


def test_data_that_is_shown_needs_no_block_of_its_own(book: MediaBook) -> None:
    data = png()
    book.strip(json.dumps(block(data)))
    book.show(block(data))
    assert list(book.unshown()) == []


def test_short_data_and_lines_without_data_stay_as_they_are(book: MediaBook) -> None:
    for line in (
        json.dumps(block("A" * 100)),
        json.dumps({"text": "x" * 5000}),
        json.dumps({"data": "not base64 " * 500}),
    ):
        assert book.strip(line) == line
