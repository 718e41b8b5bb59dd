"""Completion in a shell: commands, options, and the script that the shell loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.cli.main import COMMANDS


def complete(**environment: str) -> str:
    path = Path(sys.executable).with_name("evalkit")
    done = subprocess.run([path], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [
        ("evalkit co", "1", ["plain,compare"]),
        ("evalkit ", "1", [f"plain,{name}" for name in sorted(COMMANDS)]),
        ("evalkit compare --ga", "2", ["plain,--gate"]),
        ("evalkit init --ci gitl", "3", ["plain,gitlab"]),
    ],
)
def test_words_are_completed(words: str, position: str, expected: list[str]) -> None:
    output = complete(_EVALKIT_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=position)
    assert output.splitlines() == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_for_a_shell_is_printed(shell: str) -> None:
    assert "_EVALKIT_COMPLETE" in complete(_EVALKIT_COMPLETE=f"{shell}_source")
