"""What is imported replays: conversations that evalkit would hold in another way, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalkit.protocol.stream_writer import events_of, sse_text
from tests.importing.traffic import (
    TOOL,
    call,
    exchange,
    import_log,
    interaction,
    result,
    scenarios,
    streamed,
    text,
    user,
)

HELLO = exchange({"input": "Hello"}, interaction(text("Hi.")))
RUNNING = interaction(status="in_progress")
ASKING = exchange({"input": "Where is order 1?", "tools": [TOOL]}, interaction(call(number=1)))


def get(response: Any, id_: str = "v1_a") -> dict[str, Any]:
    return exchange(None, response, method="GET", path=f"/{id_}")


def follow_up(input_: Any, response: Any, **more: Any) -> dict[str, Any]:
    return exchange({"input": input_, "previous_interaction_id": "v1_a", **more}, response)


SECOND = interaction(text("Bye."), id_="v1_b")
BACKGROUND = exchange({"input": "Long", "background": True}, RUNNING)
CANCEL = exchange({}, interaction(status="cancelled"), path="/v1_a/cancel")

CASES: dict[str, tuple[list[Any], list[int | None]]] = {
    # exchanges, and the ``stop_after`` of each drafted turn
    "read again and deleted": (
        [
            HELLO,
            get(interaction(user("Hello"), text("Hi."))),
            follow_up("Bye", SECOND),
            get(SECOND, "v1_b"),
            exchange(None, {}, method="DELETE", path="/v1_a"),
        ],
        [None, None],
    ),
    "preflight of a browser": (
        [exchange(None, "", method="OPTIONS", status=204), HELLO],
        [None],
    ),
    "polled, then abandoned": ([BACKGROUND, get(RUNNING), get(RUNNING)], [3]),
    "polled to its end, then read": (
        [
            BACKGROUND,
            get(RUNNING),
            get(interaction(text("Done."))),
            get(interaction(text("Done."))),
        ],
        [None],
    ),
    "polled, then cancelled": ([BACKGROUND, get(RUNNING), CANCEL], [None]),
    "a run and another turn": (
        [HELLO, follow_up("Long", interaction(id_="v1_b", status="in_progress"), background=True)],
        [None, 1],
    ),
    "second call open": (
        [
            ASKING,
            follow_up([result()], interaction(call("c2", number=2), id_="v1_b"), tools=[TOOL]),
        ],
        [2],
    ),
    "parallel calls, one answered": (
        [
            exchange(
                {"input": "Orders?", "tools": [TOOL]},
                interaction(call(number=1), call("c2", number=2)),
            ),
            follow_up([result()], SECOND, tools=[TOOL]),
        ],
        [None],
    ),
    "result and message together": (
        [ASKING, follow_up([result(), user("And 2?")], SECOND, tools=[TOOL])],
        [1, None],
    ),
    "result and text as contents": (
        [
            ASKING,
            follow_up(
                [{"type": "user_input", "content": [result(), {"type": "text", "text": "And 2?"}]}],
                SECOND,
                tools=[TOOL],
            ),
        ],
        [1, None],
    ),
    "a message instead of a result": ([ASKING, follow_up("Never mind", SECOND)], [1, None]),
    "a result as the whole input": ([ASKING, follow_up(result(), SECOND, tools=[TOOL])], [None]),
    "a function that only the second request declares": (
        [HELLO, follow_up("Order 1?", interaction(call(number=1), id_="v1_b"), tools=[TOOL])],
        [None, 1],
    ),
    "a function that no request declares": (
        [exchange({"input": "Order 1?"}, interaction(call())), follow_up([result()], SECOND)],
        [None],
    ),
    "streamed, then plain": (
        [
            exchange({"input": "Hello", "stream": True}, streamed(text("Hi."))),
            follow_up("Bye", SECOND),
        ],
        [None, None],
    ),
    "plain, then a streamed call left open": (
        [
            HELLO,
            follow_up("Order 1?", streamed(call(number=1), id_="v1_b"), tools=[TOOL], stream=True),
        ],
        [None, 1],
    ),
    "streamed whole": (
        [exchange({"input": "Hello", "stream": True}, streamed(text("Hi.")))],
        [None],
    ),
    "empty texts and settings": (
        [
            exchange(
                {"input": "", "system_instruction": "", "labels": {}, "tools": []}, interaction()
            )
        ],
        [None],
    ),
    "no content at all": (
        [exchange({"input": [{"type": "user_input", "content": []}]}, interaction(text("?")))],
        [None],
    ),
    "texts that YAML cannot express": (
        [exchange({"input": "a\0b\u2028c\ud800d\x85"}, interaction(text("ok")))],
        [None],
    ),
    "failed requests on the way": (
        [
            exchange({"input": "Hello"}, {"error": {"message": "busy"}}, status=503),
            HELLO,
            exchange(
                {"input": "Bye", "previous_interaction_id": "v1_a"},
                {"error": {"code": "rate_limit_exceeded", "message": "busy"}},
                status=429,
            ),
            follow_up("Bye", SECOND),
        ],
        [None, None],
    ),
    "an error at the end": (
        [
            HELLO,
            exchange(
                {"input": "Bye", "previous_interaction_id": "v1_a"},
                {"error": {"code": "invalid_request", "message": "no"}},
                status=400,
            ),
        ],
        [None, None],
    ),
    "a continuation that nobody asked for": (
        [
            exchange(
                {"input": "Long"},
                interaction(text("One"), status="requires_continuation", continuation_token="t"),
            )
        ],
        [1],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_conversation_becomes_a_scenario_that_replays(name: str) -> None:
    exchanges, stop_after = CASES[name]
    outcome = import_log(*exchanges)
    assert outcome.exit_code == 0, outcome.output
    (scenario,) = scenarios()
    assert [turn.get("stop_after") for turn in scenario["turns"]] == stop_after


FRAMES = sse_text(
    [
        {**event, "event_id": str(number)}
        for number, event in enumerate(events_of(interaction(text("one two three four five"))))
    ]
)


def resume(last: str, frames: list[str]) -> dict[str, Any]:
    path = f"/v1_a?stream=true{last and '&last_event_id=' + last}"
    return exchange(None, "".join(frames), method="GET", path=path)


STREAM = exchange({"input": "Hello", "stream": True}, "".join(FRAMES[:4]))
CONTINUED = follow_up("Bye", streamed(text("Bye."), id_="v1_b"), stream=True)
RESUMED = {
    "once": [STREAM, resume("3", FRAMES[4:])],
    "from an earlier event": [STREAM, resume("1", FRAMES[2:])],
    "cut again": [STREAM, resume("3", FRAMES[4:6]), resume("5", FRAMES[6:])],
    "after a failed attempt": [
        STREAM,
        exchange(None, "{}", status=503, method="GET", path="/v1_a?stream=true&last_event_id=3"),
        resume("3", FRAMES[4:]),
    ],
    "from its start": [STREAM, resume("", FRAMES)],
    "from its start, and cut earlier": [STREAM, resume("", FRAMES[:2]), resume("3", FRAMES[4:])],
    "before another turn": [STREAM, resume("3", FRAMES[4:]), CONTINUED],
    "in the background": [
        exchange({"input": "Hello", "stream": True, "background": True}, "".join(FRAMES[:4])),
        resume("3", FRAMES[4:]),
    ],
    "read again when it is whole": [
        exchange({"input": "Hello", "stream": True}, "".join(FRAMES)),
        resume("3", FRAMES[4:]),
        CONTINUED,
    ],
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_stream_is_one_stream(name: str) -> None:
    outcome = import_log(*RESUMED[name])
    assert outcome.exit_code == 0, outcome.output
    assert "left out" not in outcome.output
    (scenario,) = scenarios()
    assert scenario["stream"] is True
    assert len(scenario["turns"]) == 1 + (CONTINUED in RESUMED[name])
    assert scenario["turns"][0]["expect"][1]["steps"]["steps"] == ["model_output"]
    cassette = next(Path("cassettes").rglob("*.yaml"))
    assert "last_event_id" not in cassette.read_text()
    assert "five" in cassette.read_text()


WHOLE = interaction(text("one two three four five"))
CALLING = streamed(call(number=1)).split("\n\n")
COMPLETED: dict[str, list[Any]] = {
    "read once": [STREAM, get(WHOLE)],
    "read with its input": [STREAM, get(interaction(user("Hello"), *WHOLE["steps"]))],
    "read until it was whole": [STREAM, get(RUNNING), get(WHOLE)],
    "after a failed attempt": [STREAM, get({"error": {"code": "api_error"}}), get(WHOLE)],
    "after an error in the stream": [
        exchange(
            {"input": "Hello", "stream": True},
            "".join([*FRAMES[:4], *sse_text([{"event_type": "error", "error": {"code": 504}}])]),
        ),
        get(WHOLE),
    ],
    "after a resumption that was cut": [STREAM, resume("3", FRAMES[4:6]), get(WHOLE)],
    "before another turn": [STREAM, get(WHOLE), CONTINUED],
    "in a later turn": [
        exchange({"input": "Hi"}, interaction(text("Hi."), id_="v1_0")),
        exchange(
            {"input": "Hello", "stream": True, "previous_interaction_id": "v1_0"},
            "".join(FRAMES[:4]),
        ),
        get(WHOLE),
    ],
    "with a call": [
        exchange(
            {"input": "Order 1?", "stream": True, "tools": [TOOL]},
            "\n\n".join(CALLING[:2]) + "\n\n",
        ),
        get(interaction(call(number=1))),
        follow_up([result()], SECOND, tools=[TOOL]),
    ],
}


@pytest.mark.parametrize("name", COMPLETED)
def test_a_cut_stream_that_was_read_whole_is_one_turn(name: str) -> None:
    outcome = import_log(*COMPLETED[name])
    assert outcome.exit_code == 0, outcome.output
    assert "left out" not in outcome.output
    (scenario,) = scenarios()
    assert "stream" not in scenario
    assert len(scenario["turns"]) == 1 + (name in ("before another turn", "in a later turn"))
    assert "here all of them are plain JSON" in Path("suites/log.yaml").read_text()
    assert ("find_order" if name == "with a call" else "five") in next(
        Path("cassettes").rglob("*.yaml")
    ).read_text()


@pytest.mark.parametrize("last", [RUNNING, "", {"error": {"code": 503}}])
def test_a_cut_stream_that_was_not_read_whole_is_listed(last: Any) -> None:
    for later in ([get(last)], [get(last), CONTINUED], [CONTINUED]):
        outcome = import_log(STREAM, *later)
        assert outcome.exit_code == 2, outcome.output
        assert "the stream broke off after 4 events" in outcome.output
        assert not Path("suites").exists()


def test_a_stream_that_no_resumption_completes_is_listed() -> None:
    outcome = import_log(STREAM, resume("3", FRAMES[4:6]), HELLO)
    assert outcome.exit_code == 0, outcome.output
    assert "the stream broke off after 6 events" in outcome.output
    assert len(scenarios()) == 1


def test_what_differs_from_the_original_is_noted() -> None:
    exchanges = [
        exchange({"input": "Hello", "stream": True}, streamed(text("Hi."))),
        follow_up("Bye", SECOND, model="gemini-9", labels={"a": "b"}),
    ]
    import_log(*exchanges)
    scenarios()
    notes = [line for line in Path("suites/log.yaml").read_text().splitlines() if line[0] == "#"]
    assert notes[1:] == [
        "# hello: requests differ in labels, model; all turns have the first values",
        "# hello: some responses were streamed; here all of them are plain JSON",
    ]


def test_a_turn_that_cannot_be_repeated_is_left_out_of_its_scenario() -> None:
    """The second response has no id, so a stateful conversation cannot continue from it."""
    exchanges = [
        HELLO,
        follow_up("Bye", {**SECOND, "steps": "none"}),
    ]
    assert import_log(*exchanges).exit_code == 0
    (scenario,) = scenarios()
    assert len(scenario["turns"]) == 1
    note = (
        "# hello: turn 2 and what follows cannot be repeated: the response's steps are not a list"
    )
    assert note in Path("suites/log.yaml").read_text()


def test_an_expectation_that_does_not_hold_is_dropped_with_a_note() -> None:
    schema = {"type": "object", "required": ["name"]}
    format_ = {"type": "text", "mime_type": "application/json", "schema": schema}
    body = {"input": "As JSON", "response_format": format_}
    assert import_log(exchange(body, interaction(text("{}")))).exit_code == 0
    (scenario,) = scenarios()
    assert [list(item) for item in scenario["turns"][0]["expect"]] == [["status"], ["steps"]]
    assert "turn 1, expectation dropped: json_schema" in Path("suites/log.yaml").read_text()


DEEP: Any = "bottom"
for _ in range(450):
    DEEP = [DEEP]
CUT = streamed(text("Hi."))[:-200]


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (exchange({"input": "Cut", "stream": True}, CUT), "the stream broke off after"),
        (exchange({"input": "Cut"}, ""), "HTTP 200 with an empty body"),
        (exchange({"input": "Cut"}, "<html>"), "HTTP 200 with a body that is not JSON"),
        (get(interaction(text("Hi.")), "v1_z"), "the request that began it is not in the log"),
        (exchange({"input": "Cut", "labels": {"a": float("nan")}}, interaction()), "NaN is not"),
        (exchange('{"model": "m", "input": "Cut"', interaction()), "cannot be read (Expecting ','"),
        (
            exchange('{"model": "m", "model": "n"}', interaction()),
            'key "model" occurs more than once',
        ),
        (exchange("model=m&input=Cut", interaction()), "of a request cannot be read"),
        (exchange("[]", interaction()), "the body of a request is not an object: []"),
        (exchange(None, interaction()), "the body of the request that began it is not in the log"),
        (exchange('{"input": "Cut"}', interaction()), "missing key 'model'"),
        (exchange({"input": "Cut", "model": 5}, interaction()), "'model'"),
        (exchange({"input": []}, interaction()), "not with a message"),
        (
            exchange({"input": "Cut", "tools": [TOOL]}, interaction(call(x=DEEP))),
            "it contains JSON that is nested too deep for a suite",
        ),
        (exchange({"input": "Cut"}, None, status=0), ": the log has no response"),
        (
            exchange(
                {"input": "Cut", "tools": [TOOL]},
                interaction({**call(), "arguments": '{"number": 1'}),
            ),
            "find_order was called with arguments that do not fit",
        ),
    ],
)
def test_what_cannot_become_a_scenario_is_listed(
    here: Path, left_out: dict[str, Any], reason: str
) -> None:
    outcome = import_log(left_out, HELLO)
    assert outcome.exit_code == 0, outcome.output
    assert "left out: log.jsonl, conversation 1 (" in outcome.output
    assert reason in outcome.output
    assert [scenario["id"] for scenario in scenarios()] == ["hello"]
    alone = import_log(left_out, name="alone.jsonl")
    assert alone.exit_code == 2
    assert "no conversation can be replayed; nothing was written" in alone.output
    assert not list(here.glob("*/alone*"))


def test_a_tool_with_an_odd_name_is_sent_as_it_was() -> None:
    odd = {"type": "function", "name": ["f"]}
    outcome = import_log(exchange({"input": "Hi", "tools": [odd]}, interaction(text("Hello."))))
    assert outcome.exit_code == 0, outcome.output
    assert scenarios()[0]["tools"] == [odd]


def test_a_list_of_interactions_is_not_a_conversation() -> None:
    outcome = import_log(exchange(None, {"interactions": []}, method="GET"), HELLO)
    assert outcome.exit_code == 0, outcome.output
    assert "left out" not in outcome.output
    assert len(scenarios()) == 1


def test_an_import_that_was_killed_can_be_repeated_and_other_files_stay(here: Path) -> None:
    assert import_log(HELLO).exit_code == 0
    (here / "suites/log.yaml").unlink()
    assert import_log(HELLO).exit_code == 0
    assert import_log(HELLO).exit_code == 0
    cassette = here / "cassettes/log/hello.yaml"
    (here / "suites/log.yaml").unlink()
    cassette.write_text(cassette.read_text().replace("Hi.", "Ho."))
    outcome = import_log(HELLO)
    assert outcome.exit_code == 2
    assert "cassettes/log/hello.yaml: the file already exists; choose another" in outcome.output
    cassette.write_text("not a cassette")
    assert import_log(HELLO).exit_code == 2
    assert cassette.read_text() == "not a cassette"
    assert not (here / "suites/log.yaml").exists()


def test_polls_of_a_recording_do_not_wait() -> None:
    """Fifty polls of five seconds each would outlast the time limit of a test."""
    exchanges = [BACKGROUND, *[get(RUNNING)] * 50, get(interaction(text("Done.")))]
    assert import_log(*exchanges).exit_code == 0
