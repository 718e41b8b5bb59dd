"""The cost of tokens at prices the user declares: evalkit has no price list.

Pure. Cached input is part of the input and billed at its own price. Thoughts are billed as output,
tokens of tool use as input, as in the ``cost`` check (``checks.cost``).
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from evalkit._lib.json import JSON

Price = Annotated[float, Field(ge=0)]
_MILLION = 1_000_000


class Prices(BaseModel):
    """Prices of a million tokens, all in the same currency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_per_million: Price = Field(description="Price of a million input tokens.")
    output_per_million: Price = Field(description="Price of a million output and thought tokens.")
    cached_per_million: Price | None = Field(
        None, description="Price of a million cached input tokens; default: the input price."
    )


def cost_of(tokens: Mapping[str, JSON], prices: Prices) -> float | None:
    """Return the cost of a result's tokens (``metrics.tokens``).

    None if they are not known.
    """
    input_tokens, output_tokens = (
        tokens.get("total_input_tokens"),
        tokens.get("total_output_tokens"),
    )
    if input_tokens is None or output_tokens is None:
        return None
    cached, tools, thoughts = (
        tokens.get(f"total_{name}_tokens") or 0 for name in ("cached", "tool_use", "thought")
    )
    cached_price = prices.cached_per_million
    if cached_price is None:
        cached_price = prices.input_per_million
    uncached = max(0, input_tokens - cached) + tools
    cost = (
        uncached * prices.input_per_million
        + cached * cached_price
        + (output_tokens + thoughts) * prices.output_per_million
    )
    return float(cost) / _MILLION
