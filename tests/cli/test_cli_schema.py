"""``evalkit schema``: every printed schema is a valid JSON Schema, and the committed one is current."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from evalkit.cli import main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("what", ["suite", "result", "manifest", "decisions", "signoff"])
def test_every_schema_is_a_valid_json_schema(what: str) -> None:
    result = CliRunner().invoke(main, ["schema", what])
    assert result.exit_code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(result.output))


def test_the_committed_schema_of_suites_is_current(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["schema", "--output", str(tmp_path / "out.json")])
    assert result.exit_code == 0
    committed = (ROOT / "evalkit.schema.json").read_text(encoding="utf-8")
    assert (tmp_path / "out.json").read_text(encoding="utf-8") == committed
