"""Snapshots: how values are written, which are the same, what a reviewer sees."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.checks.core.base import Approved, View
from evalkit.checks.snapshot import (
    DEFAULT_NAMES,
    KINDS,
    parse,
    path_of,
    render,
    same_text,
    without,
)
from evalkit.verdict import CheckResult, Verdict
from tests.checks.building import transcript
from tests.checks.examples import check_entry

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
TYPES = st.lists(
    st.lists(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), max_size=4), min_size=1, max_size=4
)


def says(text: str) -> dict[str, Any]:
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def held_against(
    approved: str | None, entry: Any, *turns: Any, whole: bool = False
) -> tuple[CheckResult, list[tuple[int | None, str, str]]]:
    """Run a snapshot over turns; return what it says and what it asked for."""
    conversation, lookups = transcript({"turns": list(turns)}), []

    def find(turn: int | None, name: str, kind: str) -> Approved:
        lookups.append((turn, name, kind))
        return Approved(f"suites/_snapshots/s/a.{name}", approved)

    return check_entry(
        entry, View(conversation, None if whole else conversation.turns[-1], approved=find)
    ), lookups


def codes(approved: str | None, entry: Any, *turns: Any, whole: bool = False) -> list[str]:
    result, _ = held_against(approved, entry, *turns, whole=whole)
    assert result.verdict is not Verdict.ERRORED, result
    return [finding.code for finding in result.findings]


HI = {"steps": [{"type": "thought"}, says("Hi")]}
ORDER = {"steps": [says('{"id": 1, "items": [{"no": 7, "name": "tea"}], "a/b": 1}')]}


@pytest.mark.parametrize(
    ("approved", "entry", "turn", "found"),
    [
        (None, "snapshot", HI, ["snapshot_new"]),
        ("Hi\n", "snapshot", HI, []),
        ("Hi", "snapshot", HI, []),
        ("Hi\r\n", "snapshot", HI, []),
        ("Hi\n\n", "snapshot", HI, ["snapshot_differs"]),
        ("hi\n", "snapshot", HI, ["snapshot_differs"]),
        ("\n", "snapshot", {"steps": []}, []),
        ("", "snapshot", HI, ["snapshot_differs"]),
        ("thought\nmodel_output\n", {"snapshot": "steps"}, HI, []),
        ("model_output\n", {"snapshot": "steps"}, HI, ["snapshot_differs"]),
        ("\n", {"snapshot": "steps"}, {"steps": []}, []),
        ("{}\n", {"snapshot": "json"}, HI, ["not_json"]),
        (None, {"snapshot": "json"}, HI, ["not_json"]),
        ("3\n", {"snapshot": "json"}, {"steps": [says("3.0")]}, []),
        ("true\n", {"snapshot": "json"}, {"steps": [says("1")]}, ["snapshot_differs"]),
        (
            '{"a/b": 1, "items": [{"name": "tea"}]}',
            {"snapshot": {"of": "json", "ignore": ["/id", "/items/*/no"]}},
            ORDER,
            [],
        ),
        (
            '{"id": 9, "a/b": 2, "items": []}',
            {"snapshot": {"of": "json", "ignore": ["/id", "/items", "/a~1b"]}},
            ORDER,
            [],
        ),
        (
            '{"id": 2, "items": [{"no": 7, "name": "tea"}], "a/b": 1}',
            {"snapshot": "json"},
            ORDER,
            ["snapshot_differs"],
        ),
        (None, {"not": "snapshot"}, HI, []),
        ("Hi\n", {"not": "snapshot"}, HI, ["holds"]),
    ],
)
def test_which_values_are_the_same(
    approved: str | None, entry: Any, turn: Any, found: list[str]
) -> None:
    assert codes(approved, entry, turn) == found


def test_a_finding_contains_all_that_a_reviewer_needs() -> None:
    long = "word " * 2000
    result, lookups = held_against(
        "old\n", {"snapshot": {"of": "text", "name": "reply"}}, HI, {"steps": [says(long)]}
    )
    (finding,) = result.findings
    assert lookups == [(2, "reply", "text")]
    assert finding.where.to_json() == {
        "turn": 2,
        "file": "suites/_snapshots/s/a.reply",
        "kind": "text",
    }
    assert (finding.expected, finding.got) == ("old", long), "nothing is cut"
    assert len(finding.detail) < 1000
    assert render("text", finding.got) == long + "\n"


@pytest.mark.parametrize(("kind", "name"), DEFAULT_NAMES.items())
def test_the_default_name_of_a_snapshot(kind: str, name: str) -> None:
    _, lookups = held_against(None, {"snapshot": kind}, {"steps": [says("1")]}, whole=True)
    assert lookups == [(None, name, kind)]


def test_a_snapshot_of_the_conversation_is_the_last_text_or_every_step() -> None:
    turns = (HI, {"steps": [says("Bye")]})
    assert codes("Bye\n", "snapshot", *turns, whole=True) == []
    assert (
        codes("thought\nmodel_output\n\nmodel_output\n", {"snapshot": "steps"}, *turns, whole=True)
        == []
    )
    assert codes(
        "thought\nmodel_output\nmodel_output\n", {"snapshot": "steps"}, *turns, whole=True
    ) == ["snapshot_differs"]


def test_a_damaged_snapshot_is_an_error_at_its_line() -> None:
    result, _ = held_against('{\n  "a": 1,\n  b\n}', {"snapshot": "json"}, ORDER)
    assert result.verdict is Verdict.ERRORED
    assert result.findings[0].message.startswith(
        "suites/_snapshots/s/a.output:3 is not a JSON document: "
    )


def test_a_difference_of_many_lines_is_aligned_and_short() -> None:
    old = "\n".join(f"line {number}" for number in range(5000))
    new = old.replace("line 40\n", "line forty\n\x1b[31m").replace("line 4000\n", "")
    result, _ = held_against(old, "snapshot", {"steps": [says(new)]})
    lines = result.findings[0].detail.split("\n")
    assert lines[:5] == ["line 41", "  line 38", "  line 39", "- line 40", "- line 41"]
    assert "+ line forty" in lines
    assert len(lines) <= 25
    assert "\x1b" not in result.findings[0].detail


@given(VALUES)
def test_json_is_read_back_from_its_file(value: Any) -> None:
    text = render("json", value)
    assert text.endswith("\n")
    text.encode()
    assert parse(text) == json.loads(json.dumps(value))
    assert codes(text, {"snapshot": "json"}, {"steps": [says(json.dumps(value))]}) == []


@given(st.text(st.characters(exclude_categories=[])), st.text())
def test_text_is_the_same_as_its_own_file_only(text: str, other: str) -> None:
    file = render("text", text)
    file.encode()
    assert codes(file, "snapshot", {"text": text}) == []
    if render("text", other).replace("\r\n", "\n") != file.replace("\r\n", "\n"):
        assert codes(render("text", other), "snapshot", {"text": text}) == ["snapshot_differs"]


@given(TYPES, TYPES)
def test_steps_are_the_same_as_their_own_file_only(
    types: list[list[str]], other: list[list[str]]
) -> None:
    turns = [{"steps": [{"type": word} for word in turn]} for turn in types]
    assert codes(render("steps", types), {"snapshot": "steps"}, *turns, whole=True) == []
    assert codes(render("steps", other), {"snapshot": "steps"}, *turns, whole=True) == (
        [] if types == other else ["snapshot_differs"]
    )


@given(VALUES)
def test_ignoring_does_not_change_the_value(value: Any) -> None:
    before = json.dumps(value)
    without(value, ["/a/*/b", "/*", "/0"])
    assert json.dumps(value) == before
    assert without(value, []) == value
    if isinstance(value, dict):
        assert without(value, ["/*"]) == {}


@pytest.mark.parametrize(
    ("parts", "turn", "name", "kind", "path"),
    [
        ((), 1, "text", "text", "_snapshots/s/a.turn1.text.txt"),
        ((), None, "output", "json", "_snapshots/s/a.output.json"),
        (
            ("gemini-3.5-flash", "stateless"),
            12,
            "steps",
            "steps",
            "_snapshots/s/a.gemini-3.5-flash.stateless.turn12.steps.txt",
        ),
        (("../../etc/passwd",), None, "x", "text", "_snapshots/s/a.-..-etc-passwd.x.txt"),
        (("turn1",), None, "text", "text", "_snapshots/s/a.turn-1.text.txt"),
    ],
)
def test_the_path_of_a_snapshot(
    parts: tuple[str, ...], turn: int | None, name: str, kind: Any, path: str
) -> None:
    assert path_of("s", "a", parts, turn, name, kind) == path


def test_same_text_ignores_line_endings_only() -> None:
    assert same_text("a\r\nb", "a\nb\n")
    assert not same_text("a\n\n", "a\n")
    assert not same_text("a \n", "a\n")
    assert set(KINDS) == set(DEFAULT_NAMES)
