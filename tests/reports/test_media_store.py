"""Long base64 data of result lines, stored once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.reports.page import media as media_module
from evalkit.reports.page.media import LONG, NAME, MediaStore
from tests.reports.sample_cases import png


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MediaStore]:
    media = MediaStore(tmp_path)
    yield media
    media.close()


def block(data: str) -> dict[str, str]:
    return {"type": "image", "data": data, "mime_type": "image/png"}


def test_line_names_its_data_and_the_data_is_stored_once(store: MediaStore) -> None:
    data = png()
    content = {"content": [block(data), block(data)], "signature": data}
    line = json.loads(store.extract(json.dumps(content, separators=(",", ":"))))
    name = line["content"][0]["data"]
    assert name.startswith(NAME)
    assert line["content"][1]["data"] == name
    assert line["signature"] == data
    assert list(store.items()) == [(name.removeprefix(NAME), data)]
    assert store.size == len(data)


def test_very_long_data_is_left_out(store: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_module, "TOO_LONG", LONG)
    data = "A" * (LONG + 4)
    assert data not in store.extract(json.dumps({"data": data}))
    assert list(store.items()) == []


@pytest.mark.parametrize(
    "value",
    [block("A" * 100), {"text": "x" * 5000}, {"data": "not base64 " * 500}],
)
def test_short_data_and_other_text_stay(store: MediaStore, value: dict[str, str]) -> None:
    line = json.dumps(value)
    assert store.extract(line) == line
