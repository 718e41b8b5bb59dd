"""The service's real answers, where they lie beside the repository: nothing in them is wrong, and what is new is really new."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.cassette.format import Recording
from tests.lint.building import asked, judged, recording, streamed, write

REAL = Path(__file__).parents[2] / "../shared/data/real"
ANSWERS = sorted(REAL.glob("*.json"))
STREAMS = sorted(REAL.glob("*.chunks.txt"))

pytestmark = pytest.mark.skipif(not ANSWERS, reason="the real answers are not here")


def _answer(path: Path) -> Recording:
    answer = json.loads(path.read_text(encoding="utf-8"))
    return recording(asked(store="id" in answer), answer)


def _stream(path: Path) -> Recording:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return streamed(
        "".join(f"event: {json.loads(line)['event_type']}\ndata: {line}\n\n" for line in lines)
    )


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.name)
def test_a_real_answer_has_nothing_wrong_and_nothing_new(path: Path, tmp_path: Path) -> None:
    found = judged(write(tmp_path / "c.yaml", _answer(path)))
    assert [finding.to_json() for finding in found if finding.code != "call_open"] == []


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.name)
def test_a_real_stream_has_nothing_wrong_and_nothing_new(path: Path, tmp_path: Path) -> None:
    found = judged(write(tmp_path / "c.yaml", _stream(path)))
    assert [finding.to_json() for finding in found if finding.code != "call_open"] == []


def test_a_real_conversation_without_state_is_judged_as_one(tmp_path: Path) -> None:
    """The second real answer of the stateless pair, asked for as it must be, and with its history altered."""
    first, second = (
        json.loads((REAL / f"multi-turn-stateless-turn{turn}.json").read_text(encoding="utf-8"))
        for turn in (1, 2)
    )
    user = {"type": "user_input", "content": [{"type": "text", "text": "Hi"}]}
    more = {"type": "user_input", "content": [{"type": "text", "text": "More"}]}

    def tape(steps: list[object]) -> list[str]:
        path = tmp_path / "c.yaml"
        write(
            path,
            recording(asked(store=False, input=[user]), first),
            recording(asked(store=False, input=[user, *steps, more]), second),
        )
        return [finding.code for finding in judged(path)]

    steps = first["steps"]
    assert tape(steps) == []
    assert tape([{**steps[0], "signature": steps[0]["signature"][:-4] + "AAAA"}, *steps[1:]]) == [
        "signature_altered"
    ]
    assert tape(steps[1:]) == ["step_missing"]
    assert tape([{**steps[0], "summary": None}, *steps[1:]]) == ["null_added"]
