"""``evalkit diff``: what recorded conversations said and did differently, not their bytes."""

from pathlib import Path

import click

from evalkit._lib.files import file_errors, read_file
from evalkit.cassette.files import read_cassette
from evalkit.conversation.cassette_text import cassette_text
from evalkit.errors import CassetteError, UsageError

_EPILOG = """\b
Examples:
  evalkit diff                                  # what is not committed yet
  evalkit diff HEAD~1 HEAD -- cassettes/help
  evalkit diff old/london.yaml new/london.yaml
  git config diff.evalkit.textconv "evalkit diff --text"
"""


class _DiffCommand(click.Command):
    """Keeps what follows ``--`` apart: paths of git, as in ``git diff``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta["paths"] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


@click.command(cls=_DiffCommand, epilog=_EPILOG)
@click.argument("compared", nargs=-1, metavar="[OLD [NEW]] [--] [PATHS]…")
@click.option(
    "--text", is_flag=True, help="Print one cassette as text, for git's textconv, and stop."
)
@click.pass_context
def diff(context: click.Context, compared: tuple[str, ...], text: bool) -> None:
    """Show what recorded conversations said and did differently.

    OLD and NEW are two files, two folders, or git revisions; without NEW the files as they are now
    are compared with a revision, by default HEAD. PATHS limit what is compared, by default to the
    folder cassettes.

    Compared are settings, system instruction, tools, messages, calls, results, answers and errors.
    Ids, times, signatures and token counts are not a difference.

    Exit codes: 0 nothing differs, 1 something does, 2 usage, 3 a damaged file.
    """
    paths: list[str] | None = context.meta.get("paths")
    if text:
        if len(names := [*compared, *(paths or ())]) != 1:
            raise UsageError("--text needs one cassette: evalkit diff --text FILE")
        _print_text(Path(names[0]))
        return
    # Start-up cost: git calls --text for each file.
    from evalkit.cli.diff_terminal import show_differences

    context.exit(show_differences(compared, paths))


def _print_text(path: Path) -> None:
    with file_errors(path, "cannot be read"):
        data = read_file(path)
    try:
        # git calls the file by another name each time, which would be a difference.
        lines = cassette_text(read_cassette(data, Path("file"))).lines
    except CassetteError as error:
        # git would end its whole output where a textconv program fails.
        lines = [f"not a cassette: {error}", "", *data.decode("utf-8", "replace").split("\n")]
    click.echo("\n".join(lines))
