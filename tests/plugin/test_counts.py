"""pytest's own counts and those of the summary line, JUnit, CTRF, badge and Markdown are equal.

Each session runs real plugins over the same four variants of a suite, two of which fail.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from tests.plugin.project import WEATHER, Project

BROKEN = WEATHER.replace('text: {contains: "22"}', 'text: {contains: "thirty"}')
MARK_SMOKE = """\
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("smoke"):
            item.add_marker(pytest.mark.{mark})
"""
FAILING_TEARDOWN = """\
def pytest_runtest_teardown(item):
    assert "plain" in item.name or "hello" not in item.name, "the database is still open"
"""
QUARANTINE = """\
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        report.outcome, report.longrepr = "skipped", (str(item.path), 1, "Skipped: quarantined")
    return report
"""
CRASH = """\
import os

def pytest_runtest_call(item):
    if item.name == "hello[stateful]":
        os._exit(3)
"""
SLOW = """\
import time

def pytest_runtest_call(item):
    if item.name == "hello[stateful]":
        time.sleep(60)
"""
SWALLOWED = """\
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    assert "hello" not in item.name, "a resource was not closed"
    return result
"""
FLAKY = """\
seen = set()

def pytest_runtest_call(item):
    if "hello" in item.name and item.name not in seen:
        seen.add(item.name)
        raise OSError("the first attempt fails")
"""


class Session(NamedTuple):
    """A session: its options, its conftest file, and what pytest counts (others are 0)."""

    counts: dict[str, int]
    options: str = ""
    conftest: str = ""
    is_complete: bool = True
    suite: str = BROKEN


CASSETTES: dict[str, bytes] = {}


@pytest.fixture
def recorded(project: Project) -> Project:
    """A project with cassettes, which only the first test records."""
    folder = project.root / "cassettes"
    if not CASSETTES:
        project.record().assert_outcomes(passed=4)
        CASSETTES.update({name: (folder / name).read_bytes() for name in project.cassettes()})
    for name, content in CASSETTES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return project


SESSIONS = {
    "plain": Session({"passed": 2, "failed": 2}),
    "tag xfail": Session(
        {"passed": 2, "xfailed": 2}, suite=BROKEN.replace("[smoke]", "[smoke, xfail]")
    ),
    "tag skip": Session({"failed": 2, "skipped": 2}, suite=BROKEN.replace("slow-one", "skip")),
    "mark xfail": Session(
        {"passed": 2, "xfailed": 2}, conftest=MARK_SMOKE.format(mark="xfail(reason='ticket 7')")
    ),
    "mark xfail not run": Session(
        {"passed": 2, "xfailed": 2}, conftest=MARK_SMOKE.format(mark="xfail(run=False)")
    ),
    "mark xfail of passing variants": Session(
        {"passed": 2, "xpassed": 2},
        conftest=MARK_SMOKE.format(mark="xfail(reason='ticket 7')"),
        suite=WEATHER,
    ),
    "mark strict xfail of passing variants": Session(
        {"passed": 2, "failed": 2},
        conftest=MARK_SMOKE.format(mark="xfail(strict=True, reason='ticket 7')"),
        suite=WEATHER,
    ),
    "runxfail": Session(
        {"passed": 2, "failed": 2}, "--runxfail", MARK_SMOKE.format(mark="xfail(reason='')")
    ),
    "xfail of errors": Session(
        {"passed": 2, "errors": 2},
        conftest=MARK_SMOKE.format(mark="xfail"),
        suite=WEATHER.replace("in London?", "in Oslo?"),
    ),
    "quarantine": Session({"passed": 2, "skipped": 2}, conftest=QUARANTINE),
    "error after a pass": Session({"failed": 2, "passed": 2}, conftest=SWALLOWED, suite=WEATHER),
    "exitfirst": Session({"failed": 1}, "-x", is_complete=False),
    "maxfail": Session({"failed": 2}, "--maxfail=2", is_complete=False),
    "stepwise": Session({"failed": 1}, "--stepwise", is_complete=False),
    "keyword": Session({"passed": 2, "deselected": 2}, "-k hello"),
    "deselect": Session(
        {"failed": 1, "passed": 2, "deselected": 1},
        "--deselect suites/weather.yaml::london[stateful]",
    ),
    "continue after errors of collection": Session(
        {"passed": 2, "failed": 2, "errors": 1},
        "--continue-on-collection-errors",
        is_complete=False,
    ),
    "reruns": Session({"passed": 4}, "-p pytest_rerunfailures --reruns 2", FLAKY, suite=WEATHER),
    "reruns that fail": Session({"passed": 2, "failed": 2}, "-p pytest_rerunfailures --reruns 1"),
    "flaky mark": Session(
        {"passed": 2, "failed": 2}, "-p pytest_rerunfailures", MARK_SMOKE.format(mark="flaky")
    ),
    "timeout": Session(
        {"passed": 1, "failed": 2, "errors": 1},
        "-p pytest_timeout --timeout 2 --timeout-method signal",
        SLOW,
    ),
    "workers": Session({"passed": 2, "failed": 2}, "-p xdist -n 2"),
    "workers by group": Session(
        {"passed": 2, "failed": 2},
        "-p xdist -n 2 --dist loadgroup",
        MARK_SMOKE.format(mark="xdist_group('one')"),
    ),
    "each worker": Session({"passed": 4, "failed": 4}, "-p xdist -n 2 --dist each"),
    "workers and xfail": Session(
        {"passed": 2, "xfailed": 2},
        "-p xdist -n 2",
        MARK_SMOKE.format(mark="xfail(reason='ticket 7')"),
    ),
    "workers and reruns": Session(
        {"passed": 4}, "-p xdist -p pytest_rerunfailures -n 2 --reruns 2", FLAKY, suite=WEATHER
    ),
    "crashed worker": Session({"passed": 1, "failed": 2, "errors": 1}, "-p xdist -n 1", CRASH),
    "crashed worker that is not replaced": Session(
        {"passed": 1, "failed": 2, "errors": 1},
        "-p xdist -n 1 --max-worker-restart 0",
        CRASH.replace("hello[stateful]", "hello[stateless]"),
        is_complete=False,
    ),
    "workers that continue after errors of collection": Session(
        {"passed": 2, "failed": 2, "errors": 1},
        "-p xdist -n 2 --continue-on-collection-errors",
        is_complete=False,
    ),
    "no terminal": Session({"passed": 2, "failed": 2}, "-p no:terminal"),
}


@pytest.mark.parametrize("name", SESSIONS)
def test_every_output_counts_as_pytest_does(
    recorded: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    session = SESSIONS[name]
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    recorded.suite("weather", session.suite)
    if "continue" in session.options:
        recorded.suite("broken", "suite: broken\nscenarios: 7\n")
    recorded.pytester.makeconftest(session.conftest)
    arguments = ["suites", *session.options.split()]
    result = (
        recorded.pytester.runpytest_subprocess(*arguments)
        if "-p " in session.options
        else recorded.run(*arguments)
    )
    counts: Counter[str] = Counter(session.counts)
    if "terminal" not in session.options:
        outcomes = result.parseoutcomes()
        outcomes.pop("rerun", None)
        outcomes["errors"] = outcomes.pop("error", outcomes.get("errors", 0))
        assert Counter(outcomes) == counts
        assert summary_counts(result) == counts - Counter(errors="continue" in session.options)
    else:
        assert result.outlines == []
    assert recorded.manifest()["complete"] is session.is_complete
    results = (recorded.root / "reports/latest/results.jsonl").read_text().splitlines()
    ids = [json.loads(line)["id"] for line in results]
    assert len(ids) == len(set(ids))

    skipped = counts["skipped"] + counts["xfailed"]
    passed = counts["passed"] + counts["xpassed"]
    tests = passed + counts["failed"] + counts["errors"] + skipped
    file = recorded.root / "reports/latest/junit.xml"
    suites = ElementTree.parse(file).getroot()
    assert {name: int(suites.get(name, "")) for name in ("failures", "errors", "skipped")} == {
        "failures": counts["failed"],
        "errors": counts["errors"],
        "skipped": skipped,
    }
    assert int(suites.get("tests", "")) == tests == len(suites.findall(".//testcase"))
    assert len(suites.findall(".//failure")) == counts["failed"]
    ctrf = json.loads((file.parent / "ctrf.json").read_text())["results"]
    assert {name: ctrf["summary"][name] for name in ("tests", "passed", "failed", "skipped")} == {
        "tests": tests,
        "passed": passed,
        "failed": counts["failed"] + counts["errors"],
        "skipped": skipped,
    }
    assert Counter(test["status"] for test in ctrf["tests"])["failed"] == ctrf["summary"]["failed"]
    is_red = bool(counts["failed"] or counts["errors"])
    badge = json.loads((file.parent / "badge.json").read_text())
    assert (badge["color"] in ("red", "orange")) is (is_red or not session.is_complete)
    for word, count in (("xfailed", counts["xfailed"]), ("errored", counts["errors"])):
        assert (f"{count} {word}" in badge["message"]) is bool(count)
    page = (file.parent / "summary.md").read_text()
    assert page.startswith("## Passed") is (not is_red and session.is_complete)
    head, _, row = page[page.index("| collected") :].splitlines()[:3]
    numbers = map(int, re.findall(r"\d+", row.replace(",", "")))
    figures = dict(zip(re.findall(r"\w+", head), numbers, strict=True))
    errors = figures["errored"] + ("continue" in session.options)
    assert Counter({**counts, "errors": errors}) == counts
    for word in ("passed", "failed", "skipped", "xfailed", "xpassed"):
        assert figures.get(word, 0) == counts[word]


def summary_counts(result: pytest.RunResult) -> Counter[str]:
    """Return the counts of the summary line, in the words of pytest."""
    (line,) = [line for line in result.outlines if re.match(r"\d+ variants?: ", line)]
    total, *pairs = re.findall(r"(\d+) (\w+)", line)
    counts = {word: int(number) for number, word in pairs}
    not_run = counts.pop("not", 0)
    assert int(total[0]) == sum(counts.values()) + not_run
    counts["errors"] = counts.pop("errored")
    return +Counter(counts)
