"""Use a recorded conversation as an endpoint: its responses, in order, for any request text.

So the engine can repeat a conversation that another client recorded, and record it in its own way:
the responses are those received then, the requests those that replay will send.
"""

from collections import deque
from collections.abc import Sequence

from evalkit.cassette.recording import Recording
from evalkit.conversation.reconstruct import is_interaction, request_of, split_uri
from evalkit.errors import TransportError
from evalkit.protocol.wire_facts import API_BASE_URL
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import response_of


class RecordedEndpoint:
    """An endpoint that responds with the recordings of one conversation."""

    secrets: tuple[str, ...] = ()

    def __init__(self, recordings: Sequence[Recording]) -> None:
        recordings = [
            recording
            for recording in recordings
            if is_interaction(recording) and recording.method in ("POST", "GET")
        ]
        # Of a request that was repeated after an error, only the last attempt counts.
        self._recordings = deque(
            recording
            for recording, following in zip(recordings, [*recordings[1:], None], strict=True)
            if following is None or not _was_repeated(recording, following)
        )
        first = split_uri(recordings[0].uri if recordings else "")
        self._base = f"{first.scheme}://{first.netloc}" if first.netloc else API_BASE_URL

    def uri(self, request: Request) -> str:
        """Return the URI of a request at the original endpoint."""
        query = "&".join(f"{name}={value}" for name, value in request.query)
        return f"{self._base}{request.path}" + (f"?{query}" if query else "")

    def send(self, request: Request) -> Response:
        """Return the next response.

        Raises TransportError where the conversation takes another course than the recorded one.
        """
        if not self._recordings:
            raise TransportError("the recorded conversation ends here")
        method = self._recordings[0].method
        if method != request.method:
            raise TransportError(
                f"the recorded conversation continues with {method}, not with {request.method}"
            )
        return response_of(self._recordings.popleft(), "recorded")

    def close(self) -> None:
        """Do nothing: no connection is open."""


def _was_repeated(recording: Recording, following: Recording) -> bool:
    return (
        recording.status >= 400
        and recording.method == following.method
        and request_of(recording) == request_of(following)
    )
