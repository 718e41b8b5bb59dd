"""``evalkit verify``: is a run still what was signed, by whom it says, and is that enough? Offline, writes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from evalkit.config import Config
    from evalkit.signoff.allowed_signers import AllowedSigners
    from evalkit.signoff.verification import TrustSettings

_EPILOG = """\b
Examples:
  evalkit verify reports/latest --allowed-signers .evalkit/allowed_signers
  evalkit verify reports/latest --signers-from origin/main --json

\b
Exit codes: 0 verified, 1 the policy is not satisfied, 2 usage, 3 a file is not what was signed.
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--allowed-signers",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Who may sign with which key, in OpenSSH's format.",
)
@click.option(
    "--signers-from",
    "ref",
    metavar="REF",
    help="Git ref to take policy, allowed signers and earlier records from.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="The project's root; default: where the signed files are found.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="SignoffPolicy and gates; default: the nearest evalkit.yaml.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_context
def verify(
    context: click.Context,
    run: Path,
    allowed_signers: Path | None,
    ref: str | None,
    root: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Verify the signatures, files and policy of a run.

    RUN's signatures, its records, every signed file, the gate, and the policy of evalkit.yaml.
    """
    from evalkit._lib.clock import now
    from evalkit.cli.verify_view import lines, to_json
    from evalkit.config import find_config
    from evalkit.errors import UsageError
    from evalkit.signoff.problems import sorted_problems
    from evalkit.signoff.verification import verify as verify_run

    if allowed_signers is not None and ref is not None:
        raise UsageError(
            "--allowed-signers and --signers-from exclude each other: trust comes from one place"
        )
    path = config or find_config(Path.cwd())
    trust = (
        _trust_of_ref(run, path, ref) if ref is not None else _trust_of_files(path, allowed_signers)
    )
    found = verify_run(run, _with_authors(trust, run, root), now=now(), root=root)
    if found.records:
        from evalkit.cli import pages

        found = found._replace(
            problems=sorted_problems([*found.problems, *pages.problems(run, found.records[-1])])
        )
    if as_json:
        click.echo(json.dumps(to_json(found, trust), indent=2))
    else:
        for line in lines(run, found, trust):
            click.echo(line)
    context.exit(found.exit_code)


def _trust_of_files(path: Path | None, allowed: Path | None) -> TrustSettings:
    from evalkit._lib.files import display_path
    from evalkit.config import load_config
    from evalkit.errors import UsageError
    from evalkit.signoff.allowed_signers import parse

    config = load_config(path)
    if allowed is None:
        allowed = _named(config, path)
    try:
        signers = parse(allowed.read_text("utf-8"), display_path(allowed))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the allowed signers {display_path(allowed)} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    return _trust(config, signers)


def _trust_of_ref(run: Path, path: Path | None, ref: str) -> TrustSettings:
    from evalkit.config import NAME, parse_config
    from evalkit.errors import UsageError
    from evalkit.signoff import git
    from evalkit.signoff.allowed_signers import parse
    from evalkit.signoff.records import FOLDER

    name = path.name if path is not None else NAME
    folder = path.parent if path is not None else Path.cwd()
    text = git.file_at(folder, ref, name)
    if text is None:
        raise UsageError(
            f"{ref} has no {name} in {folder}, so it names no allowed signers; commit one there first"
        )
    config = parse_config(text, f"{ref}:{name}")
    if not config.signoff.allowed_signers:
        raise UsageError(f"{ref}:{name} names no 'signoff: {{allowed_signers: FILE}}'")
    signers = git.file_at(folder, ref, config.signoff.allowed_signers)
    where = f"{ref}:{config.signoff.allowed_signers}"
    if signers is None:
        raise UsageError(f"the allowed signers {where} are not there")
    trust = _trust(config, parse(signers.decode("utf-8", "replace"), where))
    return trust._replace(kept=git.files_at(run, ref, FOLDER) if git.is_repository(run) else {})


def _named(config: Config, path: Path | None) -> Path:
    from evalkit.errors import UsageError

    if path is None or not config.signoff.allowed_signers:
        raise UsageError(
            "whose signatures are to be believed? give --allowed-signers FILE or --signers-from REF, "
            "or name the file in evalkit.yaml: signoff: {allowed_signers: FILE}"
        )
    return path.parent / config.signoff.allowed_signers


def _trust(config: Config, signers: AllowedSigners) -> TrustSettings:
    from evalkit.compare.gates import DEFAULT
    from evalkit.signoff.verification import TrustSettings

    return TrustSettings(signers, config.signoff, {"default": DEFAULT, **config.gates})


def _with_authors(trust: TrustSettings, run: Path, root: Path | None) -> TrustSettings:
    """Ask git who changed what was tested, where the policy wants to know."""
    from evalkit.errors import UsageError
    from evalkit.results import Run
    from evalkit.results.project_root import find_project_root
    from evalkit.signoff import git

    if not trust.policy.author_is_not_approver:
        return trust
    try:
        manifest = Run(run).manifest
        sources = [str(suite["path"]) for suite in manifest.get("suites", [])]
        return trust._replace(
            authors=git.authors_of(root or find_project_root(run, manifest), sources)
        )
    except (UsageError, KeyError, TypeError, AttributeError):
        return trust  # a run that is damaged is told so by verification itself
