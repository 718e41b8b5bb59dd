"""An agent that stores its history itself and re-sends all of it, as the API's guide does."""

from __future__ import annotations

from typing import Any

from google import genai
from tools_of_agents import WEATHER, answer

MODEL = "gemini-3.5-flash"


class StatelessAgent:
    """Answers questions, using its tools; its memory is a list of steps."""

    def __init__(self, client: genai.Client) -> None:
        self._client = client
        self._history: list[dict[str, Any]] = []

    def ask(self, question: str) -> str:
        """Return the model's answer, once it needs no more tools."""
        self._history.append(
            {"type": "user_input", "content": [{"type": "text", "text": question}]}
        )
        while True:
            interaction = self._client.interactions.create(
                model=MODEL, store=False, input=self._history, tools=[WEATHER]
            )
            called = False
            for step in interaction.steps:
                self._history.append(step.model_dump())
                if step.type == "function_call":
                    self._history.append(answer(step.name, step.id, step.arguments))
                    called = True
            if not called:
                return interaction.output_text
