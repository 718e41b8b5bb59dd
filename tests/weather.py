"""The function of the API's guides, declared as a tool."""

from typing import Any

WEATHER: Any = {
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
