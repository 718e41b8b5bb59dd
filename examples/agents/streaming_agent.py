"""An asynchronous agent that yields text as it arrives and calls its tools in between."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from google import genai
from tools_of_agents import WEATHER, answer

MODEL = "gemini-3.5-flash"


class StreamingAgent:
    """Answers questions word by word, using its tools."""

    def __init__(self, client: genai.Client) -> None:
        self._client = client
        self._last: str | None = None

    async def ask(self, question: str) -> AsyncIterator[str]:
        """Yield the pieces of the model's answer."""
        message: Any = question
        while message:
            calls: dict[int, Any] = {}
            arguments: dict[int, str] = {}
            stream = await self._client.aio.interactions.create(
                model=MODEL,
                input=message,
                tools=[WEATHER],
                previous_interaction_id=self._last,
                stream=True,
            )
            async for event in stream:
                match event.event_type:
                    case "interaction.created":
                        self._last = event.interaction.id
                    case "step.start" if event.step.type == "function_call":
                        calls[event.index] = event.step
                    case "step.delta" if event.delta.type == "text":
                        yield event.delta.text
                    case "step.delta" if event.delta.type == "arguments_delta":
                        arguments[event.index] = (
                            arguments.get(event.index, "") + event.delta.arguments
                        )
            message = [
                answer(call.name, call.id, json.loads(arguments.get(index) or "{}"))
                for index, call in calls.items()
            ]
