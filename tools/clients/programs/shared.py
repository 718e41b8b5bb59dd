"""What the Python programs have in common: a tool, a schema, and how they report."""

import json
from collections.abc import Callable

from pydantic import BaseModel

MODEL = "gemini-3.5-flash"
AGENT = "antigravity-preview-05-2026"
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TOOL = {
    "type": "function",
    "name": "get_current_temperature",
    "description": "Gets the current temperature for a given location.",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}


class Recipe(BaseModel):
    """The schema of structured output."""

    recipe_name: str
    prep_time_minutes: int


def get_current_temperature(location: str) -> dict[str, str]:
    """Gets the current temperature for a given location."""
    return {"location": location, "temperature": "22", "unit": "celsius"}


def report(capabilities: dict[str, Callable[[], str]]) -> None:
    """Print what each capability returned, or its error, as one JSON object."""
    print(json.dumps({name: _outcome(of) for name, of in capabilities.items()}))


def _outcome(of: Callable[[], str]) -> str:
    try:
        return str(of())
    except Exception as error:  # noqa: BLE001 - the runner shows it; the others run in any case
        return f"{type(error).__name__}: {error}"
