"""Reviewed snapshots: accepted ones pass the next run, rejected ones fail again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli.main import main
from tests.plugin.project import Project

SUITE = """\
suite: approved
defaults: {model: gemini-3.5-flash, history: [stateful, stateless]}
scenarios:
  - id: words
    turns:
      - user: Explain how AI works in a few words
        expect:
          - snapshot
          - snapshot: steps
    expect:
      - snapshot: {of: steps, name: whole}
"""


@pytest.fixture
def run(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(project.root)
    for path in (project.root / "suites").iterdir():
        path.unlink()
    project.suite("approved", SUITE)
    project.record().assert_outcomes(failed=2)
    return project


def review(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        main, ["review", *arguments, "--name", "Ada", "--email", "ada@example.org"]
    )
    return result.exit_code, result.output


def items() -> list[dict[str, Any]]:
    review_items: list[dict[str, Any]] = json.loads(review("--json")[1])["items"]
    return review_items


def test_accepted_snapshot_passes_the_next_run(run: Project) -> None:
    review_items = items()
    assert {one["kind"] for one in review_items} == {"new snapshot"}
    assert len(review_items) == 6
    assert (
        len({one["group"] for one in review_items}) == 2
    )  # both variants have the same text, in a single turn
    code, output = review(
        *(
            part
            for group in sorted({one["group"] for one in review_items})
            for part in ("--accept", group)
        )
    )
    assert code == 0
    assert output.count("wrote suites/_snapshots/approved/words.state") == 6
    # Editors on Windows put a byte order mark before a file, and other line ends into it.
    for path in (run.root / "suites/_snapshots/approved").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    run.run("suites", "--evalkit-strict").assert_outcomes(passed=2)
    code, output = review("--list")
    assert code == 0
    assert "Obsolete: no longer in the run (6)" in output


def test_rejected_snapshot_fails_again_and_a_changed_one_can_be_approved(run: Project) -> None:
    assert (
        review("--reject", "approved::words[stateful]", "--accept", "approved::words[stateless]")[0]
        == 1
    )
    run.run("suites").assert_outcomes(failed=1, passed=1)
    (approved_file,) = run.root.glob("suites/_snapshots/approved/words.stateless.turn1.text.txt")
    approved_file.write_text("It learns patterns.\n")
    run.run("suites").assert_outcomes(failed=2)
    changed = next(one for one in items() if one["kind"] == "changed snapshot")
    assert changed["expected"] == "It learns patterns."
    assert review("--accept", changed["item"])[0] == 1
    assert approved_file.read_text() == changed["got"] + "\n"
    run.run("suites", "-k", "stateless").assert_outcomes(passed=1)
