"""``evalkit signoff``: a person's decision about a run, signed and appended to its records."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  evalkit signoff reports/latest --key ~/.ssh/id_ed25519 --name "Ada Lovelace" \\
    --email ada@example.com --role qa --decision approved --meaning approval \\
    --gate release --baseline reports/main

\b
Exit codes: 0 signed, 2 usage, 3 the run is not whole or changed since it was run or signed.
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path),
    help="SSH private key, .pub of one the agent holds, or Ed25519 PEM.",
)
@click.option("--name", required=True, help="Your name, as it is to be printed.")
@click.option(
    "--email",
    required=True,
    metavar="ADDRESS",
    help="Your address, as the allowed signers have it.",
)
@click.option("--role", required=True, help="The role you sign in, one of the policy's.")
@click.option(
    "--decision",
    required=True,
    type=click.Choice(["approved", "rejected", "approved-with-deviations"]),
)
@click.option(
    "--meaning",
    required=True,
    type=click.Choice(["review", "approval", "responsibility"]),
    help="What your name stands for.",
)
@click.option("--comment", default="", metavar="TEXT", help="What you want to add.")
@click.option(
    "--gate",
    "gate_name",
    metavar="NAME",
    help="Gate of evalkit.yaml that is judged now, and again by 'evalkit verify'.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Run directory the gate compares with.",
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
    help="An exception you grant; repeat.",
)
@click.option(
    "--author",
    "authors",
    multiple=True,
    metavar="ADDRESS",
    help="Who changed what was tested, besides whom git names; repeat.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="The project's root; default: where the run's suites are found.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="SignoffPolicy, gates and prices; default: the nearest evalkit.yaml.",
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
    root: Path | None,
    config: Path | None,
) -> None:
    """Sign your decision about a run.

    The signature is bound to the suites, cassettes and results of RUN and appended to its records.
    """
    from evalkit._lib.clock import now
    from evalkit._lib.text import visible
    from evalkit.config import find_config, load_config
    from evalkit.errors import IntegrityError, UsageError
    from evalkit.results import Run
    from evalkit.results.project_root import find_project_root
    from evalkit.signoff import git
    from evalkit.signoff.digest_manifest import SignedPaths, is_valid_run_manifest, relative_name
    from evalkit.signoff.signatures import open_key
    from evalkit.signoff.signing import SignoffRequest, deviation, sign

    if bool(gate_name) != bool(baseline):
        raise UsageError("--gate NAME and --baseline RUN go together: a gate compares two runs")
    loaded = load_config(config or find_config(Path.cwd()))
    opened = Run(run)
    if not is_valid_run_manifest(opened.manifest):
        raise IntegrityError(
            f"{run / 'manifest.json'} is not as evalkit writes it; run the suites again, then sign"
        )
    top = root or find_project_root(run, opened.manifest)
    sources = [str(suite["path"]) for suite in opened.manifest.get("suites", [])]
    asked = SignoffRequest(
        name,
        email,
        role,
        meaning,
        decision,
        comment,
        override,
        tuple(map(deviation, deviations)),
        loaded.gate(None if gate_name == "default" else gate_name) if gate_name else None,
        baseline,
        loaded.prices if gate_name else {},
        git.authors_of(top, sources) | frozenset(authors),
    )
    record = sign(
        opened,
        SignedPaths(top, run, relative_name(top, run)),
        asked,
        loaded.signoff,
        open_key(key),
        now(),
    )
    click.echo(visible(f"signed: {run / record.path}"))
    click.echo(
        visible(
            f"  {record.who}, {record.role}: {record.decision} ({record.meaning}), {record.time}"
        )
    )
    click.echo(
        f"  {len(record.subjects)} files; {record.counts['passed']} of {record.counts['results']} results passed; key {record.keyid}"
    )
    from evalkit.cli.pages import remake

    try:
        remake(opened)
    except (UsageError, OSError) as error:  # the record is safe, and the page can be made again
        click.echo(
            visible(f"evalkit: the page does not show it yet: {error}; then: evalkit report {run}"),
            err=True,
        )
    if record.gate is not None:
        click.echo(visible(f"  gate {record.gate.name}: {record.gate.verdict}"))
