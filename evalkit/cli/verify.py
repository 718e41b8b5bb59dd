"""``evalkit verify``: verify a signed run offline, without writing anything.

The verdict is printed first, then the problems, then the records. Text from files is printed with
invisible characters made visible.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from evalkit._lib.clock import now
from evalkit._lib.files import display_path, file_errors
from evalkit._lib.json import JSON
from evalkit._lib.text import plural
from evalkit.cli.output import echo_json, wrapped
from evalkit.cli.report import page_differences
from evalkit.config import NAME, Config, find_config, load_config, parse_config
from evalkit.errors import UsageError
from evalkit.project import bars_without_code
from evalkit.results import Run
from evalkit.results.run_directory import SIGNOFFS, find_project_root
from evalkit.signoff import git, verification
from evalkit.signoff.authors import authors_since, default_base
from evalkit.signoff.in_toto import Signoff, review_json
from evalkit.signoff.problems import sorted_problems
from evalkit.signoff.ssh import parse_allowed_signers
from evalkit.signoff.times import TIME_SOURCE
from evalkit.signoff.verification import TrustSettings, VerificationResult

_EPILOG = """\b
Exit codes: 0 verified, 1 the policy is not satisfied, 2 usage, 3 a file is not what was signed.

\b
Examples:
  evalkit verify reports/latest --allowed-signers .evalkit/allowed_signers
  evalkit verify reports/latest --signers-from origin/main --json
"""
_MAX_PROBLEMS = 50
_NO_CONFIG = f"verified without a policy, because there is no {NAME} (see --config)"


@click.command(epilog=_EPILOG)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--allowed-signers",
    "signers_file",
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
    help="Project root; default: where the signed files are found.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Policy and gates; default: the nearest evalkit.yaml.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def verify(
    context: click.Context,
    run: Path,
    signers_file: Path | None,
    ref: str | None,
    root: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Verify the signatures, files and policy of a run.

    Checks the signatures and records of RUN (a run directory), every signed file, the gate, and the
    policy of evalkit.yaml.
    """
    if signers_file is not None and ref is not None:
        raise UsageError("--allowed-signers and --signers-from cannot be used together")
    path = config or find_config(Path.cwd())
    trust = _trust_ref(run, path, ref) if ref is not None else _trust_files(path, signers_file)
    if trust.policy.author_is_not_approver:
        trust = _add_authors(trust, run, root, path, ref)
    result = verification.verify(run, trust, now=now(), root=root)
    if result.records:
        is_intact = not any(one.is_integrity for one in result.problems)
        problems, notes = page_differences(run, result.records[-1], is_intact=is_intact)
        result = result._replace(
            problems=sorted_problems([*result.problems, *problems]),
            notes=(*result.notes, *notes),
        )
    if as_json:
        echo_json(_to_json(result, trust))
    else:
        for line in _lines(run, result, trust):
            click.echo(line)
    context.exit(result.exit_code)


def _trust_files(path: Path | None, signers_file: Path | None) -> TrustSettings:
    """Return the settings of a configuration file and a file of signers."""
    config = load_config(path)
    if signers_file is None:
        if path is None or not config.signoff.allowed_signers:
            raise UsageError(
                "there are no allowed signers; give --allowed-signers FILE or --signers-from REF, "
                "or name the file in evalkit.yaml: signoff: {allowed_signers: FILE}"
            )
        signers_file = path.parent / config.signoff.allowed_signers
    with file_errors(signers_file, "the allowed signers cannot be read"):
        text = signers_file.read_bytes().decode("utf-8", "replace")
    source = display_path(path) if path is not None else ""
    return _settings(config, text, display_path(signers_file), source)


def _trust_ref(run: Path, path: Path | None, ref: str) -> TrustSettings:
    """Return the settings of a git ref, with its records of the run."""
    folder, name = (path.parent, path.name) if path is not None else (Path.cwd(), NAME)
    text = git.file_at(folder, ref, name)
    if text is None:
        raise UsageError(
            f"{ref}: has no {name} in {folder}, so it names no allowed signers; commit one there "
            "first"
        )
    config = parse_config(text, f"{ref}:{name}")
    if not config.signoff.allowed_signers:
        raise UsageError(f"{ref}:{name}: 'signoff: {{allowed_signers: FILE}}' is missing")
    place = f"{ref}:{config.signoff.allowed_signers}"
    signers = git.file_at(folder, ref, config.signoff.allowed_signers)
    if signers is None:
        raise UsageError(f"{place}: the file of allowed signers is missing")
    settings = _settings(config, signers.decode("utf-8", "replace"), place, f"{ref}:{name}")
    records = git.files_at(run, ref, SIGNOFFS) if git.is_repository(run) else {}
    return replace(settings, ref_records=records)


def _settings(config: Config, signers: str, name: str, source: str) -> TrustSettings:
    allowed = parse_allowed_signers(signers, name)
    return TrustSettings(
        signers=allowed,
        policy=config.signoff,
        gates=config.gates,
        prices=config.prices,
        config=source,
        compare_bars=bars_without_code,
    )


def _add_authors(
    trust: TrustSettings, run: Path, root: Path | None, config: Path | None, ref: str | None
) -> TrustSettings:
    """Add those who changed what the run judges since the ref, according to git."""
    try:
        manifest = Run(run).manifest
        root = root or find_project_root(run, manifest)
        base = ref if ref is not None else default_base(root)
        authors = authors_since(base, root, manifest, config or root / NAME)
    except (UsageError, KeyError, TypeError, AttributeError):
        return trust  # Verification reports what is damaged.
    return replace(trust, authors=authors)


def _lines(run: Path, result: VerificationResult, trust: TrustSettings) -> Iterator[str]:
    """Yield the lines to print, of at most 80 columns unless a name is longer."""
    yield from wrapped(_verdict(run, result, trust))
    if not trust.config:
        yield from wrapped(f"{_NO_CONFIG}: one approval is enough, and no gate is required", "  ")
    for note in result.notes:
        yield from wrapped(f"not verified: {note}", "  ")
    for problem in result.problems[:_MAX_PROBLEMS]:
        yield from wrapped(f"{problem.code}  {problem.message}", "  ")
    if len(result.problems) > _MAX_PROBLEMS:
        yield f"  … and {len(result.problems) - _MAX_PROBLEMS} more, with --json"
    if result.records:
        yield from wrapped(f"Records ({TIME_SOURCE})")
    for record in result.records:
        yield from _record_lines(record)


def _verdict(run: Path, result: VerificationResult, trust: TrustSettings) -> str:
    integrity = sum(problem.is_integrity for problem in result.problems)
    if integrity:
        return f"CHANGED  {run}: {plural(integrity, 'integrity problem')}"
    if result.problems:
        count = plural(len(result.problems), "policy problem")
        return f"NOT ENOUGH  {run}: everything is what was signed; {count}"
    records = plural(len(result.records), "record")
    files = plural(len({name for record in result.records for name in record.subjects}), "file")
    return f"VERIFIED  {run}: {records}, {files} as signed; signers from {trust.signers.name}"


def _record_lines(record: Signoff) -> Iterator[str]:
    yield from wrapped(f"{record.number}  {record.signer}", "  ")
    details = [
        f"{record.decision} ({record.meaning}) as {record.role}, {record.time}",
        *record.details,
    ]
    details.append(f"key {record.keyid}")
    for detail in details:
        yield from wrapped(detail, "     ")


def _to_json(result: VerificationResult, trust: TrustSettings) -> dict[str, JSON]:
    policy = {
        **trust.policy.model_dump(),
        "config": trust.config or None,
        "signers_from": trust.signers.name,
        "satisfied": not result.problems,
    }
    return {
        "ok": not result.problems,
        "problems": [problem._asdict() for problem in result.problems],
        "notes": list(result.notes),
        "time_source": TIME_SOURCE,
        "records": [_record_json(record) for record in result.records],
        "policy": policy,
    }


def _record_json(record: Signoff) -> dict[str, JSON]:
    gate = record.gate
    return {
        "path": record.path,
        "number": record.number,
        "name": record.name,
        "email": record.email,
        "role": record.role,
        "time": record.time,
        "meaning": record.meaning,
        "decision": record.decision,
        "comment": record.comment,
        "counts": dict(record.counts),
        "gate": gate
        and {
            "name": gate.name,
            "verdict": gate.verdict,
            "reason": gate.reason,
            "baseline": gate.baseline,
        },
        "stopped": record.stopped,
        "review": record.review and review_json(record.review),
        "override": record.override,
        "deviations": [deviation._asdict() for deviation in record.deviations],
        "authors": list(record.authors),
        "tool": dict(record.tool),
        "key": record.keyid,
        "files": len(record.subjects),
    }
