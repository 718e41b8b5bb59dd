"""``evalkit rejudge``: judge the conversations of a run by the expectations of another revision.

No request is sent and no cassette is read: the conversations are those of ``results.jsonl``. The
result is a run directory like any other, with verdicts, page and totals.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, cast

import click

from evalkit._lib.files import atomic_writer
from evalkit._lib.text import did_you_mean, plural, shorten, visible
from evalkit.cli.main import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_PASS
from evalkit.errors import UsageError
from evalkit.plugins import reports_of
from evalkit.project import load_all, project_python, root_of
from evalkit.reports.line_reports import write_all
from evalkit.results import Run, Totals, result_line, tally_of
from evalkit.results.bar import suite_record, write_bar
from evalkit.results.manifest import write_manifest
from evalkit.results.media import copy_files
from evalkit.results.merge import output_directory
from evalkit.results.records import ManifestRecord, ResultLine
from evalkit.results.result_line import checked_digest, parse_result
from evalkit.results.run_directory import MANIFEST, RESULTS
from evalkit.session.rejudge import Rejudge
from evalkit.signoff import git
from evalkit.suite import Suite

_LISTED = 20
_PYTHON = "what they expect is Python code"
_EPILOG = """\b
Exit codes: 0 all results pass, 1 a check failed, 2 usage, 3 a result was
changed, 4 inconclusive: some results errored or could not be judged.

\b
Examples:
  evalkit rejudge reports/latest --suites-from main
  evalkit rejudge reports/2025-11-01 --suites-from . --output reports/again
"""


class SuiteSource(NamedTuple):
    """Where suites are from: a folder of a project, and its name for people."""

    folder: Path
    name: str


@click.command(epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--suites-from",
    "source",
    required=True,
    metavar="REF|DIR",
    help="Git revision, or folder of a project, whose suites judge; a folder is tried first.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run directory to write; default: RUN with '-rejudged'. An existing run is replaced.",
)
@click.pass_context
def rejudge(context: click.Context, run: Path, source: str, output: Path | None) -> None:
    """Judge recorded conversations by other expectations.

    RUN is a run directory; no request is sent. Checks that ask a model use the recorded answers,
    Python checks are the functions that the project has now. Tests of applications keep their
    verdicts: what they expect is Python code.
    """
    judged = Run(run)
    if judged.manifest.get("modules") and not judged.manifest.get("suites"):
        raise UsageError(
            f"{run}: it has only application tests (expected a run of suites): {_PYTHON}; run the "
            "tests again"
        )
    target = output or run.with_name(f"{run.absolute().name}-rejudged")
    root = root_of(judged)
    with (
        _suites(judged, root, source) as (found, suites),
        output_directory(target, [run], "--output") as folder,
    ):
        rejudge = Rejudge(judged, suites, project_python(root))
        outcome = _write(judged, rejudge, folder, found, suites)
        write_all(Run(folder), reports_of(os.environ))
    _report(outcome, found)
    click.echo(f"report: {target / 'index.html'}")
    context.exit(outcome.exit_code)


class RejudgeOutcome(NamedTuple):
    """The totals, the changed verdicts, and what could not be judged, one line each."""

    totals: Totals
    changes: Sequence[str]
    unknown: Sequence[str]
    not_recorded: Sequence[str]

    @property
    def exit_code(self) -> int:
        """The command's exit code."""
        if self.totals.outcomes["failed"]:
            return EXIT_FAILED
        is_whole = not self.unknown and not self.totals.errored and self.totals.scored
        return EXIT_PASS if is_whole else EXIT_INCONCLUSIVE


@contextmanager
def _suites(run: Run, root: Path, source: str) -> Iterator[tuple[SuiteSource, list[Suite]]]:
    """Yield the suites of a revision or folder that have the names of the run's suites."""
    records = run.manifest.get("suites") or []
    if Path(source).is_dir():
        found = SuiteSource(_project(Path(source).resolve(), run), source)
        yield found, load_all(root, found.folder, _paths(found, run))
        return
    cassettes = str(run.manifest.get("options", {}).get("cassettes") or "cassettes")
    with TemporaryDirectory(prefix="evalkit-") as name:
        folder = Path(name).resolve()
        commit = git.unpack_tree(root, source, folder, (Path(cassettes).name, "node_modules"))
        found = SuiteSource(folder, f"{source} ({commit[:10]})")
        if not records:
            raise UsageError(f"{run.directory}: its manifest names no suites; run the suites again")
        yield found, load_all(root, folder, _paths(found, run))


def _project(folder: Path, run: Run) -> Path:
    """Return the project that a folder belongs to, from which the run's suites are named."""
    paths = [suite["path"] for suite in run.manifest.get("suites") or ()]
    candidates = [folder, *folder.parents]
    return next(
        (one for one in candidates if any((one / path).is_file() for path in paths)), folder
    )


def _paths(source: SuiteSource, run: Run) -> list[str]:
    """Return the suite files of a source that the run names. Raises UsageError without any."""
    paths = [suite["path"] for suite in run.manifest.get("suites") or ()]
    found = [path for path in paths if (source.folder / path).is_file()]
    if not found:
        named = ", ".join(paths[:3])
        files = [
            path.relative_to(source.folder).as_posix() for path in source.folder.rglob("*.yaml")
        ]
        near = did_you_mean(paths[0], files) if paths else ""
        raise UsageError(f"{source.name} has none of the run's suites ({named}){near}")
    return found


def _write(
    run: Run, rejudge: Rejudge, folder: Path, source: SuiteSource, suites: Sequence[Suite]
) -> RejudgeOutcome:
    """Write results, manifest, media and bar of the judged run."""
    totals, changes, unknown = Totals(), [], []
    judged = set()
    with atomic_writer(folder / RESULTS) as file:
        for line, record in rejudge.judge_all(_checked_lines(run)):
            if record is None:
                unknown.append(line["id"])
                continue
            judged.add((line["suite"], line["scenario"]))
            totals.add(tally_of(record))
            file.write(f"{result_line(record)}\n".encode("ascii"))
            if record["verdict"] != line["verdict"]:
                changes.append(_change(line, record))
    copy_files(run.directory, folder)
    old = run.manifest["totals"]
    totals.tests = old.get("tests", 0)
    totals.collected, totals.deselected = old["collected"] - len(unknown), old["deselected"]
    manifest = cast("ManifestRecord", dict(run.manifest))
    manifest["totals"] = totals.to_json()
    manifest["complete"] = run.manifest["complete"] and not unknown
    collected = {suite["path"]: suite["collected"] for suite in manifest["suites"]}
    manifest["suites"] = [suite_record(suite, collected.get(suite.label, 0)) for suite in suites]
    manifest["rejudged"] = {"run": str(run.directory), "suites_from": source.name}
    write_manifest(folder / MANIFEST, manifest)
    write_bar(folder, source.folder, manifest["suites"], str)
    scenarios = dict.fromkeys((suite, scenario) for suite, scenario, _ in rejudge.variants)
    not_recorded = [f"{suite}::{name}" for suite, name in scenarios if (suite, name) not in judged]
    return RejudgeOutcome(totals, changes, unknown, not_recorded)


def _checked_lines(run: Run) -> Iterator[ResultLine]:
    """Yield the results of a run. Raises IntegrityError for one that was changed, UsageError."""
    for number, text in enumerate(run.lines(), 1):
        place = f"{run.directory / RESULTS}:{number}"
        checked_digest(text.encode("ascii"), place)
        try:
            yield parse_result(text)
        except ValueError as error:
            raise UsageError(f"{place} is not JSON: {error}") from error


def _change(old: ResultLine, new: ResultLine) -> str:
    reason = next((line for line in new["message"].splitlines()[1:] if line.strip()), "")
    text = f"{new['id']}: {old['verdict']} → {new['verdict']}"
    return f"{text}: {shorten(reason, 160)}" if reason else text


def _report(outcome: RejudgeOutcome, source: SuiteSource) -> None:
    lists: Mapping[str, Sequence[str]] = {
        "verdict changed": outcome.changes,
        f"not in {source.name}, so not judged": outcome.unknown,
        f"in {source.name} but not in the run": outcome.not_recorded,
    }
    for title, names in lists.items():
        if names:
            click.echo(f"{title} ({len(names):,}):")
        for name in names[:_LISTED]:
            click.echo(f"  {visible(name)}")
        if len(names) > _LISTED:
            click.echo(f"  … and {len(names) - _LISTED:,} more")
    click.echo(f"judged by {visible(source.name)}: {outcome.totals.summary}")
    if tests := outcome.totals.tests:
        click.echo(f"{plural(tests, 'application test')} not judged again: {_PYTHON}")
    if outcome.unknown:
        click.echo(f"{plural(len(outcome.unknown), 'result')} not judged", err=True)
