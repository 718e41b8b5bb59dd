"""Asking on behalf of checks: a request of a check goes over the transport of the variant that is judged, while that is open.

So it is recorded into the variant's cassette and replayed from it, by the same rules and with the same miss reports. What was asked is kept
apart from the conversation (``Transcript.asides``): its tokens are the test's, not the application's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evalkit.conversation import context
from evalkit.conversation.response_reader import read_response
from evalkit.errors import EvalkitError, SuiteErrors
from evalkit.transcript import Exchange, Request, Response, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evalkit.suite import Expectation, Variant


class Asker:
    """Asks over one transport. ``exchanges`` are what was asked, numbered from 1; ``in_order`` is whether every answer is worth keeping."""

    def __init__(self, send: Callable[[Request], Response]) -> None:
        self.exchanges: list[Exchange] = []
        self.in_order = True
        self._send = send

    def ask(self, request: Request) -> Response:
        """Send a request and return the answer. Raises what the transport raises; an API error is an answer."""
        exchange = Exchange(len(self.exchanges) + 1, 0, request)
        self.exchanges.append(exchange)
        try:
            response = self._send(request)
        except EvalkitError as error:
            exchange.failure, self.in_order = str(error), False
            raise
        read_response(exchange, response)
        # A refusal or half an answer would be replayed for ever, where the next recording run can have a whole one.
        self.in_order = self.in_order and exchange.error is None and exchange.failure is None
        return response


def may_ask(variant: Variant) -> bool:
    """Say whether a check of a variant asks; of a check that is built in mid-conversation nobody knows yet, so it may."""
    scenario, row = variant.scenario, variant.row
    for expect in (scenario.expect[row], *[turn.expect[row] for turn in scenario.turns]):
        for item in expect:
            if item.late is not None or getattr(item.built, "sends_requests", False):
                return True
    return False


def asks(item: Expectation, earlier: Sequence[Turn]) -> bool:
    """Say whether a check asks, ``earlier`` being the turns its argument may speak of."""
    if item.late is None:
        return getattr(item.built, "sends_requests", False)
    try:
        return getattr(item.check(context(earlier)), "sends_requests", False)
    except SuiteErrors:
        return False  # told when the check is run
