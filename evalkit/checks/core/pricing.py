"""Count and price tokens: the same for the ``cost`` check, for gates and for reports. Pure.

evalkit has no price list: the user declares prices. Cached input is part of the input and billed at
its own price. Thoughts are billed as output, tokens of tool use as input. Tokens that only the
total of a response counts are its thoughts, billed as output; where the input alone is not listed,
they are the input.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from evalkit.protocol.step_reader import is_running
from evalkit.transcript import Exchange

_MILLION = 1_000_000
_MOST_TOKENS = 10**12
"""The most tokens of an answer that are believed: sums and costs stay exact numbers."""


class TokenPrices(Protocol):
    """Prices of a million tokens; cached input costs as other input if its price is None."""

    @property
    def input_per_million(self) -> float:
        """The price of input."""

    @property
    def output_per_million(self) -> float:
        """The price of output and thoughts."""

    @property
    def cached_per_million(self) -> float | None:
        """The price of cached input."""


class PricedTokens(NamedTuple):
    """Tokens of one kind, with the price of a million of them."""

    kind: str
    tokens: int
    price: float

    @property
    def cost(self) -> float:
        """What they cost."""
        return self.tokens * self.price / _MILLION


def counted_exchanges(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Return the exchanges whose usage counts: for each interaction that ended, the last one.

    A run that is polled, or a stream that is read again, returns the same interaction several
    times (docs/protocol.md section 8.1).
    """
    by_id: dict[str, Exchange] = {}
    for exchange in exchanges:
        interaction = exchange.interaction
        if interaction is not None and not is_running(interaction):
            by_id[str(interaction.get("id") or f"#{exchange.number}")] = exchange
    return list(by_id.values())


def token_totals(exchanges: Iterable[Exchange]) -> dict[str, int]:
    """Return the sums of the ``total_…`` fields that responses report.

    A value that cannot be a number of tokens is left out.
    """
    tokens: dict[str, int] = {}
    for exchange in exchanges:
        usage = (exchange.interaction or {}).get("usage")
        for key, count in usage.items() if isinstance(usage, dict) else ():
            if type(count) is int and 0 <= count <= _MOST_TOKENS and key.startswith("total_"):
                tokens[key] = tokens.get(key, 0) + count
    return tokens


def price_tokens(tokens: Mapping[str, int], prices: TokenPrices) -> list[PricedTokens] | None:
    """Return tokens with their prices by kind; None if too little is known of them.

    ``tokens`` has the API's field names. The total and one of input and output are enough.
    """
    known = {"total_input_tokens", "total_output_tokens"} & tokens.keys()
    if not known or (len(known) == 1 and "total_tokens" not in tokens):
        return None
    input_tokens, output_tokens, cached, tools, thoughts = (
        tokens.get(f"total_{name}_tokens", 0)
        for name in ("input", "output", "cached", "tool_use", "thought")
    )
    unlisted = unlisted_tokens(tokens)
    if "total_input_tokens" in tokens:
        output_tokens += unlisted
    else:
        input_tokens += unlisted
    cached_price = prices.cached_per_million
    if cached_price is None:
        cached_price = prices.input_per_million
    uncached = max(0, input_tokens - cached) + tools
    return [
        PricedTokens("input", uncached, prices.input_per_million),
        PricedTokens("cached", cached, cached_price),
        PricedTokens("output", output_tokens + thoughts, prices.output_per_million),
    ]


def cost_of(tokens: Mapping[str, int], prices: TokenPrices) -> float | None:
    """Return the cost of tokens; None if too little is known of them."""
    parts = price_tokens(tokens, prices)
    return None if parts is None else sum(part.cost for part in parts)


def unlisted_tokens(tokens: Mapping[str, int]) -> int:
    """Return the tokens that only the total counts.

    Responses of models that think may leave out how much: those are the thoughts.
    """
    listed = sum(
        tokens.get(f"total_{name}_tokens", 0) for name in ("input", "output", "tool_use", "thought")
    )
    return max(0, tokens.get("total_tokens", 0) - listed)
