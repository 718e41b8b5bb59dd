"""One cassette as the rules see it: recordings, exchanges and conversations.

Everything is computed once, when a rule first needs it. The ``number`` of an exchange is that of
its recording, counted from 1 over the file.

``conversation.demultiplex`` follows ids, signatures and beginnings, because it must not mix
conversations while they run. A client that drops every thought destroys all three, and its next
request looks like a new conversation, which no rule could check. In a finished cassette nothing can
be mixed up any more, so ``merge_threads`` joins such a request to the conversation with which it
shares most steps of the model, the latest one among equals.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from evalkit._lib.exact_json import write_exact
from evalkit._lib.files import display_path, read_file
from evalkit._lib.json import loads
from evalkit.cassette.files import load_cassette
from evalkit.cassette.format import parse
from evalkit.cassette.recording import Cassette, Recording
from evalkit.conversation.demultiplex import split_conversations
from evalkit.conversation.history_digest import is_client_step, step_digest
from evalkit.conversation.reconstruct import TranscriptBuilder, request_of, response_of
from evalkit.conversation.response_reader import read_response
from evalkit.errors import CassetteError
from evalkit.protocol.input_reader import input_steps
from evalkit.protocol.step_reader import RawStep, steps_of
from evalkit.transcript import Exchange

_MOST_PLACES = 16  # a step that occurs more often does not identify a conversation

Thread = list[Exchange]
_Place = tuple[int, int]
"""A thread's index, and the number of its exchanges up to a response."""

_START = re.compile(r" *- request:")
_INTERACTIONS_PATH = re.compile(r"(?:^|/)interactions(?:/[^/]+(?:/cancel)?)?/?\Z")


def merge_threads(threads: Sequence[Sequence[Exchange]]) -> list[Thread]:
    """Return the conversations; one that starts with a re-sent history follows its origin."""
    merged: list[Thread] = []
    places: dict[bytes, list[_Place]] = {}  # of each step of the model, by digest
    for thread in sorted(threads, key=lambda thread: thread[0].number):
        origin = _find_origin(thread[0], merged, places)
        if origin is None:
            index = len(merged)
            merged.append(list(thread))
        else:
            index, length = origin
            whole = length == len(merged[index])
            if whole and merged[index][-1].number < thread[0].number:
                merged[index] += thread
            else:
                shared = merged[index][:length]
                index = len(merged)
                merged.append([*shared, *thread])
        for position in range(len(merged[index]) - len(thread), len(merged[index])):
            for digest in _model_digests(steps_of(merged[index][position].interaction or {})):
                known = places.setdefault(digest, [])
                if len(known) <= _MOST_PLACES:
                    known.append((index, position + 1))
    return merged


def resends_model_steps(exchange: Exchange) -> bool:
    """Return whether a request re-sends steps of a model."""
    return bool(_resent_model_steps(exchange))


def _find_origin(
    first: Exchange, merged: list[Thread], places: dict[bytes, list[_Place]]
) -> _Place | None:
    votes: Counter[_Place] = Counter()
    for digest in _model_digests(_resent_model_steps(first)):
        known = places.get(digest, ())
        if len(known) <= _MOST_PLACES:
            votes.update(
                (index, length)
                for index, length in known
                if merged[index][length - 1].number < first.number
            )
    # Add the votes up by conversation: its later responses contain none of its earlier steps.
    totals: Counter[int] = Counter()
    for (index, _), count in votes.items():
        totals[index] += count
    if not totals:
        return None
    best = max(totals, key=lambda index: (totals[index], index))
    return best, max(length for index, length in votes if index == best)


def _resent_model_steps(exchange: Exchange) -> list[RawStep]:
    body = exchange.request.body
    if not exchange.request.creates_interaction or body.get("previous_interaction_id"):
        return []
    return [step for step in input_steps(body.get("input")) if not is_client_step(step)]


def _model_digests(steps: Sequence[RawStep]) -> Iterator[bytes]:
    return (step_digest(step) for step in steps if not is_client_step(step))


class CassetteView:
    """A cassette; ``lost_media`` are recordings (from 0) with missing or changed media."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises CassetteError where it is missing or not a whole cassette."""
        self.path = path
        self.name = display_path(path)
        self.lost_media: list[tuple[int, str]] = []
        if path.suffix == ".json":
            cassette: Cassette | None = _read_json(path, self.name)
        else:
            cassette = load_cassette(
                path,
                on_lost_media=lambda number, error: self.lost_media.append((number, str(error))),
            )
        if cassette is None:
            raise CassetteError(f"{self.name}:1 is no longer there")
        self.cassette = cassette

    @property
    def recordings(self) -> list[Recording]:
        """The recordings, in order."""
        return self.cassette.recordings

    @cached_property
    def exchanges(self) -> list[Exchange]:
        """Every recording as an exchange, also those outside the API."""
        builder, exchanges = TranscriptBuilder(), []
        for number, recording in enumerate(self.recordings, 1):
            exchange = builder.add(recording)
            if exchange is None:  # not part of a conversation: other traffic, or a judge's
                exchange = Exchange(number, 0, request_of(recording))
                read_response(exchange, response_of(recording))
            exchange.number = number
            exchanges.append(exchange)
        return exchanges

    @cached_property
    def api_exchanges(self) -> list[Exchange]:
        """The exchanges that create, get, cancel or delete interactions."""
        return [
            exchange
            for exchange in self.exchanges
            if _INTERACTIONS_PATH.search(exchange.request.path)
        ]

    @cached_property
    def threads(self) -> list[list[Exchange]]:
        """The conversations, each with its API exchanges in order.

        An exchange is in several conversations where these share a beginning.
        """
        numbers = {exchange.number for exchange in self.api_exchanges}
        if len(numbers) < 2:
            return [self.api_exchanges] if numbers else []
        threads = [
            [self.exchanges[index] for index in thread if index + 1 in numbers]
            for thread in split_conversations(self.recordings)
        ]
        return merge_threads([thread for thread in threads if thread])

    @cached_property
    def lines(self) -> list[int]:
        """The line on which each recording starts; empty where it is unknown, as in JSON."""
        try:
            text = self.path.read_text("utf-8")
        except (OSError, ValueError):
            return []
        starts = [at for at, line in enumerate(text.split("\n"), 1) if _START.match(line)]
        return starts if len(starts) == len(self.recordings) else []

    def line(self, exchange: int) -> int | None:
        """Return the line on which a recording (from 1) starts, None where it is unknown."""
        return self.lines[exchange - 1] if 0 < exchange <= len(self.lines) else None


def _read_json(path: Path, name: str) -> Cassette:
    # vcrpy's JSON serializer escapes characters beyond U+FFFF in a way that YAML does not read.
    try:
        text = write_exact(loads(read_file(path)), ensure_ascii=False)
    except OSError as error:
        raise CassetteError(f"{name}:1 cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CassetteError(f"{name}:{getattr(error, 'lineno', 1)} not readable: {error}") from None
    return parse(text, name)
