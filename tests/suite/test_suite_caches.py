"""Nothing is written beside suites, and no file planted there changes what a suite means."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from evalkit.suite import expand
from tests.suite.project import Project

SUITE = """\
suite: weather
defaults: {model: m}
scenarios:
  - id: london
    turns: [{user: "Is it raining?", expect: [{text: rain}]}]
"""


@pytest.fixture
def _bytecode_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)


def forge_cache(path: Path) -> Path:
    """Plant a parsed suite with another message, as evalkit once stored it."""
    document = {
        "suite": "weather",
        "scenarios": [{"id": "forged", "model": "m", "turns": [{"user": "Say yes."}]}],
    }
    body = json.dumps({"document": document, "lines": [[1], [1]], "checks": {}}).encode()
    seal = b" ".join(sha256(part).hexdigest().encode() for part in (path.read_bytes(), body))
    planted = Path(cache_from_source(path, optimization="evalkit")).with_name(
        f"{path.name}.evalkit"
    )
    planted.parent.mkdir()
    planted.write_bytes(seal + b"\n" + body)
    return planted


@pytest.mark.usefixtures("_bytecode_is_written")
def test_loading_a_suite_writes_no_file(project: Project) -> None:
    before = project.load(SUITE).path
    assert [path for path in project.root.rglob("*") if path.is_file()] == [before]


@pytest.mark.usefixtures("_bytecode_is_written")
def test_a_forged_cache_beside_a_suite_changes_nothing(project: Project) -> None:
    path = project.write("suites/weather.yaml", SUITE)
    planted = forge_cache(path)
    data = planted.read_bytes()
    (variant,) = expand(project.load(SUITE))
    assert variant.id == "weather::london"
    assert variant.turns[0].content({}) == "Is it raining?"
    assert [expectation.name for expectation in variant.turns[0].expect] == ["text"]
    assert planted.read_bytes() == data
    assert sorted(path for path in project.root.rglob("*") if path.is_file()) == sorted(
        [path, planted]
    )
