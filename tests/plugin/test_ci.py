"""Files and output on a CI server: CTRF, badge, annotations, step summary, escaped text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.project import Project

SUITE = """\
suite: small
defaults: {model: gemini-3.5-flash}
scenarios:
  - id: good
    turns: [{user: Hello}]
  - id: bad
    turns:
      - user: "::error::owned"
        expect:
          - text: {equals: "something else"}
"""


@pytest.fixture
def recorded(project: Project) -> Project:
    (project.root / "suites/weather.yaml").unlink()
    project.suite("small", SUITE)
    project.record()
    return project


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_ci_files_are_not_written_on_a_developer_machine(
    recorded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CI", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    result = recorded.run("suites")
    assert files(recorded.root / "reports/latest") == {
        "bar.json",
        "manifest.json",
        "results.jsonl",
        "index.html",
        "junit.xml",
        "summary.md",
    }
    result.stdout.no_fnmatch_line("::error*")


def test_ci_files_are_written_on_a_ci_server(
    recorded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    result = recorded.run("suites")
    assert {"ctrf.json", "badge.json"} <= files(recorded.root / "reports/latest")
    result.stdout.no_fnmatch_line("::error*")


def test_annotations_and_summary_are_written_on_github(
    recorded: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    step = tmp_path / "step.md"
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    result = recorded.run("suites")
    commands = [line for line in result.outlines if line.lstrip().startswith("::")]
    assert len(commands) == 1
    assert commands[0].startswith(
        "::error file=suites/small.yaml,line=10,title=small%3A%3Abad::text: "
    )
    assert step.read_text().startswith("## Failed: 1 of 2 scored failed")
