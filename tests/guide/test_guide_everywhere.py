"""Every snippet of the guide and every program of ours, in all languages, on every back end.

``pytest tests/guide -k python``, ``-k javascript``, ``-k curl``: one command for each client.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.guide.backends import BACKENDS, CASSETTES, PROXY
from tests.guide.catalog import our_own, snippets
from tests.guide.conftest import ProgramRuns
from tests.guide.expected import CAPABILITIES, PICTURES, SECTIONS
from tests.guide.running import KEY, Outcome, Program

PNG = b"\x89PNG\r\n\x1a\n"
REPLAYED_TO_OTHERS = ("text", "streaming", "media", "search", "functions_streamed", "lifecycle")
"""Each form of request, response and stream once.

Without ``structured`` and ``functions_stateless``: clients spell generated schemas, and results as
JSON text, differently.
"""

NO_GUIDE = pytest.param(
    None, id="no-guide", marks=pytest.mark.skip("../shared/guide.txt is not here")
)


def named(program: Program | None) -> str:
    return program.name if program else ""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", snippets() or [NO_GUIDE], ids=named)
def test_the_guide(program: Program, backend: str, ran: ProgramRuns) -> None:
    outcome = ran(program, backend)
    assert_success(outcome)
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
        assert_same_output(program, ran)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", our_own(), ids=named)
def test_our_own(program: Program, backend: str, ran: ProgramRuns) -> None:
    outcome = ran(program, backend)
    assert_success(outcome)
    capability = program.name.partition("-")[2]
    assert outcome.out == CAPABILITIES[capability]
    if capability in PICTURES:
        assert (outcome.folder / PICTURES[capability]).read_bytes().startswith(PNG)
    if backend == CASSETTES:
        assert_same_output(program, ran)


@pytest.mark.parametrize(
    ("language", "other"), [("python", "javascript"), ("javascript", "curl"), ("curl", "python")]
)
@pytest.mark.parametrize("capability", REPLAYED_TO_OTHERS)
def test_a_conversation_of_one_client_replays_to_another(
    capability: str, language: str, other: str, ran: ProgramRuns
) -> None:
    """The cassettes of one client answer another one, and have the same names."""
    programs = {program.name: program for program in our_own()}
    recorded, program = programs[f"{language}-{capability}"], programs[f"{other}-{capability}"]
    outcome = ran(program, CASSETTES, of=recorded)
    assert_success(outcome)
    assert outcome.out == CAPABILITIES[capability]
    assert [path.name for path in ran.tapes(recorded)] == [path.name for path in ran.tapes(program)]


def assert_success(outcome: Outcome) -> None:
    assert (outcome.code, outcome.err) == (0, ""), outcome.out


def assert_same_output(program: Program, ran: ProgramRuns) -> None:
    """Check that proxy and cassettes give the same output, and that no cassette has the key."""
    assert words(ran(program, CASSETTES).out) == words(ran(program, PROXY).out)
    tapes = ran.tapes(program)
    assert tapes
    assert [path for path in tapes if KEY.encode() in path.read_bytes()] == []


def words(output: str) -> tuple[str, Any]:
    """Return an output's text, and the JSON body at its end as a value."""
    before, brace, body = output.partition("{")
    try:
        return before, json.loads(brace + body)
    except ValueError:
        return output, None
