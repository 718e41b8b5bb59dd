"""Miss reports: the cause, the nearest recording, the differences, the command."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from evalkit.cassette.matching import Player
from evalkit.cassette.miss_report import UnmatchedRequest, format_miss_report, miss_cause
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
    model_output,
    recording,
    user,
)

CONTEXT: dict[str, Any] = {
    "label": "weather::london",
    "name": "cassettes/weather/london.yaml",
    "hint": "pytest suites/weather.yaml::london --evalkit-record all",
}
HEAD = (
    "weather::london: the cassette cassettes/weather/london.yaml has no recording of request 1, "
    "POST /v1beta/interactions"
)


def report(
    body: Any,
    recordings: list[Recording] | None = None,
    *,
    context: dict[str, Any] = CONTEXT,
    path: str = PATH,
    method: str = "POST",
    query: tuple[tuple[str, str], ...] = (),
) -> str:
    player = Player(conversation() if recordings is None else recordings)
    request = UnmatchedRequest(method, path, query, body)
    return format_miss_report(player, request, lambda number: 10 * (number + 1), **context)


def changed(base: Any, change: Callable[[Any], object]) -> Any:
    body = copy.deepcopy(base)
    change(body)
    return body


def with_tool(**fields: Any) -> Any:
    return {**FIRST, "tools": [{**TOOL, **fields}]}


CAUSES: list[tuple[Any, str]] = [
    ({**FIRST, "model": "gemini-4"}, 'model changed: "gemini-3.5-flash" recorded, "gemini-4" sent'),
    (
        {**FIRST, "model": "gemini-4", "stream": True},
        'model changed: "gemini-3.5-flash" recorded, "gemini-4" sent; also changed: stream',
    ),
    ({**FIRST, "system_instruction": "Be brief."}, "system instruction added"),
    ({**FIRST, "generation_config": {"seed": 1}}, "generation settings added"),
    ({**FIRST, "response_format": {}}, "response format added"),
    ({**FIRST, "store": True}, "store changed: false recorded, true sent"),
    ({**FIRST, "labels": {"a": "b"}}, 'field "labels" added'),
    (
        {key: value for key, value in FIRST.items() if key != "store"},
        "store changed: false recorded, (absent) sent",
    ),
    (with_tool(parameters={"type": "object"}), 'tool schema changed: "get_temperature"'),
    (with_tool(description="Other"), 'tool description changed: "get_temperature"'),
    (with_tool(defer_loading=True), 'tool declaration changed: "get_temperature"'),
    ({**FIRST, "tools": [TOOL, {"type": "google_search"}]}, 'tool added: "google_search"'),
    ({**FIRST, "tools": []}, 'tool removed: "get_temperature"'),
    (
        {**FIRST, "tools": [{"type": "google_search"}]},
        'tools changed: ["get_temperature"] recorded, ["google_search"] sent',
    ),
    ({**FIRST, "input": [user("How warm is it in Rome?")]}, "user text changed in turn 1 (step 1)"),
    (
        changed(THIRD, lambda body: body["input"].__setitem__(4, user("And in Rome?"))),
        "user text changed in turn 2 (step 5)",
    ),
    (
        changed(THIRD, lambda body: body["input"][2].__setitem__("result", "23")),
        "tool result changed in turn 1 (step 3)",
    ),
    (
        changed(THIRD, lambda body: body["input"][1].__setitem__("id", "c2")),
        "history diverged at turn 1 (step 2): the function_call differs",
    ),
    (
        changed(THIRD, lambda body: body["input"].insert(3, {"type": "thought", "signature": "s"})),
        "history diverged at turn 1 (step 4): model_output recorded, thought sent",
    ),
    (
        changed(THIRD, lambda body: body["input"].append(model_output("12 degrees"))),
        "history diverged at turn 2 (step 6): nothing more recorded, model_output sent",
    ),
    ({**FIRST, "input": "How warm?"}, "input changed"),
    (None, "a body recorded, no body sent"),
    (["x"], "the body changed"),
]


@pytest.mark.parametrize(("body", "cause"), CAUSES, ids=[cause for _, cause in CAUSES])
def test_the_cause_of_a_miss(body: Any, cause: str) -> None:
    assert f"  cause: {cause}\n" in report(body)


@pytest.mark.parametrize(
    ("recorded", "sent", "cause"),
    [
        (ask(input="a"), ask(input="b"), "user text changed"),
        (
            {"previous_interaction_id": "v1_a", "input": "x"},
            {"previous_interaction_id": "v1_b", "input": "x"},
            "earlier interaction (previous_interaction_id) changed",
        ),
        (
            {"input": [{"type": "text", "text": "a"}]},
            {"input": [{"type": "text", "text": "b"}]},
            "user content changed: block 1",
        ),
        (
            {"input": []},
            {"input": [user("a")]},
            "history diverged at turn 1 (step 1): nothing more recorded, user_input sent",
        ),
        (
            ask(CALL),
            ask(CALL, RESULT),
            "history diverged at turn 1 (step 2): nothing more recorded, function_result sent",
        ),
        (
            {"tools": [{"name": "a"}, {"name": "b"}]},
            {"tools": [{"name": "b"}, {"name": "a"}]},
            "order of the tools changed",
        ),
    ],
)
def test_the_cause_of_a_miss_of_other_recordings(recorded: Any, sent: Any, cause: str) -> None:
    assert f"  cause: {cause}\n" in report(sent, [recording(recorded)])


def test_causes_outside_the_body() -> None:
    assert "cause: path changed: /interactions recorded, /interactions/v1_a sent" in report(
        None, path=f"{PATH}/v1_a"
    )
    assert "cause: method changed: POST recorded, GET sent" in report(None, method="GET")
    assert 'cause: query changed: {} recorded, {"stream": "true"} sent' in report(
        FIRST, query=(("stream", "true"),)
    )


def test_a_request_that_was_played_already() -> None:
    player = Player(conversation())
    player.take("POST", PATH, (), FIRST)
    text = format_miss_report(
        player, UnmatchedRequest("POST", PATH, (), FIRST), lambda number: None, **CONTEXT
    )
    assert "cause: already played: this request is sent more often than it was recorded" in text
    assert "request 2, POST" in text
    assert "nearest: recording 1 of 3 (played already)\n" in text


def test_a_missing_and_an_empty_cassette() -> None:
    context = dict(
        CONTEXT,
        missing=True,
        note="an interrupted recording is beside it, with 2 finished exchanges",
    )
    assert report(FIRST, [], context=context).splitlines() == [
        HEAD,
        "  cause: the cassette does not exist yet",
        "  an interrupted recording is beside it, with 2 finished exchanges",
        "  to record this scenario again:",
        "    pytest suites/weather.yaml::london --evalkit-record all",
    ]
    assert "cause: the cassette is empty" in report(FIRST, [])


def test_the_whole_report() -> None:
    body = changed(SECOND, lambda body: body["input"][2]["result"].__setitem__("temperature", "23"))
    assert report(body).splitlines() == [
        HEAD,
        "  cause: tool result changed in turn 1 (step 3)",
        "  nearest: recording 2 of 3, cassettes/weather/london.yaml:20",
        "    /input/2/result/temperature",
        '      recorded  "22"',
        '      sent      "23"',
        "  to record this scenario again:",
        "    pytest suites/weather.yaml::london --evalkit-record all",
    ]


def test_long_texts_are_shown_around_their_first_difference() -> None:
    text = report(
        {**FIRST, "system_instruction": "a" * 500 + "new"},
        [recording({**FIRST, "system_instruction": "a" * 500 + "old"})],
    )
    assert '      recorded  …"' + "a" * 30 + 'old"' in text
    assert '      sent      …"' + "a" * 30 + 'new"' in text


def test_a_report_is_short_and_safe_for_terminals() -> None:
    hostile = "\x1b[31m\u202e" + "x" * 5000
    body = {f"field{hostile}{number}": {hostile: [hostile] * 200} for number in range(50)} | {
        "input": [{"type": hostile}] * 50
    }
    text = report(body, [recording({**FIRST, "tools": [{"name": hostile}]})], path=f"/{hostile}")
    assert len(text.splitlines()) <= 25
    assert max(map(len, text.splitlines())) < 400
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.splitlines()[-3] == "    and more than 96 more"


def test_an_unplayed_recording_is_nearer_than_a_played_one() -> None:
    player = Player([recording(FIRST), recording(FIRST)])
    player.take("POST", PATH, (), FIRST)
    assert "nearest: recording 2 of 2, " in format_miss_report(
        player,
        UnmatchedRequest("POST", PATH, (), {**FIRST, "model": "m"}),
        lambda number: 5,
        **CONTEXT,
    )


def test_a_deeply_nested_body_is_a_miss() -> None:
    deep = json.loads("[" * 900 + "]" * 900)
    assert "  cause: " in report({**FIRST, "deep": deep}, [recording({**FIRST, "deep": [deep]})])


def test_equal_causes_of_different_requests() -> None:
    def cause(text: str, message: str, number: int) -> str:
        body = {"model": "m", "system_instruction": "Be polite.", "input": message}
        more = [f"step {index}" for index in range(number)]
        player = Player([recording({**body, "labels": more})])
        sent = {**body, "labels": more, "system_instruction": text}
        request = UnmatchedRequest("POST", PATH, (), sent)
        return miss_cause(player, request)

    first = cause("Be very polite.", "Hello", 1)
    assert first.startswith("system instruction changed\n")
    assert cause("Be very polite.", "Goodbye", 4) == first
    assert cause("Be rude.", "Hello", 1) != first
    empty = UnmatchedRequest("POST", PATH, (), {})
    assert miss_cause(Player([]), empty, missing=True) == "the cassette does not exist yet"
    assert miss_cause(Player([]), empty) == "the cassette is empty"
