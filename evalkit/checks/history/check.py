"""``history``: each request of a stateless conversation re-sends the whole history.

The ``input`` of a request must be (docs/protocol.md section 9): the ``input`` of the last request
that was answered, then every step of its response as received and in order, then what the client
adds. The client's ``function_result`` steps may come right after their calls or after the last
step of the response. JSON values are compared: key order and the spelling of numbers do not count.

The check reads exchanges only, so it can evaluate any application's traffic:

* A request with ``previous_interaction_id`` leaves the history to the service.
* A failed response is not part of the history.
* A background run is what it ended as.
* The hops of a continued call are one response, and each hop must repeat the input.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal, NamedTuple
from urllib.parse import unquote

from pydantic import Field

from evalkit._lib.json import JSON, canonical, equal
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.strictness import Strictness
from evalkit.checks.history.findings import HistoryComparison
from evalkit.checks.history.matching import HistoryStep
from evalkit.checks.history.unsigned_thoughts import unsigned_thoughts
from evalkit.protocol.input_reader import comparable, items_of
from evalkit.protocol.step_reader import RawStep, steps_of, strip_user_input
from evalkit.transcript import Exchange
from evalkit.verdict import Finding

Level = Literal["exact", "equivalent"]


class Sent(NamedTuple):
    """The last answered request: its input, the steps of its response, and its exchange."""

    input: JSON
    received: list[RawStep]
    exchange: Exchange


class History(Check):
    """Each request of a stateless conversation re-sends the whole history exactly as received.

    On by default in every stateless variant. The empty case: a conversation of one exchange, or
    one whose history the service stores, has nothing to re-send and passes. A request that
    re-sends nothing of an earlier exchange is one ``history_truncated``. A thought without a
    signature before a function result is a warning.
    """

    name: ClassVar[str] = "history"
    shorthand: ClassVar[str | None] = "level"
    strictness: ClassVar[Mapping[str, Strictness]] = {"level": {"equivalent": ["exact"]}}

    level: Level = Field(
        "exact",
        description="equivalent allows nulls to be added or dropped where a field may be absent,"
        " as the official SDKs do.",
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each difference, with the exchange and the pointer into its request."""
        exchanges = [exchange for turn in view.transcript.turns for exchange in turn.exchanges]
        known: set[str] = set()
        # Of an exchange outside of every turn it is only known that it is in the conversation.
        in_view = {turn.number for turn in view.turns} if view.turn is not None else None
        read = 0
        last: Sent | None = None
        for position, exchange in enumerate(exchanges):
            body = exchange.request.body
            if not exchange.request.creates_interaction:
                last = _after_poll(last, exchange)
                continue
            is_in_view = in_view is None or exchange.turn in in_view
            if last is not None and is_in_view and not body.get("previous_interaction_id"):
                is_hop = bool(body.get("continuation_token"))
                received = [] if is_hop else last.received
                if not _is_exact(last.input, received, body.get("input"), is_hop):
                    known.update(_step_keys(exchanges[read:position]))
                    read = position
                    comparison = partial(
                        HistoryComparison,
                        _history(last, received),
                        exchange,
                        known=known,
                        is_hop=is_hop,
                        is_strict=self.level == "exact",
                        was_streamed=any(each.events is not None for each in exchanges[:position]),
                    )
                    readings = [comparison(last_is_new=value).findings() for value in (True, False)]
                    yield from min(readings, key=len)
            last = _after_create(last, exchange)
        for finding in unsigned_thoughts(exchanges):
            if in_view is None or finding.where.turn in in_view:
                yield finding


def _history(last: Sent, received: Sequence[RawStep]) -> list[HistoryStep]:
    number = last.exchange.number
    steps = [
        HistoryStep(item.step, False, f"input of exchange {number}")
        for item in items_of(last.input)
    ]
    source = f"response of exchange {number}"
    return steps + [HistoryStep(comparable(step), True, source) for step in received]


def _step_keys(exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Yield the keys of all steps that were sent or received."""
    for exchange in exchanges:
        body = exchange.request.body
        sent = items_of(body.get("input")) if isinstance(body, dict) else []
        received = steps_of(exchange.interaction or {})
        yield from map(canonical, [*(item.step for item in sent), *map(comparable, received)])


def _after_create(last: Sent | None, exchange: Exchange) -> Sent | None:
    """Return the last answered request after a create request; None where the service has it."""
    body = exchange.request.body
    if body.get("previous_interaction_id"):
        return None
    interaction = exchange.interaction
    if interaction is None or exchange.error is not None or exchange.failure is not None:
        return last
    received = steps_of(interaction)
    if body.get("continuation_token") and last is not None:
        return Sent(last.input, [*last.received, *strip_user_input(received)], exchange)
    return Sent(body.get("input"), received, exchange)


def _after_poll(last: Sent | None, exchange: Exchange) -> Sent | None:
    """Take the steps of a background run that was read (docs/protocol.md section 8.1)."""
    interaction = exchange.interaction
    if last is None or last.received or interaction is None or exchange.error is not None:
        return last
    identity = (last.exchange.interaction or {}).get("id")
    if not identity or unquote(exchange.request.path.rpartition("/")[2]) != identity:
        return last
    return Sent(last.input, strip_user_input(steps_of(interaction)), last.exchange)


def _is_exact(sent: JSON, received: Sequence[RawStep], value: JSON, is_hop: bool) -> bool:
    """Return whether an input certainly is as expected, without looking for differences.

    Nearly every request is. Comparing it in full would take much longer.
    """
    if is_hop:
        return equal(sent, value)
    if not isinstance(value, list) or not isinstance(sent, list):
        return False
    added = value[len(sent) :]
    if not all(isinstance(item, dict) for item in added):
        return False
    remaining = iter(received)
    expected = next(remaining, None)
    call_ids = []
    previous = None
    for step in added:
        kind = step.get("type")
        if kind == "function_result":
            # Right after a call or another result, or after the whole response.
            if expected is not None and previous not in ("function_call", "function_result"):
                return False
            call_ids.append(step.get("call_id"))
        elif expected is not None:
            if not equal(expected, step):
                return False
            expected = next(remaining, None)
        elif kind != "user_input":
            return False
        previous = kind
    ids = [step.get("id") for step in received if step.get("type") == "function_call"]
    if expected is not None or not all(isinstance(key, str) and key for key in (*ids, *call_ids)):
        return False
    has_pairs = len(ids) == len(call_ids) == len(set(ids)) and set(ids) == set(call_ids)
    return has_pairs and equal(sent, value[: len(sent)])
