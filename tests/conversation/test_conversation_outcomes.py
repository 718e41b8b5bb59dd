"""Outcomes of turns: API errors, unusable responses, streams, background runs, exceptions."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.conversation import EndTurn, Send, ToolResult, converse
from evalkit.errors import CassetteMiss, EvalkitError, Failed, SuiteErrors, TimedOut, ToolCrashed
from evalkit.transcript import Response
from tests.conversation.scripted import (
    World,
    answer,
    call,
    interaction,
    plan,
    result,
    says,
    stream,
    streamed,
    text,
    thought,
    user,
)

HISTORIES = pytest.mark.parametrize("history", ["stateful", "stateless"])
SSE = "text/event-stream"
STREAMED = streamed(thought(), text("Eight."), id="v1_s")


@pytest.mark.parametrize(
    ("response", "code", "message"),
    [
        (
            answer({"error": {"code": "invalid_request", "message": "no"}}, status=400),
            "invalid_request",
            "no",
        ),
        (
            answer(
                {"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}, status=400
            ),
            "INVALID_ARGUMENT",
            "no",
        ),
        (
            answer("<html><title>Gone</title></html>", status=503, content_type="text/html"),
            "503",
            "HTTP 503 Service Unavailable: Gone",
        ),
        (answer("", status=500), "500", "HTTP 500 Internal Server Error"),
        (answer({"error": {"code": "safety", "message": "no"}}), "safety", "no"),
        (answer([{"error": {"code": "safety", "message": "no"}}]), "safety", "no"),
        (
            answer('[{\n"error": {\n"code": "x",\n"message": "y"\n}\n}\n]', content_type=SSE),
            "x",
            "y",
        ),
        (stream({"event_type": "error"}), "unknown", "no reason given"),
        (
            stream(
                {"event_type": "error", "error": {"code": "gateway_timeout", "message": "late"}}
            ),
            "gateway_timeout",
            "late",
        ),
        (
            answer('{"error": {"code": "x", "message": "y"}}\n', content_type="text/event-stream"),
            "x",
            "y",
        ),
    ],
)
@HISTORIES
def test_api_error_becomes_the_outcome_of_the_turn(
    response: Response, code: str, message: str, history: str
) -> None:
    world = World([says(text("hi")), response])
    transcript = world.run(plan("one", "two", "three", history=history, stream=response.is_stream))
    one, two, three = transcript.turns
    assert (one.outcome, two.outcome, three.outcome) == ("completed", "api_error", "not_run")
    assert two.error is not None
    assert (two.error.status, two.error.code, two.error.message) == (response.status, code, message)
    assert two.exchanges[0].error == two.error
    assert (two.status, two.text, two.reason, transcript.crash) == (None, "", None, None)
    assert world.ended == [1, 2]


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (
            answer("<html>Hello</html>", content_type="text/html"),
            "HTTP 200 with a body that is not JSON (text/html; Expecting value: line 1 column 1 (char 0)): <html>Hello</html>",
        ),
        (answer(" "), "HTTP 200 with an empty body"),
        (
            answer('{"id": "v1', broken="connection reset"),
            "the response broke off: connection reset",
        ),
        (answer([1]), "the response is not an Interaction but JSON array: [1]"),
        (answer("null"), "the response is not an Interaction but JSON null: null"),
        (
            answer({"status": "completed", "steps": "none"}),
            "the response's steps are not a list but string",
        ),
        (says(text("a"), None), "step 2 of the response is not an object but null"),  # type: ignore[arg-type]
        (
            stream(*STREAMED[:4], done=False),
            "the stream broke off after 4 events: it ended without interaction.completed",
        ),
        (
            stream(*STREAMED[:3], done=False, broken="peer closed"),
            "the stream broke off after 3 events: peer closed",
        ),
        (stream(), "the stream broke off after 0 events: it ended without interaction.completed"),
        (
            says(status="in_progress", id=None),
            "the response is still in_progress and has no id to poll",
        ),
    ],
)
@HISTORIES
def test_unusable_response_makes_an_incomplete_turn(
    response: Response, reason: str, history: str
) -> None:
    transcript = World([response]).run(
        plan("one", "two", history=history, stream=response.is_stream)
    )
    one, two = transcript.turns
    assert (one.outcome, one.reason, one.exchanges[0].failure or reason) == (
        "incomplete",
        reason,
        reason,
    )
    assert two.outcome == "not_run"
    assert transcript.crash is None


def test_too_deeply_nested_body_makes_an_incomplete_turn() -> None:
    (turn,) = World([answer("[" * 200_000)]).run(plan("one")).turns
    assert turn.outcome == "incomplete"
    assert "not JSON" in str(turn.reason)


def test_steps_received_before_a_broken_stream_are_preserved() -> None:
    (turn,) = World([stream(*STREAMED[:5], done=False)]).run(plan("one", stream=True)).turns
    assert [step.type for step in turn.steps] == ["thought", "model_output"]
    assert (turn.outcome, turn.text, turn.status) == ("incomplete", "Eight.", "in_progress")
    assert "completed_missing" in {problem["code"] for problem in turn.exchanges[0].problems}


@pytest.mark.parametrize(
    "status",
    [
        "completed",
        "failed",
        "incomplete",
        "cancelled",
        "budget_exceeded",
        "requires_action",
        "of_tomorrow",
        None,
    ],
)
@HISTORIES
def test_conversation_continues_after_every_interaction_status(
    status: str | None, history: str
) -> None:
    transcript = World([says(text("hm"), status=status), says(text("ok"))]).run(
        plan("one", "two", history=history)
    )
    assert [(turn.outcome, turn.status) for turn in transcript.turns] == [
        ("completed", status),
        ("completed", "completed"),
    ]


@HISTORIES
def test_streams_are_assembled_and_their_steps_resent(history: str) -> None:
    world = World([stream(*STREAMED), stream(*streamed(text("bye")))])
    transcript = world.run(plan("one", "two", history=history, stream=True))
    assert [body["stream"] for body in world.bodies] == [True, True]
    exchange = transcript.turns[0].exchanges[0]
    assert exchange.events == STREAMED
    assert exchange.interaction is not None
    assert exchange.interaction["steps"] == [thought(), text("Eight.")]
    assert transcript.turns[0].text == "Eight."
    if history == "stateless":
        assert world.bodies[1]["input"] == [user("one"), thought(), text("Eight."), user("two")]
    else:
        assert world.bodies[1]["previous_interaction_id"] == "v1_s"


@pytest.mark.parametrize(
    ("streamed", "response", "code"),
    [(True, says(text("ok")), "not_streamed"), (False, stream(*STREAMED), "streamed_unasked")],
)
def test_response_of_the_wrong_content_type_is_read_and_reported(
    streamed: bool, response: Response, code: str
) -> None:
    (turn,) = World([response]).run(plan("one", stream=streamed)).turns
    assert turn.outcome == "completed"
    assert [(problem["code"], problem["event"]) for problem in turn.exchanges[0].problems] == [
        (code, 0)
    ]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (stream(*STREAMED).text, "completed"),
        (says(text("ok")).text, "completed"),
        ("<html>", "incomplete"),
    ],
)
def test_body_determines_the_kind_of_response_without_a_content_type(
    body: str, outcome: str
) -> None:
    (turn,) = World([Response(200, {}, body)]).run(plan("one", stream=True)).turns
    assert turn.outcome == outcome


def test_unrecognized_body_is_a_stream_only_if_one_was_requested() -> None:
    (turn,) = World([Response(200, {}, "Hello")]).run(plan("one")).turns
    assert (
        turn.reason
        == "HTTP 200 with a body that is not JSON (no content type; Expecting value: line 1 column 1 (char 0)): Hello"
    )


def test_invalid_json_in_a_stream_is_reported_without_failing_the_turn() -> None:
    response = stream(*STREAMED)
    response.text = "data: {nonsense\n\n" + response.text
    (turn,) = World([response]).run(plan("one", stream=True)).turns
    assert turn.outcome == "completed"
    assert [(problem["code"], problem["event"]) for problem in turn.exchanges[0].problems] == [
        ("event_not_json", 1)
    ]


def test_failed_interaction_with_an_error_is_read_as_an_interaction() -> None:
    (turn,) = (
        World([says(status="failed", error={"code": "x", "message": "y"}, errors=[{"code": "x"}])])
        .run(plan("one"))
        .turns
    )
    assert (turn.outcome, turn.status, turn.error) == ("completed", "failed", None)


def test_disconnect_after_the_last_event_is_not_a_broken_stream() -> None:
    (turn,) = (
        World([stream(*STREAMED, done=False, broken="reset")]).run(plan("one", stream=True)).turns
    )
    assert turn.outcome == "completed"


def running(status: str = "in_progress", **fields: Any) -> Response:
    return answer(interaction(status=status, steps=None, **fields))


@pytest.mark.parametrize(
    "status",
    [
        "completed",
        "failed",
        "incomplete",
        "cancelled",
        "budget_exceeded",
        "requires_action",
        "of_tomorrow",
    ],
)
def test_background_polls_until_the_run_has_ended(status: str) -> None:
    world = World(
        [running(), running("queued"), running(), says(user("Go"), text("done"), status=status)]
    )
    (turn,) = world.run(plan("Go", background=True, poll_seconds=3.5)).turns
    assert world.bodies == [
        {"model": "gemini-3.5-flash", "input": "Go", "background": True},
        None,
        None,
        None,
    ]
    assert [(request.method, request.path, request.query) for request in world.requests[1:]] == [
        ("GET", "/v1beta/interactions/v1_one", ())
    ] * 3
    assert world.pauses == [3.5, 3.5]
    assert (turn.outcome, turn.status, turn.text) == ("completed", status, "done")
    assert [(step.type, step.exchange) for step in turn.steps] == [("model_output", 4)]


def test_background_run_may_call_functions() -> None:
    world = World(
        [
            running(),
            says(user("Go"), call(), status="requires_action"),
            running(id="v1_two"),
            says(result("x"), text("ok"), id="v1_two"),
            running(id="v"),
        ],
        {"weather": "x"},
    )
    turn, _ = world.run(plan("Go", "More", background=True, max_polls=0 + 1)).turns
    assert world.bodies[2] == {
        "model": "gemini-3.5-flash",
        "previous_interaction_id": "v1_one",
        "input": [result("x")],
        "background": True,
    }
    assert [step.type for step in turn.steps] == [
        "function_call",
        "function_result",
        "model_output",
    ]
    assert world.bodies[4]["previous_interaction_id"] == "v1_two"


def test_polling_stops_after_max_polls() -> None:
    (turn,) = World([running()] * 9).run(plan("Go", background=True, max_polls=4)).turns
    assert (turn.outcome, turn.reason, len(turn.exchanges)) == (
        "incomplete",
        "the run had not ended after 4 polls",
        5,
    )


def test_run_in_progress_is_polled_even_if_background_was_not_requested() -> None:
    (turn,) = World([running(), says(text("ok"))]).run(plan("Go")).turns
    assert (turn.outcome, turn.text) == ("completed", "ok")


def test_interaction_id_is_escaped_in_the_poll_path() -> None:
    world = World([running(id="../x?y=1#z"), says(text("ok"))])
    world.run(plan("Go", background=True))
    assert world.requests[1].path == "/v1beta/interactions/..%2Fx%3Fy%3D1%23z"


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_background_run_is_polled_after_a_broken_stream(cut: int) -> None:
    world = World(
        [
            stream(*STREAMED[:cut], done=False),
            says(user("Go"), thought(), text("Eight."), id="v1_s"),
        ]
    )
    (turn,) = world.run(plan("Go", background=True, stream=True)).turns
    assert world.requests[1].path.endswith("/v1_s")
    assert (turn.outcome, turn.text) == ("completed", "Eight.")
    assert [step.exchange for step in turn.steps] == [2, 2]
    assert turn.exchanges[0].failure


@pytest.mark.parametrize(
    "error",
    [
        {"event_type": "error"},
        {"event_type": "error", "error": {"code": "api_error", "message": "x"}},
        {"event_type": "error", "error": {"code": 504, "status": "DEADLINE_EXCEEDED"}},
    ],
)
@pytest.mark.parametrize("cut", [1, 3])
def test_background_run_is_polled_after_an_error_that_is_not_its_own(error: Any, cut: int) -> None:
    world = World([stream(*STREAMED[:cut], error, done=False), says(text("Eight."), id="v1_s")])
    (turn,) = world.run(plan("Go", background=True, stream=True)).turns
    assert (turn.outcome, turn.text, turn.error) == ("completed", "Eight.", None)
    (foreground,) = World(world.lines).run(plan("Go", stream=True)).turns
    assert foreground.outcome == "api_error"


def test_an_error_of_the_run_ends_a_background_stream() -> None:
    error = {"event_type": "error", "error": {"code": "safety", "message": "blocked"}}
    world = World([stream(*STREAMED[:3], error)])
    (turn,) = world.run(plan("Go", background=True, stream=True)).turns
    assert (turn.outcome, len(world.requests)) == ("api_error", 1)


def test_idle_ends_the_polling_of_a_run() -> None:
    world = World([running(), running(), running("idle")])
    (turn,) = world.run(plan("Go", background=True)).turns
    assert (turn.outcome, turn.status, len(world.requests)) == ("completed", "idle", 3)


def test_complete_background_stream_needs_no_poll() -> None:
    world = World([stream(*STREAMED)])
    (turn,) = world.run(plan("Go", background=True, stream=True)).turns
    assert (turn.outcome, len(world.requests)) == ("completed", 1)


def test_an_error_while_polling_is_an_api_error() -> None:
    (turn,) = (
        World([running(), answer({"error": {"code": "not_found", "message": "gone"}}, status=404)])
        .run(plan("Go", background=True))
        .turns
    )
    assert turn.error is not None
    assert (turn.outcome, turn.error.code) == ("api_error", "not_found")


@pytest.mark.parametrize("error", [CassetteMiss("not recorded"), TimedOut("60 s are over")])
def test_exception_during_a_request_ends_the_conversation(error: EvalkitError) -> None:
    world = World([says(text("hi")), error])
    transcript = world.run(plan("one", "two", "three"))
    assert [(turn.outcome, turn.reason) for turn in transcript.turns] == [
        ("completed", None),
        ("incomplete", str(error)),
        ("not_run", "turn 2 did not complete"),
    ]
    assert transcript.crash is error
    assert transcript.turns[1].exchanges[0].failure == str(error)
    assert world.ended == [1, 2]


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        (ToolCrashed("weather raised ZeroDivisionError"), "weather raised ZeroDivisionError"),
        (
            {"when": object()},
            "tool 'weather' returned a result that is not JSON: Object of type object is not JSON serializable",
        ),
        (ToolResult(float("nan")), "tool 'weather' returned a result that is not JSON"),
    ],
)
def test_crashed_tool_ends_the_conversation(tool: Any, reason: str) -> None:
    transcript = World([says(thought(), call(), status="requires_action")], {"weather": tool}).run(
        plan("one")
    )
    (turn,) = transcript.turns
    assert str(turn.reason).startswith(reason)
    assert isinstance(transcript.crash, ToolCrashed)
    assert [step.type for step in turn.steps] == ["thought", "function_call"]


def test_exception_during_a_pause_ends_the_conversation() -> None:
    conversation = converse(plan("Go", background=True))
    assert isinstance(next(conversation), Send)
    conversation.send(running())
    conversation.send(running())
    ended = conversation.throw(TimedOut("no time left"))
    assert isinstance(ended, EndTurn)
    assert (ended.turn.outcome, ended.turn.reason) == ("incomplete", "no time left")
    with pytest.raises(StopIteration) as end:
        conversation.send(True)
    assert isinstance(end.value.value.crash, TimedOut)


def broken_content(context: Any) -> str:
    raise SuiteErrors([])


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (broken_content, SuiteErrors, ""),
        (
            lambda context: context["previous"].json["a"],
            Failed,
            "the text of turn 1 is not JSON (Expecting value: line 1 column 1 (char 0)): hi",
        ),
    ],
)
def test_message_that_cannot_be_rendered_is_not_sent(
    content: Any, error: type[EvalkitError], reason: str
) -> None:
    world = World([says(text("hi"))])
    transcript = world.run(plan("one", content))
    turn = transcript.turns[1]
    assert (turn.outcome, turn.reason, turn.exchanges) == ("incomplete", reason, [])
    assert isinstance(transcript.crash, error)


def test_end_turn_can_stop_the_conversation() -> None:
    world = World([says(text("hi"))] * 3, go_on=lambda turn: turn.number < 2)
    transcript = world.run(plan("one", "two", "three"))
    assert [(turn.outcome, turn.reason) for turn in transcript.turns] == [
        ("completed", None),
        ("completed", None),
        ("not_run", "stopped after turn 2"),
    ]


def test_exception_in_end_turn_stops_the_conversation_and_leaves_the_turn_completed() -> None:
    def crash(turn: Any) -> bool:
        raise ToolCrashed("a check's tool")

    transcript = World([says(text("hi"))], go_on=crash).run(plan("one", "two"))
    assert [turn.outcome for turn in transcript.turns] == ["completed", "not_run"]
    assert isinstance(transcript.crash, ToolCrashed)


def test_unexpected_exception_is_raised() -> None:
    def bug(**_: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        World([says(call(), status="requires_action")], {"weather": bug}).run(plan("one"))


def test_plan_without_turns_sends_no_requests() -> None:
    world = World([])
    assert world.run(plan()).turns == []
    assert world.requests == []


@HISTORIES
def test_text_of_a_turn_is_that_of_its_last_interaction(history: str) -> None:
    world = World(
        [says(text("Let me look."), call(), status="requires_action"), says(thought())],
        {"weather": "x"},
    )
    (turn,) = world.run(plan("one", history=history)).turns
    assert turn.text == ""
    assert [step.type for step in turn.steps] == [
        "model_output",
        "function_call",
        "function_result",
        "thought",
    ]


def test_media_and_structured_output_are_preserved() -> None:
    image = {
        "type": "model_output",
        "content": [{"type": "image", "data": "aGk=", "mime_type": "image/png"}],
    }
    (turn,) = (
        World([says(image)]).run(plan("Draw.", fields={"response_format": {"type": "image"}})).turns
    )
    assert (turn.text, turn.steps[0].raw) == ("", image)
