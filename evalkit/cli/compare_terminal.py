"""A comparison in the terminal: verdict, reason and next step, what changed, then the figures.

It needs 80 columns. Text of models is printed as plain text with invisible characters made visible,
never as markup.
"""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from evalkit._lib.text import plural, shorten, visible
from evalkit.cli.tables import grid
from evalkit.compare.comparison import Comparison
from evalkit.compare.pairing import by_check
from evalkit.compare.variant_changes import CHANGES, VariantChange

MAX_LISTED = 20
"""Entries of a list that are printed; the rest is counted, and is in comparison.json."""

_MAX_NAME = 30
_WIDEST = 60
"""Characters of two values that fit side by side."""
_STYLES = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
ListEntry = tuple[str, Iterable[str]]
"""A line of a list, and the lines below it."""


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print a comparison."""
    verdict = comparison.verdict
    head = (verdict.verdict.upper(), _STYLES[verdict.verdict])
    console.print(Text.assemble(head, f"  {comparison.conclusion}"))
    _print_paragraph(console, f"gate {verdict.gate}: {verdict.reason}")
    _print_paragraph(console, comparison.next_step)
    for warning in comparison.warnings:
        console.print(Text.assemble(("warning", "yellow"), f"  {visible(warning)}"))
    console.print()
    for change, (title, _) in CHANGES.items():
        _print_changes(console, title, comparison.changed_variants(change))
    for title, rows in comparison.unpaired:
        _print_list(
            console, title, [(f"{row.id}  ({row.location}) {row.verdict}", ()) for row in rows]
        )
    _print_bar(comparison, console)
    _print_runs(comparison, console)
    _print_pair_table(comparison, console)
    _print_checks(comparison, console)
    _print_metrics(comparison, console)
    changes = [(change, ()) for change in comparison.configuration]
    _print_list(console, "Differences besides the model", changes)


def _print_paragraph(console: Console, text: str) -> None:
    console.print(Padding(Text(visible(text)), (0, 0, 0, 2), expand=False))


def _print_changes(console: Console, title: str, changes: Sequence[VariantChange]) -> None:
    pairs = sum(len(change.pairs) for change in changes)
    count = ""
    if len(changes) < pairs:
        count = f"{plural(len(changes), 'variant')}, {pairs:,} trials"
    _print_list(console, title, [(_head(one), _details(one)) for one in changes], count)


def _head(change: VariantChange) -> str:
    extent = f"  {change.extent}" if change.extent else ""
    return f"{change.name}{extent}  ({change.row.location})"


def _details(change: VariantChange) -> Iterator[str]:
    if change.rates_text:
        yield change.rates_text
    yield from change.reasons
    if change.answer:
        yield change.answer


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


def _print_runs(comparison: Comparison, console: Console) -> None:
    table = grid("", "baseline", "candidate")
    for row in comparison.run_rows:
        old, new = visible(row.baseline), visible(row.candidate)
        if len(old) + len(new) > _WIDEST:
            console.print(Text(f"{row.label}  {old} → {new}", "dim"), soft_wrap=True)
        else:
            table.add_row(Text(shorten(row.label, _MAX_NAME)), Text(old), Text(new))
    console.print(table)
    console.print()


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
        _print_paragraph(console, comparison.interval_text)
    for sentence in comparison.judge_sentences:
        _print_paragraph(console, sentence)
    for sentence in comparison.sentences:
        _print_paragraph(console, sentence)
    console.print()


def _print_checks(comparison: Comparison, console: Console) -> None:
    flips = by_check(comparison.pairing.scored)
    if flips:
        table = grid("check", "regressed", "improved", "failed in both")
        for name, counts in flips.items():
            table.add_row(visible(name), *map(str, counts))
        console.print(table)
        console.print()


def _print_metrics(comparison: Comparison, console: Console) -> None:
    rows = comparison.metric_rows
    if not rows:
        return
    table = grid("", "baseline", "candidate", "change", "between")
    for row in rows:
        name = shorten(row.label, _MAX_NAME) if row.change else f"  {row.name}"
        table.add_row(name, row.baseline, row.candidate, row.change, row.between)
    console.print(table)
    console.print()
