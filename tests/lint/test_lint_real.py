"""Recorded responses of the real service, where available, have no findings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.cassette.recording import Recording
from tests.lint.cassettes import create_request, lint_findings, recording, stream_recording, write

REAL = Path(__file__).parents[2] / "../shared/data/real"
ANSWERS = sorted(REAL.glob("*.json"))
STREAMS = sorted(REAL.glob("*.chunks.txt"))

pytestmark = pytest.mark.skipif(not ANSWERS, reason="the recorded responses are not available")


def _answer(path: Path) -> Recording:
    answer = json.loads(path.read_text(encoding="utf-8"))
    return recording(create_request(store="id" in answer), answer)


def _stream(path: Path) -> Recording:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return stream_recording(
        "".join(f"event: {json.loads(line)['event_type']}\ndata: {line}\n\n" for line in lines)
    )


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.name)
def test_a_real_response_has_no_findings(path: Path, tmp_path: Path) -> None:
    findings = lint_findings(write(tmp_path / "c.yaml", _answer(path)))
    assert [finding.to_json() for finding in findings if finding.code != "call_open"] == []


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.name)
def test_a_real_stream_has_no_findings(path: Path, tmp_path: Path) -> None:
    findings = lint_findings(write(tmp_path / "c.yaml", _stream(path)))
    assert [finding.to_json() for finding in findings if finding.code != "call_open"] == []


def test_a_real_stateless_conversation_is_checked_as_one(tmp_path: Path) -> None:
    """The second response of a stateless pair, with a faithful and with altered histories."""
    first, second = (
        json.loads((REAL / f"multi-turn-stateless-turn{turn}.json").read_text(encoding="utf-8"))
        for turn in (1, 2)
    )
    user = {"type": "user_input", "content": [{"type": "text", "text": "Hi"}]}
    more = {"type": "user_input", "content": [{"type": "text", "text": "More"}]}

    def codes_for(steps: list[object]) -> list[str]:
        path = tmp_path / "c.yaml"
        write(
            path,
            recording(create_request(store=False, input=[user]), first),
            recording(create_request(store=False, input=[user, *steps, more]), second),
        )
        return [finding.code for finding in lint_findings(path)]

    steps = first["steps"]
    assert codes_for(steps) == []
    assert codes_for(
        [{**steps[0], "signature": steps[0]["signature"][:-4] + "AAAA"}, *steps[1:]]
    ) == ["signature_altered"]
    assert codes_for(steps[1:]) == ["step_missing"]
    assert codes_for([{**steps[0], "summary": None}, *steps[1:]]) == ["null_added"]
