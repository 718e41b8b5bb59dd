"""``evalkit init``: a first suite, gates, and workflows for GitHub and GitLab.

Existing files are not changed.
"""

from importlib.resources import files
from pathlib import Path

import click

from evalkit._lib.text import visible
from evalkit.cli.schema import suite_schema
from evalkit.errors import UsageError
from evalkit.plugins import Catalog
from evalkit.server import serving
from evalkit.session import Runner, Settings
from evalkit.suite import expand, load
from evalkit.verdict import Verdict

FILES = {
    "suites/hello.yaml": "hello.yaml",
    "evalkit.yaml": "evalkit.yaml",
    ".gitattributes": "gitattributes",
    ".github/workflows/evalkit.yml": "github.yml",
    ".gitlab/evalkit.yml": "gitlab.yml",
    ".gitlab-ci.yml": "gitlab-ci.yml",
}
"""Each file of the project, and the file of ``evalkit/cli/starter`` that it is a copy of."""

_CI_FILES = (".github", ".gitlab")
_ADVICE = {
    ".gitattributes": "; add: cassettes/** -text",
    ".gitlab-ci.yml": "; include .gitlab/evalkit.yml in it",
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
    starter = files("evalkit.cli") / "starter"
    sources = {
        name: source for name, source in FILES.items() if not (no_ci and name.startswith(_CI_FILES))
    }
    try:
        new_files = [
            name
            for name, source in sources.items()
            if _write_new(folder / name, (starter / source).read_text(encoding="utf-8"))
        ]
        _write_new(folder / "evalkit.schema.json", suite_schema())
    except OSError as error:
        raise UsageError(f"cannot write into {folder}: {error.strerror or error}") from error
    for name in sources:
        status = "written" if name in new_files else f"exists, not changed{_ADVICE.get(name, '')}"
        click.echo(f"{name:<29} {status}")
    if "suites/hello.yaml" in new_files:
        _record(folder.absolute())
    click.echo(_NEXT)


def _write_new(path: Path, text: str) -> bool:
    """Write a file unless it exists; return whether it was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _record(root: Path) -> None:
    """Record the first suite from evalkit's own server, so that it needs no key."""
    with serving() as url:
        settings = Settings.read(root, root / "cassettes", "once", base_url=url, environment={})
        runner = Runner(settings)
        for variant in expand(load(root / "suites/hello.yaml", root=root, checks=Catalog())):
            outcome = runner.run(variant)
            if outcome.verdict is not Verdict.PASSED:
                message = f"the first suite could not be recorded: {visible(outcome.message)}"
                raise UsageError(message)
    click.echo(f"{'cassettes/hello/':<29} from evalkit's own server, not from a model")
