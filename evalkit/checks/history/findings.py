"""What is wrong with a request that does not re-send the history as it must: deviations, found by ``history_diff``, as findings."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Literal

from evalkit._lib.json import JSON
from evalkit.checks.history.diff import deviations
from evalkit.checks.history.input import items_of, readable
from evalkit.checks.history.step import Deviation, Wanted, key_of
from evalkit.protocol.step_reader import RawStep, steps_of
from evalkit.transcript import Exchange
from evalkit.verdict import Finding, Where


class Earlier:
    """What was sent and received before, as keys of steps; each exchange is read once. ``count`` is how many were."""

    def __init__(self) -> None:
        self.count = 0
        self.streamed = False
        self._keys: set[str] = set()

    def read(self, exchanges: Sequence[Exchange]) -> None:
        """Take in further exchanges."""
        self.count += len(exchanges)
        for past in exchanges:
            self.streamed = self.streamed or past.events is not None
            self._keys.update(key_of(item.step) for item in items_of(_input(past)))
            if past.interaction is not None:
                self._keys.update(key_of(readable(step)) for step in steps_of(past.interaction))

    def apart_from(self, wanted: Sequence[Wanted]) -> Container[str]:
        """Return all keys but those of the history that is wanted."""
        return _Without(self._keys, {key_of(want.step) for want in wanted})


class _Without:
    """The keys of one set that are not in another, without a copy for each request."""

    def __init__(self, keys: set[str], less: set[str]) -> None:
        self._keys = keys
        self._less = less

    def __contains__(self, key: object) -> bool:
        return key in self._keys and key not in self._less


def findings(
    history: tuple[JSON, Sequence[RawStep], int],
    exchange: Exchange,
    hop: bool,
    earlier: Earlier,
    level: Literal["exact", "equivalent"],
) -> Iterator[Finding]:
    """Yield what a request does otherwise than the history before it asks; ``hop``: it continues an answer, and only repeats.

    ``history`` is the input that was sent, the steps that were received, and the number of the exchange in which that was.
    """
    sent, received, source = history
    wanted = [Wanted(item.step, False, f"input of exchange {source}") for item in items_of(sent)]
    wanted += [Wanted(readable(step), True, f"answer of exchange {source}") for step in received]
    known: Container[str] = () if hop else earlier.apart_from(wanted)
    items = items_of(exchange.request.body.get("input"))
    for deviation in deviations(wanted, items, known, streamed=earlier.streamed, closed=hop):
        if level == "exact" or not deviation.forgivable:
            yield _finding(deviation, exchange)


def _finding(found: Deviation, exchange: Exchange) -> Finding:
    where = Where(
        turn=exchange.turn, exchange=exchange.number, pointer=found.pointer, part="request"
    )
    return Finding(
        found.code,
        found.message,
        where,
        expected=found.expected,
        got=found.got,
        detail=found.detail,
    )


def _input(exchange: Exchange) -> JSON:
    body = exchange.request.body
    return body.get("input") if isinstance(body, dict) else None
