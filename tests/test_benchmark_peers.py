"""The projects of ``benchmarks/peers.py`` that this environment can run: record, replay, and fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.peer_sessions import PEERS, PROJECTS, Project, serving


@pytest.mark.skipif(sys.platform != "linux", reason="reads the account of a process in /proc")
@pytest.mark.parametrize("name", ["evalkit", "vcrpy, bare httpx"])
def test_project_replays_what_it_recorded_and_notices_another_answer(
    name: str, tmp_path: Path
) -> None:
    peer = next(peer for peer in PEERS if peer.name == name)
    project = Project(tmp_path / "project", peer, Path(sys.executable).parent, 2)
    project.write()
    with serving(PROJECTS / "answers.yaml") as url:
        project.record(url)
    usage = project.replay(url)
    assert usage.cpu > 0
    assert usage.written >= usage.left > 0
    cases = project.recorded / "project/cases.csv"
    cases.write_text(cases.read_text("utf-8").replace("London,22", "London,23"), "utf-8")
    with pytest.raises(RuntimeError, match=r"(?s)ended with 1.*\b1 (failed|error)\b"):
        project.replay(url)
