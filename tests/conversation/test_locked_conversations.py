"""Locked conversations: each turn continues the turns of another one, and checks read them so."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.conversation.locked import continued_conversation, without_thoughts
from evalkit.errors import Disconnected
from evalkit.transcript import Transcript, Turn
from tests.conversation.scripted import World, answer, call, plan, result, says, text, thought, user

TOOLS = {"weather": [{"type": "text", "text": "22"}]}
FIRST = [thought(), call(day=1), result("22"), thought("dHdv"), text("It is 22.")]
GIVEN = [user("I am Ada."), text("Hello.")]


def baseline(history: str = "stateless") -> list[Turn]:
    world = World(
        [
            says(thought(), call(day=1), status="requires_action"),
            says(thought("dHdv"), text("It is 22.")),
            says(text("Rain.")),
            says(text("Bye.")),
        ],
        TOOLS,
    )
    return world.run(plan("Today?", "Tomorrow?", "Thanks", history=history)).turns


def locked(turns: list[Turn], *lines: Any, **options: Any) -> tuple[World, Transcript]:
    world = World(lines, TOOLS)
    messages = ["Today?", lambda context: f"Not {context['previous'].text} Tomorrow?", "Thanks"]
    return world, world.run(plan(*messages, locked=turns, **options))


@pytest.mark.parametrize("history", ["stateful", "stateless"])
def test_each_turn_is_sent_after_the_turns_of_the_other_conversation(history: str) -> None:
    answers = [says(text(word)) for word in ("One", "Two", "Three")]
    world, transcript = locked(baseline(history), *answers, history=history, given=GIVEN)
    second = user("Not It is 22. Tomorrow?")
    assert [body["input"] for body in world.bodies] == [
        [*GIVEN, user("Today?")],
        [*GIVEN, user("Today?"), *FIRST, second],
        [*GIVEN, user("Today?"), *FIRST, user("Tomorrow?"), text("Rain."), user("Thanks")],
    ]
    assert not any("previous_interaction_id" in body for body in world.bodies)
    assert [turn.text for turn in transcript.turns] == ["One", "Two", "Three"]

    transcript.locked = {"history": "exact"}
    read = continued_conversation(transcript, transcript.turns[2])
    assert [(one.number, one.text) for one in read.turns] == [
        (1, "It is 22."),
        (2, "Rain."),
        (3, "Three"),
    ]
    assert [step.origin for step in read.turns[0].steps] == [
        "model",
        "model",
        "client",
        "model",
        "model",
    ]
    assert [turn.user for turn in read.turns[:2]] == [turn.user for turn in baseline()[:2]]
    assert read.turns[2] is transcript.turns[2]


def test_functions_are_called_within_a_turn_and_an_error_does_not_end_the_conversation() -> None:
    error = answer({"error": {"code": "invalid_request", "message": "no"}}, status=400)
    turns = baseline()
    world, transcript = locked(
        turns,
        error,
        says(call(day=2), status="requires_action"),
        says(text("Sun.")),
        says(text("Three")),
        history="stateless",
    )
    assert [turn.outcome for turn in transcript.turns] == ["api_error", "completed", "completed"]
    assert world.bodies[2]["input"][-2:] == [call(day=2), result("22")]
    assert call(day=2) not in world.bodies[3]["input"]


def test_a_turn_without_its_history_is_incomplete_and_an_exception_ends_the_conversation() -> None:
    _, transcript = locked(baseline()[:1], says(text("One")), says(text("Two")))
    assert [turn.outcome for turn in transcript.turns] == ["completed", "completed", "incomplete"]
    assert "turn 2 of the baseline is missing or incomplete" in str(transcript.turns[2].reason)

    _, transcript = locked(baseline(), says(text("One")), Disconnected("gone"))
    assert [turn.outcome for turn in transcript.turns] == ["completed", "incomplete", "not_run"]


def test_thoughts_and_signatures_are_left_out_and_nothing_else() -> None:
    (turn, *_) = baseline()
    signed = {
        "type": "model_output",
        "signature": "x",
        "content": [{"type": "text", "text": "a", "signature": "y"}],
    }
    called = call(signature="an argument") | {"signature": "z"}
    turn.steps = [
        step._replace(raw=raw)
        for step, raw in zip(turn.steps, [thought(), called, result("1"), signed], strict=False)
    ]
    assert [step.raw for step in without_thoughts(turn).steps] == [
        call(signature="an argument"), result("1"), text("a"),
    ]  # fmt: skip
    assert turn.steps[1].raw["signature"] == "z"
