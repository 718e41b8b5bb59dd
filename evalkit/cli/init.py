"""``evalkit init``: a first suite that passes at once, gates, and workflows for GitHub and GitLab. Nothing that is there is written over."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from evalkit._lib.text import visible
from evalkit.errors import UsageError

FILES = {
    "suites/hello.yaml": "hello.yaml",
    "evalkit.yaml": "evalkit.yaml",
    ".github/workflows/evalkit.yml": "github.yml",
    ".gitlab/evalkit.yml": "gitlab.yml",
    ".gitlab-ci.yml": "gitlab-ci.yml",
}
"""File of the project to the starter it is a copy of."""

_ALIKE = {
    ".gitlab-ci.yml": "; let it include .gitlab/evalkit.yml",
}
_NEXT = """\
Next:
  pytest suites                                          # passes, offline
  GEMINI_API_KEY=… pytest suites --evalkit-record all    # record from the API
  open reports/latest/index.html"""


@click.command(epilog="Example:  evalkit init")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option("--no-ci", is_flag=True, help="Write no workflow files.")
def init(folder: Path, no_ci: bool) -> None:
    """Set up a first suite, gates and CI workflows.

    FOLDER (default: the current one) gets a suite with its cassettes, evalkit.yaml, and workflows
    for GitHub and GitLab. Existing files are not changed.
    """
    home = files("evalkit.cli") / "starter"
    wanted = {
        name: source for name, source in FILES.items() if not (no_ci and name.startswith("."))
    }
    try:
        written = [
            name
            for name, source in wanted.items()
            if _write(folder / name, (home / source).read_text(encoding="utf-8"))
        ]
        _write_schema(folder / "evalkit.schema.json")
    except OSError as error:
        raise UsageError(f"cannot write into {folder}: {error.strerror or error}") from error
    for name in wanted:
        told = "written" if name in written else f"there already, left as is{_ALIKE.get(name, '')}"
        click.echo(f"{name:<29} {told}")
    if "suites/hello.yaml" in written:
        _record(folder.absolute())
    click.echo(_NEXT)


def _write(path: Path, text: str) -> bool:
    """Write a file that is not there yet, and say whether it was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _write_schema(path: Path) -> None:
    from evalkit.cli.schema import suite_schema

    _write(path, suite_schema())


def _record(root: Path) -> None:
    """Record the first suite from the server that ships, so that it passes before there is a key."""
    from evalkit.plugins import Catalog
    from evalkit.server import serving
    from evalkit.session import Runner, Settings
    from evalkit.suite import expand, load
    from evalkit.verdict import Verdict

    with serving() as url:
        runner = Runner(
            Settings.read(root, root / "cassettes", "once", base_url=url, environment={})
        )
        for variant in expand(load(root / "suites/hello.yaml", root=root, checks=Catalog())):
            outcome = runner.run(variant)
            if outcome.verdict is not Verdict.PASSED:
                raise UsageError(
                    f"the first suite could not be recorded: {visible(outcome.message)}"
                )
    click.echo(f"{'cassettes/hello/':<29} from evalkit's own server, not from a model")
