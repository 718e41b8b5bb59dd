"""``cost``: what the tokens cost at prices that the suite gives. evalkit knows no price list: prices change, suites are reviewed.

Cached input is part of the input and billed at its own price; thoughts are billed as output, tokens of tool use as input.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import table
from evalkit.checks.core.options import format_number
from evalkit.checks.usage import final_answers, total_usage
from evalkit.verdict import Finding, Where

_MILLION = 1_000_000


class Cost(Check):
    """The tokens of the turn, or of the whole conversation, cost no more than allowed.

    The empty case: where no answer reports input or output tokens the cost cannot be known, so the check fails.
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
        """Yield a finding when the cost is above the limit or cannot be known."""
        answers = final_answers(view.exchanges)
        where = Where(turn=view.turn.number if view.turn is not None else None)
        words = (
            "total_input_tokens",
            "total_cached_tokens",
            "total_tool_use_tokens",
            "total_output_tokens",
            "total_thought_tokens",
        )
        read, cached, tools, written, thought = (total_usage(answers, word) for word in words)
        if not read[1] or not written[1]:
            yield Finding(
                "usage_absent",
                "no answer reports its input and output tokens, so the cost cannot be known",
                where,
                expected={"max": self.max},
            )
            return
        cached_price = (
            self.input_per_million if self.cached_per_million is None else self.cached_per_million
        )
        parts = (
            ("input", max(0, read[0] - cached[0]) + tools[0], self.input_per_million),
            ("cached", cached[0], cached_price),
            ("output", written[0] + thought[0], self.output_per_million),
        )
        cost = sum(tokens * price for _, tokens, price in parts) / _MILLION
        if cost > self.max:
            rows = [["", "tokens", "per million", "cost"]]
            rows += [
                [
                    name,
                    format_number(tokens),
                    format_number(price),
                    f"{tokens * price / _MILLION:.6f}",
                ]
                for name, tokens, price in parts
            ]
            message = f"the tokens cost {cost:.6f}, at most {format_number(self.max)} is allowed"
            yield Finding(
                "cost_exceeded",
                message,
                where,
                expected={"max": self.max},
                got=round(cost, 9),
                detail=table(rows),
            )
