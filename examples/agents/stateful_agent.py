"""An agent whose history the service stores: each request names the previous interaction."""

from __future__ import annotations

from typing import Any

from google import genai
from tools_of_agents import WEATHER, answer

MODEL = "gemini-3.5-flash"


class StatefulAgent:
    """Answers questions, using its tools; remembers the conversation."""

    def __init__(self, client: genai.Client) -> None:
        self._client = client
        self._last: str | None = None

    def ask(self, question: str) -> str:
        """Return the model's answer, once it needs no more tools."""
        message: Any = question
        while True:
            interaction = self._client.interactions.create(
                model=MODEL, input=message, tools=[WEATHER], previous_interaction_id=self._last
            )
            self._last = interaction.id
            calls = [step for step in interaction.steps if step.type == "function_call"]
            if not calls:
                return interaction.output_text
            message = [answer(call.name, call.id, call.arguments) for call in calls]
