"""``evalkit schema``: the JSON Schemas of suites, of calibrations and of result files."""

import json
from importlib.resources import files
from pathlib import Path

import click

from evalkit._lib.files import write_atomic
from evalkit._lib.json import JSON
from evalkit.plugins import Catalog
from evalkit.results.calibrations import CalibrationFile
from evalkit.suite.model.json_schema import SCHEMA, json_schema

_WIDTH = 140
_PACKAGES = {
    "result": "evalkit.results",
    "manifest": "evalkit.results",
    "decisions": "evalkit.results",
    "signoff": "evalkit.signoff",
}
"""The packages that contain the schemas of file formats that no class describes."""


def suite_schema() -> str:
    """Return the JSON Schema of suites as text, for editors."""
    return _format(json_schema(Catalog()), "") + "\n"


def _format(value: JSON, indent: str) -> str:
    """Return JSON text with one line for each value that fits on a line.

    This keeps the committed schema short, and a diff shows only the values that changed.
    """
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or len(indent) + len(flat) <= _WIDTH:
        return flat
    below = indent + "  "
    if isinstance(value, dict):
        lines = [f"{below}{json.dumps(key)}: {_format(item, below)}" for key, item in value.items()]
    else:
        lines = [below + _format(item, below) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + "\n" + ",\n".join(lines) + "\n" + indent + closing


@click.command(epilog="Example:  evalkit schema --output evalkit.schema.json")
@click.argument("what", type=click.Choice(["suite", "calibrations", *_PACKAGES]), default="suite")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of the terminal.",
)
def schema(what: str, output: Path | None) -> None:
    """Print the JSON Schema of a file format.

    The schema (2020-12) of suite files, or of calibrations, result lines, manifests, review
    decisions or signed decisions.

    Editors with a YAML language server use the schema of suites through a suite's first line:
    # yaml-language-server: $schema=../evalkit.schema.json
    """
    if what == "suite":
        text = suite_schema()
    elif what == "calibrations":
        text = _format({"$schema": SCHEMA, **CalibrationFile.model_json_schema()}, "") + "\n"
    else:
        file = files(_PACKAGES[what]) / "schemas" / f"{what}.schema.json"
        text = file.read_text(encoding="utf-8")
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomic(output, text)
        click.echo(f"wrote {output}", err=True)
