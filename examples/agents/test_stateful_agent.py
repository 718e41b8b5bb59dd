"""Tests of the stateful agent: replayed by ``pytest examples/agents``, recorded by ``make record``."""

from __future__ import annotations

from google import genai
from stateful_agent import StatefulAgent


def test_it_looks_the_temperature_up(evalkit_tape):
    with genai.Client() as client:
        assert "22" in StatefulAgent(client).ask("What is the temperature in London?")

    evalkit_tape.expect(
        status="completed",
        steps="thought* function_call function_result thought* model_output",
        tool_calls=[{"name": "get_current_temperature", "arguments": {"location": "London"}}],
        text={"contains": "22"},
    )


def test_it_remembers(evalkit_tape):
    with genai.Client() as client:
        agent = StatefulAgent(client)
        agent.ask("I have 2 dogs in my house.")
        agent.ask("How many paws are in my house?")

    conversation = evalkit_tape.conversation()
    conversation.turn(1).expect(not_={"tool_calls": [{"name": "get_current_temperature"}]})
    conversation.turn(2).expect(text="8 paws")


def test_two_agents_do_not_mix(evalkit_tape):
    with genai.Client() as client:
        one, other = StatefulAgent(client), StatefulAgent(client)
        one.ask("I have 2 dogs in my house.")
        other.ask("What is the temperature in Paris?")
        one.ask("How many paws are in my house?")

    dogs, paris = evalkit_tape.conversations()
    assert len(dogs) == 2
    dogs.expect(text="8 paws")
    paris.expect(
        text="Paris",
        tool_calls=[{"name": "get_current_temperature", "arguments": {"location": "Paris"}}],
    )
