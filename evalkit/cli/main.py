"""The ``evalkit`` command group.

The table below holds each command's module and help line. A command's module is imported when the
command is called, so that ``evalkit --help`` is fast and every command can import what it needs at
its top.
"""

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from evalkit._lib.limits import set_limits
from evalkit._lib.terminal import can_redraw
from evalkit._lib.text import did_you_mean
from evalkit._lib.version import VERSION
from evalkit.cli.output import SafeStream, safe_output
from evalkit.cli.progress import shown_progress
from evalkit.errors import IntegrityError, Misconfigured, TransportError

_COMPLETION = "_EVALKIT_COMPLETE"
"""The variable in which a shell asks click for completions."""
EXIT_PASS, EXIT_FAILED, EXIT_USAGE, EXIT_INTEGRITY, EXIT_INCONCLUSIVE = range(5)
EXIT_INTERRUPTED = 130
"""What shells report of a program that Ctrl-C ended."""
VERDICT_CODES = {"pass": EXIT_PASS, "fail": EXIT_FAILED, "inconclusive": EXIT_INCONCLUSIVE}


class CommandEntry(NamedTuple):
    """A command's location (``module:attribute``) and its help line."""

    location: str
    help: str


COMMANDS = {
    "calibrate": CommandEntry(
        "evalkit.cli.calibrate:calibrate", "Measure how well judges agree with people."
    ),
    "compare": CommandEntry(
        "evalkit.cli.compare:compare", "Compare two runs and decide whether the gate passes."
    ),
    "diff": CommandEntry(
        "evalkit.cli.diff:diff", "Show what recorded conversations said and did differently."
    ),
    "export": CommandEntry(
        "evalkit.cli.export:export", "Write the results of a run as a table, or send them as spans."
    ),
    "history": CommandEntry(
        "evalkit.cli.history:history", "Show pass rates, flips, tokens and cost over many runs."
    ),
    "import": CommandEntry(
        "evalkit.cli.import_:import_", "Draft suites from recorded API conversations."
    ),
    "init": CommandEntry(
        "evalkit.cli.init:init", "Set up a first suite, gates, and settings of pytest, git and CI."
    ),
    "lint": CommandEntry("evalkit.cli.lint:lint", "Find mistakes, risks and secrets in cassettes."),
    "merge": CommandEntry("evalkit.cli.merge:merge", "Merge partial runs into one run directory."),
    "plan": CommandEntry(
        "evalkit.cli.plan:plan", "Plan how many scenarios and trials a comparison needs."
    ),
    "probe": CommandEntry(
        "evalkit.cli.probe:probe", "Find out what expectations would not notice."
    ),
    "rejudge": CommandEntry(
        "evalkit.cli.rejudge:rejudge", "Judge recorded conversations by other expectations."
    ),
    "report": CommandEntry("evalkit.cli.report:report", "Write the reports of a run again."),
    "review": CommandEntry(
        "evalkit.cli.review:review", "Decide what a run leaves open for people."
    ),
    "schema": CommandEntry("evalkit.cli.schema:schema", "Print the JSON Schema of a file format."),
    "serve": CommandEntry("evalkit.cli.serve:serve", "Serve the Interactions API on this machine."),
    "signoff": CommandEntry("evalkit.cli.signoff:signoff", "Sign your decision about a run."),
    "verify": CommandEntry(
        "evalkit.cli.verify:verify", "Verify the signatures, files and policy of a run."
    ),
    "watch": CommandEntry(
        "evalkit.cli.watch:watch", "Watch a live service for changes, one look a day."
    ),
}


class _LazyGroup(click.Group):
    """Imports a command only when it is called, not to list it."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        # For a shell's completion click writes bytes, which name commands and options only.
        with nullcontext() if _COMPLETION in os.environ else safe_output():
            return super().main(*args, **kwargs)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands by the table, without importing them."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        items = [CompletionItem(name, help=COMMANDS[name].help) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.location.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            names = ", ".join(sorted(COMMANDS))
            ctx.fail(
                f"unknown command {args[0]!r}{did_you_mean(args[0], COMMANDS)}; valid: {names}"
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            with _progress():
                return super().invoke(ctx)
        except (Misconfigured, TransportError) as error:
            click.echo(f"evalkit: {error}", err=True)
            ctx.exit(EXIT_INTEGRITY if isinstance(error, IntegrityError) else EXIT_USAGE)
        except KeyboardInterrupt:
            # click's exit code is 1, which says that a check or a gate failed.
            click.echo("\nevalkit: interrupted", err=True)
            ctx.exit(EXIT_INTERRUPTED)


def _progress() -> AbstractContextManager[None]:
    """Return what shows the progress of a command on a terminal."""
    if not isinstance(sys.stderr, SafeStream) or not can_redraw(sys.stderr.terminal):
        return nullcontext()
    return shown_progress(sys.stderr)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--limit",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Raise a limit of answers, files, patterns or templates: response=512MB.",
)
@click.version_option(VERSION, prog_name="evalkit")
def main(settings: tuple[str, ...]) -> None:
    """Test conversations with models: suites in YAML, run by pytest, replayed from cassettes.

    Suites are run by pytest itself:  pytest suites
    """
    set_limits(settings)
