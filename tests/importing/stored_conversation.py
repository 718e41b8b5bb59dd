"""A conversation of four turns with tools, stored by a real server."""

from __future__ import annotations

import json
from typing import Any

from google import genai

from tests.weather import WEATHER

MESSAGES = (
    "What is the temperature in London?",
    "Explain how AI works in a few words",
    "What is the temperature in Paris?",
    "Thank you, that is all",
)


def converse(url: str) -> list[str]:
    """Run the conversation as an application would; return the ids of its interactions."""
    client = genai.Client(api_key="any", http_options={"base_url": url, "api_version": "v1beta"})
    ids: list[str] = []
    for message in MESSAGES:
        sent: Any = message
        while sent:
            extra: Any = {"previous_interaction_id": ids[-1]} if ids else {}
            answer: Any = client.interactions.create(
                model="gemini-3.5-flash",
                input=sent,
                tools=[WEATHER],
                system_instruction="Be exact.",
                generation_config={"temperature": 0.5},
                **extra,
            )
            ids.append(answer.id)
            sent = [
                {
                    "type": "function_result",
                    "name": step.name,
                    "call_id": step.id,
                    "result": [{"type": "text", "text": json.dumps({"celsius": 21})}],
                }
                for step in answer.steps
                if step.type == "function_call"
            ]
    return ids
