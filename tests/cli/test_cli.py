"""The ``evalkit`` command group: help, near words, exit code 2 for a user's mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from evalkit import __version__
from evalkit.cli import main
from evalkit.cli.main import COMMANDS


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    code, output = run(command, "--help")
    assert code == 0
    assert "Example" in output
    assert f"  evalkit {command}" in output[output.index("Example") :]
    assert max(map(len, output.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_list_shows_the_first_sentence_of_each_command(command: str) -> None:
    definition = main.get_command(click.Context(main), command)
    assert definition is not None
    assert (definition.help or "").split("\n\n")[0] == COMMANDS[command].help
    assert f"  {command:<{max(map(len, COMMANDS))}}  {COMMANDS[command].help}\n" in run("--help")[1]


def test_the_command_list_fits_80_columns() -> None:
    assert max(map(len, run("--help")[1].splitlines())) <= 80


def test_help_imports_no_command() -> None:
    script = (
        "import sys; from evalkit.cli import main; main(['--help'], standalone_mode=False); "
        "print([name for name in sys.modules if name.startswith('evalkit.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    modules = done.stdout.splitlines()[-1]
    assert "'evalkit.cli.main'" in modules
    assert all(
        f"'{entry.location.partition(':')[0]}'" not in modules for entry in COMMANDS.values()
    )


def test_version() -> None:
    assert run("--version") == (0, f"evalkit, version {__version__}\n")


def test_an_unknown_command_gets_the_nearest_word() -> None:
    code, output = run("serv")
    assert code == 2
    assert (
        "unknown command 'serv' (did you mean 'serve'?); valid: calibrate, compare, diff, export, "
        "history, import, init, lint, merge, plan, probe, rejudge, report, review, schema, serve, "
        "signoff, verify"
    ) in output


def test_a_report_of_a_folder_that_is_not_a_run_is_one_line(tmp_path: Path) -> None:
    code, output = run("report", str(tmp_path))
    assert code == 2
    assert output == f"evalkit: {tmp_path} is not a run directory: it has no manifest.json\n"
