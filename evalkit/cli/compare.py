"""``evalkit compare``: compare a baseline run with a candidate run under a gate.

The terminal shows verdict and reason first, then figures, then what changed, most serious first. It
needs 80 columns. Model output is printed as plain text with invisible characters made visible,
never as markup.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from evalkit._lib.files import file_errors, write_atomic
from evalkit._lib.text import plural, shorten, visible
from evalkit.cli.main import VERDICT_CODES
from evalkit.cli.output import echo_json
from evalkit.cli.tables import grid
from evalkit.compare.comparison import Comparison
from evalkit.compare.comparison import compare as compare_runs
from evalkit.compare.comparison_json import comparison_json
from evalkit.compare.evidence import METRICS, Evidence
from evalkit.compare.pairing import Pair, by_check
from evalkit.compare.rows import VariantKey, grouped
from evalkit.compare.selection import AxisChoice, parse_choice
from evalkit.config import find_config, load_config
from evalkit.errors import UsageError
from evalkit.project import project_bars
from evalkit.reports.ci import comment
from evalkit.reports.page import comparison_page
from evalkit.results import Run

MAX_LISTED = 20
"""Entries of a list that are printed; the rest is counted, and is in comparison.json."""

_STYLES = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
_EPILOG = """\b
Examples:
  evalkit compare reports/main reports/latest --gate release
  evalkit compare reports/latest --baseline prompt=current --candidate prompt=shorter

\b
Exit codes: 0 pass, 1 fail, 2 usage, 4 inconclusive.
"""

ListEntry = tuple[str, Iterable[str]]
"""A line of a list, and the lines below it."""


@click.command(epilog=_EPILOG)
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path), required=False)
@click.option(
    "--gate",
    "gate_name",
    metavar="NAME",
    help="Gate of evalkit.yaml; default: its gate 'default', or one that fits the runs.",
)
@click.option(
    "--baseline",
    "baseline_choices",
    metavar="AXIS=CHOICE",
    multiple=True,
    help="Compare only these results of BASELINE: model=A, prompt=current.",
)
@click.option(
    "--candidate",
    "candidate_choices",
    metavar="AXIS=CHOICE",
    multiple=True,
    help="Compare only these results of CANDIDATE (default: BASELINE).",
)
@click.option("--baseline-model", metavar="MODEL", help="The same as --baseline model=MODEL.")
@click.option("--candidate-model", metavar="MODEL", help="The same as --candidate model=MODEL.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Gates and prices; default: the nearest evalkit.yaml.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for comparison.json, index.html and comment.md; default: CANDIDATE/comparison.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print comparison.json instead of the tables."
)
@click.pass_context
def compare(
    context: click.Context,
    baseline: Path,
    candidate: Path | None,
    gate_name: str | None,
    baseline_choices: Sequence[str],
    candidate_choices: Sequence[str],
    baseline_model: str | None,
    candidate_model: str | None,
    config: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare two runs and decide whether the gate passes.

    BASELINE and CANDIDATE are run directories. With --baseline and --candidate one run is enough:
    variants that differ only in what the options name are paired.
    """
    old, new = (
        [*map(parse_choice, choices), *([AxisChoice("model", model)] if model else [])]
        for choices, model in (
            (baseline_choices, baseline_model),
            (candidate_choices, candidate_model),
        )
    )
    if candidate is None and not (old and new):
        raise UsageError(
            "CANDIDATE is missing; to compare two models or other choices of one run, give "
            "--baseline AXIS=CHOICE and --candidate AXIS=CHOICE"
        )
    settings = load_config(config or find_config(Path.cwd()))
    name, gate = settings.gate(gate_name)
    baseline_run = Run(baseline)
    candidate_run = Run(candidate) if candidate is not None else baseline_run
    comparison = compare_runs(
        baseline_run,
        candidate_run,
        baseline_choices=old,
        candidate_choices=new,
        gate_name=name,
        gate=gate,
        prices=settings.prices,
        compare_bars=project_bars,
    )
    text = json.dumps(comparison_json(comparison), indent=2)
    folder = out or candidate_run.directory / "comparison"
    path = folder / "comparison.json"
    with file_errors(path, "cannot be written", "; choose another folder with --out"):
        write_atomic(path, text + "\n")
        page = comparison_page.write(comparison, baseline_run, candidate_run, folder)
        comment.write(comparison, folder)
    if as_json:
        echo_json(comparison_json(comparison))
    else:
        _print_comparison(comparison, Console(highlight=False))
        click.echo(f"written: {path}\n         {page}")
    context.exit(VERDICT_CODES[comparison.verdict.verdict])


def _print_comparison(comparison: Comparison, console: Console) -> None:
    verdict, pairing = comparison.verdict, comparison.pairing
    head = (verdict.verdict.upper(), _STYLES[verdict.verdict])
    console.print(Text.assemble(head, f"  {comparison.conclusion}"))
    console.print(Padding(Text(visible(f"gate {verdict.gate}: {verdict.reason}")), (0, 0, 0, 2)))
    for warning in comparison.warnings:
        console.print(Text.assemble(("warning", "yellow"), f"  {visible(warning)}"))
    console.print()
    _print_runs(comparison, console)
    _print_pair_table(comparison, console)
    trials = Counter(pair.candidate.variant for pair in pairing.pairs)
    for title, pairs in (
        ("Regressions", comparison.changed("regressed")),
        ("Improvements", comparison.changed("improved")),
        ("Same verdict, different answer", comparison.changed("changed")),
        ("Errored or skipped in one of the runs", comparison.changed("unscored")),
    ):
        _print_pairs(console, title, pairs, trials)
    for title, rows in (
        ("Added", pairing.added),
        ("Removed", pairing.removed),
        ("Trials without a partner", pairing.unmatched),
    ):
        _print_list(
            console, title, [(f"{row.id}  ({row.location}) {row.verdict}", ()) for row in rows]
        )
    _print_bar(comparison, console)
    _print_checks(comparison, console)
    _print_metrics(comparison, console)
    changes = [(change, ()) for change in comparison.configuration]
    _print_list(console, "Differences besides the model", changes)


def _print_runs(comparison: Comparison, console: Console) -> None:
    runs = (("baseline", comparison.baseline), ("candidate", comparison.candidate))
    names = ("results", "passed", "failed", "errored", "skipped")
    table = grid("", *names, "pass rate")
    for role, run in runs:
        numbers = [str(run.counts[name]) for name in names]
        table.add_row(role, *numbers, _pass_rate(run.counts))
    console.print(table)
    for role, run in runs:
        line = f"  {role:<9} {visible(run.name)}  {', '.join(map(visible, run.models))}"
        console.print(Text(line, "dim"), soft_wrap=True)
    console.print()


def _pass_rate(counts: Mapping[str, int]) -> str:
    scored = counts["scored"]
    return f"{counts['passed'] / scored:.1%} of {scored} scored" if scored else "nothing scored"


def _print_pair_table(comparison: Comparison, console: Console) -> None:
    evidence = comparison.evidence
    pairs = evidence.table
    table = grid("", "candidate passed", "candidate failed")
    regressed = Text(str(pairs.regressed), "red" if pairs.regressed else "")
    improved = Text(str(pairs.improved), "green" if pairs.improved else "")
    table.add_row("baseline passed", str(pairs.both_passed), regressed)
    table.add_row("baseline failed", improved, str(pairs.both_failed))
    console.print(table)
    if pairs.pairs:
        low, high = evidence.interval
        console.print(
            f"  Difference {_points(pairs.difference)} points, between {_points(low)} and "
            f"{_points(high)} ({evidence.confidence:.0%}, "
            f"{plural(evidence.clusters, comparison.unit)}{_effective(evidence)})."
        )
    for sentence in (comparison.significance, comparison.sensitivity, comparison.flakiness):
        if sentence:
            console.print(Padding(Text(visible(sentence)), (0, 0, 0, 2)))
    console.print()


def _effective(evidence: Evidence) -> str:
    mean = evidence.mean
    if mean is None or mean.effective > 0.95 * mean.clusters:
        return ""
    return f" of different size, worth {mean.effective:.1f}"


def _points(share: float) -> str:
    """Return a difference of shares in percentage points, such as ``+2.5``."""
    text = f"{share * 100:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def _print_pairs(
    console: Console, title: str, pairs: Sequence[Pair], trials: Mapping[VariantKey, int]
) -> None:
    """Print pairs; the trials of a variant are one entry with their number."""
    variants = grouped((pair.candidate.variant, pair) for pair in pairs)
    entries = [_variant_entry(group, trials[variant]) for variant, group in variants.items()]
    count = ""
    if len(variants) < len(pairs):
        count = f"{len(pairs):,} pairs of {plural(len(variants), 'variant')}"
    _print_list(console, title, entries, count)


def _variant_entry(pairs: Sequence[Pair], trials: int) -> ListEntry:
    row = pairs[0].candidate
    name = row.id
    if trials > 1:
        name = f"{row.id.partition('#')[0]}  {len(pairs)} of {trials} trials"
    details = dict.fromkeys(detail for pair in pairs for detail in _details(pair))
    return f"{name}  ({row.location})", details


def _details(pair: Pair) -> Iterator[str]:
    old, new = pair
    if pair.change == "unscored":
        yield f"{old.verdict} → {new.verdict}"
        return
    yield from pair.changes


def _print_list(
    console: Console, title: str, entries: Sequence[ListEntry], count: str = ""
) -> None:
    if not entries:
        return
    console.print(Text(f"{title} ({count or f'{len(entries):,}'})", "bold"))
    for head, details in entries[:MAX_LISTED]:
        console.print(Text(f"  {visible(head)}"), soft_wrap=True)
        for detail in details:
            console.print(Text(f"      {shorten(detail, 200)}", "dim"), soft_wrap=True)
    if len(entries) > MAX_LISTED:
        more = len(entries) - MAX_LISTED
        console.print(Text(f"  … and {more:,} more, in comparison.json", "dim"))
    console.print()


def _print_bar(comparison: Comparison, console: Console) -> None:
    """Print how the expectations differ, and where a verdict depends on that."""
    for title, entries in comparison.bar_lists:
        _print_list(console, title, [(name, (text,) if text else ()) for name, text in entries])


def _print_checks(comparison: Comparison, console: Console) -> None:
    flips = by_check(comparison.pairing.scored)
    if flips:
        table = grid("check", "regressed", "improved", "failed in both")
        for name, counts in flips.items():
            table.add_row(visible(name), *map(str, counts))
        console.print(table)
        console.print()


def _print_metrics(comparison: Comparison, console: Console) -> None:
    if not comparison.metrics:
        return
    table = grid("", "pairs", "baseline", "candidate", "change", "between")
    for name, metric in comparison.metrics.items():
        old, new = metric.baseline, metric.candidate
        table.add_row(
            f"mean {METRICS[name]}",
            f"{metric.pairs} of {metric.total}",
            f"{old.mean:,.4g}",
            f"{new.mean:,.4g}",
            metric.change_text,
            metric.between_text,
        )
        for label, before, after in (
            ("median", old.median, new.median),
            ("95 % are below", old.p95, new.p95),
        ):
            table.add_row(f"  {label}", "", f"{before:,.4g}", f"{after:,.4g}", "", "")
    console.print(table)
    console.print()
