"""One cassette as the rules see it: its recordings, what each says as an exchange, and the conversations they make.

Everything is read once, when a rule first asks. An exchange's ``number`` is always the recording's, counted from 1 over the file.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path

from evalkit._lib.files import display_path
from evalkit.cassette.format import parse
from evalkit.cassette.loader import load_cassette
from evalkit.cassette.recording import Cassette, Recording
from evalkit.conversation.demultiplex import split_conversations
from evalkit.conversation.reconstruct import TranscriptBuilder, request_of, response_of
from evalkit.conversation.response_reader import read_response
from evalkit.errors import CassetteError
from evalkit.lint.rejoining import rejoined
from evalkit.transcript import Exchange

_INTERACTIONS = re.compile(r"(?:^|/)interactions(?:/[^/]+(?:/cancel)?)?/?\Z")


class Tape:
    """A cassette. ``lost`` are the recordings (from 0) whose media are missing or altered, with what is wrong."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises CassetteError where it is no whole cassette, or is not there."""
        self.path = path
        self.name = display_path(path)
        self.lost: list[tuple[int, str]] = []
        if path.suffix == ".json":
            cassette: Cassette | None = _from_json(path, self.name)
        else:
            cassette = load_cassette(
                path, lost=lambda number, error: self.lost.append((number, str(error)))
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
        """Every recording as an exchange, whatever it is about."""
        reader, found = TranscriptBuilder(), []
        for number, recording in enumerate(self.recordings, 1):
            exchange = reader.add(recording)
            if exchange is None:  # no part of a conversation: other traffic, or a judge's
                exchange = Exchange(number, 0, request_of(recording))
                read_response(exchange, response_of(recording))
            exchange.number = number
            found.append(exchange)
        return found

    @cached_property
    def api(self) -> list[Exchange]:
        """The exchanges that speak of interactions: creating, reading, cancelling, deleting them."""
        return [
            exchange for exchange in self.exchanges if _INTERACTIONS.search(exchange.request.path)
        ]

    @cached_property
    def threads(self) -> list[list[Exchange]]:
        """The conversations: their exchanges about interactions, in order. One exchange may stand in several that share a beginning."""
        about = {exchange.number for exchange in self.api}
        if len(about) < 2:
            return [self.api] if about else []
        found = [
            [number + 1 for number in thread if number + 1 in about]
            for thread in split_conversations(self.recordings)
        ]
        return rejoined(
            [[self.exchanges[number - 1] for number in thread] for thread in found if thread]
        )

    @cached_property
    def lines(self) -> list[int]:
        """The line on which each recording starts; none where that cannot be told."""
        try:
            text = self.path.read_text("utf-8")
        except (OSError, ValueError):
            return []
        starts = [
            number
            for number, line in enumerate(text.split("\n"), 1)
            if line.startswith("- request:")
        ]
        if len(starts) == len(self.recordings):
            return starts
        from evalkit._lib import yaml  # rare: only files of an unusual layout

        try:
            document, lines = yaml.load_lines(text)
        except yaml.YamlError:  # JSON, or changed since it was read
            return []
        items = document.get("interactions") if isinstance(document, dict) else None
        return lines.of(items) if isinstance(items, list) else []

    def line(self, exchange: int) -> int | None:
        """Return the line on which a recording (from 1) starts, None where that cannot be told."""
        return self.lines[exchange - 1] if 0 < exchange <= len(self.lines) else None


def _from_json(path: Path, name: str) -> Cassette:
    """Read what vcrpy's JSON serializer writes: YAML would take it, but for the escapes of characters beyond U+FFFF."""
    try:
        text = json.dumps(json.loads(path.read_bytes()), ensure_ascii=False)
    except OSError as error:
        raise CassetteError(f"{name}:1 cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CassetteError(f"{name}:{getattr(error, 'lineno', 1)} not readable: {error}") from None
    return parse(text, name)
