"""The ``evalkit`` command group. Each command's module is imported only when the command is called, so ``evalkit --help`` is quick."""

from __future__ import annotations

from importlib import import_module

import click

from evalkit._lib.text import did_you_mean
from evalkit._lib.version import VERSION
from evalkit.errors import IntegrityError, Misconfigured

_COMMANDS = {
    "compare": "evalkit.cli.compare:compare",
    "history": "evalkit.cli.history:history",
    "import": "evalkit.cli.import_:import_",
    "init": "evalkit.cli.init:init",
    "lint": "evalkit.cli.lint:lint",
    "merge": "evalkit.cli.merge:merge",
    "report": "evalkit.cli.report:report",
    "review": "evalkit.cli.review:review",
    "schema": "evalkit.cli.schema:schema",
    "serve": "evalkit.cli.serve:serve",
    "signoff": "evalkit.cli.signoff:signoff",
    "verify": "evalkit.cli.verify:verify",
}
# Exit codes of design section 5.
EXIT_PASS, EXIT_FAILED, EXIT_USAGE, EXIT_INTEGRITY, EXIT_INCONCLUSIVE = range(5)
VERDICT_CODES = {"pass": EXIT_PASS, "fail": EXIT_FAILED, "inconclusive": EXIT_INCONCLUSIVE}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        home = _COMMANDS.get(cmd_name)
        if home is None:
            return None
        module, _, name = home.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            ctx.fail(
                f"no command {args[0]!r}{did_you_mean(args[0], _COMMANDS)}; there are: {', '.join(sorted(_COMMANDS))}"
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except Misconfigured as error:
            click.echo(f"evalkit: {error}", err=True)
            ctx.exit(EXIT_INTEGRITY if isinstance(error, IntegrityError) else EXIT_USAGE)


@click.group(
    cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(VERSION, prog_name="evalkit")
def main() -> None:
    """Test conversations with models: suites in YAML, run by pytest, replayed from cassettes.

    Suites are run by pytest itself:  pytest suites
    """
