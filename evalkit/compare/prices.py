"""What tokens cost, at prices the user declares: evalkit knows no price list. Pure.

Cached input is part of the input and billed at its own price; thoughts are billed as output, tokens of tool use as input: as the ``cost``
check counts (``checks.cost``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Price = Annotated[float, Field(ge=0)]
_MILLION = 1_000_000


class Prices(BaseModel):
    """Prices of a million tokens, in whatever currency all prices have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_per_million: Price = Field(description="Price of a million input tokens.")
    output_per_million: Price = Field(description="Price of a million output and thought tokens.")
    cached_per_million: Price | None = Field(
        None, description="Price of a million cached input tokens; the input price where absent."
    )


def cost_of(tokens: Mapping[str, Any], prices: Prices) -> float | None:
    """Return what a result's tokens (``metrics.tokens``) cost; None where input or output tokens are not known."""
    read, written = tokens.get("total_input_tokens"), tokens.get("total_output_tokens")
    if read is None or written is None:
        return None
    cached, tools, thought = (
        tokens.get(f"total_{name}_tokens") or 0 for name in ("cached", "tool_use", "thought")
    )
    cached_price = (
        prices.input_per_million if prices.cached_per_million is None else prices.cached_per_million
    )
    billed = (max(0, read - cached) + tools) * prices.input_per_million + cached * cached_price
    return float(billed + (written + thought) * prices.output_per_million) / _MILLION
