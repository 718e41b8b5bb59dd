"""Output survives a console that lacks the characters, and files whose names a system cannot spell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit._lib.files import file_errors, reason_of
from evalkit.cassette.files import load_cassette
from evalkit.cassette.journal import read_journal
from evalkit.cli.main import main
from evalkit.errors import CassetteError, UsageError
from evalkit.results.bar import file_digest
from tests.lint.cassettes import create_request, interaction, recording, write

STEP = {"type": "прогноз", "x": "👍"}


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    return write(tmp_path / "c.yaml", recording(create_request(), interaction(STEP)))


@pytest.mark.parametrize("charset", ["cp1252", "ascii", "latin-1", "cp437"])
def test_findings_are_escaped_where_the_console_lacks_a_character(
    cassette: Path, charset: str
) -> None:
    outcome = CliRunner(charset=charset).invoke(main, ["lint", str(cassette)])
    assert outcome.exception is None, outcome.output
    assert "new_step_type" in outcome.output


@pytest.mark.parametrize("encoding", ["cp1252", "ascii:strict", "ascii:surrogateescape"])
def test_a_whole_process_with_another_encoding(cassette: Path, encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "evalkit", "lint", str(cassette)],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"new_step_type" in done.stdout


def test_an_error_handler_of_the_user_is_not_replaced(cassette: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evalkit", "lint", str(cassette)],
        env={**os.environ, "PYTHONIOENCODING": "cp1252:replace", "PYTHONUTF8": "0"},
        capture_output=True,
        check=True,
    )
    assert b"???????" in done.stdout


def test_a_name_that_the_system_cannot_spell_is_reported() -> None:
    """The name contains a lone surrogate, which no file system can spell."""
    path = Path("folder/\ud83d.yaml")
    with pytest.raises(CassetteError, match=r"cannot be read: file names of this system are "):
        load_cassette(path)
    with pytest.raises(CassetteError, match=r"set PYTHONUTF8=1"):
        read_journal(path)
    with (
        pytest.raises(UsageError, match=r"cannot be read \(file names of this system"),
        file_errors(path, "cannot be read"),
    ):
        path.read_bytes()
    assert file_digest(path) is None
    assert reason_of(OSError("odd")) == "odd"
