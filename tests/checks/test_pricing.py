"""Tokens are counted and priced in one way, by the check, by gates and by reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.checks.core.pricing import cost_of, price_tokens, token_totals, unlisted_tokens
from evalkit.checks.usage import Cost
from evalkit.compare.rows import Prices
from evalkit.transcript import Exchange, Request

PRICES = Prices(input_per_million=1, output_per_million=10, cached_per_million=0.1)


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [
        ({"input": 1_000_000, "output": 0}, 1.0),
        ({"input": 1_000_000, "output": 0, "cached": 1_000_000}, 0.1),
        ({"input": 0, "output": 0, "tool_use": 1_000_000}, 1.0),
        ({"input": 0, "output": 0, "thought": 1_000_000}, 10.0),
        # Only the total counts the thoughts.
        ({"input": 0, "output": 0, "": 1_000_000}, 10.0),
        ({"input": 500_000, "": 1_000_000}, 5.5),
        ({"output": 500_000, "": 1_000_000}, 5.5),
        ({"": 1_000_000}, None),
        ({"input": 5}, None),
        ({}, None),
    ],
)
def test_costs(tokens: dict[str, int], cost: float | None) -> None:
    named = {f"total_{name}_tokens".replace("__", "_"): count for name, count in tokens.items()}
    actual = cost_of(named, PRICES)
    assert actual == (None if cost is None else pytest.approx(cost))


@given(
    st.fixed_dictionaries(
        {f"total_{name}_tokens": st.integers(0, 10**6) for name in ("input", "output", "cached")}
    ),
    st.integers(0, 10**6),
)
def test_the_check_and_the_gate_agree(tokens: dict[str, int], more: int) -> None:
    total = tokens["total_input_tokens"] + tokens["total_output_tokens"] + more
    tokens = {**tokens, "total_tokens": total}
    check = Cost(max=0, input_per_million=1, output_per_million=10, cached_per_million=0.1)
    assert cost_of(tokens, check) == cost_of(tokens, PRICES)
    assert unlisted_tokens(tokens) == more
    parts = price_tokens(tokens, PRICES)
    assert parts is not None
    assert sum(part.tokens for part in parts) >= total - tokens["total_cached_tokens"]


def test_only_counts_are_summed() -> None:
    usage = {"total_input_tokens": True, "total_tokens": 1.5, "total_output_tokens": 2, "x": 3}
    usage |= {"total_thought_tokens": -1, "total_cached_tokens": 10**400}
    exchange = Exchange(1, 1, Request("POST", "/v1beta/interactions"))
    exchange.interaction = {"usage": usage}
    assert token_totals([exchange]) == {"total_output_tokens": 2}
