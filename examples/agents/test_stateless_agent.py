"""The stateless agent, on tape: what it sends again must be what it received."""

from __future__ import annotations

import pytest
from google import genai
from stateless_agent import StatelessAgent


@pytest.mark.parametrize("city", ["London", "Paris"])
def test_it_sends_its_history_faithfully(evalkit_tape, city):
    with genai.Client() as client:
        agent = StatelessAgent(client)
        assert city in agent.ask(f"What is the temperature in {city}?")
        agent.ask("Thank you.")

    conversation = evalkit_tape.conversation()
    # The SDK reorders keys, which never matters, and drops nulls, which "equivalent" accepts.
    conversation.expect(history="exact")
    conversation.turn(1).expect(
        steps="thought* function_call function_result thought* model_output",
        tool_calls=[{"name": "get_current_temperature", "arguments": {"location": city}}],
    )
