"""``evalkit import``: recorded conversations become suites, with cassettes that replay them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit._lib.text import plural, visible
from evalkit.errors import EvalkitError, UsageError

if TYPE_CHECKING:
    from evalkit.cassette.recording import Recording

_EPILOG = """\b
Examples:
  evalkit import tapes/support.yaml --suite support
  evalkit import traffic.jsonl --suite production --out suites/imported
  pytest suites/imported --evalkit-report reports/then     # what was said then
"""
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@click.command("import", epilog=_EPILOG)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--suite", "name", metavar="NAME", help="Name of the suite; default: the first file's name."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("suites"),
    show_default=True,
    help="Folder for the suite.",
)
@click.option(
    "--cassettes",
    type=click.Path(path_type=Path),
    default=Path("cassettes"),
    show_default=True,
    help="Folder for its cassettes.",
)
@click.option("--no-cassettes", is_flag=True, help="Write the suite only.")
def import_(
    paths: tuple[Path, ...], name: str | None, out: Path, cassettes: Path, no_cassettes: bool
) -> None:
    """Draft suites from recorded API conversations.

    PATHS are cassettes, tapes and JSONL logs of API traffic.
    """
    from evalkit.drafting.conversations import conversations
    from evalkit.drafting.scenarios import suites
    from evalkit.drafting.sources import read_source
    from evalkit.drafting.writing import write
    from evalkit.lint.files import find

    name = name or re.sub(r"[^A-Za-z0-9_.-]+", "-", paths[0].stem).strip("-.") or "imported"
    if not _SUITE.fullmatch(name):
        raise UsageError(
            f"--suite takes letters, digits, '-', '_' and '.', a letter or digit first, not {visible(name)!r}"
        )
    files = find([path for path in paths if path.suffix not in (".jsonl", ".ndjson")])
    logs = [path for path in paths if path.suffix in (".jsonl", ".ndjson")]
    if len(files.cassettes) + len(logs) == 0:
        raise UsageError(f"no cassette and no .jsonl log in {', '.join(map(str, paths))}")
    held = list(conversations([read_source(path) for path in (*files.cassettes, *logs)]))
    if not held:
        raise UsageError(
            "no conversation in what was read: it holds no request to the interactions resource"
        )
    sources = list(dict.fromkeys(one.source for one in held))
    origin = ", ".join(sources[:2]) + (
        f" and {plural(len(sources) - 2, 'other file')}" if len(sources) > 2 else ""
    )
    drafted = suites((one.draft for one in held), name, origin)
    written = write(drafted, out, _schema_address(out))
    for path in written:
        click.echo(
            f"{path}: {plural(sum(len(suite.drafts) for suite in drafted if f'{suite.name}.yaml' == path.name), 'scenario')}"
        )
    if not no_cassettes:
        _retell(
            written,
            {str(one.draft.entry["id"]): one.recordings for one in held},
            cassettes.absolute(),
        )
    click.echo(
        "The expectations are drafts: they say what was, not what is right. Read them, and keep what matters."
    )


def _retell(paths: list[Path], recordings: dict[str, list[Recording]], cassettes: Path) -> None:
    """Hold every drafted scenario over what was answered then, so that it replays; say what does not pass."""
    from evalkit.conversation.reconstruct import split_uri
    from evalkit.plugins import Catalog
    from evalkit.session import Runner, Settings
    from evalkit.session.recorded_endpoint import RecordedEndpoint
    from evalkit.suite import expand, load
    from evalkit.verdict import Verdict

    root = Path.cwd()
    first = split_uri(
        next(iter(recordings.values()))[0].uri
    )  # what was asked then, not what would be asked now
    endpoint = f"{first.scheme}://{first.netloc}" if first.netloc else None
    runner = Runner(
        Settings.read(root, cassettes, "once", base_url=endpoint, environment=os.environ),
        endpoint=lambda variant: RecordedEndpoint(recordings[variant.scenario.id]),
    )
    for path in paths:
        for variant in expand(load(path.absolute(), root=root, checks=Catalog())):
            try:
                outcome = runner.run(variant)
            except EvalkitError as error:
                click.echo(f"  {variant.id}: {visible(str(error))}", err=True)
                continue
            if outcome.verdict is not Verdict.PASSED:
                click.echo(f"  {outcome.verdict}: {visible(outcome.message)}", err=True)


def _schema_address(folder: Path) -> str:
    """Return the address of the schema for editors: the project's own file where there is one."""
    depth = len(folder.parts) if not folder.is_absolute() else 0
    return "../" * depth + "evalkit.schema.json"
