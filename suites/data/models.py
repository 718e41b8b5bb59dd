"""Python that suites name as targets: types an answer must have, tools that compute."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Recipe(BaseModel):
    """What the kitchen's application reads."""

    recipe_name: str = Field(min_length=3)
    ingredients: list[str] = Field(min_length=3)
    prep_time_minutes: int | None = Field(default=None, ge=1, le=240)


def convert_temperature(celsius: float) -> dict[str, object]:
    """Return a temperature in both units."""
    return {"celsius": celsius, "fahrenheit": round(celsius * 9 / 5 + 32, 1)}
