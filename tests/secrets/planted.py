"""Secrets planted in exchanges: kind × encoding × place × split, and what must not be written.

A plant is one exchange of a service that knows a secret and repeats it. ``fragments`` are the parts
of the encoded secret that depend on the secret. None of them may be in what is written: not in the
bytes, and not in what a reader puts together of them.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from random import Random
from typing import Any
from urllib.parse import quote

from evalkit.cassette.recording import Recording
from tests.cassette.encodings import ENCODINGS, SECRETS

URI = "https://generativelanguage.googleapis.com/v1beta/interactions"
OTHER_URI = "https://api.other.example/v1/chat"
_WIDTH = 12
_PIECES = re.compile(
    r'"index":(?P<index>\d+)|"(?:text|arguments|result|transcript|content|a|b|c|d)":"(?P<text>.*?)"'
)


@dataclass(frozen=True, kw_only=True)
class Plant:
    """One combination. ``second`` is the encoding of the encoded secret, ``seed`` cuts it."""

    kind: str
    first: str
    second: str
    place: str
    split: str
    seed: int

    @property
    def secret(self) -> str:
        """The secret."""
        return SECRETS[self.kind]

    @property
    def encoded(self) -> str:
        """The secret as the service writes it."""
        return self._encode(self.secret)

    @property
    def fragments(self) -> set[str]:
        """What must not be written, without white space and backslashes."""
        text = _plain(self.encoded)
        public = re.sub("[A-Za-z0-9]", "Q", self.secret)
        other = _plain(self._encode(public))
        if len(text) != len(other):
            # What is around the secret is then at another place in Base64.
            others = (self._encode(public + "Q" * more) for more in range(3))
            return _windows(text).difference(*map(_windows, map(_plain, others)))
        differs = [one != another for one, another in zip(text, other, strict=True)]
        # At the border a fragment is what is around the secret, and a character by chance.
        return {
            text[at : at + _WIDTH]
            for at in range(len(text) - _WIDTH + 1)
            if sum(differs[at : at + _WIDTH]) >= _WIDTH // 2
        }

    def exchange(self) -> Recording:
        """Return the exchange, before it is redacted."""
        return PLACES[self.place](self)

    def pieces(self) -> list[str]:
        """Return the encoded secret in two to nine pieces, cut anywhere."""
        random, text = Random(self.seed), f"Before {self.encoded} after."
        cuts = sorted(random.sample(range(1, len(text)), min(random.randint(1, 8), len(text) - 1)))
        return [text[at:end] for at, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    def indexed(self) -> list[tuple[int, str]]:
        """Return the pieces with the index of the step that each belongs to, in their order."""
        pieces = self.pieces()
        if self.split == "whole":
            return [(0, "".join(pieces))]
        if self.split == "one step":
            return [(0, piece) for piece in pieces]
        if self.split == "alternating steps":
            return [(number % 2, piece) for number, piece in enumerate(pieces)]
        half = len(pieces) // 2
        first = [(0, piece) for piece in pieces[:half]]
        second = [(1, piece) for piece in pieces[half:]]
        if self.split == "two steps":
            return first + second
        pairs = zip_longest(first, second)
        return [item for item in chain.from_iterable(pairs) if item is not None]

    def _encode(self, secret: str) -> str:
        return ENCODINGS[self.second](ENCODINGS[self.first](secret))


SPLITS = ("whole", "one step", "two steps", "interleaved steps", "alternating steps")


def leaks(plant: Plant, content: str | bytes) -> set[str]:
    """Return the fragments of a planted secret that a reader finds in what was written."""
    text = content if isinstance(content, str) else content.decode("utf-8", "replace")
    plain = _plain(text)
    by_step: dict[int, list[str]] = {}
    pending: list[str] = []
    arrived: list[str] = []
    index = 0
    for match in _PIECES.finditer(plain):
        if match["index"]:
            index = int(match["index"])
        else:
            by_step.setdefault(index, []).append(match["text"])
            arrived.append(match["text"])
    pending = ["".join(by_step[step]) for step in sorted(by_step)]
    readings = (plain, "".join(arrived), "".join(pending))
    return {part for part in plant.fragments if any(part in reading for reading in readings)}


def _plain(text: str) -> str:
    return re.sub(r"\\[nrt]|[\s\\]", "", text)


def _windows(text: str) -> set[str]:
    return {text[at : at + _WIDTH] for at in range(len(text) - _WIDTH + 1)}


# --- places ---


def _recording(body: str | bytes, **fields: Any) -> Recording:
    settings = {
        "method": "POST",
        "uri": URI,
        "request_body": json.dumps({"model": "gemini-3.5-flash", "input": "Hello", "store": False}),
        "request_headers": {"content-type": ["application/json"]},
        "status": 200,
        "reason": "OK",
        "response_headers": {"content-type": ["application/json"]},
        "elapsed_ms": 1.5,
        **fields,
    }
    return Recording(body=body, **settings)


def _interaction(*steps: dict[str, Any]) -> str:
    value = {"id": "v1_a", "object": "interaction", "status": "completed", "steps": list(steps)}
    return json.dumps({**value, "model": "gemini-3.5-flash"})


def _plain_answer(step: Callable[[list[str]], dict[str, Any]]) -> Callable[[Plant], Recording]:
    def place(plant: Plant) -> Recording:
        steps: dict[int, list[str]] = {}
        pieces = sorted(plant.indexed(), key=lambda item: item[0])
        if plant.split == "alternating steps":
            pieces = list(enumerate(piece for _, piece in plant.indexed()))
        for index, piece in pieces:
            steps.setdefault(index, []).append(piece)
        return _recording(_interaction(*(step(steps[index]) for index in sorted(steps))))

    return place


def _events(events: Sequence[dict[str, Any]]) -> str:
    return "".join(
        f"event: {event.get('event_type', 'x')}\ndata: {json.dumps(event)}\n\n" for event in events
    )


def _stream(step_type: str, delta: Callable[[str], dict[str, Any]]) -> Callable[[Plant], Recording]:
    def place(plant: Plant) -> Recording:
        interaction = {"id": "v1_a", "status": "in_progress", "object": "interaction"}
        events: list[dict[str, Any]] = [
            {"event_type": "interaction.created", "interaction": interaction}
        ]
        indexed = plant.indexed()
        for index in sorted({index for index, _ in indexed}):
            events.append({"event_type": "step.start", "index": index, "step": {"type": step_type}})
        events += (
            {"event_type": "step.delta", "index": index, "delta": delta(piece)}
            for index, piece in indexed
        )
        events += (
            {"event_type": "step.stop", "index": index} for index in {index for index, _ in indexed}
        )
        done = {**interaction, "status": "completed"}
        events.append({"event_type": "interaction.completed", "interaction": done})
        headers = {"content-type": ["text/event-stream"]}
        return _recording(_events(events) + "data: [DONE]\n\n", response_headers=headers)

    return place


def _text(piece: str) -> dict[str, str]:
    return {"type": "text", "text": piece}


def _other_stream(plant: Plant) -> Recording:
    events = [{"choices": [{"delta": {"content": piece}}]} for _, piece in plant.indexed()]
    headers = {"content-type": ["text/event-stream"]}
    return _recording(
        "".join(f"data: {json.dumps(event)}\n\n" for event in events),
        uri=OTHER_URI,
        response_headers=headers,
    )


def _request(plant: Plant) -> Recording:
    content = [_text(piece) for piece in plant.pieces()]
    steps = [{"type": "user_input", "content": content}]
    body = json.dumps({"model": "gemini-3.5-flash", "input": steps})
    return _recording(_interaction(), request_body=body)


def _function_results(plant: Plant) -> Recording:
    results = [
        {"type": "function_result", "call_id": f"c{number}", "name": "f", "result": piece}
        for number, piece in enumerate(plant.pieces())
    ]
    body = json.dumps({"model": "gemini-3.5-flash", "input": results})
    return _recording(_interaction(), request_body=body)


def _annotation(plant: Plant) -> Recording:
    url = f"https://x.example/a?q={plant.encoded}"
    block = {**_text("See."), "annotations": [{"type": "url_citation", "url": url, "title": url}]}
    return _recording(_interaction({"type": "model_output", "content": [block]}))


def _whole(**fields: Callable[[str], Any]) -> Callable[[Plant], Recording]:
    def place(plant: Plant) -> Recording:
        values = {name: value(plant.encoded) for name, value in fields.items()}
        body = values.pop("body", _interaction())
        return _recording(body, **values)

    return place


PLACES: dict[str, Callable[[Plant], Recording]] = {
    "text": _plain_answer(
        lambda pieces: {"type": "model_output", "content": [_text(piece) for piece in pieces]}
    ),
    "thought": _plain_answer(
        lambda pieces: {
            "type": "thought",
            "signature": "c2ln",
            "summary": [_text(piece) for piece in pieces],
        }
    ),
    "arguments": _plain_answer(
        lambda pieces: {
            "type": "function_call",
            "id": "c1",
            "name": "f",
            "arguments": dict(zip("abcd", [*pieces[:3], "".join(pieces[3:])], strict=False)),
        }
    ),
    "code result": _plain_answer(
        lambda pieces: {"type": "code_execution_result", "call_id": "c", "result": "".join(pieces)}
    ),
    "annotation": _annotation,
    "streamed text": _stream("model_output", _text),
    "streamed thought": _stream(
        "thought", lambda piece: {"type": "thought_summary", "content": _text(piece)}
    ),
    "streamed arguments": _stream(
        "function_call",
        lambda piece: {"type": "arguments_delta", "arguments": json.dumps(piece)[1:-1]},
    ),
    "streamed code result": _stream(
        "code_execution_result", lambda piece: {"type": "code_execution_result", "result": piece}
    ),
    "streamed transcript": _stream(
        "model_output", lambda piece: {"type": "audio", "data": "QUJD", "transcript": piece}
    ),
    "stream of another service": _other_stream,
    "prompt": _request,
    "function results": _function_results,
    "error": _whole(
        body=lambda text: json.dumps({"error": {"code": 400, "message": f"Bad key {text}."}}),
        status=lambda text: 400,
    ),
    "plain text": _whole(
        body=lambda text: f"<p>{text}</p>",
        response_headers=lambda text: {"content-type": ["text/html"]},
    ),
    "compressed": _whole(
        body=lambda text: gzip.compress(json.dumps({"echo": text}).encode(), mtime=0),
        response_headers=lambda text: {
            "content-type": ["application/json"],
            "content-encoding": ["gzip"],
        },
    ),
    "bytes": _whole(body=lambda text: b"\xff\xfe" + text.encode() + b"\xff"),
    "header": _whole(
        response_headers=lambda text: {
            "content-type": ["application/json"],
            "link": [quote(text, safe="%&;#\\=+/")],
        }
    ),
    "query": _whole(uri=lambda text: f"{URI}?q={quote(text, safe='')}"),
    "path": _whole(uri=lambda text: f"{URI}/{quote(text, safe='')}"),
    "form": _whole(request_body=lambda text: f"a=1&q={quote(text, safe='')}&z=2"),
    "reason": _whole(reason=str),
    "break": _whole(broken=lambda text: f"lost {text}"),
}
"""Where a service or a client may repeat a secret."""
