"""The ``evalkit`` command: help with examples, near words, schemas, reports; a user's mistake is one line and exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from evalkit import __version__
from evalkit.cli import main

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


@pytest.mark.parametrize(
    "command",
    [
        "compare",
        "history",
        "import",
        "init",
        "lint",
        "merge",
        "report",
        "review",
        "schema",
        "serve",
    ],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    code, output = run(command, "--help")
    assert code == 0
    assert "Example" in output
    assert f"  evalkit {command}" in output[output.index("Example") :]
    assert max(map(len, output.splitlines())) <= 100
    assert f"  {command} " in run("--help")[1]


def test_version() -> None:
    assert run("--version") == (0, f"evalkit, version {__version__}\n")


def test_an_unknown_command_gets_the_nearest_word() -> None:
    code, output = run("serv")
    assert code == 2
    assert (
        "no command 'serv' (did you mean 'serve'?); there are: compare, history, import, init, lint, merge, report, review, schema, serve, "
        "signoff, verify" in output
    )


@pytest.mark.parametrize("what", ["suite", "result", "manifest", "decisions", "signoff"])
def test_schemas_are_schemas(what: str) -> None:
    code, output = run("schema", what)
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(output))


def test_the_schema_beside_the_suites_is_the_one_printed(tmp_path: Path) -> None:
    assert run("schema", "--output", str(tmp_path / "out.json"))[0] == 0
    assert (tmp_path / "out.json").read_text() == (ROOT / "evalkit.schema.json").read_text()


def test_a_report_of_no_run_is_one_line(tmp_path: Path) -> None:
    code, output = run("report", str(tmp_path))
    assert code == 2
    assert output == f"evalkit: {tmp_path} is not a run directory: it has no manifest.json\n"
