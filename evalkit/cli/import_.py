"""``evalkit import``: recorded conversations become suites with cassettes that replay them."""

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from evalkit._lib.files import check_folder, display_path, file_errors, write_atomic
from evalkit._lib.progress import tracked
from evalkit._lib.text import plural, visible
from evalkit.cassette.files import load_cassette
from evalkit.cassette.recording import Recording
from evalkit.cli.import_traces import files_in, list_problems, read_trace_files
from evalkit.cli.import_trial import TrialProject
from evalkit.errors import CassetteError, UsageError
from evalkit.importing.http_archive import SUFFIXES
from evalkit.importing.personal_data import only_fields
from evalkit.importing.scenario_drafts import ScenarioDraft, draft_scenarios, group_into_suites
from evalkit.importing.stored_interactions import check_id, read_ids, read_stored
from evalkit.importing.traces.documents import ReadProblems
from evalkit.importing.traces.selection import Selection
from evalkit.importing.traffic_reader import read_traffic, without_secrets
from evalkit.lint.file_search import find_files
from evalkit.protocol.wire_facts import DEFAULT_API_VERSION
from evalkit.session.settings import Settings, keys_of
from evalkit.transports.live import LiveTransport

_EPILOG = """\b
Examples:
  evalkit import tapes/support.yaml --suite support
  evalkit import --interaction v1_abc --suite refund
  evalkit import traffic.jsonl --suite production --out suites/imported
  evalkit import spans.jsonl --sample 50 --by model
  pytest suites/imported --evalkit-report reports/imported
"""
_SUITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@click.command("import", epilog=_EPILOG)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--interaction",
    "ids",
    multiple=True,
    metavar="ID",
    help="A stored conversation, by the id of its last interaction; repeat for several.",
)
@click.option(
    "--ids",
    "ids_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File with such ids, one in each line.",
)
@click.option(
    "--base-url",
    metavar="URL",
    help="Endpoint that stores them; default: GOOGLE_GEMINI_BASE_URL, else the public one.",
)
@click.option(
    "--api-version",
    metavar="VERSION",
    default=DEFAULT_API_VERSION,
    show_default=True,
    help="Version in the path of its requests.",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Import this many conversations of traces or logs, always the same ones.",
)
@click.option(
    "--by",
    default="",
    metavar="FIELD",
    help="Spread the sample evenly over the values of this field, such as model.",
)
@click.option(
    "--filter",
    "expression",
    default="",
    metavar="EXPR",
    help="Import conversations of traces or logs with a call that fits a JMESPath expression.",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Choose conversations on the workers of a dask cluster, which see the same files.",
)
@click.option(
    "--redact",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Replace the matches of a regular expression before anything is written; repeatable.",
)
@click.option(
    "--fields",
    metavar="NAMES",
    help="Write only these fields of requests and responses, and those that a replay needs.",
)
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
    paths: tuple[Path, ...],
    ids: tuple[str, ...],
    ids_file: Path | None,
    base_url: str | None,
    api_version: str,
    sample: int | None,
    by: str,
    expression: str,
    cluster: str | None,
    patterns: tuple[str, ...],
    fields: str | None,
    name: str | None,
    out: Path,
    cassettes: Path,
    no_cassettes: bool,
) -> None:
    """Draft suites from recorded API conversations.

    PATHS are cassettes, tapes, HTTP archives (HAR), logs of API traffic, and traces (OpenTelemetry,
    Langfuse, LangSmith, Logfire); of folders, cassettes, archives and traces. Conversations that
    the service stores are read by id. Every scenario is replayed before it is written; what does
    not pass is listed.
    """
    for id_ in ids:
        check_id(id_, "--interaction")
    if ids_file is not None:
        with file_errors(ids_file, "cannot be read"):
            ids = (*ids, *read_ids(ids_file.read_text(encoding="utf-8-sig"), str(ids_file)))
    if not paths and not ids:
        raise UsageError("nothing to import; name files, or ids with --interaction or --ids")
    stem = Path(re.sub(r"(?i)(\.har)?\.gz$", "", paths[0].name)).stem if paths else "stored"
    name = name or re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-.") or "imported"
    if not _SUITE_NAME.fullmatch(name):
        raise UsageError(
            f"--suite: {visible(name)!r} is not a suite name "
            "(letters, digits, '-', '_' and '.', a letter or digit first)"
        )
    for folder in (out, *(() if no_cassettes else (cassettes,))):
        check_folder(folder, "; name another one with --out and --cassettes")
    folders = [path for path in paths if path.is_dir()]
    files = [path for path in paths if path not in folders] + find_files(folders).cassettes
    files += [path for path in files_in(folders) if path.name.lower().endswith(SUFFIXES)]
    selection = Selection(sample or 0, by, expression)
    sources = {
        **read_trace_files(files, folders, selection, cluster),
        **{
            display_path(path): read_traffic(path)
            for path in tracked(files, "reading traffic", len(files))
        },
    }
    if ids:
        sources |= _stored(ids, base_url, api_version)
    repeated: list[str] = []
    drafts = draft_scenarios(_without_personal_data(sources, patterns, fields), repeated)
    copies = ReadProblems()
    for place in repeated:
        copies.add(f"{place}: another conversation repeats it")
    list_problems(copies)
    if not drafts and ids and not paths:
        raise UsageError("no conversation can be read; nothing was written")
    if not drafts:
        raise UsageError(
            "no conversation: the files contain no request to the interactions API, and no call of "
            "a model with its messages"
            + ("; logs in folders are not read: name them one by one" if folders else "")
            + ("; does a pattern of --redact match addresses?" if patterns and sources else "")
        )
    # The schema of the project is in its root, where `evalkit init` writes it.
    root = "" if out.is_absolute() else Path(os.path.relpath(".", out)).as_posix() + "/"
    schema = f"{root}evalkit.schema.json".removeprefix("./")
    with TemporaryDirectory(prefix="evalkit-import-") as folder:
        trial = TrialProject(Path(folder))
        staged = trial.root / "suites"
        left_out = {
            draft.id: problem
            for draft in tracked(drafts, "trying scenarios", len(drafts))
            if (problem := trial.fit(draft))
        }
        while True:
            passing = [draft for draft in drafts if draft.id not in left_out]
            if not passing:
                break
            suites = group_into_suites(passing, name, _describe([one.source for one in passing]))
            problems = trial.record(suites, staged, schema)
            left_out |= problems
            if not problems:
                break
            trial.clear()
        _list_left_out(drafts, left_out)
        if not passing:
            raise UsageError("no conversation can be replayed; nothing was written")
        _install(staged, out, None if no_cassettes else (trial.cassettes, cassettes))
    for suite in suites:
        click.echo(f"{out / suite.name}.yaml: {plural(len(suite.scenarios), 'scenario')}")
    click.echo(
        "The expectations are drafts: they say what happened, not what is right. "
        "Read them, and keep what matters."
    )


def _without_personal_data(
    sources: dict[str, list[Recording]], patterns: tuple[str, ...], fields: str | None
) -> dict[str, list[Recording]]:
    """Return recordings as they may be written: nothing has been written before."""
    if fields is not None:
        names = [name for name in map(str.strip, fields.split(",")) if name]
        sources = only_fields(sources, names)
    keys = keys_of(os.environ)
    return {source: without_secrets(found, keys, patterns) for source, found in sources.items()}


def _stored(ids: tuple[str, ...], base_url: str | None, version: str) -> dict[str, list[Recording]]:
    """Return the recordings of stored conversations by their names; report what cannot be read."""
    settings = Settings.read(
        Path.cwd(), Path.cwd(), "none", base_url=base_url, environment=os.environ
    )
    url = settings.base_url
    transport = LiveTransport(url, settings.live_key())
    try:
        reading = tracked(ids, "reading conversations", len(ids))
        stored = read_stored(reading, transport.send, base_url=url, version=version)
    finally:
        transport.close()
    for id_, problem in stored.problems.items():
        click.echo(visible(f"left out: interaction {id_}: {problem}"), err=True)
    return {f"interaction {id_}": found for id_, found in stored.recordings.items()}


def _describe(sources: list[str]) -> str:
    names = list(dict.fromkeys(sources))
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def _list_left_out(drafts: list[ScenarioDraft], left_out: dict[str, str]) -> None:
    for draft in drafts:
        if problem := left_out.get(draft.id):
            place = f"{draft.source}, conversation {draft.number} ({draft.id})"
            click.echo(f"left out: {place}: {visible(problem)}", err=True)


def _install(suites: Path, out: Path, cassettes: tuple[Path, Path] | None) -> None:
    """Copy the files of the trial project, the suites last: a suite is there when all is.

    A file of an import that was killed is equal and no obstacle.
    """
    targets = {} if cassettes is None else _below(*cassettes)
    targets |= _below(suites / "_media", out / "_media")
    targets |= {path: out / path.name for path in suites.glob("*.yaml")}
    for source, target in targets.items():
        with file_errors(target, "cannot be written"):
            if target.exists() and not _are_equal(source, target):
                raise UsageError(
                    f"{display_path(target)}: the file already exists; choose another name with "
                    "--suite, or another folder with --out and --cassettes"
                )
    for source, target in targets.items():
        with file_errors(target, "cannot be written"):
            if not target.exists():
                write_atomic(target, source.read_bytes())


def _below(source: Path, target: Path) -> dict[Path, Path]:
    return {path: target / path.relative_to(source) for path in source.rglob("*") if path.is_file()}


def _are_equal(source: Path, target: Path) -> bool:
    """Return whether two files have the same content, cassettes except for their metadata."""
    if source.read_bytes() == target.read_bytes():
        return True
    try:
        one, other = load_cassette(source), load_cassette(target)
    except CassetteError:
        return False
    return one is not None and other is not None and one.recordings == other.recordings
