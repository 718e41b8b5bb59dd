"""One kill of each command at a random moment; ``tools/kills.py`` does hundreds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tools.kills import COMMANDS, KillError, check_files, kill_command

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_loses_nothing_and_continues(name: str, work: Path) -> None:
    if name == "signoff" and shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not there")
    assert kill_command(name, 1, seed=13, work=work).kills == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"a": '),
        ("a.jsonl", '{"a": 1}\n{"a"\n'),
        ("a.journal", '{"a"\n{"a": 1}\n'),
        ("a.yaml", "a: [1,\n"),
        ("cassettes/a.yaml", "version: 1\n"),
        ("a.xml", "<a><b></a>"),
        ("a.html", "<html>"),
    ],
)
def test_a_file_that_is_not_whole_is_found(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(KillError, match=f"{name} is not whole"):
        check_files(tmp_path)


def test_the_last_line_of_a_journal_may_be_incomplete(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text('{"a": 1}\n{"a"')
    (tmp_path / ".index.html.1.tmp").write_text("<html>")
    check_files(tmp_path)
