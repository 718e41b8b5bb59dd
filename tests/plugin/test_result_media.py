"""Media of results: stored once in the run directory, in reports and merged runs as well."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cassette.files import THRESHOLD
from evalkit.cli.main import main
from evalkit.results.media import extract_media, read_file, write_files
from tests.plugin.project import Project
from tests.reports.sample_cases import png

DATA = png(side=160)
SUITE = """\
suite: pictures
defaults: {model: gemini-3.5-flash, history: [stateful, stateless], stream: [false, true]}
scenarios:
  - id: describe
    turns:
      - {user: Describe this image, attach: {image: big.png}, expect: [{status: completed}]}
      - {user: And now in one word, expect: [{status: completed}]}
"""


def test_a_picture_is_stored_once_in_a_run_directory(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    picture = base64.b64decode(DATA)
    (project.root / "big.png").write_bytes(picture)
    (project.root / "suites/weather.yaml").unlink()
    project.suite("pictures", SUITE)
    project.record().assert_outcomes(passed=4)
    name = f"{hashlib.sha256(picture).hexdigest()}.png"
    directory = project.root / "reports/latest"
    assert [path.name for path in (directory / "media").iterdir()] == [name]
    assert (directory / "media" / name).read_bytes() == picture
    text = (directory / "results.jsonl").read_text()
    assert DATA not in text
    assert text.count(f"evalkit-media:sha256:{name}") >= 8
    assert (directory / "index.html").read_text().count(DATA) == 1
    before = text
    project.run("suites").assert_outcomes(passed=4)
    assert (directory / "results.jsonl").read_text().count(name) == before.count(name)

    result = CliRunner().invoke(main, ["merge", "reports/latest", "--output", "merged"])
    assert result.exit_code == 0, result.output
    assert (project.root / "merged/media" / name).read_bytes() == picture
    assert DATA in (project.root / "merged/index.html").read_text()

    for path in (project.root / "suites").iterdir():
        path.unlink()
    project.suite(
        "weather", SUITE.replace("pictures", "weather").replace(", attach: {image: big.png}", "")
    )
    project.record().assert_outcomes(passed=4)
    assert not (directory / "media").exists()


@pytest.mark.parametrize("change", ["remove", "alter"])
def test_a_page_without_a_media_file_says_that_it_has_none(
    project: Project, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.chdir(project.root)
    (project.root / "big.png").write_bytes(base64.b64decode(DATA))
    project.suite("pictures", SUITE)
    project.record("-k", "describe and stateful and plain").assert_outcomes(passed=1)
    (path,) = (project.root / "reports/latest/media").iterdir()
    path.write_bytes(b"other") if change == "alter" else path.unlink()
    result = CliRunner().invoke(main, ["report", "reports/latest"])
    assert result.exit_code == 0, result.output
    assert DATA not in (project.root / "reports/latest/index.html").read_text()


def random_base64(length: int) -> str:
    return base64.b64encode(random.Random(length).randbytes(length)).decode()


def test_only_long_canonical_data_is_moved() -> None:
    long, short = random_base64(THRESHOLD), random_base64(THRESHOLD // 2)
    odd = long[:-4] + "QUJ="  # the last bits of the third character are not zero
    value: dict[str, Any] = {
        "a": [{"data": long}, {"data": short}, {"data": odd}, {"data": 7}, {"text": long}],
        "data": {"data": "no base64 " * THRESHOLD},
    }
    before = json.dumps(value)
    media: dict[str, bytes] = {}
    found = extract_media(value, lambda text: True, media, {})
    (name,) = media
    assert media[name] == base64.b64decode(long)
    assert found["a"][0] == {"data": f"evalkit-media:sha256:{name}"}
    assert found["a"][1:] == value["a"][1:]
    assert found["data"] is value["data"]
    assert json.dumps(value) == before
    assert extract_media(value, lambda text: False, media, {}) is value


def test_a_media_file_is_named_by_its_content(tmp_path: Path) -> None:
    name = f"{hashlib.sha256(b'x').hexdigest()}.bin"
    write_files(tmp_path, {name: b"x"})
    assert read_file(tmp_path, name) == b"x"
    (tmp_path / "media" / name).write_bytes(b"y")
    assert read_file(tmp_path, name) is None
    assert read_file(tmp_path, "0" * 64 + ".bin") is None
