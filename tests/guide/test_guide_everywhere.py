"""Every snippet of the guide and every program of our own, in Python, JavaScript and curl, against every back end.

``pytest tests/guide -k python``, ``-k javascript``, ``-k curl``: one command for each client.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.guide.backends import BACKENDS, CASSETTES, PROXY
from tests.guide.catalog import our_own, snippets
from tests.guide.conftest import Ran
from tests.guide.expected import CAPABILITIES, PICTURES, SECTIONS
from tests.guide.running import KEY, Outcome, Program

PNG = b"\x89PNG\r\n\x1a\n"
REPLAYED_TO_OTHERS = ("text", "streaming", "media", "search", "functions_streamed", "lifecycle")
"""Each shape of request, answer and stream once. Not ``structured`` and ``functions_stateless``: no two clients spell a schema that a library
of the language makes, and a result as JSON text, alike."""

NO_GUIDE = pytest.param(
    None, id="no-guide", marks=pytest.mark.skip("../shared/guide.txt is not here")
)


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
        (picture,) = [
            block for step in json.loads(outcome.out)["steps"] for block in step.get("content", ())
        ]
        assert picture["mime_type"] == "image/png"
    elif program.name in PICTURES:
        assert (outcome.folder / PICTURES[program.name]).read_bytes().startswith(PNG)
    if backend == CASSETTES:
        says_what_was_recorded(program, ran)


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
        says_what_was_recorded(program, ran)


@pytest.mark.parametrize(
    ("language", "other"), [("python", "javascript"), ("javascript", "curl"), ("curl", "python")]
)
@pytest.mark.parametrize("capability", REPLAYED_TO_OTHERS)
def test_a_conversation_is_the_same_whichever_client_had_it(
    capability: str, language: str, other: str, ran: Ran
) -> None:
    """One client's cassettes answer another's requests, and have the names that the other's would have."""
    programs = {program.name: program for program in our_own()}
    recorded, program = programs[f"{language}-{capability}"], programs[f"{other}-{capability}"]
    outcome = ran(program, CASSETTES, of=recorded)
    went_well(outcome)
    assert outcome.out == CAPABILITIES[capability]
    assert [path.name for path in ran.tapes(recorded)] == [path.name for path in ran.tapes(program)]


def went_well(outcome: Outcome) -> None:
    assert (outcome.code, outcome.err) == (0, ""), outcome.out


def says_what_was_recorded(program: Program, ran: Ran) -> None:
    """Every word is the same, ids, signatures and times too; only the spelling of a JSON body is the cassette's. No cassette holds the key."""
    assert words(ran(program, CASSETTES).out) == words(ran(program, PROXY).out)
    tapes = ran.tapes(program)
    assert tapes
    assert [path for path in tapes if KEY.encode() in path.read_bytes()] == []


def words(output: str) -> tuple[str, Any]:
    """Return an output as text, and the JSON body at its end as a value."""
    before, brace, body = output.partition("{")
    try:
        return before, json.loads(brace + body)
    except ValueError:
        return output, None
