"""evalkit cassettes in plain vcrpy and in pytest-recording, which can read their metadata."""

from __future__ import annotations

import json

import pytest
import vcr

from tests.plugin.project import Project

TEST = """
import httpx
import pytest


@pytest.mark.vcr("{cassette}")
def test_it():
    answer = httpx.post("{url}/v1beta/interactions", json={body})
    assert "patterns" in answer.json()["steps"][-1]["content"][0]["text"]
"""


def body_of(project: Project) -> dict[str, object]:
    (turn,) = project.results()["weather::hello[stateful]"]["turns"]
    body: dict[str, object] = turn["exchanges"][0]["request"]["body"]
    return body


def test_pytest_recording_replays_an_evalkit_cassette(
    recorded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pytest_recording")
    cassette = recorded.root / "cassettes" / "weather" / "hello.stateful.yaml"
    path = recorded.pytester.makepyfile(
        TEST.format(cassette=cassette, url=recorded.url, body=body_of(recorded))
    )
    monkeypatch.setenv("PYTEST_PLUGINS", "evalkit.pytest_plugin,pytest_recording.plugin")
    result = recorded.pytester.runpytest_subprocess(
        path, "--block-network", "-p", "no:cacheprovider"
    )
    result.assert_outcomes(passed=1)


def test_plain_vcrpy_replays_an_evalkit_cassette(recorded: Project) -> None:
    import httpx

    cassette = recorded.root / "cassettes" / "weather" / "hello.stateful.yaml"
    with vcr.use_cassette(str(cassette), record_mode="none", match_on=["method", "path"]) as tape:
        answer = httpx.post(
            f"{recorded.url}/v1beta/interactions", content=json.dumps(body_of(recorded))
        )
    assert tape.play_count == 1
    assert "patterns" in answer.text
