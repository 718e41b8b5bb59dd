"""The requests that checks send themselves, recorded with those of the conversation."""

from collections.abc import Callable

from evalkit.conversation.response_reader import read_response
from evalkit.errors import CassetteMiss, EvalkitError
from evalkit.transcript import Exchange, Request, Response


class CheckRequests:
    """Requests of checks over one transport.

    ``exchanges`` are numbered from 1. ``complete`` says whether every response is worth storing,
    ``miss`` is the first request that was not recorded, if any.
    """

    def __init__(self, send: Callable[[Request], Response]) -> None:
        self.exchanges: list[Exchange] = []
        self.complete = True
        self.miss: CassetteMiss | None = None
        self._send = send

    def send(self, request: Request) -> Response:
        """Send a request. Raises what the transport raises; an API error is a response."""
        exchange = Exchange(len(self.exchanges) + 1, 0, request)
        self.exchanges.append(exchange)
        try:
            response = self._send(request)
        except EvalkitError as error:
            exchange.failure, self.complete = str(error), False
            if isinstance(error, CassetteMiss):
                self.miss = self.miss or error
            raise
        read_response(exchange, response)
        # An error or a broken stream must not be replayed forever: the next recording may succeed.
        if exchange.error is not None or exchange.failure is not None:
            self.complete = False
        return response
