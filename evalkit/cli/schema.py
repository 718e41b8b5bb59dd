"""``evalkit schema``: the JSON Schemas of suites (for editors), result lines and manifests (for other tools)."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import click


def _suite() -> str:
    from evalkit.plugins import Catalog
    from evalkit.suite.schema import json_schema

    return json.dumps(json_schema(Catalog()), indent=2, ensure_ascii=False) + "\n"


@click.command(epilog="Example:  evalkit schema --output evalkit.schema.json")
@click.argument("what", type=click.Choice(["suite", "result", "manifest"]), default="suite")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of the terminal.")
def schema(what: str, output: Path | None) -> None:
    """Print the JSON Schema (2020-12) of suite files, or of result lines or manifests.

    Editors with a YAML language server use the first through a suite's first line:
    # yaml-language-server: $schema=../evalkit.schema.json
    """
    from evalkit._lib.files import write_atomic

    text = _suite() if what == "suite" else (files("evalkit.results") / "schemas" / f"{what}.schema.json").read_text(encoding="utf-8")
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomic(output, text)
        click.echo(f"wrote {output}", err=True)
