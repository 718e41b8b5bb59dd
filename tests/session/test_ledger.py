"""The ledger of a session: sums, the budget, and what several processes share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evalkit.compare.rows import Prices
from evalkit.session.ledger import Budget, Ledger, NotStarted, cassette_change, file_version
from evalkit.transcript import Exchange, Request, Response

PRICES = {
    "small": Prices(input_per_million=1e6, output_per_million=2e6, cached_per_million=None),
    "large": Prices(input_per_million=1e6, output_per_million=9e6, cached_per_million=None),
}


def exchange(model: str = "small", source: str = "recorded", tokens: int = 10) -> Exchange:
    usage = {"total_tokens": tokens, "total_input_tokens": 0, "total_output_tokens": tokens}
    return Exchange(
        1,
        1,
        Request("POST", "/v1beta/interactions", {"model": model}),
        Response(200, {}, "", source=source),  # type: ignore[arg-type]
        interaction={"usage": usage},
    )


def test_replayed_exchanges_cost_nothing() -> None:
    ledger = Ledger(Budget(10, False), PRICES)
    ledger.add([exchange(source="replayed")], "untouched")
    assert (ledger.totals.requests, ledger.totals.tokens, ledger.totals.cost) == (0, 0, 0)
    assert ledger.stop_reason == ""
    ledger.add([exchange(), Exchange(2, 1, Request("POST", "/"))], "written")
    assert (ledger.totals.requests, ledger.totals.tokens, ledger.totals.cost) == (1, 10, 20)
    with pytest.raises(NotStarted, match="the budget of 10 tokens is spent"):
        ledger.check()


@pytest.mark.parametrize(("model", "cost"), [("small", 20), ("large", 90), ("unknown", 90)])
def test_a_model_without_a_price_counts_at_the_highest(model: str, cost: float) -> None:
    ledger = Ledger(Budget(cost, True), PRICES)
    ledger.add([exchange(model, tokens=9)], None)
    assert ledger.stop_reason == ""
    ledger.add([exchange(model, tokens=1)], None)
    assert ledger.stop_reason == f"the budget of {cost:.2f} is spent"


def test_processes_share_what_they_spent(tmp_path: Path) -> None:
    shared = tmp_path / "ledger.jsonl"
    one, other = (Ledger(Budget(20, False), shared=shared) for _ in range(2))
    one.add([exchange()], None)
    assert (one.stop_reason, other.stop_reason) == ("", "")
    other.add([exchange()], None)
    assert one.stop_reason == other.stop_reason == "the budget of 20 tokens is spent"
    assert one.totals == other.totals
    assert one.totals.tokens == 20


def test_the_first_reason_to_stop_counts(tmp_path: Path) -> None:
    shared = tmp_path / "ledger.jsonl"
    one, other = (Ledger(shared=shared) for _ in range(2))
    one.stop("the endpoint is gone")
    other.stop("another reason")
    assert one.stop_reason == other.stop_reason == "the endpoint is gone"


def test_summary() -> None:
    ledger = Ledger(prices=PRICES)
    ledger.add([exchange(), exchange()], "replaced")
    ledger.count(retries=1)
    assert ledger.totals.summary(True, live=False) == (
        "cassettes: 0 written, 1 replaced, 0 untouched; 2 requests (1 retry), 20 tokens, cost 40"
    )
    assert ledger.totals.summary(False, live=True) == "live: 2 requests (1 retry), 20 tokens"


def test_what_happened_to_a_cassette(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    assert file_version(path) is file_version(None) is None
    path.write_text("old")
    old = file_version(path)
    (tmp_path / "new").write_text("new")
    (tmp_path / "new").replace(path)
    new = file_version(path)
    os.utime(path, ns=(1, 1))
    assert cassette_change(new, file_version(path)) == "unchanged"
    assert cassette_change(None, None) is None
    assert cassette_change(None, old) == "written"
    assert cassette_change(old, old) == "untouched"
    assert cassette_change(old, new) == "replaced"
