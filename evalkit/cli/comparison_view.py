"""A comparison in the terminal: verdict and reason first, then figures, then what changed, worst first. At most 80 columns are needed.

Whatever a model or a file said is printed as plain text with hostile characters made visible; nothing of it is read as markup.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from evalkit._lib.text import plural, shorten, visible
from evalkit.cli.tables import grid
from evalkit.compare.comparison import Comparison, Side
from evalkit.compare.evidence import metric_differences
from evalkit.compare.pairing import Pair, by_check
from evalkit.compare.rows import Row

LISTED = 20
"""How many entries of a list are printed; the rest is counted, and stands in comparison.json."""

Variant = tuple[str, str, tuple[str, ...]]
_STYLES = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
_UNITS = {"tokens": "tokens", "cost": "cost", "elapsed_ms": "recorded ms"}


def show(comparison: Comparison, console: Console) -> None:
    """Print a comparison."""
    verdict = comparison.verdict
    console.print(
        Text.assemble(
            (verdict.verdict.upper(), _STYLES[verdict.verdict]),
            f"  gate {verdict.gate}: ",
            verdict.reason,
        )
    )
    for warning in comparison.warnings:
        console.print(Text.assemble(("warning", "yellow"), f"  {visible(warning)}"))
    console.print()
    _print_sides(comparison, console)
    _print_pairs(comparison, console)
    of = Counter(pair.candidate.variant for pair in comparison.pairing.pairs)
    for title, pairs in (
        ("Regressions", comparison.changed("regressed")),
        ("Improvements", comparison.changed("improved")),
        ("Same verdict, another answer", comparison.changed("changed")),
        ("Errored or skipped on a side", comparison.changed("unscored")),
    ):
        _print_pair_list(console, title, pairs, of)
    for title, rows in (
        ("Added", comparison.pairing.added),
        ("Removed", comparison.pairing.removed),
    ):
        _print_list(console, title, f"{len(rows):,}", map(_row, rows), len(rows))
    _print_checks(comparison, console)
    _print_metrics(comparison, console)
    changes = comparison.configuration
    _print_list(
        console,
        "What changed around the model",
        f"{len(changes):,}",
        ((line, ()) for line in changes),
        len(changes),
    )


def _print_sides(comparison: Comparison, console: Console) -> None:
    table = grid("", "results", "passed", "failed", "errored", "skipped", "pass rate")
    for word, side in (("baseline", comparison.baseline), ("candidate", comparison.candidate)):
        counts = side.counts
        table.add_row(
            word,
            *map(
                str, (counts.results, counts.passed, counts.failed, counts.errored, counts.skipped)
            ),
            _rate(side),
        )
    console.print(table)
    for word, side in (("baseline ", comparison.baseline), ("candidate", comparison.candidate)):
        console.print(
            Text(f"  {word} {visible(side.name)}  {', '.join(map(visible, side.models))}", "dim"),
            soft_wrap=True,
        )
    console.print()


def _rate(side: Side) -> str:
    return (
        f"{side.counts.passed / side.counts.scored:.1%} of {side.counts.scored} scored"
        if side.counts.scored
        else "nothing scored"
    )


def _print_pairs(comparison: Comparison, console: Console) -> None:
    found = comparison.evidence
    pairs = found.table
    table = grid("", "candidate passed", "candidate failed")
    table.add_row(
        "baseline passed",
        str(pairs.both_passed),
        Text(str(pairs.regressed), "red" if pairs.regressed else ""),
    )
    table.add_row(
        "baseline failed",
        Text(str(pairs.improved), "green" if pairs.improved else ""),
        str(pairs.both_failed),
    )
    console.print(table)
    if pairs.pairs:
        low, high = found.interval
        console.print(
            f"  Difference {points(pairs.difference)} points, between {points(low)} and {points(high)} "
            f"({found.confidence:.0%}, {plural(found.families, 'scenario')})."
        )
    for sentence in filter(
        None, (comparison.significance, comparison.sensitivity, comparison.flakiness)
    ):
        console.print(Padding(Text(visible(sentence)), (0, 0, 0, 2)))
    console.print()


def points(share: float) -> str:
    """Return a difference of shares in points: ``+2.5``, ``-0.3``, ``0.0``."""
    text = f"{share * 100:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def _print_pair_list(
    console: Console, title: str, pairs: Sequence[Pair], of: Mapping[Variant, int]
) -> None:
    """Print pairs, the trials of a variant as one entry that says how many of them it is."""
    grouped: dict[Variant, list[Pair]] = {}
    for pair in pairs:
        grouped.setdefault(pair.candidate.variant, []).append(pair)
    told = (
        f"{len(pairs):,}"
        if len(grouped) == len(pairs)
        else f"{len(pairs):,} pairs of {plural(len(grouped), 'variant')}"
    )
    entries = (_variant(group, of[variant]) for variant, group in grouped.items())
    _print_list(console, title, told, entries, len(grouped))


def _variant(pairs: Sequence[Pair], of: int) -> tuple[str, Iterable[str]]:
    last = pairs[0].candidate
    trials = f"  {len(pairs)} of {of} trials" if of > 1 else ""
    name = last.id.partition("#")[0] if of > 1 else last.id
    return f"{name}{trials}  ({last.place})", dict.fromkeys(
        detail for pair in pairs for detail in _details(pair)
    )


def _details(pair: Pair) -> Iterator[str]:
    old, new = pair
    if pair.change == "unscored":
        yield f"{old.verdict} → {new.verdict}"
        return
    yield from (f"{check}: {code}" for check, code in sorted(new.codes - old.codes))
    yield from (f"no longer {check}: {code}" for check, code in sorted(old.codes - new.codes))


def _row(row: Row) -> tuple[str, Iterable[str]]:
    return f"{row.id}  ({row.place}) {row.verdict}", ()


def _print_list(
    console: Console,
    title: str,
    told: str,
    entries: Iterable[tuple[str, Iterable[str]]],
    count: int,
) -> None:
    if not count:
        return
    console.print(Text(f"{title} ({told})", "bold"))
    for number, (head, details) in enumerate(entries):
        if number == LISTED:
            console.print(Text(f"  … and {count - LISTED:,} more, in comparison.json", "dim"))
            break
        console.print(Text(f"  {visible(head)}"), soft_wrap=True)
        for detail in details:
            console.print(Text(f"      {shorten(detail, 200)}", "dim"), soft_wrap=True)
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
    found = metric_differences(comparison.pairing.scored)
    if found:
        table = grid(
            "mean of",
            "pairs",
            "baseline",
            "candidate",
            "difference",
            f"{comparison.evidence.confidence:.0%} between",
        )
        for name, one in found.items():
            between = (
                "-"
                if one.interval is None
                else f"{one.interval.low:+,.4g} and {one.interval.high:+,.4g}"
            )
            table.add_row(
                _UNITS[name],
                str(one.pairs),
                f"{one.baseline:,.4g}",
                f"{one.candidate:,.4g}",
                f"{one.difference:+,.4g}",
                between,
            )
        console.print(table)
        console.print()
