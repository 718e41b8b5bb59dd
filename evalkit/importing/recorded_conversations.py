"""The conversations in the recordings of several files, each of them once. Pure.

Other traffic is ignored. A file may have been exported again later, with more turns: a conversation
is left out if another one is equal to it, or begins with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate

from evalkit._lib.json import loads_or
from evalkit.cassette.recording import Cassette, Recording
from evalkit.conversation.demultiplex import split_conversations
from evalkit.conversation.history_digest import value_digest
from evalkit.conversation.reconstruct import (
    is_interaction,
    request_of,
    response_of,
    split_uri,
    transcript_of,
)
from evalkit.conversation.response_reader import read_response
from evalkit.importing.resumed_streams import join_resumed_streams
from evalkit.transcript import Exchange, Transcript

_METHODS = ("GET", "POST")


@dataclass(frozen=True, slots=True)
class RecordedConversation:
    """A conversation, the name of its file, and its number in it."""

    source: str
    number: int
    recordings: list[Recording]
    transcript: Transcript


def find_conversations(
    sources: Mapping[str, list[Recording]], repeated: list[str]
) -> list[RecordedConversation]:
    """Return conversations in the order of first requests; add those left out to ``repeated``."""
    conversations = []
    for source, source_recordings in sources.items():
        traffic = [
            recording
            for recording in source_recordings
            if is_interaction(recording) and recording.method in _METHODS and not _lists(recording)
        ]
        for number, thread in enumerate(split_conversations(traffic), 1):
            recordings = join_resumed_streams(traffic[index] for index in thread)
            useful = _without_failed_requests(recordings)
            transcript = transcript_of(Cassette(useful))
            if transcript.turns:
                conversations.append(RecordedConversation(source, number, useful, transcript))
    different = []
    beginnings = [_beginnings(one.recordings) for one in conversations]
    seen = {digest for digests in beginnings for digest in digests[:-1]}
    for conversation, (*_, end) in zip(conversations, beginnings, strict=True):
        if end in seen:
            repeated.append(f"{conversation.source}, conversation {conversation.number}")
        else:
            different.append(conversation)
            seen.add(end)
    return different


def _beginnings(recordings: Sequence[Recording]) -> list[bytes]:
    """Return a digest of the first exchange, of the first two, and so on."""
    digests = map(_exchange_digest, recordings)
    return [*accumulate(digests, lambda before, digest: sha256(before + digest).digest())]


def _exchange_digest(recording: Recording) -> bytes:
    request, body = request_of(recording), recording.body
    return value_digest(
        [request.method, request.path, request.body, recording.status, loads_or(body, str(body))]
    )


def _lists(recording: Recording) -> bool:
    """Return whether a request reads the list of interactions: not a conversation."""
    return recording.method == "GET" and split_uri(recording.uri).path.endswith("/interactions")


def _without_failed_requests(recordings: list[Recording]) -> list[Recording]:
    """Return recordings without those that failed before another request to the same resource.

    A failed request is not part of the history, so what follows does not depend on it; unless it
    names the interaction whose stream was cut.
    """
    useful: list[Recording] = []
    later: set[tuple[str, str]] = set()
    continued: set[str] = set()
    for recording in reversed(recordings):
        request = request_of(recording)
        exchange = Exchange(1, 1, request)
        read_response(exchange, response_of(recording))
        has_failed = exchange.error is not None or exchange.failure is not None
        is_continued = str((exchange.interaction or {}).get("id")) in continued
        if not has_failed or is_continued or (request.method, request.path) not in later:
            useful.insert(0, recording)
        later.add((request.method, request.path))
        if isinstance(body := request.body, dict) and body.get("previous_interaction_id"):
            continued.add(str(body["previous_interaction_id"]))
    return useful
