"""``evalkit schema``: the JSON Schemas of suites (for editors), result lines, manifests and decisions (for other tools)."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

_WIDTH = 140


def suite_schema() -> str:
    """Return the JSON Schema of suites as text, for editors."""
    from evalkit.plugins import Catalog
    from evalkit.suite.model.json_schema import json_schema

    return _laid_out(json_schema(Catalog()), "") + "\n"


def _laid_out(value: Any, indent: str) -> str:
    """Return JSON text, what fits a line on one line: short, and a change shows as the lines it changes."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or len(indent) + len(flat) <= _WIDTH:
        return flat
    below = indent + "  "
    if isinstance(value, dict):
        lines = [
            f"{below}{json.dumps(key)}: {_laid_out(item, below)}" for key, item in value.items()
        ]
    else:
        lines = [below + _laid_out(item, below) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + "\n" + ",\n".join(lines) + "\n" + indent + closing


@click.command(epilog="Example:  evalkit schema --output evalkit.schema.json")
@click.argument(
    "what",
    type=click.Choice(["suite", "result", "manifest", "decisions", "signoff"]),
    default="suite",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of the terminal.",
)
def schema(what: str, output: Path | None) -> None:
    """Print the JSON Schema of a file format.

    The schema (2020-12) of suite files, or of result lines, manifests, review decisions or signed
    decisions.

    Editors with a YAML language server use the first through a suite's first line:
    # yaml-language-server: $schema=../evalkit.schema.json
    """
    from evalkit._lib.files import write_atomic

    room = "evalkit.signoff" if what == "signoff" else "evalkit.results"
    text = (
        suite_schema()
        if what == "suite"
        else (files(room) / "schemas" / f"{what}.schema.json").read_text(encoding="utf-8")
    )
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomic(output, text)
        click.echo(f"wrote {output}", err=True)
