"""A miss names its cause in one line, shows the nearest recording and the difference, and ends with the way out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from evalkit.cassette.matching import Player
from evalkit.cassette.miss_report import MissContext, format_miss_report
from evalkit.cassette.recording import Recording
from tests.cassette.samples import (
    CALL,
    FIRST,
    PATH,
    RESULT,
    SECOND,
    THIRD,
    TOOL,
    ask,
    conversation,
    recording,
    said,
    user,
)

PLACE = MissContext(
    "weather::london",
    "cassettes/weather/london.yaml",
    "pytest suites/weather.yaml::london --evalkit-record all",
)


def missed(
    body: Any, recordings: list[Recording] | None = None, *, place: MissContext = PLACE, path: str = PATH, method: str = "POST",
    query: tuple[tuple[str, str], ...] = (),
) -> str:  # fmt: skip
    player = Player(conversation() if recordings is None else recordings)
    return format_miss_report(
        player, place, method, path, query, body, lambda number: 10 * (number + 1)
    )


def changed(base: Any, change: Callable[[Any], object]) -> Any:
    body = copy.deepcopy(base)
    change(body)
    return body


def with_tool(**fields: Any) -> Any:
    return {**FIRST, "tools": [{**TOOL, **fields}]}


CAUSES: list[tuple[Any, str]] = [
    ({**FIRST, "model": "gemini-4"}, 'model changed: "gemini-3.5-flash" recorded, "gemini-4" asked for'),
    ({**FIRST, "model": "gemini-4", "stream": True},
     'model changed: "gemini-3.5-flash" recorded, "gemini-4" asked for; also changed: stream'),
    ({**FIRST, "system_instruction": "Be brief."}, "system instruction added"),
    ({**FIRST, "generation_config": {"seed": 1}}, "generation settings added"),
    ({**FIRST, "response_format": {}}, "response format added"),
    ({**FIRST, "store": True}, "store changed: false recorded, true asked for"),
    ({**FIRST, "labels": {"a": "b"}}, 'field "labels" added'),
    ({key: value for key, value in FIRST.items() if key != "store"}, "store changed: false recorded, (absent) asked for"),
    (with_tool(parameters={"type": "object"}), 'tool schema changed: "get_temperature"'),
    (with_tool(description="Other"), 'tool description changed: "get_temperature"'),
    (with_tool(defer_loading=True), 'tool declaration changed: "get_temperature"'),
    ({**FIRST, "tools": [TOOL, {"type": "google_search"}]}, 'tool added: "google_search"'),
    ({**FIRST, "tools": []}, 'tool removed: "get_temperature"'),
    ({**FIRST, "tools": [{"type": "google_search"}]}, 'tools changed: ["get_temperature"] recorded, ["google_search"] asked for'),
    ({**FIRST, "input": [user("How warm is it in Rome?")]}, "user text changed in turn 1 (step 1)"),
    (changed(THIRD, lambda body: body["input"].__setitem__(4, user("And in Rome?"))), "user text changed in turn 2 (step 5)"),
    (changed(THIRD, lambda body: body["input"][2].__setitem__("result", "23")), "tool result changed in turn 1 (step 3)"),
    (changed(THIRD, lambda body: body["input"][1].__setitem__("id", "c2")),
     "history diverged at turn 1 (step 2): the function_call is another"),
    (changed(THIRD, lambda body: body["input"].insert(3, {"type": "thought", "signature": "s"})),
     "history diverged at turn 1 (step 4): model_output recorded, thought sent"),
    (changed(THIRD, lambda body: body["input"].append(said("12 degrees"))),
     "history diverged at turn 2 (step 6): nothing more recorded, model_output sent"),
    ({**FIRST, "input": "How warm?"}, "input changed"),
    (None, "a body recorded, none sent"),
    (["x"], "the body changed"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "cause"), CAUSES, ids=[cause for _, cause in CAUSES])
def test_the_cause_of_a_miss(body: Any, cause: str) -> None:
    assert f"  cause: {cause}\n" in missed(body)


@pytest.mark.parametrize(
    ("recorded", "sent", "cause"),
    [
        (ask(input="a"), ask(input="b"), "user text changed"),
        ({"previous_interaction_id": "v1_a", "input": "x"}, {"previous_interaction_id": "v1_b", "input": "x"},
         "earlier interaction (previous_interaction_id) changed"),
        ({"input": [{"type": "text", "text": "a"}]}, {"input": [{"type": "text", "text": "b"}]}, "user content changed: block 1"),
        ({"input": []}, {"input": [user("a")]}, "history diverged at turn 1 (step 1): nothing more recorded, user_input sent"),
        (ask(CALL), ask(CALL, RESULT), "history diverged at turn 1 (step 2): nothing more recorded, function_result sent"),
        ({"tools": [{"name": "a"}, {"name": "b"}]}, {"tools": [{"name": "b"}, {"name": "a"}]}, "order of the tools changed"),
    ],
)  # fmt: skip
def test_the_cause_of_a_miss_in_other_shapes(recorded: Any, sent: Any, cause: str) -> None:
    assert f"  cause: {cause}\n" in missed(sent, [recording(recorded)])


def test_causes_outside_the_body() -> None:
    assert "cause: API version changed: v1beta recorded, v1 asked for" in missed(
        FIRST, path="/v1/interactions"
    )
    assert "cause: API version changed: v1beta recorded, none asked for" in missed(
        FIRST, path="/interactions"
    )
    assert (
        "cause: path changed: nothing was recorded for /v1beta/interactions/v1_a, only /v1beta/interactions"
        in missed(None, path=f"{PATH}/v1_a")
    )
    assert "cause: method changed: POST recorded, GET asked for" in missed(None, method="GET")
    assert 'cause: query changed: {} recorded, {"stream": "true"} asked for' in missed(
        FIRST, query=(("stream", "true"),)
    )


def test_played_already() -> None:
    player = Player(conversation())
    player.take("POST", PATH, (), FIRST)
    text = format_miss_report(player, PLACE, "POST", PATH, (), FIRST, lambda number: None)
    assert (
        "cause: already played: this very request is sent more often than it was recorded" in text
    )
    assert "request 2, POST" in text
    assert "nearest: recording 1 of 3 (played already)\n" in text


def test_no_cassette_and_an_empty_one() -> None:
    place = MissContext(
        PLACE.label,
        PLACE.name,
        PLACE.hint,
        missing=True,
        note="an interrupted recording is beside it, with 2 finished exchanges",
    )
    assert missed(FIRST, [], place=place).splitlines() == [
        "weather::london: the cassette cassettes/weather/london.yaml does not hold request 1, POST /v1beta/interactions",
        "  cause: there is no such cassette yet",
        "  an interrupted recording is beside it, with 2 finished exchanges",
        "  to record this scenario again:",
        "    pytest suites/weather.yaml::london --evalkit-record all",
    ]
    assert "cause: no recording at all: the cassette is empty" in missed(FIRST, [])


def test_the_whole_report() -> None:
    body = changed(SECOND, lambda body: body["input"][2]["result"].__setitem__("temperature", "23"))
    assert missed(body).splitlines() == [
        "weather::london: the cassette cassettes/weather/london.yaml does not hold request 1, POST /v1beta/interactions",
        "  cause: tool result changed in turn 1 (step 3)",
        "  nearest: recording 2 of 3, cassettes/weather/london.yaml:20",
        "    /input/2/result/temperature",
        '      recorded  "22"',
        '      asked     "23"',
        "  to record this scenario again:",
        "    pytest suites/weather.yaml::london --evalkit-record all",
    ]


def test_long_texts_are_shown_from_where_they_part() -> None:
    text = missed(
        {**FIRST, "system_instruction": "a" * 500 + "new"},
        [recording({**FIRST, "system_instruction": "a" * 500 + "old"})],
    )
    assert '      recorded  …"' + "a" * 30 + 'old"' in text
    assert '      asked     …"' + "a" * 30 + 'new"' in text


def test_a_report_is_short_and_harmless_whatever_changed() -> None:
    hostile = "\x1b[31m\u202e" + "x" * 5000
    body = {f"field{hostile}{number}": {hostile: [hostile] * 200} for number in range(50)} | {
        "input": [{"type": hostile}] * 50
    }
    text = missed(body, [recording({**FIRST, "tools": [{"name": hostile}]})], path=f"/{hostile}")
    assert len(text.splitlines()) <= 25
    assert max(map(len, text.splitlines())) < 400
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "and more than 96 more" in text or "more" in text


def test_an_unplayed_recording_is_nearer_than_a_played_one() -> None:
    player = Player([recording(FIRST), recording(FIRST)])
    player.take("POST", PATH, (), FIRST)
    assert "nearest: recording 2 of 2, " in format_miss_report(
        player, PLACE, "POST", PATH, (), {**FIRST, "model": "m"}, lambda number: 5
    )


def test_a_body_nested_deeply_is_a_miss_like_any_other() -> None:
    deep = json.loads("[" * 900 + "]" * 900)
    assert "  cause: " in missed({**FIRST, "deep": deep}, [recording({**FIRST, "deep": [deep]})])
