"""Every snippet of the guide and every program of our own, in Python, JavaScript and curl, against every back end.

``pytest tests/guide -k python``, ``-k javascript``, ``-k curl``: one command for each client.
"""

from __future__ import annotations

import json

import pytest

from tests.guide.backends import BACKENDS
from tests.guide.catalog import our_own, snippets
from tests.guide.conftest import Ran
from tests.guide.expected import CAPABILITIES, PICTURES, SECTIONS
from tests.guide.running import Outcome, Program

PNG = b"\x89PNG\r\n\x1a\n"
NO_GUIDE = pytest.param(None, id="no-guide", marks=pytest.mark.skip("../shared/guide.txt is not here"))


def named(program: Program | None) -> str:
    return program.name if program else ""


@pytest.mark.parametrize("program", snippets() or [NO_GUIDE], ids=named)
@pytest.mark.parametrize("backend", BACKENDS)
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


@pytest.mark.parametrize("program", our_own(), ids=named)
@pytest.mark.parametrize("backend", BACKENDS)
def test_our_own(program: Program, backend: str, ran: Ran) -> None:
    outcome = ran(program, backend)
    went_well(outcome)
    capability = program.name.partition("-")[2]
    assert outcome.out == CAPABILITIES[capability]
    if capability in PICTURES:
        assert (outcome.folder / PICTURES[capability]).read_bytes().startswith(PNG)


def went_well(outcome: Outcome) -> None:
    assert (outcome.code, outcome.err) == (0, ""), outcome.out
