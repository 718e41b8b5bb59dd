"""``evalkit schema``: every printed schema is a valid JSON Schema, and the committed one is current."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from evalkit.cli import main
from evalkit.results.calibrations import Calibration, write_calibrations

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "what", ["suite", "calibrations", "result", "manifest", "decisions", "signoff"]
)
def test_every_schema_is_a_valid_json_schema(what: str) -> None:
    result = CliRunner().invoke(main, ["schema", what])
    assert result.exit_code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(result.output))


def test_the_schema_of_calibrations_accepts_what_evalkit_writes(tmp_path: Path) -> None:
    schema = json.loads(CliRunner().invoke(main, ["schema", "calibrations"]).output)
    calibration = Calibration(
        rubric="It is polite.",
        rubric_digest="a" * 64,
        expected={"min": 0.7},
        model="gemini-3.5-flash",
        judged="2026-11-22T17:11:37Z",
        labels=4,
        clusters={"a::b": [3, 0, 0, 1]},
    )
    value = yaml.safe_load(write_calibrations(tmp_path, [calibration]).read_text())
    jsonschema.validate(value, schema)
    for key, wrong in (("judged", "yesterday"), ("labels", 0), ("clusters", {"a::b": [1]})):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(
                {**value, "calibrations": [{**value["calibrations"][0], key: wrong}]}, schema
            )
    assert schema["$defs"]["Calibration"]["properties"]["labels"]["description"]


def test_the_committed_schema_of_suites_is_current(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["schema", "--output", str(tmp_path / "out.json")])
    assert result.exit_code == 0
    committed = (ROOT / "evalkit.schema.json").read_text(encoding="utf-8")
    assert (tmp_path / "out.json").read_text(encoding="utf-8") == committed
