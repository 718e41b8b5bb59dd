"""Requests of both histories, tool loops, agents and continuations, with their key order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalkit.conversation import ToolResult
from tests.conversation.scripted import (
    MODEL,
    World,
    answer,
    call,
    interaction,
    plan,
    result,
    says,
    text,
    thought,
    user,
)

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
FIELDS = {
    "system_instruction": "Be short.",
    "tools": [TOOL],
    "generation_config": {"seed": 1},
    "response_format": {"type": "text"},
}


def test_stateful_turns_send_only_new_input() -> None:
    world = World([says(text("Two."), id="v1_a"), says(text("Eight."), id="v1_b")])
    transcript = world.run(plan("I have 2 dogs.", "How many paws?"))
    assert world.bodies == [
        {"model": MODEL, "input": "I have 2 dogs."},
        {"model": MODEL, "previous_interaction_id": "v1_a", "input": "How many paws?"},
    ]
    assert [(turn.outcome, turn.status, turn.text) for turn in transcript.turns] == [
        ("completed", "completed", "Two."),
        ("completed", "completed", "Eight."),
    ]
    assert [request.path for request in world.requests] == ["/v1beta/interactions"] * 2
    assert world.ended == [1, 2]


def test_stateless_history_resends_received_objects_in_order() -> None:
    first = [
        thought(),
        {**text("Two."), "x_unknown": None},
        {"type": "brand_new_step", "deep": [{"a": 1.0}]},
    ]
    world = World([says(*first, id=None), says(text("Eight."), id="")])
    transcript = world.run(plan("I have 2 dogs.", "How many paws?", history="stateless"))
    one, two = world.bodies
    assert one == {"model": MODEL, "store": False, "input": [user("I have 2 dogs.")]}
    assert two == {
        "model": MODEL,
        "store": False,
        "input": [user("I have 2 dogs."), *first, user("How many paws?")],
    }
    received = transcript.turns[0].exchanges[0].interaction
    assert received is not None
    assert all(sent is got for sent, got in zip(two["input"][1:4], received["steps"], strict=True))
    assert transcript.stateless


def test_sent_request_is_not_changed_by_later_turns() -> None:
    world = World([says(text("a")), says(text("b"))])
    transcript = world.run(plan("one", "two", history="stateless"))
    assert [len(exchange.request.body["input"]) for exchange in transcript.exchanges] == [1, 3]


@pytest.mark.parametrize("history", ["stateful", "stateless"])
def test_every_post_has_the_fields_in_the_key_order_of_the_guide(history: str) -> None:
    world = World(
        [
            says(call(), status="requires_action", id="v1_a"),
            says(text("22"), id="v1_b"),
            says(text("Bye")),
        ],
        {"weather": "22"},
    )
    world.run(plan("Weather?", "Bye", history=history, fields=FIELDS))
    assert len(world.bodies) == 3
    for body in world.bodies:
        assert {key: body[key] for key in FIELDS} == FIELDS
    state = {
        "stateful": [[], ["previous_interaction_id"], ["previous_interaction_id"]],
        "stateless": [["store"]] * 3,
    }[history]
    assert [list(body) for body in world.bodies] == [
        ["model", *keys, "input", *FIELDS] for keys in state
    ]


def test_stateful_tool_loop_sends_only_the_results() -> None:
    world = World(
        [says(thought(), call(), status="requires_action", id="v1_a"), says(text("22"), id="v1_b")],
        {"weather": {"t": "22", "u": "°C"}},
    )
    transcript = world.run(plan("Weather?"))
    sent = result('{"t": "22", "u": "°C"}')
    assert world.bodies[1] == {"model": MODEL, "previous_interaction_id": "v1_a", "input": [sent]}
    assert list(world.bodies[1]["input"][0]) == ["type", "name", "call_id", "result"]
    (turn,) = transcript.turns
    assert [(step.type, step.origin, step.exchange) for step in turn.steps] == [
        ("thought", "model", 1),
        ("function_call", "model", 1),
        ("function_result", "client", 2),
        ("model_output", "model", 2),
    ]


def test_results_of_parallel_calls_follow_their_calls() -> None:
    calls = [
        thought(),
        call(call_id="a", city="London"),
        call(call_id="b", city="Paris"),
        thought("bGFzdA=="),
    ]
    world = World(
        [says(*calls, status="requires_action"), says(text("done"))], {"weather": lambda city: city}
    )
    transcript = world.run(plan("Weather?", history="stateless"))
    london, paris = result("London", call_id="a"), result("Paris", call_id="b")
    assert world.bodies[1]["input"] == [
        user("Weather?"),
        calls[0],
        calls[1],
        london,
        calls[2],
        paris,
        calls[3],
    ]
    assert [step.raw for step in transcript.turns[0].steps] == [
        *world.bodies[1]["input"][1:],
        text("done"),
    ]
    assert world.called == [
        ("weather", {"city": "London"}, "a"),
        ("weather", {"city": "Paris"}, "b"),
    ]


def test_stateful_parallel_results_are_sent_in_call_order() -> None:
    world = World(
        [says(call(call_id="b"), call(call_id="a"), status="requires_action"), says(text("done"))],
        {"weather": "x"},
    )
    world.run(plan("Weather?"))
    assert world.bodies[1]["input"] == [result("x", call_id="b"), result("x", call_id="a")]


def test_several_tool_rounds_build_one_history() -> None:
    world = World(
        [
            says(call(call_id="a"), status="requires_action"),
            says(call(call_id="b"), status="requires_action"),
            says(text("end")),
            says(text("bye")),
        ],
        {"weather": "x"},
    )
    world.run(plan("Weather?", "Bye", history="stateless"))
    history = [
        user("Weather?"),
        call(call_id="a"),
        result("x", call_id="a"),
        call(call_id="b"),
        result("x", call_id="b"),
        text("end"),
        user("Bye"),
    ]
    assert [body["input"] for body in world.bodies] == [
        history[:1],
        history[:3],
        history[:5],
        history,
    ]


def test_exceeded_tool_rounds_are_reported() -> None:
    asking = [says(call(call_id=f"c{number}"), status="requires_action") for number in range(9)]
    transcript = World(asking, {"weather": "x"}).run(plan("Weather?", "More", max_tool_rounds=3))
    first, second = transcript.turns
    assert (first.outcome, len(first.exchanges)) == ("incomplete", 4)
    assert (
        first.reason
        == "the model still calls functions after 3 rounds of results (max_tool_rounds: 3)"
    )
    assert first.steps[-1].type == "function_call"
    assert (second.outcome, second.reason, second.user) == (
        "not_run",
        "turn 1 did not complete",
        [],
    )
    assert transcript.crash is None


def test_undeclared_function_is_reported_to_the_model_and_the_conversation_continues() -> None:
    world = World([says(call("fly"), status="requires_action"), says(text("sorry"))])
    transcript = world.run(plan("Fly!"))
    assert world.bodies[1]["input"] == [result("unknown function 'fly'", name="fly", is_error=True)]
    assert transcript.turns[0].outcome == "completed"


CONTENT = [
    {"type": "image", "data": "aGk=", "mime_type": "image/png"},
    {"type": "text", "text": "a picture"},
]


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ({"a": [1, None]}, [{"type": "text", "text": '{"a": [1, null]}'}]),
        ("plain", [{"type": "text", "text": "plain"}]),
        ("", [{"type": "text", "text": ""}]),
        (None, [{"type": "text", "text": "null"}]),
        (22, [{"type": "text", "text": "22"}]),
        ([], [{"type": "text", "text": "[]"}]),
        ([{"type": ["text"]}], [{"type": "text", "text": '[{"type": ["text"]}]'}]),
        ([{"type": "cat"}], [{"type": "text", "text": '[{"type": "cat"}]'}]),
        ("\ud800", [{"type": "text", "text": "\ud800"}]),
        (CONTENT, CONTENT),
    ],
)
def test_tool_results_are_serialized_for_the_wire(value: Any, wire: Any) -> None:
    world = World(
        [says(call(), status="requires_action"), says(text("ok"))], {"weather": ToolResult(value)}
    )
    world.run(plan("Weather?"))
    (sent,) = world.bodies[1]["input"]
    assert sent["result"] == wire
    assert "is_error" not in sent


def test_error_result_of_a_tool_is_marked() -> None:
    world = World(
        [says(call(), status="requires_action"), says(text("ok"))],
        {"weather": ToolResult({"why": "no"}, is_error=True)},
    )
    world.run(plan("Weather?"))
    assert world.bodies[1]["input"] == [result('{"why": "no"}', is_error=True)]


@pytest.mark.parametrize("missing", [{}, {"id": None}])
def test_result_of_a_call_without_id_has_no_call_id(missing: dict[str, Any]) -> None:
    lone = {"type": "function_call", "name": "weather", "arguments": {}, **missing}
    world = World([says(lone, lone, status="requires_action"), says(text("ok"))], {"weather": "x"})
    world.run(plan("Weather?", history="stateless"))
    assert world.bodies[1]["input"] == [
        user("Weather?"),
        lone,
        result("x", call_id=None),
        lone,
        result("x", call_id=None),
    ]
    assert [called[2] for called in world.called] == [None, None]


@pytest.mark.parametrize(
    ("arguments", "kind"), [('{"city"', "string"), ([1], "array"), (3, "number")]
)
def test_arguments_that_are_not_an_object_are_rejected_without_calling_the_tool(
    arguments: Any, kind: str
) -> None:
    world = World(
        [says({**call(), "arguments": arguments}, status="requires_action"), says(text("ok"))],
        {"weather": "x"},
    )
    world.run(plan("Weather?"))
    assert world.called == []
    assert world.bodies[1]["input"] == [
        result(f"the arguments are not an object but {kind}", is_error=True)
    ]


def test_absent_arguments_call_the_tool_without_arguments() -> None:
    bare = {"type": "function_call", "id": "call_1", "name": "weather"}
    world = World([says(bare, status="requires_action"), says(text("ok"))], {"weather": "x"})
    world.run(plan("Weather?"))
    assert world.called == [("weather", {}, "call_1")]


@pytest.mark.parametrize("history", ["stateful", "stateless"])
def test_call_repeated_in_a_completed_interaction_is_not_run_again(history: str) -> None:
    weather_call = call(city="London")
    world = World(
        [
            says(weather_call, status="requires_action"),
            says(weather_call, text("22")),
            says(text("bye")),
        ],
        {"weather": "22"},
    )
    transcript = world.run(plan("Weather?", "Bye", history=history))
    assert len(world.called) == 1
    assert [turn.text for turn in transcript.turns] == ["22", "bye"]
    if history == "stateless":
        assert world.bodies[2]["input"] == [
            user("Weather?"),
            weather_call,
            result("22"),
            weather_call,
            text("22"),
            user("Bye"),
        ]


CALL, OTHER = call(city="London"), call(city="Paris")
NO_ID, NO_ID_OTHER = call(call_id=None, city="London"), call(call_id=None, city="Paris")


@pytest.mark.parametrize(
    ("first", "status", "second", "calls"),
    [
        ([CALL], "completed", [CALL], 1),
        ([CALL], "completed", [OTHER], 2),  # each response numbers its ids from one
        ([CALL], "requires_action", [CALL, OTHER], 2),
        ([CALL], "requires_action", [CALL], 2),  # the service reports that it waits
        ([CALL], "failed", [OTHER], 1),
        ([CALL], "incomplete", [OTHER], 1),
        ([CALL], "a_status_of_tomorrow", [OTHER], 1),
        ([CALL], None, [OTHER], 2),
        ([NO_ID], "completed", [NO_ID], 1),
        ([NO_ID], "completed", [NO_ID_OTHER], 2),
        ([NO_ID], "requires_action", [NO_ID], 2),
        ([NO_ID], "requires_action", [NO_ID, NO_ID_OTHER], 3),
        (
            [CALL],
            "completed",
            [OTHER, result("there", call_id="call_1")],
            1,
        ),  # with its result in the same response
    ],
)
def test_only_calls_without_results_are_run(
    first: list[Any], status: Any, second: list[Any], calls: int
) -> None:
    world = World(
        [says(*first, status="requires_action"), says(*second, status=status), says(text("end"))],
        {"weather": "x"},
    )
    world.run(plan("Weather?", history="stateless"))
    assert len(world.called) == calls


def test_content_blocks_are_sent_unchanged_in_both_histories() -> None:
    blocks = [
        {"type": "text", "text": "Compare."},
        {"type": "image", "data": "aGk=", "mime_type": "image/jpeg"},
    ]
    for history, wire in (
        ("stateful", blocks),
        ("stateless", [{"type": "user_input", "content": blocks}]),
    ):
        world = World([says(text("ok"))])
        transcript = world.run(plan(blocks, history=history))
        assert world.bodies[0]["input"] == wire
        assert transcript.turns[0].user == blocks


def test_message_of_a_turn_can_read_earlier_turns() -> None:
    world = World([says(text('{"age": 41}')), says(text("ok")), says(text("ok"))])
    seen: list[Any] = []

    def second(context: Any) -> str:
        return f"{context['previous'].json['age'] + 1}"

    def third(context: Any) -> str:
        seen.extend(context["turns"])
        return str(context["turns"][0].text)

    world.run(plan("one", second, third))
    assert [body["input"] for body in world.bodies] == ["one", "42", '{"age": 41}']
    assert [view.text for view in seen] == ['{"age": 41}', "ok"]


def test_first_turn_has_no_previous_turn() -> None:
    world = World([says(text("ok"))])
    world.run(plan(lambda context: f"{context['previous']} {list(context['turns'])}"))
    assert world.bodies[0]["input"] == "None []"


def test_agent_reuses_its_environment() -> None:
    fields = {
        "agent": "antigravity",
        "environment": {"type": "remote", "sources": [{"type": "inline"}]},
    }
    world = World([says(text("a"), environment_id="env_1"), says(text("b"))])
    world.run(plan("one", "two", fields=fields))
    assert world.bodies[0]["environment"] == fields["environment"]
    assert world.bodies[1] == {
        "model": MODEL,
        "agent": "antigravity",
        "previous_interaction_id": "v1_one",
        "input": "two",
        "environment": "env_1",
    }


def test_environment_is_not_sent_when_not_requested() -> None:
    world = World([says(text("a"), environment_id="env_1"), says(text("b"))])
    world.run(plan("one", "two"))
    assert "environment" not in world.bodies[1]


HOPS = [
    interaction(
        thought(), text("Half"), status="requires_continuation", continuation_token="t1", id="v1_a"
    ),
    interaction(
        user("Go"),
        text(" and half"),
        status="requires_continuation",
        continuation_token="t2",
        id="v1_b",
    ),
    interaction(text(" and end."), id="v1_c"),
]


def test_stored_continuation_references_the_interaction_and_sends_no_input() -> None:
    world = World([*map(answer, HOPS), says(text("bye"))])
    transcript = world.run(plan("Go", "Bye", fields={"tools": [TOOL]}))
    rest = {"tools": [TOOL]}
    assert world.bodies == [
        {"model": MODEL, "input": "Go", **rest},
        {"model": MODEL, "previous_interaction_id": "v1_a", "continuation_token": "t1", **rest},
        {"model": MODEL, "previous_interaction_id": "v1_b", "continuation_token": "t2", **rest},
        {"model": MODEL, "previous_interaction_id": "v1_c", "input": "Bye", **rest},
    ]
    first = transcript.turns[0]
    assert (first.text, first.status) == ("Half and half and end.", "completed")
    assert [(step.type, step.exchange) for step in first.steps] == [
        ("thought", 1),
        ("model_output", 1),
        ("model_output", 2),
        ("model_output", 3),
    ]


def test_unstored_continuation_sends_the_input_again() -> None:
    world = World([*map(answer, HOPS), says(text("bye"))])
    world.run(plan("Go", "Bye", history="stateless"))
    again = {"model": MODEL, "store": False, "input": [user("Go")]}
    assert world.bodies[:3] == [
        again,
        {**again, "continuation_token": "t1"},
        {**again, "continuation_token": "t2"},
    ]
    assert world.bodies[3]["input"] == [
        user("Go"),
        thought(),
        text("Half"),
        text(" and half"),
        text(" and end."),
        user("Bye"),
    ]


def test_calls_of_continued_interactions_run_after_the_last_hop() -> None:
    world = World(
        [
            says(call(call_id="a"), status="requires_continuation", continuation_token="t"),
            says(call(call_id="b"), status="requires_action"),
            says(text("ok")),
        ],
        {"weather": "x"},
    )
    transcript = world.run(plan("Go", history="stateless"))
    assert [body["input"][1:] for body in world.bodies] == [
        [],
        [],
        [call(call_id="a"), result("x", call_id="a"), call(call_id="b"), result("x", call_id="b")],
    ]
    assert [step.exchange for step in transcript.turns[0].steps] == [1, 3, 2, 3, 3]


def test_repeated_continuation_token_ends_the_turn() -> None:
    world = World([answer(HOPS[0])] * 5)
    (turn,) = world.run(plan("Go")).turns
    assert (turn.outcome, turn.reason, len(turn.exchanges)) == (
        "incomplete",
        "the response asks to be continued with a token used before",
        2,
    )


def test_continuations_are_limited_by_max_hops() -> None:
    world = World([answer({**HOPS[0], "continuation_token": f"t{number}"}) for number in range(9)])
    (turn,) = world.run(plan("Go", max_hops=4)).turns
    assert (turn.outcome, turn.reason, len(turn.exchanges)) == (
        "incomplete",
        "the response still asks to be continued after 4 hops",
        5,
    )


@pytest.mark.parametrize("options", [{"background": True}, {"fields": {"agent": "antigravity"}}])
def test_agents_and_background_runs_are_not_continued(options: dict[str, Any]) -> None:
    world = World([answer(HOPS[0])])
    (turn,) = world.run(plan("Go", **options)).turns
    assert (turn.outcome, turn.status, len(turn.exchanges)) == (
        "completed",
        "requires_continuation",
        1,
    )


def test_request_field_is_sent_unchanged() -> None:
    world = World([says(text("ok"), id="v1_a"), says(text("ok"))])
    world.run(
        plan(
            "one",
            "two",
            fields={
                "store": True,
                "previous_interaction_id": "v1_zero",
                "input": "not mine",
                "x": None,
            },
        )
    )
    assert world.bodies == [
        {
            "model": MODEL,
            "previous_interaction_id": "v1_zero",
            "input": "one",
            "store": True,
            "x": None,
        },
        {
            "model": MODEL,
            "previous_interaction_id": "v1_a",
            "input": "two",
            "store": True,
            "x": None,
        },
    ]


def test_stateful_conversation_ends_when_a_needed_interaction_id_is_missing() -> None:
    world = World([says(text("ok"), id=None)])
    first, second, third = world.run(plan("one", "two", "three")).turns
    assert first.outcome == "completed"
    assert (second.outcome, second.reason) == (
        "incomplete",
        "the last response has no id, so a stateful conversation cannot continue from it",
    )
    assert (second.user, second.exchanges) == ([{"type": "text", "text": "two"}], [])
    assert third.outcome == "not_run"


@pytest.mark.parametrize(("version", "path"), [("v1", "/v1/interactions"), ("", "/interactions")])
def test_api_version_determines_the_request_path(version: str, path: str) -> None:
    world = World([says(text("ok"))])
    world.run(plan("one", api_version=version))
    assert world.requests[0].path == path


def test_transcript_has_its_settings() -> None:
    transcript = World([says(text("ok"))]).run(
        plan("one", fields=FIELDS, settings={"case": "row1"}, stream=False)
    )
    assert transcript.settings == {
        "model": MODEL,
        **FIELDS,
        "history": "stateful",
        "stream": False,
        "background": False,
        "case": "row1",
    }


def test_transcript_bodies_are_json() -> None:
    world = World([says(call(), status="requires_action"), says(text("ok"))], {"weather": {"a": 1}})
    world.run(plan("one", history="stateless"))
    assert json.loads(json.dumps(world.bodies)) == world.bodies


@pytest.mark.parametrize("history", ["stateful", "stateless"])
def test_calls_left_open_are_answered_with_the_next_message(history: str) -> None:
    world = World(
        [
            says(call(call_id="c1"), call(call_id="c2"), status="requires_action", id="v1_a"),
            says(text("Fine."), id="v1_b"),
        ],
        {"weather": "22"},
    )
    transcript = world.run(plan("Weather?", "And?", history=history, stop_after={1: 1}))
    results = [result("22", call_id="c1"), result("22", call_id="c2")]
    sent = world.bodies[1]["input"]
    assert sent[-3:] == [*results, user("And?")]
    assert len(sent) == (3 if history == "stateful" else 6)
    first, second = transcript.turns
    assert (first.outcome, first.status) == ("completed", "requires_action")
    assert [step.type for step in first.steps] == ["function_call", "function_result"] * 2
    assert (second.outcome, second.text) == ("completed", "Fine.")


def test_a_turn_may_stop_after_a_round_of_results_or_before_a_run_ends() -> None:
    asking = [says(call(call_id=f"c{number}"), status="requires_action") for number in range(9)]
    world = World(asking, {"weather": "x"})
    (turn,) = world.run(plan("Weather?", stop_after={1: 2})).turns
    assert (turn.outcome, len(turn.exchanges), len(world.called)) == ("completed", 2, 1)
    for limit, polls in ((1, 0), (3, 2)):
        world = World([says(status="in_progress")] * 9)
        (turn,) = world.run(plan("Long", background=True, stop_after={1: limit})).turns
        assert (turn.outcome, turn.status) == ("completed", "in_progress")
        assert [request.method for request in world.requests] == ["POST"] + ["GET"] * polls


def test_a_turn_that_ends_earlier_or_fails_is_not_changed_by_its_limit() -> None:
    (turn,) = World([says(text("Two."))]).run(plan("Dogs?", stop_after={1: 5})).turns
    assert (turn.outcome, turn.text) == ("completed", "Two.")
    (turn,) = World([answer("busy", status=503)]).run(plan("Dogs?", stop_after={1: 1})).turns
    assert turn.outcome == "api_error"
