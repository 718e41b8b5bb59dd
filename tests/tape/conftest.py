"""A server to record from, and tapes in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import google.genai
import google.genai.interactions  # noqa: F401 - imported before any tape patches the libraries below it
import pytest

import evalkit
from evalkit.server import serving
from tests.tape.tape_support import MakeTape


@pytest.fixture(scope="session")
def guide_url() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def make_tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeTape:
    monkeypatch.chdir(tmp_path)
    return lambda mode="none", name="app/test", **options: evalkit.tape(name, mode=mode, **options)


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "app" / "test.yaml"
