"""The review queue: items and groups, also of generated results."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.files import sha256
from evalkit._lib.json import MISSING
from evalkit.errors import IntegrityError, UsageError
from evalkit.review.item_text import DiffLine, conversation_lines, diff_lines
from evalkit.review.queue import (
    MAX_NAME,
    ReviewItem,
    ReviewQueue,
    build_queue,
    read_result,
)
from evalkit.verdict import CheckResult, Finding, Severity, Verdict, Where
from tests.reports.sample import line
from tests.reports.sample_cases import every_line, failed_line, hostile_line
from tests.review.runs_to_review import errs, fails, file_of, judged, passes, snapshot


def queue(*lines: str, regressed: tuple[str, ...] = ()) -> ReviewQueue:
    return build_queue(lines, regressed)


def with_digest(value: dict[str, Any]) -> str:
    value.pop("digest", None)
    text = json.dumps(value)
    return f'{text[:-1]},"digest":"{sha256(text)}"}}'


def one(text: str, **more: Any) -> ReviewItem:
    (item,) = queue(text, **more).items
    return item


def test_uncertain_judgments_come_first_and_are_decided_one_by_one() -> None:
    items = queue(
        fails("paris"),
        judged("rome", 0.9),
        judged("london", 0.6, 0.95, 0.7),
        judged("oslo", 0.55, verdict=Verdict.FAILED),
        regressed=("weather::paris[stateless]", "weather::oslo[stateless]"),
    ).items
    assert [(item.kind, item.result.split("[")[0], item.location) for item in items[:3]] == [
        ("uncertain judgment", "weather::london", "turn 1"),
        ("uncertain judgment", "weather::london", "turn 1, question q2"),
        ("uncertain judgment", "weather::oslo", "turn 1"),
    ]
    assert [item.code for item in items[3:]] == ["not_contained", "judge_below"]
    assert len({item.group for item in items}) == len({item.key for item in items}) == 5
    assert [item.regressed for item in items] == [False, False, False, True, True]
    first = items[0]
    assert first.message == (
        "is the judge right that this passed? Its confidence is 0.6, expected at least 0.8"
    )
    for text in ("the weather.", "gemini-decision-1-001", '"score": 0.6', "22 degrees"):
        assert text in first.detail
    assert "\x1b" not in first.detail
    assert diff_lines(first) == []


def test_judgments_of_an_errored_result_are_not_decided() -> None:
    assert queue(judged("oslo", 0.5, verdict=Verdict.ERRORED)).items == ()


def test_a_finding_is_an_item_with_a_unique_name() -> None:
    items = queue(failed_line()).items
    assert [(item.check, item.code, item.location) for item in items] == [
        ("tool_calls", "arguments_differ", "turn 1, exchange 2, step 2, step /arguments/location"),
        ("history", "signature_altered", "exchange 2, request /input/1/signature"),
        ("text", "not_contained", "turn 1"),
        ("usage", "over_budget", "conversation"),
    ]
    assert len({item.key for item in items}) == len({item.group for item in items}) == 4
    assert items[2].id == "weather::paris[stateless-streamed] text: not_contained at turn 1"
    assert {item.digest for item in items} == {json.loads(failed_line())["digest"]}
    assert all(item.line_number == 1 and item.kind == "failure" for item in items)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (passes(), []),
        (errs(), []),
        (snapshot("london", "hello"), ["new snapshot"]),
        (snapshot("london", "hello", "hallo"), ["changed snapshot"]),
        (snapshot("london", "hello", severity=Severity.WARN), ["new snapshot"]),
        (line("x", verdict=Verdict.FAILED, message="2 recordings were not played"), ["failure"]),
        (
            line(
                "x",
                checks=[
                    CheckResult(
                        "text", Verdict.PASSED, (Finding("a", "b", severity=Severity.WARN),)
                    )
                ],
            ),
            [],
        ),
        (
            line(
                "x",
                checks=[CheckResult("text", Verdict.FAILED, (Finding("a", "b"),))],
                verdict=Verdict.ERRORED,
            ),
            [],
        ),
        (
            fails("x", Finding("snapshot_new", "a check of somebody's own", Where(turn=1))),
            ["failure"],
        ),
    ],
)
def test_what_is_decided(text: str, kinds: list[str]) -> None:
    assert [item.kind for item in queue(text).items] == kinds


def test_errors_are_listed_and_not_decided() -> None:
    actual = queue(errs(message="it broke"), fails())
    assert [(error.result, error.location, error.message) for error in actual.errors] == [
        ("weather::rome[stateless]", "suites/weather.yaml:12", "it broke")
    ]
    assert len(actual.items) == 1


def test_the_same_check_twice_at_one_location_is_two_items() -> None:
    finding = Finding("not_contained", "no", Where(turn=1))
    first, second = queue(fails("x", finding, finding)).items
    assert (first.location, second.location) == ("turn 1", "turn 1 (2)")
    assert first.key != second.key


def test_the_last_of_repeated_results_counts() -> None:
    assert queue(fails(), passes()).items == ()
    assert [item.line_number for item in queue(passes(), fails()).items] == [2]


def test_regressions_come_first_and_apart() -> None:
    items = queue(fails("a"), fails("b"), regressed=("weather::b[stateless]",)).items
    assert [(item.result, item.regressed) for item in items] == [
        ("weather::b[stateless]", True),
        ("weather::a[stateless]", False),
    ]
    assert items[0].group != items[1].group
    assert items[0].label == "regression"


_SAME, _OTHER = True, False


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (Finding("c", "788 tokens, at most 600"), Finding("c", "1,024 tokens, at most 600"), _SAME),
        (
            Finding("c", "788 tokens", Where(turn=1, step=2)),
            Finding("c", "788 tokens", Where(turn=3, step=4)),
            _SAME,
        ),
        (Finding("c", "x", Where(pointer="/a/0")), Finding("c", "x", Where(pointer="/a/7")), _SAME),
        (
            Finding("c", "x", Where(pointer="/a/0")),
            Finding("c", "x", Where(pointer="/b/0")),
            _OTHER,
        ),
        (Finding("c", "no 'Paris'"), Finding("c", "no 'Rome'"), _OTHER),
        (Finding("c", "x"), Finding("d", "x"), _OTHER),
        (Finding("c", "x", expected=1), Finding("c", "x", expected=2), _OTHER),
        (Finding("c", "x", expected=None), Finding("c", "x"), _OTHER),
        (Finding("c", "x", got=1), Finding("c", "x", got=2), _SAME),
    ],
)
def test_failures_that_differ_in_numbers_only_are_one_group(
    first: Finding, second: Finding, same: bool
) -> None:
    items = queue(fails("a", first), fails("b", second)).items
    assert (items[0].group == items[1].group) is same


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (("one\ntwo\n", "one\nzwei\n"), ("uno\ntwo\ndue\n", "uno\nzwei\ndue\n"), _SAME),
        (("one\ntwo\n", "one\nzwei\n"), ("one\ntwo\n", "one\ndeux\n"), _OTHER),
        (("a\nb", "b\na"), ("a\nb\nc", "c\nb\na"), _OTHER),
        (("a", "a\na"), ("a\nb", "a\na\nb"), _SAME),
    ],
)
def test_changed_snapshots_with_the_same_changed_lines_are_one_group(
    first: tuple[str, str], second: tuple[str, str], same: bool
) -> None:
    items = queue(snapshot("a", first[1], first[0]), snapshot("b", second[1], second[0])).items
    assert (items[0].group == items[1].group) is same


def test_new_snapshots_are_one_group_when_their_values_are_the_same() -> None:
    items = queue(
        snapshot("a", {"x": 1}, kind="json"),
        snapshot("b", {"x": 2}, kind="json"),
        snapshot("c", {"x": 1}, kind="json"),
    ).items
    assert [item.result for item in items] == [
        "weather::a[stateless]",
        "weather::c[stateless]",
        "weather::b[stateless]",
    ]
    assert items[0].group == items[1].group != items[2].group


def test_hostile_names_are_visible_in_what_names_an_item() -> None:
    item = one(hostile_line(long_line=10))
    assert item.id.isprintable()
    assert "<U+FFFE>" in item.code
    assert max(map(len, (item.check, item.code, item.location))) <= MAX_NAME


def test_every_kind_of_result_builds_a_queue() -> None:
    texts = every_line(long_line=100)
    assert len(queue(*texts).items) == 5
    for text in texts:
        assert all(spoken.turn >= 1 for spoken in conversation_lines(json.loads(text)))
    spoken = list(conversation_lines(json.loads(failed_line())))
    assert (spoken[0].speaker, spoken[0].text) == ("user", "What is the temperature in London?")
    assert "function_call get_current_temperature" in [one.speaker for one in spoken]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace("'23'", "'22'"), "got "),
        (lambda text: text[:-66] + '"}', "end with its digest"),
        (
            lambda text: text.replace('"digest":"', '"digest":"0', 1)[:-3] + '"}',
            "expected digest 0",
        ),
        (lambda text: text + " ", "end with its digest"),
    ],
)
def test_an_altered_line_is_refused(change: Any, why: str) -> None:
    with pytest.raises(IntegrityError, match=why):
        read_result(change(fails()), "results.jsonl:1")


def test_an_invalid_result_is_reported_with_its_number() -> None:
    with pytest.raises(UsageError, match=r"results.jsonl:2: not a result \(KeyError"):
        queue(fails(), with_digest({"id": "x"}))
    with pytest.raises(UsageError, match=r"results.jsonl:1: not a result \(TypeError"):
        queue(with_digest({**json.loads(fails()), "checks": "text"}))


@pytest.mark.parametrize(
    ("item", "lines"),
    [
        (one(snapshot("a", "x\ny")), [("+", "x"), ("+", "y")]),
        (
            one(snapshot("a", "1\n2\n3\n4\nfive\n6\n7\n8", "1\n2\n3\n4\n5\n6\n7\n8")),
            [
                ("…", "line 3"),
                (" ", "3"),
                (" ", "4"),
                ("-", "5"),
                ("+", "five"),
                (" ", "6"),
                (" ", "7"),
            ],
        ),
        (
            one(fails("a", Finding("c", "m", expected={"a": 1}, got="b"))),
            [("-", "{"), ("-", '  "a": 1'), ("-", "}"), ("+", "b")],
        ),
        (one(fails("a", Finding("c", "m", got=[]))), [("+", "[]")]),
        (
            one(snapshot("a", "x\u2028y\x0bz\r\n", "x\ny")),
            [("-", "x"), ("-", "y"), ("+", "x\u2028y\x0bz\r"), ("+", "")],
        ),
        (one(fails("a", Finding("c", "m"))), []),
        (
            one(snapshot("a", [["model_output"]], [["thought", "model_output"]], "steps")),
            [("-", "thought"), (" ", "model_output")],
        ),
    ],
)
def test_a_difference_is_shown_line_by_line(item: ReviewItem, lines: list[tuple[str, str]]) -> None:
    assert diff_lines(item) == [DiffLine(*pair) for pair in lines]


_TEXT = st.text(max_size=12)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXT,
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=4,
)
_FINDINGS = st.builds(
    Finding,
    _TEXT,
    _TEXT,
    st.builds(Where, turn=st.none() | st.integers(1, 3)),
    expected=_VALUES | st.just(MISSING),
    got=_VALUES | st.just(MISSING),
)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.lists(_FINDINGS, min_size=1, max_size=3)), max_size=4
    )
)
def test_keys_are_unique_and_nothing_depends_on_the_order(
    results: list[tuple[str, list[Finding]]],
) -> None:
    texts = list({name: fails(name, *findings) for name, findings in results}.values())
    items = queue(*texts).items
    assert (
        len({item.key for item in items})
        == len(items)
        == sum(len(dict(results)[name]) for name in dict(results))
    )
    together = [item.group for item in items]
    assert [
        group for index, group in enumerate(together) if index == 0 or together[index - 1] != group
    ] == list(dict.fromkeys(together))
    backwards = {item.key: (item.group, item.digest) for item in queue(*reversed(texts)).items}
    assert backwards == {item.key: (item.group, item.digest) for item in items}
    for item in items:
        diff_lines(item)


@given(st.lists(st.sampled_from("abc"), max_size=3), st.lists(st.sampled_from("abc"), max_size=3))
def test_a_difference_contains_both_texts(old: list[str], new: list[str]) -> None:
    item = one(snapshot("x", "\n".join(new), "\n".join(old)))
    lines = diff_lines(item)
    before = [line.text for line in lines if line.sign in "- "]
    after = [line.text for line in lines if line.sign in "+ "]
    assert (before, after) == ((old, new) if old != new else ([], []))
    assert item.file == file_of("x")


def test_long_names_are_cut_and_still_distinct() -> None:
    first, second = queue(
        fails(
            "x",
            *(
                Finding("c", "m", Where(turn=1, pointer="/" + "k" * 1000 + end + "k" * 1000))
                for end in "ab"
            ),
        )
    ).items
    assert len(first.location) == MAX_NAME
    assert (first.location, first.key == second.key) == (second.location, False)
