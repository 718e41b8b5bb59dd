"""``evalkit review``: decide about failures, regressions and snapshots of a run.

Decisions are made in the terminal, by options, or on a local web page.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console

from evalkit._lib.text import did_you_mean, quoted
from evalkit.cli.host_option import allow_host_option
from evalkit.cli.main import EXIT_FAILED, EXIT_PASS
from evalkit.cli.output import echo_json
from evalkit.cli.review_terminal import ReviewDialog, format_summary, print_decisions, print_list
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.results.run_directory import find_project_root
from evalkit.review.decisions import Choice, Decision
from evalkit.review.session import DecisionRequest, Reviewer, ReviewSession, ReviewState
from evalkit.review.state import undecided, view_digest
from evalkit.signoff import git

_EPILOG = """\b
ID is the id of an item or a group as --list prints it, its beginning, a result's id, or
all-new for all new snapshots.
Exit codes: 0 all decided and nothing rejected, 1 an item is undecided or rejected, 2 usage,
3 results or decisions.yaml are not what evalkit wrote.

\b
Examples:
  evalkit review reports/latest --baseline reports/main
  evalkit review reports/latest --web
  evalkit review reports/latest --list
  evalkit review reports/latest --accept all-new --comment "the new wording is right"
"""
_MIN_PREFIX = 4
ALL_NEW = "all-new"
"""The ID of all new snapshots that are undecided."""


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
    help="Earlier run whose decisions are offered for identical results.",
)
@click.option(
    "--judgments",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Ask also about a random sample of N judgments ('evalkit calibrate').",
)
@click.option(
    "--web", is_flag=True, help="Decide on a page in the browser, served to this computer only."
)
@allow_host_option
@click.option("--list", "as_list", is_flag=True, help="Print all items without asking.")
@click.option("--accept", metavar="ID", multiple=True, help="Accept an item or a group.")
@click.option("--reject", metavar="ID", multiple=True, help="Reject an item or a group.")
@click.option("--undo", metavar="ID", multiple=True, help="Make an item undecided again.")
@click.option(
    "--keep", is_flag=True, help="With --carry-from: keep every decision that is offered."
)
@click.option(
    "--comment",
    metavar="TEXT",
    default="",
    help="Comment of --accept and --reject; needed to accept a regression.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all items as JSON.")
@click.option("--name", help="Name of the reviewer; default: git's user.name.")
@click.option("--email", help="Email address of the reviewer; default: git's user.email.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Project root, where snapshots are written; default: where the run's suites are.",
)
@click.pass_context
def review(
    context: click.Context,
    run: Path,
    baseline: Path | None,
    carry_from: Path | None,
    judgments: int,
    web: bool,
    allow_host: tuple[str, ...],
    as_list: bool,
    accept: tuple[str, ...],
    reject: tuple[str, ...],
    undo: tuple[str, ...],
    keep: bool,
    comment: str,
    as_json: bool,
    name: str | None,
    email: str | None,
    root: Path | None,
) -> None:
    """Decide what a run leaves open for people.

    Accept, reject or skip each uncertain judgment, failure, regression and new or changed snapshot
    of RUN (a run directory, default reports/latest). Decisions are stored in RUN/decisions.yaml,
    bound to the results they were made on.
    """
    by_options = bool(accept or reject or undo or keep)
    if web and (as_list or as_json or by_options):
        raise UsageError(
            "--web cannot be used with --list, --json, --accept, --reject, --undo or --keep"
        )
    if allow_host and not web:
        raise UsageError("--allow-host needs --web")
    if comment and not (accept or reject):
        raise UsageError("--comment needs --accept or --reject")
    if keep and carry_from is None:
        raise UsageError("--keep needs --carry-from")
    run_ = Run(run)
    session = ReviewSession(
        run_,
        lambda: root or find_project_root(run_.directory, run_.manifest),
        baseline=Run(baseline) if baseline is not None else None,
        earlier=Run(carry_from) if carry_from is not None else None,
        judgments=judgments,
    )
    console = Console(highlight=False)
    if by_options:
        choices: dict[Choice, Sequence[str]] = {"accept": accept, "reject": reject, "skip": undo}
        decisions = _decide(session, _reviewer(name, email, run), choices, keep, comment)
        if not as_json:
            print_decisions(decisions)
    elif web:
        _serve(session, _reviewer(name, email, run), allow_host)
    elif not as_list and not as_json and session.state().summary["undecided"]:
        ReviewDialog(session, _reviewer(name, email, run), console).run()
    state = session.state()
    if run_.manifest.get("complete") is False:
        click.echo("evalkit: the run did not end; results are missing from this review", err=True)
    if as_json:
        echo_json(_to_json(run, state))
    else:
        if as_list:
            print_list(state, console)
        click.echo(format_summary(state))
    is_open = state.summary["undecided"] or state.summary["rejected"]
    context.exit(EXIT_FAILED if is_open else EXIT_PASS)


def _to_json(run: Path, state: ReviewState) -> dict[str, object]:
    decided = [status for status in state.statuses if not status.is_undecided]
    return {
        "schema_version": 1,
        "run": str(run),
        "summary": state.summary,
        "items": [status.to_json() for status in [*undecided(state.statuses), *decided]],
        "errors": [error._asdict() for error in state.queue.errors],
        "obsolete": [decision.model_dump(exclude_defaults=True) for decision in state.obsolete],
    }


def _decide(
    session: ReviewSession,
    reviewer: Reviewer,
    choices: Mapping[Choice, Sequence[str]],
    keep: bool,
    comment: str,
) -> list[Decision]:
    state = session.state()
    requests = [
        _request(state, choice, id_)
        for choice, ids in choices.items()
        for id_ in dict.fromkeys(ids)
    ]
    keys = [key for request in requests for key in request.keys]
    for key, count in Counter(keys).items():
        if count > 1:
            raise UsageError(f"{key} is named twice; nothing was written")
    offered = [
        status.item.key
        for status in state.statuses
        if keep and status.offer is not None and status.item.key not in keys
    ]
    if offered:
        requests.append(DecisionRequest("keep", offered))
    by_key = {status.item.key: status for status in state.statuses}
    seen = view_digest(by_key[key] for key in [*keys, *offered])
    return session.decide(requests, reviewer, comment, seen=seen)


def _request(state: ReviewState, choice: Choice, id_: str) -> DecisionRequest:
    keys = _item_keys(state, id_, is_undo=choice == "skip")
    groups = {status.item.group for status in state.statuses if status.item.key in keys}
    is_group = len(keys) > 1 and len(groups) == 1
    return DecisionRequest(choice, keys, groups.pop() if is_group else "")


def _item_keys(state: ReviewState, id_: str, *, is_undo: bool) -> list[str]:
    """Return the keys of the items that a word names: one, or those of a group or result."""
    keys = {status.item.key: [status.item.key] for status in state.statuses} | {ALL_NEW: []}
    for status in state.statuses:
        item = status.item
        for name in (item.group, item.result):
            members = keys.setdefault(name, [])
            if status.is_undecided != is_undo:
                members.append(item.key)
        keys.setdefault(item.id, []).append(item.key)
        if item.kind == "new snapshot" and status.is_undecided:
            keys[ALL_NEW].append(item.key)
    names = [name for name in keys if name == id_]
    if not names and len(id_) >= _MIN_PREFIX:
        names = sorted(name for name in keys if name.startswith(id_))
    if len(names) > 1:
        raise UsageError(
            f"{quoted(id_)} is the beginning of several ids: {', '.join(names[:5])}; nothing was "
            "written"
        )
    if not names:
        raise UsageError(
            f"no item, group or result {quoted(id_)}{did_you_mean(id_, keys)}; --list prints them; "
            "nothing was written"
        )
    if not keys[names[0]]:
        raise UsageError(
            f"{quoted(id_)} has no {'decided' if is_undo else 'undecided'} item; name an item to "
            "decide it again; nothing was written"
        )
    return keys[names[0]]


def _serve(session: ReviewSession, reviewer: Reviewer, hosts: Sequence[str]) -> None:
    # Starlette and uvicorn are slow to import, and only --web needs them.
    from evalkit.cli.review_web import SessionSecrets, create_app
    from evalkit.reports.page.review_pages import ReviewPages
    from evalkit.server.run import LOOPBACK, serve

    session_secrets = SessionSecrets()
    pages = ReviewPages(session.run.directory.name, str(reviewer), session.result)

    def print_url(base: str) -> None:
        click.echo(
            f"review at {session_secrets.url(base)}\n"
            "Only this computer can open it, with this URL. Ctrl-C ends."
        )

    app = create_app(session, reviewer, pages, session_secrets, hosts)
    serve(app, LOOPBACK, 0, ready=print_url)


def _reviewer(name: str | None, email: str | None, directory: Path) -> Reviewer:
    reviewer = Reviewer(
        name or git.config_value(directory, "user.name"),
        email or git.config_value(directory, "user.email"),
    )
    if not reviewer.name.strip():
        raise UsageError(
            "the reviewer is not known; give --name and --email, or set git's user.name and "
            "user.email"
        )
    return reviewer
