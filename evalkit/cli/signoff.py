"""``evalkit signoff``: sign a decision about a run."""

from pathlib import Path

import click

from evalkit._lib.clock import now
from evalkit._lib.text import shorten, visible
from evalkit.cli.report import rewrite_page
from evalkit.config import NAME, find_config, load_config
from evalkit.errors import IntegrityError, UsageError
from evalkit.project import project_bars
from evalkit.results import Run
from evalkit.results.records import schema_error
from evalkit.results.run_directory import find_project_root
from evalkit.review.session import ReviewSession
from evalkit.signoff.authors import authors_since, default_base
from evalkit.signoff.digest_manifest import SignedPaths, relative_name
from evalkit.signoff.dsse import open_key
from evalkit.signoff.in_toto import DECISIONS, MEANINGS, ReviewComment, ReviewRecord
from evalkit.signoff.signing import SignoffRequest, parse_deviation, sign

_EPILOG = """\b
Exit codes: 0 signed, 2 usage, 3 the run is not complete, or changed since it was run or signed.

\b
Examples:
  evalkit signoff reports/latest --key ~/.ssh/id_ed25519 --name "Ada Lovelace" \\
    --email ada@example.com --role qa --decision approved --meaning approval \\
    --gate release --baseline reports/main
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path),
    help="SSH private key, .pub file of a key in the agent, or Ed25519 PEM key.",
)
@click.option("--name", required=True, help="Your name, as it is printed.")
@click.option(
    "--email",
    required=True,
    metavar="ADDRESS",
    help="Your address, as the allowed signers have it.",
)
@click.option("--role", required=True, help="The role in which you sign, one of the policy's.")
@click.option("--decision", required=True, type=click.Choice(DECISIONS), help="Your decision.")
@click.option(
    "--meaning", required=True, type=click.Choice(MEANINGS), help="The meaning of your signature."
)
@click.option("--comment", default="", metavar="TEXT", help="A comment on the decision.")
@click.option(
    "--gate",
    "gate_name",
    metavar="NAME",
    help="Gate of evalkit.yaml that is evaluated now, and again by 'evalkit verify'.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Run directory that the gate compares with.",
)
@click.option(
    "--override",
    default="",
    metavar="REASON",
    help="Why to approve although not everything passed.",
)
@click.option(
    "--deviation",
    "deviations",
    multiple=True,
    metavar='"WHAT; until YYYY-MM-DD; WHY"',
    help="An exception that you grant; may be repeated.",
)
@click.option(
    "--author",
    "authors",
    multiple=True,
    metavar="ADDRESS",
    help="Author of the change, in addition to git's; may be repeated.",
)
@click.option(
    "--base",
    default="",
    metavar="REF",
    help="Git ref that the change began from; its authors since are not approvers. "
    "Default: origin's main branch or the local one.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Project root; default: where the run's suites are found.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Policy, gates and prices; default: the nearest evalkit.yaml.",
)
def signoff(
    run: Path,
    key: Path,
    name: str,
    email: str,
    role: str,
    decision: str,
    meaning: str,
    comment: str,
    gate_name: str | None,
    baseline: Path | None,
    override: str,
    deviations: tuple[str, ...],
    authors: tuple[str, ...],
    base: str,
    root: Path | None,
    config: Path | None,
) -> None:
    """Sign your decision about a run.

    The decision is bound to the suites, cassettes and results of RUN (a run directory) and appended
    to its records.
    """
    if bool(gate_name) != bool(baseline):
        raise UsageError("--gate NAME and --baseline RUN need each other")
    config_path = config or find_config(Path.cwd())
    settings = load_config(config_path)
    run_ = Run(run)
    damage = schema_error("evalkit.results", "manifest", run_.manifest)
    if damage:
        raise IntegrityError(
            f"{run / 'manifest.json'}: not as evalkit writes it ({shorten(damage, 200)}); run the "
            "suites again, then sign"
        )
    root = root or find_project_root(run, run_.manifest)
    changed_by = authors_since(
        base or default_base(root), root, run_.manifest, config_path or root / NAME
    )
    request = SignoffRequest(
        name=name,
        email=email,
        role=role,
        meaning=meaning,
        decision=decision,
        comment=comment,
        override=override,
        deviations=tuple(map(parse_deviation, deviations)),
        gate=settings.gate(None if gate_name == "default" else gate_name) if gate_name else None,
        baseline=baseline,
        review=lambda: _review(run_, root, baseline),
        prices=settings.prices if gate_name else {},
        compare_bars=project_bars,
        authors=changed_by | frozenset(authors),
    )
    paths = SignedPaths(root, run, relative_name(root, run))
    record = sign(run_, paths, request, settings.signoff, open_key(key), now())
    click.echo(visible(f"signed: {run / record.path}"))
    signed = f"{record.decision} ({record.meaning}), {record.time} by this computer's clock"
    click.echo(visible(f"  {record.signer}, {record.role}: {signed}"))
    click.echo(f"  {len(record.subjects)} files; key {record.keyid}")
    try:
        rewrite_page(run_)
    except (UsageError, OSError) as error:
        # The record is written; only the page is not up to date.
        message = f"evalkit: the page was not written ({error}); run: evalkit report {run}"
        click.echo(visible(message), err=True)
    for detail in record.details:
        click.echo(visible(f"  {detail}"))


def _review(run: Run, root: Path, baseline: Path | None) -> ReviewRecord:
    """Return what reviewers have decided about a run."""
    state = ReviewSession(
        run, lambda: root, baseline=Run(baseline) if baseline is not None else None
    ).state()
    made = [one.decision for one in state.statuses if one.decision and not one.is_undecided]
    comments: dict[tuple[str, str, str], list[str]] = {}
    for one in made:
        if one.comment or one.decision == "reject":
            comments.setdefault((one.decision, one.comment, one.by), []).append(one.result)
    return ReviewRecord(
        items=state.summary["items"],
        accepted=state.summary["accepted"],
        rejected=state.summary["rejected"],
        undecided=state.summary["undecided"],
        comments=tuple(
            ReviewComment(decision, list(dict.fromkeys(results)), comment, by)
            for (decision, comment, by), results in comments.items()
        ),
    )
