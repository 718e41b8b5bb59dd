"""``usage`` and ``cost``: budgets of tokens, and of what they cost.

``usage`` has token budgets by the API's field names (docs/protocol.md section 3). ``cost`` uses the
prices that the suite gives: evalkit has no price list, since prices change and suites are reviewed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from evalkit._lib.json import JSON
from evalkit._lib.text import nearest, plural, show
from evalkit.checks.core.arguments import Limits, format_number, plain
from evalkit.checks.core.base import Check, View, option_error
from evalkit.checks.core.formatting import table
from evalkit.checks.core.pricing import counted_exchanges, price_tokens, token_totals
from evalkit.checks.core.strictness import Strictness
from evalkit.transcript import Exchange
from evalkit.verdict import Finding, Severity

FIELDS = (
    "total_tokens",
    "total_input_tokens",
    "total_output_tokens",
    "total_thought_tokens",
    "total_cached_tokens",
    "total_tool_use_tokens",
    "initial_input_tokens",
)


class Cost(Check):
    """The tokens of the turn, or of the whole conversation, cost no more than allowed.

    The empty case: the check fails where no response reports input or output tokens, because the
    cost is unknown. Tokens that only a total counts are billed as output.
    """

    name: ClassVar[str] = "cost"
    strictness: ClassVar[Mapping[str, Strictness]] = {"max": "lower"}

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
        parts = price_tokens(token_totals(exchanges), self)
        if parts is None:
            yield Finding(
                "usage_absent",
                "no response reports its input and output tokens, so the cost is unknown",
                view.where,
                expected={"max": self.max},
            )
            return
        reporting = sum(bool(token_totals([exchange])) for exchange in exchanges)
        if reporting < len(exchanges):
            yield Finding(
                "usage_partial",
                f"tokens are reported by {reporting} of {plural(len(exchanges), 'response')}, so "
                "their cost is a lower bound",
                view.where,
                severity=Severity.WARN,
            )
        cost = sum(part.cost for part in parts)
        if cost > self.max:
            rows = [["", "tokens", "per million", "cost"]]
            for part in parts:
                amount = f"{part.cost:.6f}"
                tokens, price = format_number(part.tokens), format_number(part.price)
                rows.append([part.kind, tokens, price, amount])
            yield Finding(
                "cost_exceeded",
                f"the tokens cost {cost:.6f}, expected at most {format_number(self.max)}",
                view.where,
                expected={"max": self.max},
                got=round(cost, 9),
                detail=table(rows),
            )


def _refuse_typos(budgets: dict[str, Limits]) -> dict[str, Limits]:
    valid = ", ".join(FIELDS)
    for field in budgets:
        if field not in FIELDS and (meant := nearest(field, FIELDS)):
            raise option_error(
                f"unknown usage field {field!r} (did you mean {meant!r}?); valid: {valid}", field
            )
        if field.endswith("_by_modality"):
            raise option_error(
                f"{field} is a list by modality, not a number; budgets take {valid}", field
            )
    return budgets


class Usage(Check):
    """Tokens are within budgets: those of the turn, or the sum over the conversation.

    The empty case: the check fails for a field that no response reports. A field that only some
    responses report is summed over these, with a warning. An empty mapping is refused.
    """

    name: ClassVar[str] = "usage"
    rest: ClassVar[str | None] = "budgets"
    strictness: ClassVar[Mapping[str, Strictness]] = {"budgets": "each"}

    budgets: Annotated[dict[str, Limits], Field(min_length=1), AfterValidator(_refuse_typos)] = (
        Field(description="Budgets by usage field: {total_tokens: {max: 600}}.")
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each budget that is exceeded or unknown."""
        exchanges = counted_exchanges(view.exchanges)
        for field, bounds in self.budgets.items():
            total, reporting = total_usage(exchanges, field)
            if not reporting:
                yield Finding(
                    "usage_absent",
                    f"no response reports {field}, so its budget cannot be checked",
                    view.where,
                    expected=bounds.to_json(),
                )
                continue
            if reporting < len(exchanges):
                yield Finding(
                    "usage_partial",
                    f"{field} is reported by {reporting} of {plural(len(exchanges), 'response')},"
                    " so its sum is a lower bound",
                    view.where,
                    severity=Severity.WARN,
                )
            if not bounds.contains(total):
                rows = [
                    [f"exchange {each.number}", show(_tokens(each, field))] for each in exchanges
                ]
                yield Finding(
                    "usage_exceeded",
                    f"{field} is {format_number(total)}, expected {bounds}",
                    view.where,
                    expected=bounds.to_json(),
                    got=plain(total),
                    detail=table(rows) if len(rows) > 1 else "",
                )


def total_usage(exchanges: Sequence[Exchange], field: str) -> tuple[float, int]:
    """Return the sum of one usage field, and how many responses report it."""
    counts = [_tokens(exchange, field) for exchange in exchanges]
    reported = [count for count in counts if count is not None]
    return sum(reported), len(reported)


def _tokens(exchange: Exchange, field: str) -> int | None:
    usage: JSON = exchange.interaction.get("usage") if exchange.interaction is not None else None
    value = usage.get(field) if isinstance(usage, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if float(value).is_integer() else None
