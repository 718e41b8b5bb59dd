"""``evalkit serve`` chooses a back end by its options; invalid combinations are usage errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli.serve import serve as command
from evalkit.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--script a.yaml --cassettes b", "--script and --cassettes cannot be given together"),
        ("--script a.yaml --upstream http://h", "--script and --upstream cannot be given together"),
        (
            "--cassettes a --upstream http://h",
            "--cassettes and --upstream cannot be given together",
        ),
        ("--signing-key k --cassettes a", "--signing-key and --cassettes cannot be given together"),
        ("--timing recorded", "--timing needs --cassettes"),
        ("--timing instant --upstream http://h", "--timing needs --cassettes"),
        ("--replay-again", "--replay-again needs --cassettes"),
        ("--record a", "--record needs --upstream"),
        ("--upstream-key-env K", "--upstream-key-env needs --upstream"),
        (
            "--upstream example.org",
            "base URL 'example.org': no scheme; it must start with https:// or http://",
        ),
        (
            "--cassettes no-such-folder",
            "--cassettes no-such-folder: no such folder or file",
        ),
    ],
)
def test_invalid_combinations_of_options_are_usage_errors(
    arguments: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, ["--port", "0", *arguments.split()])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_created_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(
        command, ["--upstream", "http://127.0.0.1:1", "--record", str(tmp_path / "file" / "tapes")]
    )
    assert isinstance(result.exception, UsageError)
    assert "cannot record here" in str(result.exception)
