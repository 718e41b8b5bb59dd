"""``--evalkit-resume``: results of an interrupted run are reused, and totals are consistent."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

SUITE = """\
suite: some
defaults: {model: gemini-3.5-flash}
scenarios:
  - {id: alpha, turns: [{user: Hello a}]}
  - {id: bravo, turns: [{user: Hello b, expect: [{text: {contains: something else}}]}]}
  - {id: charlie, turns: [{user: Hello c}]}
  - {id: delta, turns: [{user: Hello d}]}
"""


@pytest.fixture
def cut(project: Project) -> Project:
    """A project whose last run was killed while it wrote its third result."""
    (project.root / "suites/weather.yaml").unlink()
    project.suite("some", SUITE)
    project.record().assert_outcomes(passed=3, failed=1)
    path = project.root / "reports/latest/results.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2]) + lines[2][:50])
    return project


def ids_and_totals(project: Project) -> tuple[list[str], dict[str, int]]:
    totals = project.manifest()["totals"]
    return list(project.results()), {
        name: totals[name] for name in ("collected", "scored", "passed", "failed", "errored")
    }


def test_resume_runs_only_missing_results(cut: Project) -> None:
    for name in ("alpha", "bravo"):  # reused results need no cassette
        (cut.root / f"cassettes/some/{name}.yaml").unlink()
    result = cut.run("suites", "--evalkit-resume")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*the text does not contain*"])
    assert ids_and_totals(cut) == (
        ["some::alpha", "some::bravo", "some::charlie", "some::delta"],
        {"collected": 4, "scored": 4, "passed": 3, "failed": 1, "errored": 0},
    )
    assert cut.manifest()["complete"] is True


def test_resume_runs_errored_variants_again(cut: Project) -> None:
    (cut.root / "cassettes/some/charlie.yaml").rename(cut.root / "aside.yaml")
    cut.run("suites").assert_outcomes(passed=2, failed=1, errors=1)
    (cut.root / "aside.yaml").rename(cut.root / "cassettes/some/charlie.yaml")
    cut.run("suites", "--evalkit-resume").assert_outcomes(passed=3, failed=1)
    assert ids_and_totals(cut)[0] == ["some::alpha", "some::bravo", "some::delta", "some::charlie"]


def test_totals_match_the_rows_when_the_resumed_session_ends_early(cut: Project) -> None:
    cut.run("suites", "--evalkit-resume")
    cut.run("suites", "--evalkit-resume", "-x").assert_outcomes(passed=1, failed=1)
    ids, totals = ids_and_totals(cut)
    assert len(ids) == totals["scored"] == 4


def test_resume_with_a_selection_preserves_selected_results(cut: Project) -> None:
    cut.run("suites", "--evalkit-resume", "-k", "alpha or delta").assert_outcomes(passed=2)
    assert ids_and_totals(cut)[0] == ["some::alpha", "some::delta"]


def test_resume_without_a_previous_run_is_a_normal_run(cut: Project) -> None:
    cut.run("suites", "--evalkit-resume", "--evalkit-report", "reports/new").assert_outcomes(
        passed=3, failed=1
    )
    assert len(cut.results("reports/new")) == 4


def test_a_changed_suite_cannot_be_resumed(cut: Project) -> None:
    cut.suite("some", SUITE.replace("Hello d", "Hello e"))
    before = (cut.root / "reports/latest/results.jsonl").read_text()
    result = cut.run("suites", "--evalkit-resume")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*cannot resume *latest: suites/some.yaml changed since; run without --evalkit-resume"]
    )
    assert (cut.root / "reports/latest/results.jsonl").read_text() == before


def test_damaged_result_line_is_reported(cut: Project) -> None:
    path = cut.root / "reports/latest/results.jsonl"
    path.write_text("{}\n" + path.read_text())
    result = cut.run("suites", "--evalkit-resume")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*results.jsonl:1: 'verdict'; run without --evalkit-resume"])
