"""``evalkit review``: decide what a run leaves to people: failures, regressions, snapshots. In the terminal, by options, or on a local page."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.review.session import Desk, Look, Person, Wanted
    from evalkit.review.state import Choice

_EPILOG = """\b
Examples:
  evalkit review reports/latest --baseline reports/main
  evalkit review reports/latest --web
  evalkit review reports/latest --list
  evalkit review reports/latest --accept 3f2a91bc04d7 --comment "the new wording is right"

\b
An ID is an item's or a group's as --list prints them, or its beginning; or a result's id.
Exit codes: 0 all decided and nothing rejected, 1 something is left or rejected, 2 usage,
3 results or decisions.yaml are not what evalkit wrote.
"""
_SHORTEST = 4


@click.command(epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path), default="reports/latest")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="Run to compare with: what passed there and fails here is a regression.",
)
@click.option(
    "--carry-from",
    type=click.Path(path_type=Path),
    help="Run whose decisions are offered where the result is the very same.",
)
@click.option(
    "--web", is_flag=True, help="Decide on a page in the browser, served to this computer only."
)
@click.option("--list", "as_list", is_flag=True, help="Print everything and decide nothing.")
@click.option("--accept", metavar="ID", multiple=True, help="Accept an item or a group.")
@click.option("--reject", metavar="ID", multiple=True, help="Reject an item or a group.")
@click.option(
    "--keep", is_flag=True, help="With --carry-from: keep every decision that is offered."
)
@click.option(
    "--comment",
    metavar="TEXT",
    default="",
    help="Comment of --accept and --reject; needed to accept a regression.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--name", help="Who decides; default: git's user.name.")
@click.option("--email", help="Their address; default: git's user.email.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    help="The project's root, where snapshots are written.",
)
@click.pass_context
def review(
    context: click.Context,
    run: Path,
    baseline: Path | None,
    carry_from: Path | None,
    web: bool,
    as_list: bool,
    accept: tuple[str, ...],
    reject: tuple[str, ...],
    keep: bool,
    comment: str,
    as_json: bool,
    name: str | None,
    email: str | None,
    root: Path | None,
) -> None:
    """Decide what a run leaves open for people.

    Accept, reject or skip each failure, regression and new or changed snapshot of RUN (a run
    directory, default reports/latest). Decisions are stored in RUN/decisions.yaml, bound to the results they were made on.
    """
    from evalkit.cli.main import EXIT_FAILED, EXIT_PASS
    from evalkit.results import Run
    from evalkit.results.project_root import find_project_root
    from evalkit.review.session import Desk

    by_options = bool(accept or reject or keep)
    if web and (as_list or as_json or by_options):
        raise UsageError("--web cannot be given with --list, --json, --accept, --reject or --keep")
    if comment and not (accept or reject):
        raise UsageError("--comment needs --accept or --reject")
    if keep and carry_from is None:
        raise UsageError("--keep needs --carry-from")
    opened = Run(run)
    desk = Desk(
        opened,
        lambda: root or find_project_root(opened.directory, opened.manifest),
        baseline=Run(baseline) if baseline is not None else None,
        earlier=Run(carry_from) if carry_from is not None else None,
    )
    if by_options:
        _decide(desk, _person(name, email, run), accept, reject, keep, comment, quiet=as_json)
    elif web:
        _serve(desk, _person(name, email, run))
    elif not as_list and not as_json and desk.look().summary.left:
        from rich.console import Console

        from evalkit.cli.review_steps import Stepper

        Stepper(desk, _person(name, email, run), Console(highlight=False)).run()
    look = desk.look()
    if opened.manifest.get("complete") is False:
        click.echo(
            "evalkit: the run did not end; what it did not reach is not asked about", err=True
        )
    if as_json:
        click.echo(json.dumps(_json(run, look), indent=2))
    else:
        _print(look, as_list)
    context.exit(EXIT_FAILED if look.summary.left or look.summary.rejected else EXIT_PASS)


def _print(look: Look, whole: bool) -> None:
    from rich.console import Console

    from evalkit.cli.review_view import show_list, told

    if whole:
        show_list(look, Console(highlight=False))
    click.echo(told(look))


def _json(run: Path, look: Look) -> dict[str, object]:
    from evalkit.cli.review_view import rows
    from evalkit.review.state import to_json

    return {
        "schema_version": 1,
        "run": str(run),
        "summary": {**look.summary._asdict(), "left": look.summary.left},
        "items": [to_json(one) for one in rows(look)],
        "errors": [error._asdict() for error in look.queue.errors],
        "gone": [decision.model_dump(exclude_defaults=True) for decision in look.gone],
    }


def _decide(
    desk: Desk,
    who: Person,
    accept: Sequence[str],
    reject: Sequence[str],
    keep: bool,
    comment: str,
    *,
    quiet: bool,
) -> None:
    from evalkit._lib.text import plural
    from evalkit.review.state import seal

    look = desk.look()
    wanted = [_wanted(look, "accept", word) for word in dict.fromkeys(accept)]
    wanted += [_wanted(look, "reject", word) for word in dict.fromkeys(reject)]
    keys = [key for one in wanted for key in one.keys]
    if twice := next((key for key, count in Counter(keys).items() if count > 1), None):
        raise UsageError(f"{twice} is asked for twice; nothing was written")
    known = {one.item.key: one for one in look.standings}
    decisions = (
        desk.decide_all(wanted, who, comment, seen=seal(known[key] for key in keys))
        if wanted
        else []
    )
    if keep:
        offered = [
            one for one in look.standings if one.offer is not None and one.item.key not in keys
        ]
        decisions += (
            desk.keep([one.item.key for one in offered], who, seen=seal(offered)) if offered else []
        )
    if not quiet:
        for word, count in Counter(decision.decision for decision in decisions).items():
            click.echo(f"{word}: {plural(count, 'item')}")
        for decision in decisions:
            if decision.wrote:
                click.echo(f"  wrote {decision.wrote}")


def _wanted(look: Look, choice: Choice, word: str) -> Wanted:
    from evalkit.review.session import Wanted

    keys = _keys(look, word)
    groups = {one.item.group for one in look.standings if one.item.key in keys}
    return Wanted(choice, keys, groups.pop() if len(keys) > 1 and len(groups) == 1 else "")


def _keys(look: Look, word: str) -> list[str]:
    """Return the items that a word names: an item, what is left of a group, what is left of a result."""
    from evalkit._lib.text import did_you_mean, quoted

    items = [one.item for one in look.standings]
    names = {item.key: [item.key] for item in items}
    for name in ("group", "result", "id"):
        for one in look.standings:
            named = names.setdefault(getattr(one.item, name), [])
            if one.left or name == "id":
                named.append(one.item.key)
    found = {name for name in names if name == word} or {
        name for name in names if len(word) >= _SHORTEST and name.startswith(word)
    }
    if len(found) > 1:
        raise UsageError(
            f"{quoted(word)} begins several ids: {', '.join(sorted(found)[:5])}; nothing was written"
        )
    if not found:
        raise UsageError(
            f"no item, group or result {quoted(word)}{did_you_mean(word, names)}; --list prints them; nothing was written"
        )
    keys = names[found.pop()]
    if not keys:
        raise UsageError(
            f"nothing of {quoted(word)} is left to decide; name an item to decide it again; nothing was written"
        )
    return keys


def _serve(desk: Desk, who: Person) -> None:
    from evalkit.reports.page.review_pages import ReviewPages
    from evalkit.review.web import Door, create_app
    from evalkit.server.run import LOOPBACK, serve

    door = Door()

    def ready(url: str) -> None:
        click.echo(
            f"review at {door.address(url)}\nOnly this computer can open it, once it knows this address. Ctrl-C ends."
        )

    serve(
        create_app(desk, who, ReviewPages(desk.run.directory.name, str(who), desk.line), door),
        LOOPBACK,
        0,
        ready=ready,
    )


def _person(name: str | None, email: str | None, near: Path) -> Person:
    from evalkit.review.session import Person

    found = Person(name or _git("user.name", near), email or _git("user.email", near))
    if not found.name.strip():
        raise UsageError(
            "who decides? give --name and --email, or set git's user.name and user.email"
        )
    return found


def _git(key: str, near: Path) -> str:
    program = shutil.which("git")
    if program is None:
        return ""
    done = subprocess.run(  # noqa: S603 - no shell
        [program, "-C", str(near), "config", "--get", key],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()
