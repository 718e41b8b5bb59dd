"""Judges and snapshots through pytest: recorded, replayed without server, reported."""

from __future__ import annotations

import socket

import pytest

from evalkit.compare.judges import run_judge_rates
from evalkit.results import Run
from evalkit.results.calibrations import Calibration, write_calibrations
from evalkit.results.judgments import read_judge_rates
from tests.plugin.project import Project

SUITE = """\
suite: judged
defaults: {model: gemini-3.5-flash}
scenarios:
  - id: words
    turns:
      - user: Explain how AI works in a few words
        expect:
          - judge: 'It says "patterns".'
          - judge: {rubric: 'It says "magic" and "data".', samples: 2, min: 0.9}
          - snapshot
"""


def judged(project: Project) -> Project:
    for path in (project.root / "suites").iterdir():
        path.unlink()
    project.suite("judged", SUITE)
    return project


def test_suite_with_a_judge_replays_without_sockets(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(project).record().assert_outcomes(failed=1)
    recorded = project.results()["judged::words"]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("replay opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    result = project.run("suites")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "judge: the judge gives 0.5, expected at least 0.9 (2 of 2 samples below)",
            "*judge_below at turn 1  (suites/judged.yaml:9)",
            "snapshot: nothing is approved yet: there is no suites/_snapshots/judged/words.turn1.text.txt; if the value is right, *",
            "*0 recordings left unplayed*",
        ]
    )
    replayed = project.results()["judged::words"]
    assert replayed["checks"] == recorded["checks"]
    assert [exchange["response"]["source"] for exchange in replayed["judge_exchanges"]] == [
        "replayed"
    ] * 3
    assert project.manifest()["totals"]["tokens"] == replayed["metrics"]["tokens"]["total_tokens"]


def test_approved_snapshot_passes_and_is_not_changed(project: Project) -> None:
    judged(project).suite("judged", SUITE.replace('"magic" and ', ""))
    project.record().assert_outcomes(failed=1)
    finding = project.results()["judged::words"]["checks"][-1]["findings"][0]
    path = project.root / finding["where"]["file"]
    path.parent.mkdir(parents=True)
    path.write_text(finding["got"] + "\n")
    before = path.stat().st_mtime_ns
    for _ in range(2):
        project.run("suites", "--evalkit-strict").assert_outcomes(passed=1)
    assert path.stat().st_mtime_ns == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_calibrated_judge_is_corrected_in_summary_and_run(project: Project) -> None:
    result = judged(project).record()
    # A project without calibrations has nothing to read about them.
    result.stdout.no_fnmatch_line("*is not calibrated*")
    run = Run(project.root / "reports/latest")
    assert not read_judge_rates(run.directory)
    rates = [rate.to_record() for rate in run_judge_rates(run, [])]
    stored = [
        Calibration.model_validate(
            {
                **{
                    name: rate[name]
                    for name in ("rubric", "rubric_digest", "expected", "model", "model_version")
                },
                "judged": "2026-01-01T00:00:00Z",
                "labels": 40,
                "clusters": {f"other::{n}": [n % 2, 0, 0, 1 - n % 2] for n in range(40)},
            }
        )
        for rate in rates
    ]
    path = write_calibrations(project.root, stored)
    result = project.run("suites")
    result.stdout.fnmatch_lines(
        [
            "  judge 'It says *passes 100.0% of 1, corrected 100.0%, between * (rogan-gladen, 40 labels)"
        ]
    )
    path.write_text("evalkit_calibrations: 3\n")
    result = project.run("suites")
    result.stdout.fnmatch_lines(
        [
            "judges are not corrected: evalkit-calibration.yaml:1: not what 'evalkit calibrate' writes*"
        ]
    )
    assert (project.root / "reports/latest/index.html").is_file()
