"""The engine with recorded responses of the real service. Skipped where they are absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalkit._lib.json import equal, loads
from evalkit.transcript import Response
from tests.conversation.scripted import World, answer, plan, user

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "real"

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="no real answers at hand")


def response(name: str, streamed: bool) -> Response:
    if not streamed:
        return answer((REAL / f"{name}.json").read_text("utf-8"))
    frames = [
        f"data: {line}\n\n"
        for line in (REAL / f"{name}.chunks.txt").read_text("utf-8").splitlines()
        if line.strip()
    ]
    return answer("".join(frames), content_type="text/event-stream")


def steps(response: Response, interaction: Any) -> list[Any]:
    """Return the steps of a response; those of a plain response are read from its JSON."""
    return interaction["steps"] if response.is_stream else loads(response.text)["steps"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("streamed", [False, True])
def test_two_stateless_turns(streamed: bool) -> None:
    first, second = (response(f"multi-turn-stateless-turn{number}", streamed) for number in (1, 2))
    world = World([first, second])
    one, two = world.run(plan("one", "two", history="stateless", stream=streamed)).turns
    assert (one.outcome, one.status, two.outcome, two.status) == (
        "completed",
        "completed",
        "completed",
        "completed",
    )
    assert one.text
    assert two.text
    assert not one.exchanges[0].problems
    assert equal(
        world.bodies[1]["input"], [user("one"), *steps(first, one.interaction), user("two")]
    )
    assert one.steps[0].raw["signature"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("history", ["stateful", "stateless"])
def test_a_function_call(streamed: bool, history: str) -> None:
    call_response = response("tool-call-step1", streamed)
    world = World(
        [call_response, response("tool-call-step2", streamed)],
        {"getWeather": lambda location: {"location": location}},
    )
    (turn,) = world.run(plan("Weather?", history=history, stream=streamed)).turns
    assert [step.type for step in turn.steps] == [
        "thought",
        "function_call",
        "function_result",
        "thought",
        "model_output",
    ]
    assert turn.text
    interaction = turn.exchanges[0].interaction
    assert interaction is not None
    call = interaction["steps"][1]
    body = world.bodies[1]
    if history == "stateful":
        assert (body["previous_interaction_id"], len(body["input"])) == (interaction["id"], 1)
    else:
        assert equal(body["input"][:-1], [user("Weather?"), *steps(call_response, interaction)])
    last = body["input"][-1]
    assert (last["type"], last["name"], last["call_id"]) == (
        "function_result",
        "getWeather",
        call["id"],
    )
    assert loads(last["result"][0]["text"]) == call["arguments"]
