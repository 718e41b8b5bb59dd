"""Files for CI: Markdown, CTRF, badge, annotations, comment; text of models has no effect."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.text import escape_log_commands
from evalkit.compare.runs import compare
from evalkit.errors import UsageError
from evalkit.reports.ci import comparison_markdown, github, markdown
from evalkit.reports.ci.badge import Badge
from evalkit.reports.ci.comparison_markdown import write_comment, write_summary
from evalkit.reports.ci.ctrf import Ctrf
from evalkit.reports.ci.escaping import annotation, code
from evalkit.reports.ci.markdown import MarkdownSummary
from evalkit.reports.line_reports import write_all
from evalkit.results import Run
from evalkit.verdict import CheckResult, Finding, Verdict
from tests.reports.sample import line, make_run, passing
from tests.reports.sample_cases import (
    errored_line,
    every_line,
    failed_line,
    hostile_line,
    skipped_line,
    warned_line,
)

NASTY = (
    "hi @octocat #12 ![x](http://e.vil/x.png) <img src=x> [a](javascript:x) `code` | **b**\n"
    "::error::pwned\n\x1b[31m##[error]x www.e.vil"
)


def failing(number: int, code_: str = "text_missing", message: str = "no such text") -> str:
    check = CheckResult(
        "text",
        Verdict.FAILED,
        (Finding(code_, message),),
        turn=1,
        declared=f"suites/weather.yaml:{number}",
    )
    return line(f"f{number}", [], [check], verdict=Verdict.FAILED, message="m")


@pytest.fixture
def everything(tmp_path: Path) -> Run:
    return make_run(
        tmp_path / "run",
        [
            *every_line(long_line=2_000),
            failed_line(),
            errored_line(),
            warned_line(),
            skipped_line(),
        ],
    )


def written(run: Run, report: Any) -> str:
    """Write a report and return its text."""
    text: str = write_all(run, [report])[0].read_text()
    return text


def tags(text: str) -> set[str]:
    return set(re.findall(r"</?([a-zA-Z]+)", text))


@given(st.text(max_size=80) | st.text("`|\\<&a \n", max_size=8))
def test_code_has_no_meaning_in_markdown_or_html(text: str) -> None:
    shown = code(text)
    if not shown.startswith("<"):  # a code span, which nothing inside it ends
        assert shown == "" or re.fullmatch(r"`[^`|\\\n]+`", shown)
        return
    inside = re.sub(r"&#\d+;", "", shown.removeprefix("<code>").removesuffix("</code>"))
    assert not re.search(r"[<>&@#`*_!\[\]|~\\\n:.]", inside)


def test_code_is_readable() -> None:
    assert code("a <b> & @c") == "`a <b> & @c`"
    assert unescape(code("a | <b>")) == "<code>a | <b></code>"
    assert code("") == ""
    assert len(code("x" * 999)) < 400


COMMANDS = re.compile(
    r"^\s*::|##\[|##vso\[|##teamcity\[|^(?:---|\+\+\+|~~~|\^\^\^)\s", re.MULTILINE | re.IGNORECASE
)
"""What GitHub, Azure Pipelines, TeamCity and Buildkite read as commands."""
PIECES = [
    ":",
    "#",
    "##",
    " ",
    "[",
    "\n",
    "a",
    "---",
    "+++",
    "~~~",
    "^^^",
    "vso[",
    "TeamCity[",
    "\t",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_line_of_a_log_is_a_command(text: str) -> None:
    shown = escape_log_commands(text)
    assert not COMMANDS.search(shown)
    assert shown.replace(" ", "") == text.replace(" ", "")


def test_annotation_is_escaped_for_the_runner() -> None:
    assert (
        annotation("a,b:c.yaml", 3, "t\n::x", "100%\r\nno")
        == "::error file=a%2Cb%3Ac.yaml,line=3,title=t%0A%3A%3Ax::100%25<U+000D>%0Ano"
    )


def test_summary_has_the_worst_rows_first(everything: Run) -> None:
    text = written(everything, MarkdownSummary)
    assert text.startswith("## Failed: ")
    kinds = re.findall(r"^\| ([❌⚠✅⏭]\S* [a-z]+(?:, with warnings)?) \|", text, re.MULTILINE)
    order = ["❌ failed", "⚠️ errored", "✅ passed, with warnings", "⏭️ skipped", "✅ passed"]
    assert [order.index(kind) for kind in kinds] == sorted(order.index(kind) for kind in kinds)
    assert len(kinds) == sum(1 for _ in everything.lines())
    assert tags(text) == {"code"}


def test_summary_leaves_out_passing_rows_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(
        tmp_path / "run",
        [*(passing(number) for number in range(60)), *(failing(number) for number in range(10))],
    )
    monkeypatch.setattr(markdown, "LIMIT", 4_000)
    text = written(run, MarkdownSummary)
    assert text.count("❌ failed") == 10
    row_count = text.count("| ✅ passed |")
    assert 0 < row_count < 60
    assert f"Left out, because GitHub limits the size: {60 - row_count} rows of passed." in text
    assert len(text.encode()) <= 4_000
    monkeypatch.setattr(markdown, "LIMIT", 2_300)
    text = written(run, MarkdownSummary)
    assert re.search(r"Left out, .*: \d rows of failed, 60 rows of passed\.", text)
    assert len(text.encode()) <= 2_300


@pytest.mark.parametrize(
    ("deselected", "head", "row"),
    [
        (0, "| collected | scored | passed |", "| 2 | 2 | 1 |"),
        (3, "| collected | deselected | scored | passed |", "| 5 | 3 | 2 | 1 |"),
    ],
)
def test_summary_counts_deselected_variants_if_there_are_any(
    tmp_path: Path, deselected: int, head: str, row: str
) -> None:
    run = make_run(
        tmp_path / "run",
        [passing(1), failing(2)],
        totals={"collected": 2 + deselected, "deselected": deselected},
    )
    header, rule, figures = written(run, MarkdownSummary).split("\n")[2:5]
    assert header.startswith(head)
    assert figures.startswith(row)
    assert header.count("|") == rule.count("|") == figures.count("|")


def test_ctrf_has_a_test_per_result(everything: Run) -> None:
    value = json.loads(written(everything, Ctrf))
    results = value["results"]
    assert value["reportFormat"] == "CTRF"
    lines = list(everything.results())
    assert [test["rawStatus"] for test in results["tests"]] == [one["verdict"] for one in lines]
    assert (
        results["summary"]["tests"]
        == len(lines)
        == sum(
            results["summary"][name] for name in ("passed", "failed", "skipped", "pending", "other")
        )
    )
    errored = next(test for test in results["tests"] if test["rawStatus"] == "errored")
    assert (errored["status"], bool(errored["message"])) == ("failed", True)
    assert results["summary"]["stop"] >= results["summary"]["start"] > 0
    assert not [
        text
        for test in results["tests"]
        for text in (test["name"], test.get("message", ""))
        if not text.isprintable()
    ]


def test_empty_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [])
    assert json.loads(written(run, Ctrf))["results"]["tests"] == []
    assert json.loads(written(run, Badge))["message"] == "nothing scored"
    assert "| 0 |" in written(run, MarkdownSummary)
    assert github.error_commands(run) == []


@pytest.mark.parametrize(
    ("lines", "message", "color"),
    [
        ([passing(1), passing(2)], "2 of 2 passed", "brightgreen"),
        ([passing(1), failed_line()], "1 of 2 passed", "red"),
        ([passing(1), errored_line()], "1 of 1 passed, 1 errored", "orange"),
        ([skipped_line()], "nothing scored", "lightgrey"),
    ],
)
def test_badge_has_counts_and_color(
    tmp_path: Path, lines: list[str], message: str, color: str
) -> None:
    complete = {"totals": {"collected": len(lines)}}
    value = json.loads(written(make_run(tmp_path / "run", lines, **complete), Badge))
    assert value == {"schemaVersion": 1, "label": "evalkit", "message": message, "color": color}


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (3, 3), (9, 9), (10, 9), (40, 9)])
def test_annotations_are_at_the_line_of_their_check_and_at_most_nine(
    tmp_path: Path, count: int, shown: int
) -> None:
    run = make_run(
        tmp_path / "run", [passing(1), *(failing(number) for number in range(1, count + 1))]
    )
    commands = github.error_commands(run)
    assert len(commands) == shown
    if count:
        assert commands[0] == (
            "::error "
            "file=suites/weather.yaml,line=1,title=weather%3A%3Af1[stateless]::text: no "
            "such text (text_missing)"
        )
    assert (
        (f"and {count - 8} more results failed or errored" in commands[-1]) if count > 9 else True
    )


def test_annotation_without_a_declared_check_is_at_the_scenario(tmp_path: Path) -> None:
    (command,) = github.error_commands(make_run(tmp_path / "run", [errored_line()]))
    assert re.match(r"::error file=suites/\w+\.yaml,line=\d+,title=", command)


def test_hostile_text_has_no_effect(tmp_path: Path) -> None:
    lines = [hostile_line(long_line=2_000), failing(3, "nasty", NASTY)]
    run = make_run(tmp_path / "run", lines)
    summary = written(run, MarkdownSummary)
    assert tags(summary) == {"code"}
    for command in github.error_commands(run):
        assert command.startswith("::error file=")
        assert command.isprintable()
    assert not [char for char in written(run, Ctrf) if char in "\x1b\u202e"]
    before = make_run(tmp_path / "old", [hostile_line(Verdict.PASSED, 2_000), passing(3)])
    for write, marks in ((write_comment, 1), (write_summary, 0)):
        text = write(compare(before, run), tmp_path).read_text()
        assert text.startswith(comparison_markdown.MARKER) == bool(marks)
        assert text.count("<!--") == marks
        assert tags(text) <= {"code", "details", "summary", "br"}


@pytest.mark.parametrize("count", [30, 500, 5_000])
def test_comment_lists_regressions_within_the_limit(tmp_path: Path, count: int) -> None:
    old = make_run(tmp_path / "old", [line(f"f{number}", [], []) for number in range(count)])
    new = make_run(tmp_path / "new", [failing(number) for number in range(count)])
    text = write_comment(compare(old, new), tmp_path).read_text()
    assert f"<summary>Regressions ({count:,})</summary>" in text
    named = [number for number in range(count) if f"f{number}[" in text]
    assert named == list(range(min(count, 420)))
    assert ("and 4,580 more." in text) == (count == 5_000)
    assert len(text.encode()) < 65_536


def test_summary_of_a_comparison_fits_one_page(tmp_path: Path) -> None:
    old = make_run(tmp_path / "old", [line(f"f{number}", [], []) for number in range(500)])
    new = make_run(tmp_path / "new", [failing(number) for number in range(500)])
    text = write_summary(compare(old, new), tmp_path).read_text()
    assert text.startswith("# ❌ Fail: Do not ship yet: 500 of 500 pairs regressed")
    assert "* and 496 more\n" in text
    assert "Read the regressions" in text
    assert len(text.splitlines()) < 50


def test_step_summary_is_appended(everything: Run, tmp_path: Path) -> None:
    step = tmp_path / "step.md"
    step.write_text("before\n")
    github.append_summary(everything, {"GITHUB_STEP_SUMMARY": str(step)})
    assert step.read_text() == "before\n"
    written(everything, MarkdownSummary)
    github.append_summary(everything, {})
    github.append_summary(everything, {"GITHUB_STEP_SUMMARY": str(step)})
    assert step.read_text().startswith("before\n## Failed: ")


@pytest.mark.parametrize("report", [Badge, Ctrf, MarkdownSummary])
def test_invalid_line_is_named(tmp_path: Path, report: Any) -> None:
    with pytest.raises(UsageError, match=r"results\.jsonl:2 cannot be read"):
        write_all(make_run(tmp_path / "run", [passing(1), "{}"]), [report])
