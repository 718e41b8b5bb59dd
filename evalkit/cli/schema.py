"""``evalkit schema``: the JSON Schema of suites, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(epilog="Example:  evalkit schema --output evalkit.schema.json")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of the terminal.")
def schema(output: Path | None) -> None:
    """Print the JSON Schema (2020-12) of suite files.

    Editors with a YAML language server use it through a suite's first line:
    # yaml-language-server: $schema=../evalkit.schema.json
    """
    from evalkit._lib.files import write_atomic
    from evalkit.plugins import Catalog
    from evalkit.suite.schema import json_schema

    text = json.dumps(json_schema(Catalog()), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomic(output, text)
        click.echo(f"wrote {output}", err=True)
