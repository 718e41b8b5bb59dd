"""``evalkit watch``: ask a live service what is recorded, and report what has changed."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from evalkit._lib.clock import timestamp
from evalkit._lib.limits import set_limits
from evalkit._lib.text import plural
from evalkit.cli.main import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_PASS
from evalkit.cli.output import wrapped
from evalkit.cli.watch_look import WatchedSuites
from evalkit.cli.watch_terminal import cost_line, look_lines, signal_lines
from evalkit.compare.drift_signals import Signal, find_signals, looks_needed, never_passed
from evalkit.compare.watched_turns import TurnPair
from evalkit.errors import UsageError
from evalkit.plugins import reports_of
from evalkit.project import find_root, pytest_lines, pytest_option
from evalkit.reports.line_reports import write_all
from evalkit.results import Run
from evalkit.results.run_directory import check_writable_output
from evalkit.results.watch_history import Look, Reset, WatchHistory
from evalkit.session import Settings
from evalkit.session.ledger import Budget, Ledger

_EPILOG = """\b
Exit codes: 0 nothing changed, 1 drift, or something new, 2 usage,
4 undecided: too few looks yet, or turns without an answer.

\b
Examples:
  evalkit watch suites --history watch.jsonl
  evalkit watch suites --tag smoke --report reports/watch
  evalkit watch --reset
"""


@click.command(epilog=_EPILOG)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--tag", default="watch", show_default=True, help="Watch the scenarios with this tag."
)
@click.option(
    "--history",
    "history_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default="watch.jsonl",
    show_default=True,
    metavar="FILE",
    help="The looks so far; this one is appended.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Chance that there ever is a false alarm.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write both conversations as run directories, DIR/recorded and DIR/live.",
)
@click.option("--base-url", metavar="URL", help="Endpoint; default: GOOGLE_GEMINI_BASE_URL.")
@click.option("--model", metavar="NAME", help="Watch this model, which has cassettes of its own.")
@click.option(
    "--cassettes",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of cassettes; default: cassettes in the project.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Conversations to run at once.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Start no other conversation when so many tokens are used.",
)
@click.option("--reset", is_flag=True, help="Let earlier looks not count any more, and stop.")
@click.pass_context
def watch(
    context: click.Context,
    *,
    paths: tuple[Path, ...],
    tag: str,
    history_path: Path,
    alpha: float,
    report: Path | None,
    base_url: str | None,
    model: str | None,
    cassettes: Path | None,
    concurrency: int,
    max_tokens: int | None,
    reset: bool,
) -> None:
    """Watch a live service for changes, one look a day.

    The recorded requests of tagged scenarios are sent to the service. PATHS are suites; default:
    those that pytest collects.
    """
    history = WatchHistory(history_path)
    looks = history.looks()
    if reset:
        if not history_path.exists():
            raise UsageError(
                f"{history_path}: no such file, so it has no looks to reset; name the history with "
                "--history"
            )
        with history.locked():
            history.append(Reset(time=timestamp()))
        click.echo(f"{history_path}: {plural(len(looks), 'look')} not counted any more")
        return
    suites = WatchedSuites(_settings(base_url, cassettes), paths, tag, model)
    with ExitStack() as stack:
        folder = report or Path(stack.enter_context(TemporaryDirectory(prefix="evalkit-")))
        recorded, live = folder / "recorded", folder / "live"
        check_writable_output(recorded, "--report")
        check_writable_output(live, "--report")
        # Until the look is appended: it is compared with those before it.
        stack.enter_context(history.locked())
        run = suites.replay(recorded)
        click.echo(cost_line(list(run.results())))
        ledger = Ledger(Budget(max_tokens, is_money=False) if max_tokens else None)
        earlier = history.looks()
        look, pairs = suites.look(run, live, concurrency, ledger, earlier)
        history.append(look)
        if report is not None:
            write_all(Run(live), reports_of(os.environ))
    looks = [*earlier, look]
    signals = find_signals(looks, alpha)
    code, conclusion = _conclusion(looks, pairs, signals, alpha)
    lines = [
        *look_lines(looks, pairs, signals, ledger.stop_reason),
        *signal_lines(signals, look, pairs),
        conclusion,
    ]
    if report is not None:
        lines.append(f"side by side: evalkit compare {recorded} {live} --locked")
    for line in lines:
        text = line.lstrip(" ")
        click.echo("\n".join(wrapped(text, " " * (len(line) - len(text)))))
    context.exit(code)


def _settings(base_url: str | None, cassettes: Path | None) -> Settings:
    """Return the settings of the live session. Raises UsageError, also without a key."""
    root = find_root(Path.cwd())
    set_limits(pytest_lines(root, "evalkit_limits"))
    settings = Settings.read(
        root,
        (cassettes or root / "cassettes").absolute(),
        "none",
        base_url=base_url,
        environment=os.environ,
        live=True,
        patterns=pytest_lines(root, "evalkit_redact"),
        packages=pytest_option(root, "evalkit_python"),
    )
    settings.live_key()
    return settings


def _conclusion(
    looks: Sequence[Look], pairs: Sequence[TurnPair], signals: Sequence[Signal], alpha: float
) -> tuple[int, str]:
    """Return the exit code, and a sentence that says why."""
    look = looks[-1]
    if any(signal.is_alarm for signal in signals):
        return EXIT_FAILED, (
            "drift: if it is right, record these scenarios again, or let the looks so far not "
            "count any more: evalkit watch --reset"
        )
    if look.news:
        return EXIT_FAILED, "drift: the service is another one; this is reported once"
    passed = {pair.recorded["id"] for pair in pairs if pair.recorded["verdict"] == "passed"}
    if never := [turn for turn in never_passed(looks, alpha) if turn.id in passed]:
        return EXIT_FAILED, (
            f"drift: {plural(len(never), 'turn')} passed when recorded, and in no look since; if "
            "their answers are right, correct what is expected and record these scenarios again"
        )
    if unanswered := sum(not turn.is_scored for turn in look.turns):
        return EXIT_INCONCLUSIVE, f"undecided: {plural(unanswered, 'turn')} without an answer"
    needed = looks_needed(looks, alpha)
    if needed != 0:
        more = "hundreds of looks more" if needed is None else plural(needed, "more look")
        return EXIT_INCONCLUSIVE, (
            f"undecided: too few looks or turns; it takes {more} until a week in which every turn "
            "fails would be noticed"
        )
    quiet = [*takewhile(lambda look: not look.news, reversed(looks))]
    since = f" since: {'; '.join(looks[-len(quiet) - 1].news)}" if len(quiet) < len(looks) else ""
    return EXIT_PASS, f"nothing changed in {plural(len(quiet), 'look')}{since}"
