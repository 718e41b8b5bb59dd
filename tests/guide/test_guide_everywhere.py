"""Every snippet of the guide and every program of our own, in Python, JavaScript and curl, against every back end.

``pytest tests/guide -k python``, ``-k javascript``, ``-k curl``: one command for each client.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.guide.backends import BACKENDS, CASSETTES, PROXY
from tests.guide.catalog import our_own, snippets
from tests.guide.conftest import Ran
from tests.guide.expected import CAPABILITIES, PICTURES, SECTIONS
from tests.guide.running import KEY, Outcome, Program

PNG = b"\x89PNG\r\n\x1a\n"
NO_GUIDE = pytest.param(None, id="no-guide", marks=pytest.mark.skip("../shared/guide.txt is not here"))


def named(program: Program | None) -> str:
    return program.name if program else ""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", snippets() or [NO_GUIDE], ids=named)
def test_the_guide(program: Program, backend: str, ran: Ran) -> None:
    outcome = ran(program, backend)
    went_well(outcome)
    for text in SECTIONS[program.name.partition("-")[2]]:
        assert text in outcome.out or json.dumps(text)[1:-1] in outcome.out
    if program.name == "curl-6":
        (picture,) = [block for step in json.loads(outcome.out)["steps"] for block in step.get("content", ())]
        assert picture["mime_type"] == "image/png"
    elif program.name in PICTURES:
        assert (outcome.folder / PICTURES[program.name]).read_bytes().startswith(PNG)
    if backend == CASSETTES:
        says_what_was_recorded(outcome, ran(program, PROXY))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", our_own(), ids=named)
def test_our_own(program: Program, backend: str, ran: Ran) -> None:
    outcome = ran(program, backend)
    went_well(outcome)
    capability = program.name.partition("-")[2]
    assert outcome.out == CAPABILITIES[capability]
    if capability in PICTURES:
        assert (outcome.folder / PICTURES[capability]).read_bytes().startswith(PNG)
    if backend == CASSETTES:
        says_what_was_recorded(outcome, ran(program, PROXY))


def went_well(outcome: Outcome) -> None:
    assert (outcome.code, outcome.err) == (0, ""), outcome.out


def says_what_was_recorded(replayed: Outcome, recorded: Outcome) -> None:
    """Every word is the same, ids, signatures and times too; only the spelling of a JSON body is the cassette's. No cassette holds the key."""
    assert words(replayed.out) == words(recorded.out)
    files = [path for path in tapes_of(recorded).rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def words(output: str) -> tuple[str, Any]:
    """Return an output as text, and the JSON body at its end as a value."""
    before, brace, body = output.partition("{")
    try:
        return before, json.loads(brace + body)
    except ValueError:
        return output, None


def tapes_of(outcome: Outcome) -> Path:
    return outcome.folder.parents[1] / "tapes" / outcome.folder.name
