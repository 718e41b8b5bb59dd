"""What a transport is: one method that turns a Request into a Response, and an end. The seam between a conversation and the world.

A transport serves one scenario. Nothing is shared between two of them, so scenarios held in parallel threads cannot mix. Doubles in tests
are transports, never patches.
"""

from __future__ import annotations

from typing import Protocol

from evalkit.transcript import Request, Response


class Transport(Protocol):
    """Answers requests.

    ``send`` raises CassetteMiss (not recorded), TransportError (no usable answer came), UsageError (cannot record, base URL) or SecretLeak.
    An HTTP error is an answer. ``finish`` tells the transport whether the scenario was held to its end, ``close`` lets go of everything;
    ``unplayed`` then describes the recordings that no request asked for.
    """

    unplayed: list[str]

    def send(self, request: Request) -> Response:
        """Answer one request."""
        ...

    def finish(self, held: bool) -> None:
        """Take note that the scenario is over, and whether it was held to its end."""
        ...

    def close(self) -> None:
        """Let go of files and connections; twice is no error."""
        ...
