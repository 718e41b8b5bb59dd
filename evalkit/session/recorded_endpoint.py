"""A recorded conversation as an endpoint: what was answered then is answered again, in order, whatever words the request has now.

So a conversation that another client recorded can be held by the engine and recorded in its own way: the answers are the very ones received,
the requests those that replay will ask with. A request of another kind than the next one recorded, or one beyond the end, is a TransportError:
the conversation takes another path than it took.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from evalkit.cassette.recording import Recording
from evalkit.conversation.reconstruct import is_interaction, request_of, split_uri
from evalkit.errors import TransportError
from evalkit.protocol.wire_facts import API_HOST
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import response_of


class RecordedEndpoint:
    """Answers requests by the recordings of one conversation (``transports.record.Endpoint``)."""

    secrets: tuple[str, ...] = ()

    def __init__(self, recordings: Sequence[Recording]) -> None:
        kept = [
            recording
            for recording in recordings
            if is_interaction(recording) and recording.method in ("POST", "GET")
        ]
        # A request that was made again because it had been refused for a while is the one that counts.
        self._left = deque(
            recording
            for recording, after in zip(kept, [*kept[1:], None], strict=True)
            if after is None or not _refused(recording, after)
        )
        first = split_uri(kept[0].uri if kept else "")
        self._base = f"{first.scheme or 'https'}://{first.netloc or API_HOST}"

    def uri(self, request: Request) -> str:
        """Return the URI a request would have gone to."""
        query = "&".join(f"{name}={value}" for name, value in request.query)
        return f"{self._base}{request.path}" + (f"?{query}" if query else "")

    def send(self, request: Request) -> Response:
        """Return the next answer. Raises TransportError."""
        if not self._left:
            raise TransportError("the recorded conversation ends here")
        if self._left[0].method != request.method:
            raise TransportError(
                f"the recorded conversation goes on with {self._left[0].method}, not with {request.method}"
            )
        return response_of(self._left.popleft(), "recorded")

    def close(self) -> None:
        """Nothing is held open."""


def _refused(recording: Recording, after: Recording) -> bool:
    return (
        recording.status >= 400
        and recording.method == after.method
        and request_of(recording) == request_of(after)
    )
