"""Outputs that cannot be written are refused before the first test, whichever way they fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plugin.project import Project


def folder_for(name: str) -> Callable[[Path], None]:
    def prepare(root: Path) -> None:
        (root / "out" / name).mkdir(parents=True)
        if name != "manifest.json":
            (root / "out" / "manifest.json").write_text("{}")

    return prepare


def loop(root: Path) -> None:
    (root / "out").symlink_to("out")


CASES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a file": (lambda root: (root / "out").touch(), "out", "out is a file; name a directory with"),
    "below a file": (lambda root: (root / "out").touch(), "out/x", "out/x: cannot be written (Not"),
    "a page in the way": (folder_for("index.html"), "out", "out/index.html is a folder"),
    "results in the way": (folder_for("results.jsonl"), "out", "out/results.jsonl is a folder"),
    "a manifest in the way": (folder_for("manifest.json"), "out", "out/manifest.json is a folder"),
    "a link loop": (loop, "out", "out: cannot be written ("),
    "a link to nothing": (
        lambda root: (root / "out").symlink_to("file/x"), "out", "out: cannot be written (",
    ),
    "a name that is too long": (
        lambda root: None, "n" * 300, f"{'n' * 300}: cannot be written (File name too long)",
    ),
    "a read-only file system": (lambda root: None, "/proc/out", "/proc/out: cannot be written ("),
    "a device": (lambda root: None, "/dev/null", "/dev/null is a file"),
}  # fmt: skip


def refused(project: Project, *arguments: str) -> str:
    """Return the message of a session that is refused before its first test."""
    project.pytester.makepyfile("def test_first():\n    open('ran', 'w')\n")
    result = project.run(".", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not (project.root / "ran").exists()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    (line,) = (line for line in result.errlines if line)
    return line.removeprefix("ERROR: ")


@pytest.mark.parametrize("name", CASES)
def test_a_report_that_cannot_be_written_is_a_usage_error(project: Project, name: str) -> None:
    prepare, folder, message = CASES[name]
    (project.root / "file").touch()
    prepare(project.root)
    line = refused(project, "--evalkit-report", folder)
    assert message in line
    assert line.endswith(" with --evalkit-report")


@pytest.mark.parametrize("folder", ["file", "file/x", "/proc/out"])
def test_cassettes_that_cannot_be_written_are_a_usage_error(project: Project, folder: str) -> None:
    (project.root / "file").touch()
    record = ("--evalkit-record", "once", "--evalkit-base-url", project.url)
    line = refused(project, *record, "--evalkit-cassettes", folder)
    assert line.startswith(f"{folder}: cannot be written (")
    assert line.endswith("; name another one with --evalkit-cassettes")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--evalkit-report", "*out is a file; name a directory with --evalkit-report"),
        ("--evalkit-gate", "unknown gate 'out'*"),
    ],
)
def test_workers_start_no_test_either(project: Project, option: str, message: str) -> None:
    (project.root / "out").touch()
    project.pytester.makepyfile("def test_first():\n    open('ran', 'w')\n")
    result = project.pytester.runpytest_subprocess(
        ".", "-p", "xdist.plugin", "-n", "1", option, "out"
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert not (project.root / "ran").exists()


def test_a_session_that_runs_nothing_creates_no_folder(project: Project) -> None:
    project.run("suites", "--collect-only", "-q")
    project.run("suites", "-k", "nothing")
    assert not (project.root / "reports").exists()
