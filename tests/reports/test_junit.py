"""``junit.xml`` by the rules of its common schema and its readers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.text import visible
from evalkit.errors import UsageError
from evalkit.reports.ci import junit
from evalkit.reports.ci.junit import JUnit
from evalkit.reports.line_reports import write_all
from evalkit.verdict import Verdict
from tests.reports.sample import line, make_run, passing
from tests.reports.sample_cases import (
    errored_line,
    every_line,
    failed_line,
    hostile_line,
    skipped_line,
    warned_line,
)

CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["testcase"],
    "testcase": ["properties", "failure", "error", "skipped", "system-out"],
    "properties": ["property"],
    "property": [],
    "failure": [],
    "error": [],
    "skipped": [],
    "system-out": [],
}
"""Children of each element, in this order (the schema of Jenkins' xunit plugin)."""

ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"classname", "name", "time", "file", "line"},
    "properties": set(),
    "property": {"name", "value"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"message"},
    "system-out": set(),
}


def written(tmp_path: Path, *lines: str, **manifest: Any) -> Element:
    return ElementTree.parse(write_all(make_run(tmp_path, lines, **manifest), [JUnit])[0]).getroot()


def case(root: Element, name: str) -> Element:
    [found] = [one for one in root.iter("testcase") if one.get("name") == name]
    return found


def test_file_is_valid_by_the_schema(tmp_path: Path) -> None:
    root = written(tmp_path, *every_line(long_line=50_000))
    assert root.tag == "testsuites"
    for element in root.iter():
        order = [CHILDREN[element.tag].index(child.tag) for child in element]
        assert order == sorted(order)
        assert set(element.attrib) == ATTRIBUTES[element.tag]
    for one in root.iter("testcase"):
        assert len(one.findall("failure") + one.findall("error") + one.findall("skipped")) <= 1


def test_counts_match_the_cases(tmp_path: Path) -> None:
    root = written(tmp_path, *every_line(long_line=10))
    for suite in [*root, root]:
        found = {
            "tests": "testcase",
            "failures": "failure",
            "errors": "error",
            "skipped": "skipped",
        }
        assert {name: suite.get(name) for name in found} == {
            name: str(len(list(suite.iter(tag)))) for name, tag in found.items()
        }
        times = [float(one.get("time", "")) for one in suite.iter("testcase")]
        assert float(suite.get("time", "")) == pytest.approx(sum(times), abs=0.001 * len(times))


def test_suite_is_one_testsuite_even_if_its_variants_are_not_adjacent(tmp_path: Path) -> None:
    root = written(tmp_path, passing(1, "a"), passing(2, "b"), passing(3, "a"))
    assert [(suite.get("name"), suite.get("timestamp"), len(suite)) for suite in root] == [
        ("a", "2026-11-22T13:00:00", 2),
        ("b", "2026-11-22T13:00:00", 1),
    ]


def test_names_are_unique(tmp_path: Path) -> None:
    root = written(tmp_path, passing(1), passing(1), line("city1", trial=2), passing(1, "other"))
    names = [(one.get("classname"), one.get("name")) for one in root.iter("testcase")]
    assert names == [
        ("weather", "city1[stateless]"),
        ("weather", "city1[stateless] (2)"),
        ("weather", "city1[stateless]#2"),
        ("other", "city1[stateless]"),
    ]


def test_passed_case_has_only_properties(tmp_path: Path) -> None:
    cassettes = [{"path": "cassettes/weather/city7.yaml", "digest": "sha256:7"}]
    [one] = written(tmp_path, passing(7), cassettes=cassettes).iter("testcase")
    assert [child.tag for child in one] == ["properties"]
    assert one.attrib == {
        "classname": "weather",
        "name": "city7[stateless]",
        "time": "1.238",
        "file": "suites/weather.yaml",
        "line": "12",
    }
    assert {child.get("name"): child.get("value") for child in one[0]} == {
        "scenario": "city7",
        "model": "gemini-3.5-flash",
        "trial": "1",
        "tokens": "591",
        "cassette": "cassettes/weather/city7.yaml",
        "cassette_digest": "sha256:7",
    }


def test_failure_has_findings_and_conversation(tmp_path: Path) -> None:
    one = case(written(tmp_path, failed_line()), "paris[stateless-streamed]")
    failure = one.find("failure")
    assert failure is not None
    assert failure.get("type") == "arguments_differ"
    assert (
        failure.get("message")
        == "tool_calls: get_current_temperature: location is 'London', not 'Paris' (and 3 more)"
    )
    assert failure.text is not None
    assert failure.text.split("\n")[:3] == [
        "tool_calls: get_current_temperature: location is 'London', not 'Paris' (turn 1, "
        "exchange 2, step 2, step /arguments/location)",
        '  expected: "Paris"',
        '  got: "London"',
    ]
    assert "usage: 788 tokens, at most 600" in failure.text
    out = one.findtext("system-out") or ""
    assert "  user\n    What is the temperature in London?" in out
    assert '  2. call get_current_temperature\n    location: "London"' in out


def test_error_is_not_a_failure(tmp_path: Path) -> None:
    one = case(written(tmp_path, errored_line()), "limited[stateless]")
    assert one.find("failure") is None
    error = one.find("error")
    assert error is not None
    assert (error.get("type"), error.get("message")) == (
        "check_crashed",
        "python: ZeroDivisionError: division by zero",
    )
    out = one.findtext("system-out") or ""
    assert "API error: HTTP 429 rate_limit_exceeded: Too many requests.\n  Try again in 5 s." in out
    assert "turn 2 (not run)" in out


def test_errored_variant_without_findings_has_its_message(tmp_path: Path) -> None:
    [one] = written(tmp_path, line("x", verdict=Verdict.ERRORED, message="no recording")).iter(
        "testcase"
    )
    error = one.find("error")
    assert error is not None
    assert (error.get("type"), error.text, one.findtext("system-out")) == (
        "incomplete",
        "no recording",
        "no turn was run",
    )


def test_warning_is_not_a_failure(tmp_path: Path) -> None:
    assert [child.tag for child in case(written(tmp_path, warned_line()), "wordy[stateless]")] == [
        "properties"
    ]


def test_skip_has_a_reason(tmp_path: Path) -> None:
    skipped = case(written(tmp_path, skipped_line()), "later").find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "no recording yet; record with --evalkit-record once"


def test_characters_that_xml_forbids_are_made_visible(tmp_path: Path) -> None:
    root = written(tmp_path, hostile_line(long_line=1_000_000))
    failure = next(root.iter("failure"))
    message = failure.get("message") or ""
    for token in (
        "<U+0000>",
        "<U+001B>[31m",
        "<U+D800> lone <U+DFFF>",
        "<U+202E>evil",
        "<U+FFFE>",
        "</script><script>",
    ):
        assert token in message
        assert token in (failure.text or "")
    assert (tmp_path / "junit.xml").stat().st_size < 100_000


def test_message_is_one_line_and_the_text_is_complete(tmp_path: Path) -> None:
    [one] = written(
        tmp_path, line("x", verdict=Verdict.FAILED, message='first\n\tsecond "quoted" & <b>')
    ).iter("failure")
    assert (one.get("message"), one.text) == (
        'first second "quoted" & <b>',
        'first\n\tsecond "quoted" & <b>',
    )


def test_unreadable_line_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"results\.jsonl:2 cannot be read"):
        write_all(make_run(tmp_path, [passing(1), "{"]), [JUnit])
    assert not (tmp_path / "junit.xml").exists()


def test_run_without_results_is_valid(tmp_path: Path) -> None:
    root = written(tmp_path)
    assert (root.get("tests"), len(root)) == ("0", 0)


@given(
    st.text(st.characters(codec=None, categories=None), max_size=8)
    | st.sampled_from(["plain", 'a"b', "a<b", "a\tb", "\u202e"])
)
def test_any_text_is_valid_in_attributes_and_elements(text: str) -> None:
    head: Any = {
        **json.loads(failed_line()),
        "suite": text,
        "path": text,
        "scenario": text,
        "message": text,
    }
    element = ElementTree.fromstring(junit._case(head, text, text, text))
    expected = visible(text)
    assert element.get("classname") == element.get("name") == element.get("file") == expected
    properties = {one.get("name"): one.get("value") for one in element.iter("property")}
    assert properties.get("scenario", "") == expected
    assert (element.findtext("system-out") or "") == expected
