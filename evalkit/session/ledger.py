"""What a session does and what that costs; the budget, and other reasons to stop.

Workers of one session (pytest-xdist) share a file: each appends what it counts, and why it stopped,
and reads what the others appended. A line is one write to a file that is opened for appending.
"""

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from evalkit._lib.text import plural
from evalkit.checks.core.pricing import cost_of
from evalkit.compare.rows import Prices
from evalkit.transcript import Exchange

CassetteChange = Literal["written", "replaced", "unchanged", "untouched"]
"""Unchanged: it was recorded again and the answers were the same."""


class NotStarted(Exception):
    """A conversation was not started, because the session stops; the message says why."""


class Budget(NamedTuple):
    """The most that a session may spend: tokens, or money in the currency of the prices."""

    limit: float
    is_money: bool

    def __str__(self) -> str:
        return f"{self.limit:,.2f}" if self.is_money else f"{self.limit:,.0f} tokens"


@dataclass(slots=True, kw_only=True)
class RecordingTotals:
    """Sums over the conversations of a session.

    ``planned``, ``started``, ``ended``, ``failed`` and ``errored`` count conversations, and the
    next three what happened to their cassettes. The others are about requests that reached the
    endpoint. ``cost`` is 0 without prices.
    """

    planned: int = 0
    started: int = 0
    ended: int = 0
    failed: int = 0
    errored: int = 0
    written: int = 0
    replaced: int = 0
    unchanged: int = 0
    untouched: int = 0
    requests: int = 0
    retries: int = 0
    tokens: int = 0
    cost: float = 0.0

    def add(self, other: Mapping[str, Any]) -> None:
        """Add other totals, as ``asdict`` returns them."""
        for name, value in other.items():
            setattr(self, name, getattr(self, name) + value)

    def summary(self, has_prices: bool, *, live: bool) -> str:
        """Return one line for the terminal; a live session has no cassettes."""
        unchanged = f"{self.unchanged} unchanged, " if self.unchanged else ""
        counts = f"{self.written} written, {self.replaced} replaced, {unchanged}{self.untouched}"
        cassettes = "live: " if live else f"cassettes: {counts} untouched; "
        retries = f" ({plural(self.retries, 'retry', 'retries')})" if self.retries else ""
        cost = f", cost {self.cost:,.4g}" if has_prices else ""
        return (
            f"{cassettes}{plural(self.requests, 'request')}{retries}, {self.tokens:,} tokens{cost}"
        )


class Ledger:
    """What all processes of a session count.

    ``prices`` are those of models; one without a price counts at the highest. ``shared`` is the
    file of all workers. Threads may call every method.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        prices: Mapping[str, Prices] | None = None,
        shared: Path | None = None,
    ) -> None:
        self._totals = RecordingTotals()
        self.has_prices = bool(prices)
        self._budget = budget
        self.prices = dict(prices or {})
        self._shared = shared
        self._offset = 0
        self._reason = ""
        self._lock = threading.Lock()

    @property
    def totals(self) -> RecordingTotals:
        """The sums so far."""
        with self._lock:
            self._read()
            return replace(self._totals)

    def count(self, **numbers: float) -> None:
        """Add to the sums of these names."""
        with self._lock:
            self._write({"count": numbers})

    def add(self, exchanges: Iterable[Exchange], cassette: CassetteChange | None) -> None:
        """Count a conversation, and what happened to its cassette, if it has one."""
        sums = RecordingTotals()
        if cassette is not None:
            setattr(sums, cassette, 1)
        for exchange in exchanges:
            if exchange.response is not None and exchange.response.source != "replayed":
                tokens = _usage(exchange)
                sums.requests += 1
                sums.tokens += tokens.get("total_tokens", 0)
                sums.cost += self._cost(exchange, tokens)
        self.count(**{name: value for name, value in asdict(sums).items() if value})

    def stop(self, reason: str) -> None:
        """Let no process of the session start another conversation."""
        with self._lock:
            self._write({"stop": reason})

    def check(self) -> None:
        """Raise NotStarted if no other conversation may start."""
        if reason := self.stop_reason:
            raise NotStarted(reason)

    @property
    def stop_reason(self) -> str:
        """Why no other conversation is started, ``""`` while some may be."""
        with self._lock:
            self._read()
            budget = self._budget
            if not self._reason and budget is not None:
                spent = self._totals.cost if budget.is_money else self._totals.tokens
                if spent >= budget.limit:
                    self._reason = f"the budget of {budget} is spent"
            return self._reason

    def _cost(self, exchange: Exchange, tokens: Mapping[str, int]) -> float:
        if not self.prices:
            return 0.0
        body = exchange.request.body if isinstance(exchange.request.body, dict) else {}
        prices = self.prices.get(str(body.get("model") or body.get("agent")))
        if prices is None:
            prices = max(self.prices.values(), key=lambda one: one.output_per_million)
        return cost_of(tokens, prices) or 0.0

    def _write(self, entry: dict[str, Any]) -> None:
        if self._shared is None:
            self._note(entry)
            return
        with self._shared.open("ab", buffering=0) as file:
            file.write(json.dumps(entry).encode() + b"\n")

    def _read(self) -> None:
        if self._shared is None or not self._shared.exists():
            return
        with self._shared.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # It is being written.
                self._offset += len(line)
                self._note(json.loads(line))

    def _note(self, entry: Mapping[str, Any]) -> None:
        self._totals.add(entry.get("count", {}))
        self._reason = self._reason or entry.get("stop", "")


def file_version(path: Path | None) -> tuple[int, int] | None:
    """Return what tells a file from one that replaced it; None without a file."""
    try:
        status = path.stat() if path is not None else None
    except FileNotFoundError:
        status = None
    return (status.st_ino, status.st_mtime_ns) if status is not None else None


def cassette_change(
    before: tuple[int, int] | None, after: tuple[int, int] | None
) -> CassetteChange | None:
    """Return what happened to a cassette; None if there is none."""
    if after is None:
        return None
    if before == after:
        return "untouched"
    if before is None:
        return "written"
    # A recording that changes nothing sets the time of the file.
    return "unchanged" if before[0] == after[0] else "replaced"


def _usage(exchange: Exchange) -> dict[str, int]:
    usage = (exchange.interaction or {}).get("usage")
    counts = usage.items() if isinstance(usage, dict) else ()
    return {key: count for key, count in counts if type(count) is int}
