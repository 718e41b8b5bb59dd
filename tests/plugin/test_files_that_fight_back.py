"""Files in a run's way: one sentence each, nothing overwritten, and the other reports written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli.main import main
from evalkit.errors import UsageError
from evalkit.results import Run
from tests.plugin.project import Project

HELLO = "cassettes/weather/hello.stateful.yaml"
SNAPSHOT = dict[Path, bytes]


def snapshot(folder: Path) -> SNAPSHOT:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(result: pytest.RunResult, message: str) -> None:
    text = result.stdout.str() + result.stderr.str()
    assert result.ret != 0
    assert message in text
    assert "INTERNALERROR" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("empty", lambda data: b"", ":1 the file is empty"),
        ("zeros", lambda data: b"\0" * 3000, HELLO),
        ("binary", lambda data: bytes(range(256)) * 9, HELLO),
        ("half", lambda data: data[: len(data) // 2], "the file is truncated"),
        ("without its last line", lambda data: data[:-11], "the file is truncated"),
        (
            "a later format",
            lambda data: data.replace(b"\n  format: 1\n", b"\n  format: 2\n"),
            ":2 unknown format 2; this evalkit reads 1",
        ),
        (
            "a format that is text",
            lambda data: data.replace(b"\n  format: 1\n", b'\n  format: "new"\n'),
            ':2 unknown format "new"; this evalkit reads 1',
        ),
    ],
)
@pytest.mark.parametrize("mode", ["none", "once", "new_episodes"])
def test_a_cassette_that_cannot_be_read_is_one_error_and_stays(
    recorded: Project, name: str, change: Any, message: str, mode: str
) -> None:
    path = recorded.root / HELLO
    path.write_bytes(change(path.read_bytes()))
    before = snapshot(recorded.root / "cassettes")
    result = recorded.record(mode=mode)
    refused(result, message)
    result.assert_outcomes(passed=3, errors=1)
    assert snapshot(recorded.root / "cassettes") == before
    assert len(recorded.results()) == 4
    assert (recorded.root / "reports/latest/index.html").is_file()


def test_a_format_of_another_program_is_not_a_version_of_evalkit(recorded: Project) -> None:
    path = recorded.root / HELLO
    rest = path.read_text().partition("\ninteractions:")[2]
    path.write_text(f"metadata:\n  format: compact\ninteractions:{rest}")
    recorded.run("suites").assert_outcomes(passed=4)


@pytest.mark.parametrize("text", ["[]", '"x"', "", "\0\1", '{"a":', "null", '{"schema_version":2}'])
def test_a_damaged_manifest_is_refused_where_it_counts(recorded: Project, text: str) -> None:
    path = recorded.root / "reports/latest/manifest.json"
    path.write_text(text)
    before = snapshot(recorded.root / "reports")
    refused(recorded.run("suites", "--evalkit-resume"), "manifest.json")
    assert snapshot(recorded.root / "reports") == before


@pytest.mark.parametrize(
    "name", ["manifest.json", "results.jsonl", "bar.json", "strength.json", "decisions.yaml"]
)
def test_a_pipe_in_a_run_directory_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "manifest.json").write_text('{"totals": {}}')
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match=f"{name} is not a regular file"):
        Run(tmp_path)


def test_a_run_of_another_schema_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schema_version": 2, "totals": {}}')
    with pytest.raises(UsageError, match=r"schema_version is 2 \(expected 1\); read the run with"):
        Run(tmp_path)


def test_a_result_of_another_schema_version_is_refused(recorded: Project) -> None:
    results = recorded.root / "reports/latest/results.jsonl"
    first, second, *rest = results.read_text().splitlines(keepends=True)
    newer = second.replace('"schema_version":1', '"schema_version":2', 1)
    results.write_text("".join((first, newer, *rest)))
    message = (
        "evalkit: reports/latest/results.jsonl:2: schema_version is 2 (expected 1); read the run "
        "with the version of evalkit that wrote it"
    )
    run = "reports/latest"
    for command in (
        ["report", run],
        ["compare", run, run],
        ["review", run, "--list"],
        ["plan", run, "--margin", "0.1"],
        ["merge", run, "--output", "merged"],
    ):
        outcome = CliRunner().invoke(main, command)
        assert (outcome.exit_code, outcome.output.splitlines()) == (2, [message]), command
    refused(recorded.run("suites", "--evalkit-resume"), message.removeprefix("evalkit: "))


@pytest.mark.parametrize("place", ["report", "parent", "grandparent"])
def test_a_report_path_that_is_a_file(recorded: Project, place: str) -> None:
    file = recorded.root / "artifact"
    file.write_text("keep")
    path = {"report": "artifact", "parent": "artifact/a", "grandparent": "artifact/a/b"}[place]
    refused(recorded.run("suites", "--evalkit-report", path), "artifact")
    assert file.read_text() == "keep"


@pytest.mark.parametrize("folder", [".", "suites", "cassettes", "mine"])
def test_a_report_folder_with_other_files_is_left_alone(recorded: Project, folder: str) -> None:
    (recorded.root / "mine").mkdir()
    (recorded.root / "mine/notes.txt").write_text("keep")
    before = snapshot(recorded.root / "suites") | snapshot(recorded.root / "cassettes")
    result = recorded.run("suites", "--evalkit-report", folder)
    refused(result, "contains files and is not a run directory")
    assert snapshot(recorded.root / "suites") | snapshot(recorded.root / "cassettes") == before
    assert list(snapshot(recorded.root / "mine")) == [recorded.root / "mine/notes.txt"]


@pytest.mark.parametrize("name", ["manifest.json", "results.jsonl", "bar.json"])
def test_a_folder_where_a_report_file_belongs(recorded: Project, name: str) -> None:
    path = recorded.root / "reports/latest" / name
    path.unlink()
    path.mkdir()
    (path / "notes.txt").write_text("keep")
    refused(recorded.run("suites"), "reports/latest")
    assert (path / "notes.txt").read_text() == "keep"


@pytest.mark.parametrize("report", ["{outside}/run", "{outside}/a/b/run", "../{name}/run"])
def test_an_artifacts_folder_outside_the_project_twice(
    recorded: Project, tmp_path_factory: pytest.TempPathFactory, report: str
) -> None:
    outside = tmp_path_factory.mktemp("artifacts")
    relative = os.path.relpath(outside, recorded.root)
    path = report.replace("../{name}", relative).format(outside=outside)
    for _ in range(2):
        result = recorded.run("suites", "--evalkit-report", path)
        result.assert_outcomes(passed=4)
        assert (recorded.root / path / "index.html").is_file()


@pytest.mark.parametrize("kilobytes", [1, 6, 14, 40])
def test_a_full_disk_is_reported_and_the_project_is_unchanged(
    recorded: Project, kilobytes: int
) -> None:
    """No file may grow beyond a size, which programs see as they see a full disk."""
    resource = pytest.importorskip("resource")
    before = snapshot(recorded.root / "suites") | snapshot(recorded.root / "cassettes")
    limit = kilobytes * 1024
    options = ["-p", "no:cacheprovider", "suites", "--evalkit-report", "full"]
    # Coverage, if it measures the tests, cannot write either.
    environment = {name: text for name, text in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=recorded.root,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "File too large" in done.stdout
    assert "INTERNALERROR" not in done.stdout
    assert "Traceback" not in done.stdout
    assert "report: " not in done.stdout
    assert snapshot(recorded.root / "suites") | snapshot(recorded.root / "cassettes") == before
    for line in (recorded.root / "full/results.jsonl").read_text().splitlines(keepends=True):
        assert not line.endswith("\n") or json.loads(line)
    # With space again, the same command writes every report.
    recorded.run("suites", "--evalkit-report", "full").assert_outcomes(passed=4)
    assert (recorded.root / "full/index.html").is_file()
