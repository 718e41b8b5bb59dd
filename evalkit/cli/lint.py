"""``evalkit lint``: what is wrong, risky or new in cassettes of any origin."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit._lib.text import plural, show, visible

if TYPE_CHECKING:
    from evalkit.lint import LintFinding, Outcome

_WIDTH = 80
_COLOURS = {"error": "red", "warn": "yellow", "info": "cyan"}
_EXAMPLE = """\b
Examples:
  evalkit lint cassettes
  evalkit lint cassettes --ignore new,old --fail-on warn
  evalkit lint tapes/login.yaml --json
"""


def _words(_: click.Context, __: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.strip() for given in value for word in given.split(",") if word.strip())


@click.command(epilog=_EXAMPLE)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="PATH…")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON array of findings, and nothing else."
)
@click.option(
    "--select",
    multiple=True,
    callback=_words,
    metavar="CODE",
    help="Only these rules or topics; commas, or several times.",
)
@click.option(
    "--ignore", multiple=True, callback=_words, metavar="CODE", help="Not these rules or topics."
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warn", "info"]),
    default="error",
    show_default=True,
    help="Least severity that exits with 1.",
)
@click.option(
    "--max-age", type=click.FloatRange(min=0), metavar="DAYS", help="Older recordings are 'stale'."
)
@click.option(
    "--suites", type=click.Path(path_type=Path), multiple=True, metavar="DIR",
    help="Suites that play the cassettes; without it, those pytest would find.",
)  # fmt: skip
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A run directory: tell the recordings it left unplayed.",
)
@click.option("--rules", is_flag=True, help="Print the table of rules and stop.")
def lint(
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

    Whoever recorded them (evalkit, vcrpy, pytest-recording, a tape, a proxy): are histories re-sent as received, streams valid, answers
    as the API has them, calls answered, secrets left out, media whole? What nothing here knows yet is told as new.

    Exit codes: 0 nothing of that severity, 1 findings, 2 usage, 3 a file that is damaged.
    """
    from evalkit.cli.main import EXIT_FAILED, EXIT_INTEGRITY, EXIT_PASS
    from evalkit.errors import UsageError
    from evalkit.lint import Options
    from evalkit.lint import lint as judge
    from evalkit.lint.rules import SEVERITIES, chosen

    if rules:
        click.echo("\n".join(_table()))
        return
    if not paths:
        raise UsageError("name the cassettes to judge, e.g. evalkit lint cassettes")
    root = Path.cwd()
    codes = chosen(select, ignore) if select or ignore else None
    outcome = judge(paths, Options(codes, max_age, suites or _default_suites(root), root, run))
    if as_json:
        import json

        click.echo(json.dumps([finding.to_json() for finding in outcome.findings], indent=1))
    else:
        for line in _report(outcome):
            click.echo(line)
    grave = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    failed = any(finding.severity in grave for finding in outcome.findings)
    click.get_current_context().exit(
        EXIT_INTEGRITY if outcome.damaged else EXIT_FAILED if failed else EXIT_PASS
    )


def _default_suites(root: Path) -> tuple[Path, ...]:
    """Return the suites as pytest would take them: the folders of the ini option that exist, and files of the name ``*.eval.yaml``."""
    from evalkit.lint.files import eval_files

    return (
        *(path for name in _ini_suites(root) if (path := root / name).exists()),
        *eval_files(root),
    )


def _ini_suites(root: Path) -> list[str]:
    import shlex
    import tomllib
    from configparser import ConfigParser, Error

    given: Any = None
    for name, section in (
        ("pytest.ini", "pytest"),
        ("pyproject.toml", ""),
        ("tox.ini", "pytest"),
        ("setup.cfg", "tool:pytest"),
    ):
        try:
            text = (root / name).read_text("utf-8")
            if section:
                parser = ConfigParser(interpolation=None)
                parser.read_string(text)
                given = parser.get(section, "evalkit_suites", fallback=None)
            else:
                table = tomllib.loads(text)["tool"]["pytest"]
                given = table.get("ini_options", table).get("evalkit_suites")
        except (OSError, ValueError, LookupError, AttributeError, TypeError, Error):
            continue
        if given is not None:
            break
    if isinstance(given, list):
        return [str(item) for item in given]
    return shlex.split(given) if isinstance(given, str) else ["suites"]


def _table() -> Iterator[str]:
    from evalkit.lint.rules import RULES, TOPICS

    width = max(map(len, RULES))
    for topic, meaning in TOPICS.items():
        yield click.style(f"{topic}: {meaning}", bold=True)
        for rule in RULES.values():
            if rule.topic == topic:
                yield f"  {rule.code:<{width}}  {rule.severity:<5}  {rule.meaning}"


def _report(outcome: Outcome) -> Iterator[str]:
    """Yield the findings by file and exchange, then one line of totals."""
    for (file, exchange), found in groupby(
        outcome.findings, key=lambda finding: (finding.file, finding.exchange)
    ):
        held = list(found)
        line = next((finding.where["line"] for finding in held if "line" in finding.where), None)
        head = (
            visible(file)
            + (f":{line}" if line is not None else "")
            + (f" exchange {exchange}" if exchange is not None else "")
        )
        yield click.style(head, bold=True)
        for finding in held:
            yield from _lines(finding)
    if outcome.findings:
        yield ""
    yield from _folded(_summary(outcome), "")


def _lines(finding: LintFinding) -> Iterator[str]:
    label = click.style(finding.severity, fg=_COLOURS[finding.severity])
    first, *rest = _folded(
        f"{finding.severity} {finding.code}: {visible(finding.message)}", "  ", "    "
    )
    yield first.replace(finding.severity, label, 1)
    yield from rest
    where = finding.where
    if where.get("pointer"):
        yield from _folded(f"at {where.get('part', '')} {visible(where['pointer'])}", "    ")
    for name, value in (("expected", finding.expected), ("got", finding.got)):
        text = show(value, _WIDTH - 14)
        if text != "(absent)":
            yield f"    {name:<8}  {text}"


def _folded(text: str, indent: str, below: str | None = None) -> list[str]:
    below = indent if below is None else below
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=below,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(outcome: Outcome) -> str:
    counted = _counts(finding.severity for finding in outcome.findings)
    told = ", ".join(
        plural(counted[severity], *words)
        for severity, words in (("error", ("error",)), ("warn", ("warning",)), ("info", ("note",)))
        if counted[severity]
    )
    judged = f"{plural(outcome.cassettes, 'cassette')}, {plural(outcome.exchanges, 'exchange')}: {told or 'nothing to say'}"
    passed = (
        f"; {plural(outcome.passed, 'YAML file')} passed over, being no cassette"
        if outcome.passed
        else ""
    )
    return judged + passed


def _counts(severities: Iterable[str]) -> dict[str, int]:
    from collections import Counter

    return Counter(severities)
