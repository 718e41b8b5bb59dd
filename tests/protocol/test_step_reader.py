from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import JSON
from evalkit.protocol.step_reader import (
    SPAN_PROBLEMS,
    CallPair,
    CallPairing,
    CitedText,
    TextBlock,
    cited_text,
    content_blocks,
    output_text,
    pair_calls,
    steps_of,
    strip_user_input,
    text_blocks,
)
from tests.protocol import strategies
from tests.protocol.streams import ANNOTATIONS, SEARCH_STEPS


def out(*blocks: JSON) -> dict[str, JSON]:
    return {
        "type": "model_output",
        "content": [
            {"type": "text", "text": block} if isinstance(block, str) else block for block in blocks
        ],
    }


USER: dict[str, JSON] = {"type": "user_input", "content": []}
THOUGHT: dict[str, JSON] = {"type": "thought"}
CALL: dict[str, JSON] = {"type": "google_search_call", "id": "s1", "arguments": {}}
IMAGE: dict[str, JSON] = {"type": "image", "data": "AA=="}

TEXTS: list[tuple[str, list[dict[str, JSON]], str]] = [
    ("no steps", [], ""),
    ("no output", [USER, THOUGHT], ""),
    ("one text", [THOUGHT, out("a")], "a"),
    ("texts of a step are joined", [out("a", "b")], "ab"),
    ("texts of steps are joined over thoughts", [out("a"), THOUGHT, out("b")], "ab"),
    ("stops at the user", [out("a"), USER, out("b")], "b"),
    ("nothing since the user", [out("a"), USER], ""),
    ("stops at a tool", [out("a"), CALL, out("b")], "b"),
    ("skips tools at the end", [out("a"), CALL, {"type": "google_search_result"}], "a"),
    ("stops at an image", [out("a", IMAGE, "b")], "b"),
    ("skips images at the end", [out("a", IMAGE)], "a"),
    ("stops at an image in an earlier step", [out("a", IMAGE), out("b")], "b"),
    ("unknown steps are tools", [out("a"), {"type": "daydream"}, out("b")], "b"),
    ("empty text counts as text", [out("a"), CALL, out("")], ""),
    ("content as a string", [{"type": "model_output", "content": "a"}], "a"),
    ("no content", [out("a"), {"type": "model_output"}], "a"),
    ("text is null", [out("a"), CALL, out({"type": "text", "text": None})], ""),
    ("no type", [{}, out("a"), {}], "a"),
]


@pytest.mark.parametrize(
    ("steps", "text"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS]
)
def test_output_text_is_read_backwards(steps: list[dict[str, JSON]], text: str) -> None:
    assert output_text(steps) == text


@pytest.fixture(scope="module")
def sdk() -> Any:
    return pytest.importorskip("google.genai.interactions")


@given(
    steps=st.lists(
        st.sampled_from(
            [USER, THOUGHT, CALL, out("a"), out("b", IMAGE), out(IMAGE, "c"), out(), out("d", "e")]
        ),
        max_size=6,
    )
)
def test_output_text_is_that_of_the_official_sdk(sdk: Any, steps: list[dict[str, JSON]]) -> None:
    answer = sdk.Interaction.model_validate({"id": "a", "status": "completed", "steps": steps})
    assert output_text(steps) == answer.output_text


def test_content_blocks_accepts_any_value() -> None:
    assert content_blocks({"content": [1]}) == [1]
    assert content_blocks({"content": "a"}) == [{"type": "text", "text": "a"}]
    assert [
        content_blocks(step) for step in ({}, {"content": None}, {"content": {"type": "text"}})
    ] == [
        [],
        [],
        [],
    ]


def test_steps_of_accepts_any_value() -> None:
    steps = [{"type": "thought"}]
    assert steps_of({"steps": steps}) == steps
    assert steps_of({"steps": [1, *steps, None]}) == steps
    assert [steps_of(interaction) for interaction in ({}, {"steps": None}, {"steps": "x"})] == [
        [],
        [],
        [],
    ]


def test_text_blocks_have_their_position() -> None:
    steps: list[dict[str, JSON]] = [
        *SEARCH_STEPS,
        out(
            IMAGE,
            "b",
            {"type": "text"},
            {"type": "text", "text": "c", "annotations": [1, {"type": "word_info"}]},
        ),
    ]
    assert list(text_blocks(steps)) == [
        TextBlock(1, 0, "Spain won. Yes.", ANNOTATIONS),
        TextBlock(4, 1, "b", []),
        TextBlock(4, 3, "c", [{"type": "word_info"}]),
    ]


@pytest.mark.parametrize(
    ("steps", "rest"),
    [
        ([], []),
        ([USER, THOUGHT], [THOUGHT]),
        ([USER, USER, {"type": "function_result"}, THOUGHT, USER], [THOUGHT, USER]),
        ([USER], []),
        ([{"type": ["user_input"]}, USER], [{"type": ["user_input"]}, USER]),
    ],
)
def test_leading_client_steps_are_stripped(steps: list[JSON], rest: list[JSON]) -> None:
    assert strip_user_input(steps) == rest


def call(id_: JSON = ..., kind: str = "google_search") -> dict[str, JSON]:
    return {"type": f"{kind}_call"} | ({} if id_ is ... else {"id": id_})


def result(id_: JSON = ..., kind: str = "google_search") -> dict[str, JSON]:
    return {"type": f"{kind}_result"} | ({} if id_ is ... else {"call_id": id_})


PAIRS: list[tuple[str, list[JSON], list[tuple[int, int | None]], list[int]]] = [
    ("none", [THOUGHT], [], []),
    ("one", [call("a"), result("a")], [(0, 1)], []),
    ("no result", [call("a")], [(0, None)], []),
    ("orphan", [result("a")], [], [0]),
    ("different id", [call("a"), result("b")], [(0, None)], [1]),
    ("different tool", [call("a"), result("a", "url_context")], [(0, None)], [1]),
    ("by id, not by order", [call("a"), call("b"), result("b"), result("a")], [(0, 3), (1, 2)], []),
    (
        "interleaved",
        [call("a"), result("a"), THOUGHT, call("b"), result("b")],
        [(0, 1), (3, 4)],
        [],
    ),
    ("two results", [call("a"), result("a"), result("a")], [(0, 1)], [2]),
    ("one id twice", [call("a"), call("a"), result("a"), result("a")], [(0, 2), (1, 3)], []),
    ("no id on the call", [call(), result("search_001")], [(0, 1)], []),
    ("null and empty ids", [call(None), call(""), result("x"), result("y")], [(0, 2), (1, 3)], []),
    ("no id on the result", [call("a"), call("b"), result(), result()], [(0, 2), (1, 3)], []),
    ("ids before order", [call("a"), call("b"), result(), result("a")], [(0, 3), (1, 2)], []),
    ("by order only to an earlier call", [result(), call("a")], [(1, None)], [0]),
    (
        "by order within a tool",
        [call(kind="url_context"), call(), result(), result(kind="url_context")],
        [(0, 3), (1, 2)],
        [],
    ),
    ("an id may be before its call", [result("a"), call("a")], [(1, 0)], []),
    ("numbers as ids", [call(7), result(7)], [(0, 1)], []),
    (
        "unknown types are not paired",
        [call("a", "daydream"), result("a", "daydream")],
        [],
        [],
    ),
    ("ids of any kind", [call(["a"]), {"type": ["x"]}, result({})], [(0, 2)], []),
]


@pytest.mark.parametrize(
    ("steps", "pairs", "orphans"), [row[1:] for row in PAIRS], ids=[row[0] for row in PAIRS]
)
def test_calls_are_paired_with_results(
    steps: list[JSON], pairs: list[tuple[int, int | None]], orphans: list[int]
) -> None:
    assert pair_calls(steps) == CallPairing([CallPair(*pair) for pair in pairs], orphans)


@given(st.lists(strategies.steps, max_size=8))
def test_every_call_and_result_appears_once(steps: list[dict[str, JSON]]) -> None:
    pairs, orphans = pair_calls(steps)
    paired = [pair.result_index for pair in pairs if pair.result_index is not None]
    assert [pair.call_index for pair in pairs] == [
        i for i, step in enumerate(steps) if _known(step, "_call")
    ]
    assert sorted([*paired, *orphans]) == [
        i for i, step in enumerate(steps) if _known(step, "_result")
    ]
    output_text(steps)
    list(text_blocks(steps))


def _known(step: dict[str, JSON], end: str) -> bool:
    kind = step.get("type")
    return isinstance(kind, str) and kind.endswith(end) and kind != f"weather{end}"


CAFE = "Café 😀!"  # bytes: C0 a1 f2 é3-5 space5 😀6-10 !10
SPANS: list[tuple[str, JSON, JSON, str, str]] = [
    ("whole", 0, 11, CAFE, ""),
    ("ASCII", 0, 3, "Caf", ""),
    ("a character of two bytes", 3, 5, "é", ""),
    ("a character of four bytes", 6, 10, "😀", ""),
    ("no start", None, 3, "Caf", ""),
    ("digits", "0", "3", "Caf", ""),
    ("whole floats", 0.0, 3.0, "Caf", ""),
    ("no end", 0, None, "", "no_span"),
    ("a word", "x", 3, "", "no_span"),
    ("a boolean", True, 3, "", "no_span"),
    ("half", 0, 2.5, "", "no_span"),
    ("negative", -1, 3, "Caf", "negative"),
    ("reversed", 3, 1, "", "reversed"),
    ("empty", 3, 3, "", "empty"),
    ("one byte after the end", 6, 12, "😀!", "past_end"),
    ("far outside", 50, 60, "", "past_end"),
    ("cut at the end: read as code points", 0, 4, "Café", "inside_character"),
    ("cut at the start: read as code points", 4, 8, " 😀!", "inside_character"),
]


@pytest.mark.parametrize(
    ("start", "end", "text", "code"), [row[1:] for row in SPANS], ids=[row[0] for row in SPANS]
)
def test_spans_count_utf8_bytes(start: JSON, end: JSON, text: str, code: str) -> None:
    citation = cited_text(CAFE, start, end)
    assert citation == CitedText(text, code)
    assert citation.ok is (code == "")
    assert citation.problem == SPAN_PROBLEMS.get(code, "")


def test_every_span_problem_is_tested() -> None:
    assert {row[4] for row in SPANS} == {"", *SPAN_PROBLEMS}


@given(strategies.texts, strategies.values, strategies.values)
def test_any_span_gives_a_part_of_the_text(text: str, start: JSON, end: JSON) -> None:
    assert cited_text(text, start, end).text in (
        "",
        *(text[a:b] for a in range(len(text)) for b in range(a, len(text) + 1)),
    )


@given(strategies.texts, st.data())
def test_a_span_of_whole_characters_gives_these_characters(text: str, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(text)))
    last = data.draw(st.integers(first, len(text)))
    start, end = (len(text[:at].encode("utf-8", "surrogatepass")) for at in (first, last))
    citation = cited_text(text, start, end)
    assert (citation.text, citation.code) == (text[first:last], "" if first < last else "empty")
