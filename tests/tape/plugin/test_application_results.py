"""Tests with ``evalkit_tape`` are results of the run, with pytest's counts in every output."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import pytest

from evalkit._lib.json import JSON
from evalkit.results.records import schema_error
from tests.tape.plugin.taped_project import TapedProject

KINDS = '''
import unittest
import pytest
from taped_application import ask, careless

def test_passed(evalkit_tape):
    """A greeting is answered."""
    ask("Hello")
    evalkit_tape.expect(text="Hello")

def test_no_request(evalkit_tape):
    pass

@pytest.mark.smoke
@pytest.mark.parametrize("city", ["London", "Oslo"])
def test_city(evalkit_tape, city):
    ask(f"Weather in {city}?")
    assert city == "London", f"no weather in {city}"

def test_expectation(evalkit_tape):
    ask("Hello")
    evalkit_tape.expect(status="completed", text="Bonjour")

def test_expected_by_the_test(evalkit_tape):
    ask("Hello")
    with pytest.raises(AssertionError):
        evalkit_tape.expect(text="Bonjour")

def test_which_conversation(evalkit_tape):
    ask("Hello")
    ask("Goodbye")
    evalkit_tape.conversation(3)

def test_failed_by_pytest(evalkit_tape):
    ask("Hello")
    pytest.fail("too slow")

def test_crashed(evalkit_tape):
    ask("Hello")["steps"][99]

def test_miss(evalkit_tape):
    careless("Hello again")

def test_unknown_check(evalkit_tape):
    ask("Hello")
    evalkit_tape.expect(txt="Hello")

@pytest.fixture
def no_database():
    raise OSError("no database")

def test_setup(no_database, evalkit_tape):
    ask("Hello")

@pytest.fixture
def leak(evalkit_tape):
    yield
    assert not "open", "a connection is open"

def test_teardown(leak):
    ask("Hello")

def test_failed_with_teardown(leak):
    ask("Hello")
    assert False

def test_skipped_inside(evalkit_tape):
    ask("Hello")
    pytest.skip("no sandbox")

@pytest.mark.skip(reason="not yet")
def test_skipped(evalkit_tape):
    ask("Hello")

@pytest.mark.xfail(reason="ticket 7")
def test_xfailed(evalkit_tape):
    ask("Hello")
    evalkit_tape.expect(text="Bonjour")

@pytest.mark.xfail(raises=IndexError)
def test_xfailed_crash(evalkit_tape):
    ask("Hello")["steps"][99]

@pytest.mark.xfail(run=False, reason="hangs")
def test_not_run(evalkit_tape):
    ask("Hello")

@pytest.mark.xfail
def test_xpassed(evalkit_tape):
    ask("Hello")

@pytest.mark.xfail(strict=True, reason="ticket 8")
def test_xpassed_strictly(evalkit_tape):
    ask("Hello")

def test_xfailed_inside(evalkit_tape):
    ask("Hello")
    pytest.xfail("ticket 9")

def test_asks_for_the_tape(request):
    request.getfixturevalue("evalkit_tape")
    ask("Hello")

def test_without_a_tape():
    pass

class TestUnits(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def tape(self, evalkit_tape):
        self.tape = evalkit_tape

    def test_unit(self):
        ask("Hello")
        self.assertEqual(self.tape.conversation().text, "Bonjour")

def example():
    """
    >>> tape = getfixture("evalkit_tape")
    >>> tape.conversations()
    [1]
    """
'''
# Name in the module, verdict, as what pytest counts it if that differs, check, code.
RESULTS: dict[str, tuple[str, str, str, str]] = {
    "test_passed": ("passed", "", "text", ""),
    "test_no_request": ("passed", "", "", ""),
    "test_city[London]": ("passed", "", "", ""),
    "test_city[Oslo]": ("failed", "", "test", "assertion_failed"),
    "test_expectation": ("failed", "", "text", "text_missing"),
    "test_expected_by_the_test": ("passed", "", "", ""),
    "test_which_conversation": ("failed", "", "conversation", "expectation_failed"),
    "test_failed_by_pytest": ("failed", "", "test", "assertion_failed"),
    "test_crashed": ("errored", "", "test", "application_crashed"),
    "test_miss": ("errored", "", "conversation", "cassette_miss"),
    "test_unknown_check": ("errored", "", "test", "misconfigured"),
    "test_setup": ("errored", "", "test", "setup_failed"),
    "test_teardown": ("errored", "", "test", "teardown_failed"),
    "test_failed_with_teardown": ("errored", "", "test", "teardown_failed"),
    "test_skipped_inside": ("skipped", "", "test", "skipped"),
    "test_skipped": ("skipped", "", "test", "skipped"),
    "test_xfailed": ("failed", "xfailed", "text", "text_missing"),
    "test_xfailed_crash": ("errored", "xfailed", "test", "application_crashed"),
    "test_not_run": ("skipped", "xfailed", "test", "skipped"),
    "test_xpassed": ("passed", "xpassed", "", ""),
    "test_xpassed_strictly": ("passed", "failed", "", ""),
    "test_xfailed_inside": ("failed", "xfailed", "test", "assertion_failed"),
    "test_asks_for_the_tape": ("passed", "", "", ""),
    "TestUnits::test_unit": ("failed", "", "test", "assertion_failed"),
    "test_kinds.example": ("failed", "", "test", "assertion_failed"),
}


def results_of(project: TapedProject, folder: str = "reports/latest") -> list[dict[str, Any]]:
    lines = (project.root / folder / "results.jsonl").read_text().splitlines()
    results: list[dict[str, JSON]] = [json.loads(line) for line in lines]
    for result in results:
        assert not schema_error("evalkit.results", "result", result)
    manifest = json.loads((project.root / folder / "manifest.json").read_text())
    assert not schema_error("evalkit.results", "manifest", manifest)
    return results


@pytest.fixture
def kinds(project: TapedProject) -> TapedProject:
    (project.root / "test_app.py").unlink()
    project.write("tests/test_kinds.py", KINDS)
    project.pytester.makeini("[pytest]\nmarkers = smoke\nfilterwarnings = ignore\n")
    return project


def test_every_kind_of_test_and_every_output(
    kinds: TapedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    arguments = ("--doctest-modules", "tests")
    kinds.record("-k", "not miss", *arguments)
    result = kinds.run(*arguments)
    results = results_of(kinds)
    found = {}
    for one in results:
        assert one["kind"] == "test"
        assert one["id"] == f"tests/test_kinds.py::{one['id'].partition('::')[2]}"
        assert one["suite"] == one["path"] == "tests/test_kinds.py"
        named = [
            (check["name"], *(f["code"] for f in check["findings"])) for check in one["checks"]
        ]
        check, code, *_ = *(named[-1] if named else ("", "")), ""
        outcome = one.get("pytest", {}).get("outcome", "")
        found[one["id"].partition("::")[2]] = (one["verdict"], outcome, check, code)
    assert found == RESULTS

    counts = Counter(
        {"errored": "errors"}.get(word, word)
        for verdict, outcome, *_ in RESULTS.values()
        for word in [outcome or verdict]
    )
    outcomes = Counter(result.parseoutcomes())
    # The tests without a tape; a test that passed or failed before its teardown did not.
    outcomes -= Counter(passed=2, failed=1)
    assert outcomes == counts
    (line,) = [line for line in result.outlines if re.match(r"\d+ application tests: ", line)]
    total, *pairs = re.findall(r"(\d+) (\w+)", line)
    assert (int(total[0]), total[1]) == (len(RESULTS), "application")
    summary = Counter({word: int(number) for number, word in pairs})
    summary["errors"] = summary.pop("errored")
    assert summary == counts

    folder = kinds.root / "reports/latest"
    suites = ElementTree.parse(folder / "junit.xml").getroot()
    skipped = counts["skipped"] + counts["xfailed"]
    assert {name: int(suites.get(name, "")) for name in ("failures", "errors", "skipped")} == {
        "failures": counts["failed"],
        "errors": counts["errors"],
        "skipped": skipped,
    }
    ctrf = json.loads((folder / "ctrf.json").read_text())["results"]["summary"]
    assert (ctrf["tests"], ctrf["skipped"]) == (len(RESULTS), skipped)
    assert ctrf["failed"] == counts["failed"] + counts["errors"]
    badge = json.loads((folder / "badge.json").read_text())["message"]
    assert f"{counts['errors']} errored" in badge
    page = (folder / "summary.md").read_text()
    head, _, row = page[page.index("| collected") :].splitlines()[:3]
    figures = dict(zip(re.findall(r"\w+", head), map(int, re.findall(r"\d+", row)), strict=True))
    assert figures["collected"] == len(RESULTS)
    assert figures["errored"] == counts["errors"]
    assert (figures["failed"], figures["xfailed"]) == (counts["failed"], counts["xfailed"])
    totals = json.loads((folder / "manifest.json").read_text())["totals"]
    assert (totals["collected"], totals["tests"], totals["deselected"]) == (25, 25, 0)
