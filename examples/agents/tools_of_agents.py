"""What the agents of these examples can do: one function, declared for the model and callable by its name."""

from __future__ import annotations

import json
from typing import Any

WEATHER = {
    "type": "function",
    "name": "get_current_temperature",
    "description": "Gets the current temperature for a given location.",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city name, e.g. San Francisco"}
        },
        "required": ["location"],
    },
}


def get_current_temperature(location: str) -> dict[str, str]:
    """Look the temperature up; it is always the same here."""
    return {"location": location, "temperature": "22", "unit": "celsius"}


FUNCTIONS = {"get_current_temperature": get_current_temperature}


def answer(name: str, call_id: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call a function and return the ``function_result`` for the model."""
    result = json.dumps(FUNCTIONS[name](**arguments))
    return {
        "type": "function_result",
        "name": name,
        "call_id": call_id,
        "result": [{"type": "text", "text": result}],
    }
