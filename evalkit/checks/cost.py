"""``cost``: what the tokens cost at the prices that the suite gives.

evalkit has no price list: prices change, suites are reviewed. Cached input is part of the input
and has its own price. Thoughts are billed as output, tokens of tool use as input.
"""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import table
from evalkit.checks.core.options import format_number
from evalkit.checks.usage import counted_exchanges, total_usage
from evalkit.verdict import Finding

_MILLION = 1_000_000


class Cost(Check):
    """The tokens of the turn, or of the whole conversation, cost no more than allowed.

    The empty case: the check fails where no response reports input or output tokens, because the
    cost is unknown.
    """

    name: ClassVar[str] = "cost"

    max: float = Field(ge=0, description="Highest cost allowed, in the currency of the prices.")
    input_per_million: float = Field(ge=0, description="Price of a million input tokens.")
    output_per_million: float = Field(
        ge=0, description="Price of a million output and thought tokens."
    )
    cached_per_million: float | None = Field(
        None,
        ge=0,
        description="Price of a million cached input tokens; the input price where absent.",
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield a finding if the cost is above the limit or unknown."""
        exchanges = counted_exchanges(view.exchanges)
        kinds = ("input", "cached", "tool_use", "output", "thought")
        totals = {kind: total_usage(exchanges, f"total_{kind}_tokens") for kind in kinds}
        if not totals["input"][1] or not totals["output"][1]:
            yield Finding(
                "usage_absent",
                "no response reports its input and output tokens, so the cost is unknown",
                view.where,
                expected={"max": self.max},
            )
            return
        tokens = {kind: total for kind, (total, _) in totals.items()}
        uncached = max(0, tokens["input"] - tokens["cached"])
        cached_price = self.cached_per_million
        if cached_price is None:
            cached_price = self.input_per_million
        parts = (
            ("input", uncached + tokens["tool_use"], self.input_per_million),
            ("cached", tokens["cached"], cached_price),
            ("output", tokens["output"] + tokens["thought"], self.output_per_million),
        )
        cost = sum(count * price for _, count, price in parts) / _MILLION
        if cost > self.max:
            rows = [["", "tokens", "per million", "cost"]]
            for kind, count, price in parts:
                amount = f"{count * price / _MILLION:.6f}"
                rows.append([kind, format_number(count), format_number(price), amount])
            yield Finding(
                "cost_exceeded",
                f"the tokens cost {cost:.6f}, expected at most {format_number(self.max)}",
                view.where,
                expected={"max": self.max},
                got=round(cost, 9),
                detail=table(rows),
            )
