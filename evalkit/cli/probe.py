"""``evalkit probe``: change recorded answers, and see which changes no expectation notices."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from evalkit._lib.files import display_path
from evalkit._lib.text import did_you_mean, plural, visible
from evalkit.cli.main import EXIT_FAILED, EXIT_PASS
from evalkit.cli.run_files import add_to_run
from evalkit.errors import UsageError
from evalkit.plugins import Catalog
from evalkit.probe.operators import OPERATORS
from evalkit.probe.probe import ProbeOptions
from evalkit.probe.probe import probe as probe_run
from evalkit.probe.strength import (
    ACCEPTED,
    Strength,
    read_accepted,
    write_accepted,
)
from evalkit.probe.survivor_text import survivor_lines
from evalkit.project import load_all, project_python, root_of
from evalkit.results import Run
from evalkit.results.run_directory import MANIFEST
from evalkit.results.strength import StrengthRecord, strength_text, write_strength
from evalkit.session.rejudge import Rejudge

_LISTED = 10
_GROUPS = 3
_EPILOG = """\b
Exit codes: 0 strong enough, 1 below --min-strength, 2 usage.

\b
Examples:
  evalkit probe reports/latest
  evalkit probe suites/weather.yaml --all
  evalkit probe reports/latest --min-strength 0.7
"""


@click.command(epilog=_EPILOG)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--operator",
    "operators",
    multiple=True,
    metavar="NAME",
    help="Apply only this operator, and store nothing; repeat for several (--list-operators).",
)
@click.option("--list-operators", is_flag=True, help="Print the operators and exit.")
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Most mutants of one operator in one variant; which ones is decided by --seed.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of that choice.")
@click.option("--all", "shows_all", is_flag=True, help="Show every group of survivors.")
@click.option(
    "--min-strength",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Exit with 1 if a smaller share of the mutants is caught: 0.7.",
)
@click.option(
    "--accept", is_flag=True, help=f"Add all survivors to {ACCEPTED}; they do not count then."
)
@click.pass_context
def probe(
    context: click.Context,
    paths: tuple[Path, ...],
    operators: tuple[str, ...],
    list_operators: bool,
    most: int,
    seed: int,
    shows_all: bool,
    min_strength: float | None,
    accept: bool,
) -> None:
    """Find out what expectations would not notice.

    Recorded answers are changed in the ways in which models and services go wrong, one change at a
    time, and the suites' own checks judge each. PATHS are a run directory (default reports/latest),
    or suites, which are replayed first. Nothing is sent.
    """
    if list_operators:
        for name, operator in OPERATORS.items():
            click.echo(f"{name:<22} {operator.description}")
        return
    options = ProbeOptions(operators=_known(operators), most=most, seed=seed)
    with _run_of(paths) as run:
        root = root_of(run)
        suites = load_all(root, root, [suite["path"] for suite in run.manifest.get("suites") or ()])
        accepted = root / ACCEPTED
        strength = Strength(read_accepted(accepted))
        rejudge = Rejudge(run, suites, project_python(root))
        for scenario in probe_run(run.results(), rejudge, Catalog(), options):
            strength.add(scenario)
        record = strength.record()
        # That of some operators would pass for the strength of the suites.
        if not accept and not operators:
            add_to_run(run, "the strength", lambda: write_strength(run.directory, record))
    if accept:
        write_accepted(accepted, strength)
        click.echo(f"{plural(record['survived'], 'survivor')} added to {display_path(accepted)}")
        return
    for line in survivor_lines(strength, None if shows_all else _GROUPS):
        click.echo(visible(line))
    _report(record)
    is_weak = min_strength is not None and (record["strength"] or 0) < min_strength
    context.exit(EXIT_FAILED if is_weak else EXIT_PASS)


def _known(operators: tuple[str, ...]) -> tuple[str, ...]:
    for name in operators:
        if name not in OPERATORS:
            raise UsageError(
                f"--operator: unknown operator {name!r}{did_you_mean(name, OPERATORS)}; "
                "--list-operators prints them"
            )
    return operators or tuple(OPERATORS)


@contextmanager
def _run_of(paths: tuple[Path, ...]) -> Iterator[Run]:
    """Yield the run at a path, or that of suites, which are replayed into a temporary folder."""
    if not paths or (len(paths) == 1 and (paths[0] / MANIFEST).is_file()):
        yield Run(paths[0] if paths else Path("reports/latest"))
        return
    missing = next((path for path in paths if not path.exists() and "::" not in str(path)), None)
    if missing is not None:
        raise UsageError(f"{missing}: neither a run directory nor a suite; name one that exists")
    with TemporaryDirectory(prefix="evalkit-") as folder:
        command = [sys.executable, "-m", "pytest", "-q", "--evalkit-record=none"]
        done = subprocess.run(  # noqa: S603 - pytest of this Python, with paths that exist
            [*command, "--evalkit-report", folder, *map(str, paths)],
            capture_output=True,
            text=True,
            check=False,
        )
        if not Path(folder, MANIFEST).is_file():
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
            raise UsageError(f"the suites cannot be replayed:\n{tail}")
        yield Run(Path(folder))


def _report(record: StrengthRecord) -> None:
    left_out = record["left_out"]
    for reason in dict.fromkeys(left_out.values()):
        ids = [id_ for id_, other in left_out.items() if other == reason]
        click.echo(visible(f"left out, because {reason}: {_listed(ids)}"))
    if idle := [name for name, count in record["checks"].items() if not count]:
        click.echo(visible(f"caught nothing: {_listed(idle)}"))
    if record["not_asked"]:
        click.echo(visible(f"not asked, because a model judges: {_listed(record['not_asked'])}"))
    click.echo(strength_text(record))


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"
