"""Recordings of the real service, where they are at hand. None is part of the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit._lib.json import JSON
from evalkit.protocol.field_types import FAMILIES, SHAPES
from evalkit.protocol.sse import read_events
from evalkit.protocol.step_reader import output_text
from evalkit.protocol.step_types import OPTIONAL_FIELDS, REQUIRED_FIELDS
from evalkit.protocol.stream_assembler import assemble
from evalkit.protocol.stream_writer import events_of, sse_text

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "real"
PLAIN = sorted(FOLDER.glob("*.json"))

pytestmark = pytest.mark.skipif(
    not PLAIN, reason="no recordings of the real service beside the repository"
)


def shape(value: JSON) -> JSON:
    """Return a JSON value with every string, number and truth replaced by its kind."""
    if isinstance(value, dict):
        return {key: value[key] if key == "type" else shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value).__name__


def streamed(path: Path) -> list[JSON]:
    chunks = path.with_suffix(".chunks.txt").read_text(encoding="utf-8")
    return [json.loads(line) for line in chunks.splitlines() if line.strip()]


def as_text(events: list[JSON], eol: str) -> str:
    return "".join(
        f"event: {event['event_type']}{eol}data: {json.dumps(event)}{eol}{eol}" for event in events
    )


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_a_streamed_answer_has_the_shape_of_the_plain_one(path: Path, eol: str) -> None:
    plain = json.loads(path.read_text(encoding="utf-8"))
    events, _, garbage = read_events(as_text(streamed(path), eol))
    result = assemble(events, garbage=garbage)
    assert result.problems == []
    assert result.complete
    assert result.interaction is not None
    assert shape(result.interaction) == shape(plain)
    assert bool(output_text(result.interaction["steps"])) == bool(output_text(plain["steps"]))


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
def test_a_plain_answer_survives_streaming(path: Path) -> None:
    plain = json.loads(path.read_text(encoding="utf-8"))
    assert assemble(read_events("".join(sse_text(events_of(plain)))).events).interaction == plain


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
def test_a_plain_answer_has_nothing_unknown(path: Path) -> None:
    plain = json.loads(path.read_text(encoding="utf-8"))
    assert set(plain) <= set(SHAPES["interaction"].fields)
    assert set(plain["usage"]) <= set(SHAPES["usage"].fields)
    for step in plain["steps"]:
        fields = set(step) - {"type"}
        assert (
            REQUIRED_FIELDS[step["type"]]
            <= fields
            <= REQUIRED_FIELDS[step["type"]] | OPTIONAL_FIELDS[step["type"]]
        )


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
def test_every_event_is_known(path: Path) -> None:
    for event in streamed(path):
        fields = FAMILIES["event"].shapes[event["event_type"]].fields
        assert set(event) - {"event_type"} <= set(fields)
