"""Long data of results is stored once in a run directory, and what reads a run finds it there."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit._lib.files import sha256
from evalkit.cli.main import main
from evalkit.importing.traffic_reader import read_traffic
from tests.plugin.project import Project

PICTURE = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(100_000)
NAME = f"{sha256(PICTURE)}.png"
LARGE = PICTURE * 11  # more than the page contains
SUITE = """\
suite: seen
scenarios:
  - id: look
    model: gemini-3.5-flash
    history: [stateful, stateless]
    stream: [false, true]
    turns:
      - {user: What is in this picture?, attach: {image: picture.png}}
      - user: And what color is it?
"""


def record(project: Project, picture: bytes) -> None:
    (project.root / "suites/weather.yaml").unlink()
    project.suite("seen", SUITE)
    (project.root / "suites/picture.png").write_bytes(picture)
    project.record().assert_outcomes(passed=4)


@pytest.fixture
def seen(project: Project) -> Project:
    record(project, PICTURE)
    return project


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_large_picture_of_four_variants_is_in_a_run_once(project: Project) -> None:
    record(project, LARGE)
    run, name = project.root / "reports/latest", f"{sha256(LARGE)}.png"
    assert (run / "media" / name).read_bytes() == LARGE
    assert size_of(run) < 1.3 * len(LARGE)
    assert f"evalkit-media:sha256:{name}" in (run / "results.jsonl").read_text()


def test_media_of_an_earlier_run_are_removed_and_of_a_resumed_one_stay(seen: Project) -> None:
    run = seen.root / "reports/latest"
    (run / "media" / f"{'0' * 64}.png").write_bytes(b"old")
    seen.run("suites", "--evalkit-resume").assert_outcomes(passed=4)
    assert len(list((run / "media").iterdir())) == 2
    seen.run("suites").assert_outcomes(passed=4)
    assert [path.name for path in (run / "media").iterdir()] == [NAME]
    seen.suite("seen", SUITE.replace("attach: {image: picture.png}", "expect: [status: completed]"))
    seen.run("suites")
    assert (run / "media").exists() is False


def test_readers_of_a_run_find_its_media(seen: Project) -> None:
    def evalkit(*arguments: str) -> None:
        outcome = CliRunner().invoke(main, arguments)
        assert outcome.exit_code == 0, outcome.output

    run = seen.root / "reports/latest"
    recordings = read_traffic(run / "results.jsonl")
    encoded = base64.b64encode(PICTURE).decode()
    assert all(encoded in str(one.request_body) for one in recordings[:1])
    for shard, keyword in (("a", "stateful"), ("b", "stateless")):
        seen.run("suites", "-k", keyword, "--evalkit-report", f"reports/{shard}")
    evalkit("merge", "reports/a", "reports/b", "--output", "reports/merged")
    assert [path.name for path in (seen.root / "reports/merged/media").iterdir()] == [NAME]
    evalkit("report", "reports/merged")
    evalkit("import", "reports/latest/results.jsonl", "--suite", "again")
    (attached,) = (seen.root / "suites/_media").iterdir()
    assert attached.read_bytes() == PICTURE


def test_data_with_a_secret_stays_in_the_line_where_it_is_redacted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a-key-of-a-user-0123456789"
    monkeypatch.setenv("GEMINI_API_KEY", key)
    (project.root / "suites/weather.yaml").unlink()
    project.suite("seen", SUITE.replace("image: picture.png", "document: notes.txt"))
    (project.root / "suites/notes.txt").write_text("x" * 40_000 + key + "y" * 40_000)
    project.run("suites", "--evalkit-live", "--evalkit-base-url", project.url)
    run = project.root / "reports/latest"
    assert json.loads((run / "results.jsonl").read_text().splitlines()[0])["turns"]
    for path in run.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert key.encode() not in data
        assert base64.b64encode(key.encode())[4:-6] not in data
