"""``evalkit lint``: what is wrong, risky or new in cassettes from any tool."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import click

from evalkit._lib.text import plural, show, visible
from evalkit.cli.main import EXIT_FAILED, EXIT_INTEGRITY, EXIT_PASS
from evalkit.cli.output import WIDTH, echo_json, wrapped
from evalkit.errors import UsageError
from evalkit.lint import RULES, LintFinding, LintOptions, LintOutcome
from evalkit.lint import lint as lint_paths
from evalkit.lint.file_search import find_eval_files
from evalkit.lint.rules import SEVERITIES, TOPICS, select_codes
from evalkit.project import pytest_option

_COLORS = {"error": "red", "warn": "yellow", "info": "cyan"}
_EPILOG = """\b
Examples:
  evalkit lint cassettes
  evalkit lint cassettes --ignore new,old --fail-on warn
  evalkit lint tapes/login.yaml --json
"""


def _split_codes(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    return tuple(code.strip() for value in values for code in value.split(",") if code.strip())


@click.command(epilog=_EPILOG)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="PATH…")
@click.option("--json", "as_json", is_flag=True, help="Print findings as one JSON array only.")
@click.option(
    "--select",
    multiple=True,
    callback=_split_codes,
    metavar="CODE",
    help="Only these rules or topics, separated by commas; repeatable.",
)
@click.option(
    "--ignore",
    multiple=True,
    callback=_split_codes,
    metavar="CODE",
    help="Not these rules or topics.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warn", "info"]),
    default="error",
    show_default=True,
    help="Lowest severity that exits with 1.",
)
@click.option(
    "--max-age", type=click.FloatRange(min=0), metavar="DAYS", help="Older recordings are 'stale'."
)
@click.option(
    "--suites",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DIR",
    help="Suites that play the cassettes; default: those that pytest collects.",
)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run directory: report the recordings that it did not play.",
)
@click.option("--rules", is_flag=True, help="Print the table of rules and stop.")
@click.pass_context
def lint(
    context: click.Context,
    *,
    paths: tuple[Path, ...],
    as_json: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str,
    max_age: float | None,
    suites: tuple[Path, ...],
    run: Path | None,
    rules: bool,
) -> None:
    """Find mistakes, risks and secrets in cassettes.

    PATHs are files, or folders to scan.

    Cassettes may be recorded by any tool: evalkit, vcrpy, pytest-recording, a proxy. The rules
    cover histories that were not re-sent as received, invalid streams, deviations from the API,
    calls without results, secrets and damaged media. What evalkit does not know is reported as new.

    Exit codes: 0 nothing of that severity, 1 findings, 2 usage, 3 a damaged file.
    """
    if rules:
        click.echo("\n".join(_rule_table()))
        return
    if not paths:
        raise UsageError("no PATH given; name the cassettes, e.g. evalkit lint cassettes")
    root = Path.cwd()
    options = LintOptions(
        codes=select_codes(select, ignore) if select or ignore else None,
        max_age=max_age,
        suites=suites or collected_suites(root),
        root=root,
        run=run,
    )
    outcome = lint_paths(paths, options)
    if as_json:
        echo_json([finding.to_json() for finding in outcome.findings])
    else:
        click.echo("\n".join(_report(outcome)))
    counted = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    failed = any(finding.severity in counted for finding in outcome.findings)
    context.exit(EXIT_INTEGRITY if outcome.damaged else EXIT_FAILED if failed else EXIT_PASS)


def collected_suites(root: Path) -> tuple[Path, ...]:
    """Return the suites that pytest would collect: existing folders of the ini option, and
    ``*.eval.yaml``.
    """
    folders = [root / name for name in pytest_option(root, "evalkit_suites") or ["suites"]]
    return (*(path for path in folders if path.exists()), *find_eval_files(root))


def _rule_table() -> Iterator[str]:
    width = max(map(len, RULES))
    for topic, meaning in TOPICS.items():
        yield click.style(f"{topic}: {meaning}", bold=True)
        for rule in RULES.values():
            if rule.topic == topic:
                yield f"  {rule.code:<{width}}  {rule.severity:<5}  {rule.meaning}"


def _report(outcome: LintOutcome) -> Iterator[str]:
    """Yield the findings by file and exchange, then one line of totals."""
    groups = groupby(outcome.findings, key=lambda finding: (finding.file, finding.exchange))
    for (file, exchange), group in groups:
        findings = list(group)
        lines = (f":{finding.where['line']}" for finding in findings if "line" in finding.where)
        number = f" exchange {exchange}" if exchange is not None else ""
        yield click.style(visible(file) + next(lines, "") + number, bold=True)
        for finding in findings:
            yield from _finding_lines(finding)
    if outcome.findings:
        yield ""
    yield from wrapped(_summary(outcome), hanging="")


def _finding_lines(finding: LintFinding) -> Iterator[str]:
    label = click.style(finding.severity, fg=_COLORS[finding.severity])
    first, *rest = wrapped(f"{finding.severity} {finding.code}: {finding.message}", "  ")
    yield first.replace(finding.severity, label, 1)
    yield from rest
    where = finding.where
    if where.get("pointer"):
        yield from wrapped(f"at {where.get('part', '')} {where['pointer']}", "    ", hanging="")
    for name, value in (("expected", finding.expected), ("got", finding.got)):
        text = show(value, WIDTH - 14)
        if text != "(absent)":
            yield f"    {name:<8}  {text}"


def _summary(outcome: LintOutcome) -> str:
    counts = Counter(finding.severity for finding in outcome.findings)
    names = {"error": "error", "warn": "warning", "info": "note"}
    findings = ", ".join(
        plural(counts[severity], names[severity]) for severity in SEVERITIES if counts[severity]
    )
    read = f"{plural(outcome.cassettes, 'cassette')}, {plural(outcome.exchanges, 'exchange')}"
    skipped = f"; {plural(outcome.skipped, 'YAML file')} skipped (not a cassette)"
    return f"{read}: {findings or 'no findings'}{skipped if outcome.skipped else ''}"
