"""``evalkit init``: a first suite, gates, settings of pytest and git, and a workflow."""

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from evalkit._lib.files import display_path, file_errors
from evalkit._lib.text import visible
from evalkit.cli.init_files import EXISTS, WRITTEN, Target, first_suite, suite_name, targets
from evalkit.cli.init_project import CISystem, NewProject
from evalkit.errors import UsageError
from evalkit.plugins import Catalog
from evalkit.server import serving
from evalkit.session import Runner, Settings
from evalkit.suite import expand, load
from evalkit.verdict import Verdict

_CI_SYSTEMS: tuple[CISystem, ...] = ("github", "gitlab", "none")


@click.command(epilog="Example:  evalkit init --ci github")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option(
    "--ci",
    type=click.Choice(_CI_SYSTEMS),
    help="CI system to write a workflow for (default: the one in use, else it is asked).",
)
@click.option("--no-ci", "ci", flag_value="none", help="Short for --ci none.")
def init(folder: Path, ci: CISystem | None) -> None:
    """Set up a first suite, gates, and settings of pytest, git and CI.

    FOLDER (default: the current one) gets a suite with its prompt and recordings, and evalkit.yaml.
    What exists is not changed, except that missing lines are added to the settings of pytest and
    git. Called again, it writes only what is missing.
    """
    project = NewProject.find(Path(os.path.normpath(folder.absolute())))
    ci = ci or project.ci_system() or _ask_for_ci()
    files = [*targets(project, ci)]
    is_first = not any((project.folder / "suites").glob("**/*.y*ml"))
    if is_first:
        files = [*first_suite(project), *files]
    cassettes = project.root / "cassettes" / suite_name(project)
    _check_writable([*(file.path for file in files), cassettes / "recording"])
    if not is_first:
        _echo(EXISTS, project.folder / "suites", "your suites")
    advice = [*_write(files)]
    if is_first:
        _record(project)
        _echo(WRITTEN, cassettes, "its recordings (not of a model)")
    click.echo()
    for line in _next_steps(folder, project, advice, ci):
        click.echo(line)


def _ask_for_ci() -> CISystem:
    if sys.stdin.isatty() and sys.stdout.isatty():
        choice: CISystem = click.prompt(
            "CI system to write a workflow for", type=click.Choice(_CI_SYSTEMS), default="none"
        )
        return choice
    return "none"


def _check_writable(paths: Iterable[Path]) -> None:
    """Raise UsageError, before anything is written, if a file cannot be written."""
    for path in paths:
        if path.is_dir():
            raise UsageError(f"{display_path(path)}: is a folder (expected a file); move it away")
        parent = next(one for one in path.parents if os.path.lexists(one))
        if not parent.is_dir():
            raise UsageError(
                f"{display_path(parent)}: is a file (expected a folder); move it away, or name "
                "another folder: evalkit init FOLDER"
            )
        target = path if path.exists() else parent
        if not os.access(target, os.W_OK):
            raise UsageError(
                f"{display_path(target)}: cannot be written (permission denied); change its mode, "
                "or name another folder: evalkit init FOLDER"
            )


def _write(files: Iterable[Target]) -> Iterator[str]:
    """Write the files and print the outcome of each; yield what a person must do."""
    for file in files:
        with file_errors(file.path, "cannot be written"):
            status, advice = file.write()
        _echo(status, file.path, file.purpose)
        if advice:
            yield advice


def _echo(status: str, path: Path, purpose: str) -> None:
    shown = os.path.relpath(path)
    click.echo(f"{status:<8}  {shown:<30}  {purpose}")


def _record(project: NewProject) -> None:
    """Record the first suite from evalkit's own server, so that it needs no key."""
    with serving() as url:
        settings = Settings.read(
            project.root, project.root / "cassettes", "once", base_url=url, environment={}
        )
        runner = Runner(settings)
        path = project.folder / "suites" / "hello.yaml"
        for variant in expand(load(path, root=project.root, checks=Catalog())):
            outcome = runner.run(variant)
            if outcome.verdict is not Verdict.PASSED:
                message = f"the first suite could not be recorded: {visible(outcome.message)}"
                raise UsageError(message)


def _next_steps(
    folder: Path, project: NewProject, advice: Iterable[str], ci: CISystem
) -> Iterator[str]:
    """Yield what to do next, as commands that work as printed."""
    yield "Next:"
    yield from (f"  # {line}" for line in advice)
    if project.folder != Path.cwd():
        yield f"  cd {shlex.quote(str(folder))}"
    if not project.has_repository:
        yield "  git init                       # not a git repository yet"
    yield "  pytest suites                  # replays the recordings, without a key"
    yield "  git add -A"
    yield '  git commit -m "Test conversations with evalkit"'
    yield '  git config diff.evalkit.textconv "evalkit diff --text"  # readable diffs, here'
    yield ""
    yield "Record a model's answers, with your key:"
    yield "  export GEMINI_API_KEY=your-key"
    yield "  pytest suites --evalkit-record all        # later: --evalkit-record changed"
    yield ""
    yield "Or, without a key, those of evalkit's own server:"
    yield "  evalkit serve --quiet &"
    yield "  pytest suites --evalkit-record all --evalkit-base-url http://127.0.0.1:8787"
    if ci == "none":
        yield ""
        yield "For a workflow: evalkit init --ci github, or --ci gitlab"
