"""The conversations of what was read, each as a draft and with its recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from evalkit.cassette.recording import Cassette, Recording
from evalkit.conversation.demultiplex import split_conversations
from evalkit.conversation.reconstruct import is_interaction, transcript_of
from evalkit.drafting.scenarios import Draft, draft, first_text, names
from evalkit.drafting.sources import Source


class Conversation(NamedTuple):
    """One conversation: the file it stands in, its draft, its recordings."""

    source: str
    draft: Draft
    recordings: list[Recording]


def conversations(sources: Sequence[Source]) -> Iterator[Conversation]:
    """Yield every conversation of every source, in order of their first requests."""
    found = []
    for source in sources:
        traffic = [recording for recording in source.recordings if is_interaction(recording)]
        for number, thread in enumerate(split_conversations(traffic), 1):
            recordings = [traffic[index] for index in thread]
            transcript = transcript_of(Cassette(recordings))
            if transcript.turns:
                found.append((source.name, number, recordings, transcript))
    for (name, number, recordings, transcript), scenario in zip(
        found, names(first_text(one[3]) for one in found), strict=True
    ):
        yield Conversation(
            name, draft(transcript, scenario, f"{name}, conversation {number}"), recordings
        )
