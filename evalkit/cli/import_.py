"""``evalkit import``: recorded conversations become suites with cassettes that replay them."""

import os
import re
from pathlib import Path

import click

from evalkit._lib.files import display_path
from evalkit._lib.text import plural, visible
from evalkit.cassette.recording import Recording
from evalkit.conversation.reconstruct import split_uri
from evalkit.errors import EvalkitError, UsageError
from evalkit.importing.scenario_drafts import draft_scenarios, group_into_suites
from evalkit.importing.suite_writer import write_suites
from evalkit.importing.traffic_reader import LOG_SUFFIXES, read_traffic
from evalkit.lint.file_search import find_files
from evalkit.plugins import Catalog
from evalkit.session import Runner, Settings
from evalkit.session.recorded_endpoint import RecordedEndpoint
from evalkit.suite import expand, load
from evalkit.verdict import Verdict

_EPILOG = """\b
Examples:
  evalkit import tapes/support.yaml --suite support
  evalkit import traffic.jsonl --suite production --out suites/imported
  pytest suites/imported --evalkit-report reports/imported
"""
_SUITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@click.command("import", epilog=_EPILOG)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--suite", "name", metavar="NAME", help="Name of the suite; default: the first file.")
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
    name = name or re.sub(r"[^A-Za-z0-9_.-]+", "-", paths[0].stem).strip("-.") or "imported"
    if not _SUITE_NAME.fullmatch(name):
        raise UsageError(
            f"--suite: {visible(name)!r} is not a suite name "
            "(letters, digits, '-', '_' and '.', a letter or digit first)"
        )
    logs = [path for path in paths if path.suffix in LOG_SUFFIXES]
    cassette_files = find_files([path for path in paths if path not in logs]).cassettes
    if not cassette_files and not logs:
        raise UsageError(f"no cassette and no .jsonl log in {', '.join(map(str, paths))}")
    drafts = draft_scenarios(
        {display_path(path): read_traffic(path) for path in (*cassette_files, *logs)}
    )
    if not drafts:
        raise UsageError("no conversation: the files contain no request to the interactions API")
    suites = group_into_suites(drafts, name, _describe([draft.source for draft in drafts]))
    # The schema of the project is in its root, where `evalkit init` writes it.
    depth = 0 if out.is_absolute() else len(out.parts)
    written = write_suites(suites, out, "../" * depth + "evalkit.schema.json")
    for path, suite in zip(written, suites, strict=True):
        click.echo(f"{path}: {plural(len(suite.scenarios), 'scenario')}")
    if not no_cassettes:
        recordings = {str(draft.entry["id"]): draft.recordings for draft in drafts}
        _write_cassettes(written, recordings, cassettes.absolute())
    click.echo(
        "The expectations are drafts: they say what happened, not what is right. "
        "Read them, and keep what matters."
    )


def _describe(sources: list[str]) -> str:
    names = list(dict.fromkeys(sources))
    more = f" and {plural(len(names) - 2, 'other file')}" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def _write_cassettes(
    paths: list[Path], recordings: dict[str, list[Recording]], cassettes: Path
) -> None:
    """Run every drafted scenario over its recordings, so that it replays; print what fails."""
    root = Path.cwd()
    # The cassettes name the endpoint of the recordings, not the current one.
    first = split_uri(next(iter(recordings.values()))[0].uri)
    base_url = f"{first.scheme}://{first.netloc}" if first.netloc else None
    runner = Runner(
        Settings.read(root, cassettes, "once", base_url=base_url, environment=os.environ),
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
