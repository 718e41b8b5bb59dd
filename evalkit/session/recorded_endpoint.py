"""Use a recorded conversation as an endpoint: its responses, in order, for any request text.

So the engine can repeat a conversation that another client recorded, and record it in its own way:
the responses are those received then, the requests those that replay will send. What the client
asked beside the conversation is passed over (a response read again, a DELETE); a cancel is what the
next poll finds.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalkit._lib.json import dumps
from evalkit.cassette.recording import Recording
from evalkit.conversation.reconstruct import has_message, request_of, split_uri
from evalkit.conversation.response_reader import read_response
from evalkit.errors import TransportError
from evalkit.protocol.wire_facts import API_BASE_URL
from evalkit.session.settings import Settings
from evalkit.transcript import Exchange, Request, Response
from evalkit.transports.conversion import response_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSettings(Settings):
    """The settings of a session whose endpoint is a recording: it never waits."""

    @property
    def poll_seconds(self) -> float:
        """No pause between polls."""
        return 0.0


class RecordedEndpoint:
    """An endpoint that responds with the recordings of one conversation.

    ``has_ended`` says that a request was sent to which the recording has no response.
    """

    secrets: tuple[str, ...] = ()

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.has_ended = False
        self._recordings = deque(recordings)
        first = split_uri(recordings[0].uri if recordings else "")
        self._base = f"{first.scheme}://{first.netloc}" if first.netloc else API_BASE_URL

    def uri(self, request: Request) -> str:
        """Return the URI of a request at the original endpoint."""
        query = "&".join(f"{name}={value}" for name, value in request.query)
        return f"{self._base}{request.path}" + (f"?{query}" if query else "")

    def send(self, request: Request) -> Response:
        """Return the next response; one to a request that is not streamed is never a stream.

        Raises TransportError where the conversation takes another course than the recorded one.
        """
        reason = "the recorded conversation ends here"
        while self._recordings:
            recorded = request_of(self._recordings[0])
            if recorded.creates_interaction and _kind(recorded) != _kind(request):
                reason = f"the recorded conversation continues with {_kind(recorded)}"
                break
            recording = self._recordings.popleft()
            is_poll = not request.creates_interaction and recorded.method in ("GET", "POST")
            if is_poll or recorded.creates_interaction:
                response = response_of(recording, "recorded")
                return response if request.streamed else _as_json(request, response)
        self.has_ended = True
        raise TransportError(f"{reason}, not with {_kind(request)}")

    def close(self) -> None:
        """Do nothing: no connection is open."""


def _kind(request: Request) -> str:
    if not request.creates_interaction:
        return "a poll"
    return "a message" if has_message(request) else "results or a continuation"


def _as_json(request: Request, response: Response) -> Response:
    """Return a streamed response as the service sends it to a request for JSON."""
    exchange = Exchange(1, 1, request)
    read_response(exchange, response)
    if exchange.events is None or exchange.failure is not None:
        return response
    error = exchange.error
    body = {"error": {"code": error.code, "message": error.message}} if error else None
    headers = {**response.headers, "content-type": "application/json"}
    return replace(response, headers=headers, text=dumps(body or exchange.interaction), event_ms=())
