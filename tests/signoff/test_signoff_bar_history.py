"""The record says from git whether the expectations were committed before the candidate was recorded."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evalkit.results import Run
from evalkit.signoff.bar_history import bar_history

RECORDED = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    root = tmp_path / "project"
    (root / "suites/_snapshots/s").mkdir(parents=True)
    (root / "suites/s.yaml").write_text("suite: s\n")
    (root / "suites/_snapshots/s/a.txt").write_text("approved\n")
    (root / "cassettes/s").mkdir(parents=True)
    (root / "run").mkdir()
    for number, minutes in enumerate((5, 0)):
        time = f"{RECORDED + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
        (root / f"cassettes/s/{number}.yaml").write_text(
            f'metadata:\n  format: 1\n  recorded: "{time}"\ninteractions: []\n'
        )
    manifest = {
        "suites": [{"suite": "s", "path": "suites/s.yaml", "digest": "", "files": []}],
        "cassettes": [{"path": f"s/{number}.yaml"} for number in range(2)],
        "options": {"cassettes": "cassettes"},
        "totals": {},
    }
    (root / "run/manifest.json").write_text(json.dumps(manifest))
    return root


def git(root: Path, *arguments: str, time: datetime = RECORDED) -> None:
    env = {"GIT_COMMITTER_DATE": time.isoformat(), "GIT_AUTHOR_DATE": time.isoformat()}
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(
        ["git", *identity, *arguments],
        cwd=root,
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(root), **env},
    )


def commit(root: Path, time: datetime) -> None:
    git(root, "add", "suites")
    git(root, "commit", "-qm", "Expect", time=time)


def said(root: Path) -> str:
    return bar_history(Run(root / "run"), root)


def test_before_and_after(root: Path) -> None:
    git(root, "init", "-q")
    commit(root, RECORDED - timedelta(days=1))
    assert said(root).endswith(
        "at 2026-05-03T12:00:00Z, before the candidate was recorded (2026-05-04T12:00:00Z)"
    )
    (root / "suites/s.yaml").write_text("suite: s\nscenarios: []\n")
    assert said(root) == "expectations: not committed: suites/s.yaml"
    commit(root, RECORDED + timedelta(minutes=1))
    assert ", AFTER the candidate was recorded (2026-05-04T12:00:00Z)" in said(root)


def test_approved_snapshots_are_expectations(root: Path) -> None:
    git(root, "init", "-q")
    commit(root, RECORDED - timedelta(days=1))
    (root / "suites/_snapshots/s/a.txt").write_text("another\n")
    assert said(root) == "expectations: not committed: suites/_snapshots/s/a.txt"
    commit(root, RECORDED + timedelta(days=1))
    assert "AFTER" in said(root)


def test_a_live_run_is_recorded_when_it_starts(root: Path) -> None:
    git(root, "init", "-q")
    commit(root, RECORDED)
    path = root / "run/manifest.json"
    manifest = {**json.loads(path.read_text()), "cassettes": [], "started": "2026-05-04T11:00:00Z"}
    path.write_text(json.dumps(manifest))
    assert said(root).endswith("AFTER the candidate was recorded (2026-05-04T11:00:00Z)")


def test_without_git_or_times(root: Path) -> None:
    assert said(root) == ""
    git(root, "init", "-q")
    assert said(root).startswith("expectations: not committed: suites/")
    commit(root, RECORDED)
    for path in (root / "cassettes/s").iterdir():
        path.write_text("interactions: []\n")
    assert said(root).endswith("; unknown when the candidate was recorded")
