"""``skip`` and ``xfail`` of a suite: pytest's counts, reports with their reasons, last days."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from tests.plugin.project import Project

FAILS = "turns: [{user: Hello, expect: [{text: {contains: nothing of the kind}}]}]"
PASSES = "turns: [{user: Hello}]"
SUITE = """\
suite: known
defaults: {model: gemini-3.5-flash, history: [stateful, stateless]}
scenarios:
  - {id: one, KEYS, TURNS}
"""
TODAY = date.today()


def known(project: Project, keys: str, turns: str) -> pytest.RunResult:
    (project.root / "suites/weather.yaml").unlink()
    project.suite("known", SUITE.replace("KEYS", keys).replace("TURNS", turns))
    return project.record("-rsxX")


@pytest.mark.parametrize(
    ("keys", "turns", "counts"),
    [
        ("skip: no sandbox", FAILS, {"skipped": 2}),
        ("skip: {reason: no sandbox, if: history == 'stateful'}", PASSES, "one of each"),
        ("skip: {reason: no sandbox, if: false}", PASSES, {"passed": 2}),
        ("skip: {reason: no sandbox, if: case == 'x'}", PASSES, {"passed": 2}),
        ("xfail: ticket 7", FAILS, {"xfailed": 2}),
        ("xfail: ticket 7", PASSES, {"failed": 2}),
        ("xfail: {reason: ticket 7, strict: false}", PASSES, {"xpassed": 2}),
        (f"xfail: {{reason: ticket 7, until: {TODAY}}}", FAILS, {"xfailed": 2}),
        (f"xfail: {{reason: ticket 7, until: {TODAY - timedelta(1)}}}", FAILS, {"failed": 2}),
        (f"xfail: {{reason: ticket 7, until: {TODAY - timedelta(1)}}}", PASSES, {"passed": 2}),
    ],
)
def test_pytest_counts(
    project: Project, keys: str, turns: str, counts: dict[str, int] | str
) -> None:
    expected = {"skipped": 1, "passed": 1} if isinstance(counts, str) else counts
    known(project, keys, turns).assert_outcomes(**expected)
    assert project.manifest()["complete"] is True


def test_every_report_has_the_reason(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    keys = "xfail: {reason: ticket 7, if: history == 'stateless'}, skip: {reason: no sandbox, if: history == 'stateful'}"
    result = known(project, keys, FAILS)
    result.assert_outcomes(skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["SKIPPED * no sandbox", "XFAIL * ticket 7"])
    folder = project.root / "reports/latest"
    for name in ("junit.xml", "ctrf.json", "summary.md", "index.html"):
        text = (folder / name).read_text()
        assert "ticket 7" in text, name
        assert "no sandbox" in text, name
    assert "1 xfailed" in json.loads((folder / "badge.json").read_text())["message"]
    results = project.results()
    assert results["known::one[stateless]"]["verdict"] == "failed"
    assert results["known::one[stateless]"]["pytest"]["outcome"] == "xfailed"
    assert results["known::one[stateful]"]["verdict"] == "skipped"


def test_a_failure_says_that_it_was_expected(project: Project) -> None:
    yesterday = TODAY - timedelta(1)
    result = known(project, f"xfail: {{reason: ticket 7, until: {yesterday}}}", FAILS)
    result.stdout.fnmatch_lines([f"this failure was expected until {yesterday}: ticket 7"])


def test_an_error_is_not_a_known_failure(project: Project) -> None:
    known(project, "xfail: ticket 7", FAILS)
    for name in project.cassettes():
        (project.root / "cassettes" / name).unlink()
    project.run("suites").assert_outcomes(errors=2)


def test_what_is_skipped_needs_no_key_and_no_cassette(project: Project) -> None:
    (project.root / "suites/weather.yaml").unlink()
    project.suite("known", SUITE.replace("KEYS", "skip: why").replace("TURNS", PASSES))
    project.run("suites", "--evalkit-record", "once").assert_outcomes(skipped=2)


def test_conditions_read_variables_and_cases(project: Project) -> None:
    (project.root / "suites/weather.yaml").unlink()
    keys = "cases: [{id: a, hard: true}, {id: b, hard: false}], xfail: {reason: hard, if: hard and case == 'a'}"
    project.suite("known", SUITE.replace("KEYS", keys).replace("TURNS", FAILS))
    project.record().assert_outcomes(xfailed=2, failed=2)
