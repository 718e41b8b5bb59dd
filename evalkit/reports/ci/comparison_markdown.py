"""A comparison as Markdown: ``comment.md`` for a pull request, ``summary.md`` to decide.

The comment starts with a marker by which a workflow finds it again, and lists every variant that
changed: what does not fit into GitHub's limit is listed by name, and then counted. The summary fits
on one printed page. Both have the figures of the page. Text of models and suites is escaped.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit._lib.text import plural
from evalkit.compare.compared_run import ComparedRun
from evalkit.compare.comparison import Comparison
from evalkit.compare.gates import RuleVerdict
from evalkit.compare.pairing import PairChange
from evalkit.compare.rows import ResultRow
from evalkit.compare.variant_changes import VariantChange
from evalkit.reports.ci.escaping import code

MARKER = "<!-- evalkit:comparison -->"
"""The first line of every comment, and of nothing else."""

LIMIT = 60_000
"""Bytes of a comment; GitHub takes 65,536 characters."""

ON_ONE_PAGE = 8
"""Entries of a list in the summary."""

_SHOWN, _NAMED = 20, 400
_MARKS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}
_COUNTS = ("results", "passed", "failed", "errored", "skipped")
_CHANGES: tuple[tuple[PairChange, str], ...] = (
    ("regressed", "Regressions"),
    ("unscored", "Errored or skipped in one of the runs"),
    ("improved", "Improvements"),
    ("changed", "Same verdict, different answer"),
)


def write_comment(comparison: Comparison, folder: Path) -> Path:
    """Write ``comment.md`` into a folder and return its path."""
    path = folder / "comment.md"
    write_atomic(path, _within(LIMIT, _comment(comparison)))
    return path


def write_summary(comparison: Comparison, folder: Path) -> Path:
    """Write ``summary.md`` into a folder and return its path."""
    path = folder / "summary.md"
    write_atomic(path, "".join(_summary(comparison)))
    return path


def _comment(comparison: Comparison) -> Iterator[str]:
    """Yield the sections of the comment, the most important first."""
    regressions, *others = (
        (title, comparison.changed_variants(change)) for change, title in _CHANGES
    )
    pairing = comparison.pairing
    yield f"{MARKER}\n## {_verdict(comparison)}\n{_gate(comparison)}"
    yield from (f"> {code(warning, 400)}\n\n" for warning in comparison.warnings)
    yield from _changes(*regressions, is_open=True)
    yield _figures(comparison)
    yield from _rows("Removed", pairing.removed)
    for title, entries in comparison.bar_lists:
        lines = [f"| {code(name)} | {code(text)} |\n" for name, text in entries[:_SHOWN]]
        head = "| variant | why |\n|---|---|\n"
        yield from _folded(title, lines, head, is_open=True, total=len(entries))
    for title, changes in others:
        yield from _changes(title, changes)
    for title, rows in (
        ("Added", pairing.added),
        ("Trials without a partner", pairing.unmatched),
    ):
        yield from _rows(title, rows)
    if comparison.configuration:
        differences = [f"* {code(line)}\n" for line in comparison.configuration]
        yield from _folded("Differences besides the model", differences, "")


def _summary(comparison: Comparison) -> Iterator[str]:
    regressions = comparison.changed_variants("regressed")
    yield f"# {_verdict(comparison)}\n{_gate(comparison)}"
    yield from (f"> {code(warning, 200)}\n\n" for warning in comparison.warnings[:3])
    if regressions:
        yield f"**Regressions ({plural(len(regressions), 'variant')})**\n\n"
        yield from _list(_bullet(change) for change in regressions[:ON_ONE_PAGE])
        if len(regressions) > ON_ONE_PAGE:
            yield f"* and {len(regressions) - ON_ONE_PAGE:,} more\n"
        yield "\n"
    yield _figures(comparison)
    changes = comparison.configuration[:ON_ONE_PAGE]
    if changes:
        yield "**Differences besides the model**\n\n"
        yield from _list(code(change, 160) for change in changes)


def _verdict(comparison: Comparison) -> str:
    outcome = comparison.verdict.verdict
    return f"{_MARKS[outcome]} {outcome.capitalize()}: {comparison.conclusion}\n"


def _gate(comparison: Comparison) -> str:
    """Return the rules that decided, what to do, and how many rules are satisfied."""
    verdict = comparison.verdict
    decisive = [rule for rule in verdict.rules if rule.verdict != "pass"]
    rules = plural(len(verdict.rules), "rule")
    met = f"{len(verdict.rules) - len(decisive)} of {rules} met" if decisive else f"{rules} met"
    lines = "".join(map(_rule, decisive))
    others = ". Not met:" if lines else "."
    return (
        f"\nGate {code(verdict.gate, 200)}: {met}{others}\n\n{lines}\n"
        f"**{comparison.next_step}**\n\n"
    )


def _rule(rule: RuleVerdict) -> str:
    return f"* {_MARKS[rule.verdict]} {code(rule.rule)}: {code(rule.message, 600)}\n"


def _figures(comparison: Comparison) -> str:
    """Return the figures of both runs, of the pairs, and what they show."""
    evidence, table = comparison.evidence, comparison.evidence.table
    sides = (comparison.baseline, comparison.candidate)
    lines = ["| | baseline | candidate | change |\n|---|---:|---:|---:|\n"]
    lines.append(_figure("run", *(code(run.name) for run in sides)))
    lines.append(_figure("started", *(run.started[:10] for run in sides)))
    lines.append(_figure("model", *(code(", ".join(run.models), 200) for run in sides)))
    lines += [_figure(name, *(f"{run.counts[name]:,}" for run in sides)) for name in _COUNTS]
    difference = ""
    if table.pairs:
        low, high = evidence.interval
        difference = f"{table.difference * 100:+.1f} points, between {low * 100:+.1f} and "
        difference += f"{high * 100:+.1f} ({evidence.confidence:.0%})"
    rates = [_pass_rate(run) for run in sides]
    lines.append(_figure("pass rate", rates[0], rates[1], difference))
    lines += [
        _figure(row.name, row.baseline, row.candidate, f"{row.change}, between {row.between}")
        for row in comparison.metric_rows
        if row.change
    ]
    sentences = (comparison.significance, comparison.sensitivity, comparison.flakiness)
    return f"{''.join(lines)}\n{' '.join(filter(None, sentences))}\n\n"


def _figure(name: str, baseline: str, candidate: str, change: str = "") -> str:
    return f"| {name} | {baseline} | {candidate} | {change} |\n"


def _pass_rate(run: ComparedRun) -> str:
    scored = run.counts["scored"]
    return f"{run.counts['passed'] / scored:.1%} of {scored:,}" if scored else "nothing scored"


def _list(items: Iterable[str]) -> Iterator[str]:
    yield from (f"* {item}\n" for item in items)


def _bullet(change: VariantChange) -> str:
    extent = f" ({change.extent})" if change.extent else ""
    return f"{code(change.name)}{extent}: {code('; '.join(change.reasons), 160)}"


def _changes(
    title: str, changes: Sequence[VariantChange], *, is_open: bool = False
) -> Iterator[str]:
    shown = changes[:_SHOWN]
    head, columns = "| variant | trials |", 2
    if any(change.reasons or change.answer for change in shown):
        head, columns = f"{head} why | answer |", 4
    rows = [_row(change)[:columns] for change in shown]
    lines = ["| " + " | ".join(row) + " |\n" for row in rows]
    head += "\n|" + "---|" * columns + "\n"
    yield from _folded(title, lines, head, is_open=is_open, total=len(changes))
    # What is not explained is named at least.
    names = [f"{code(change.name)} " for change in changes[_SHOWN : _SHOWN + _NAMED]]
    yield from _folded(f"{title}: the others", names, "", total=len(changes) - _SHOWN)


def _row(change: VariantChange) -> list[str]:
    reasons = code("; ".join(change.reasons), 200)
    trials = ", ".join(filter(None, (change.extent or "1", change.rates_text)))
    return [_name(change), trials, reasons, code(change.answer, 120)]


def _name(change: VariantChange) -> str:
    title = f"<br>{code(change.row.title, 80)}" if change.row.title else ""
    return f"{code(change.name)}{title}"


def _rows(title: str, rows: Sequence[ResultRow]) -> Iterator[str]:
    lines = [f"| {code(row.id)} | {row.verdict} |\n" for row in rows[:_SHOWN]]
    yield from _folded(title, lines, "| variant | verdict |\n|---|---|\n", total=len(rows))


def _folded(
    title: str, lines: Sequence[str], head: str, *, is_open: bool = False, total: int | None = None
) -> Iterator[str]:
    """Yield lines below a summary that opens them; nothing if there are none."""
    if not lines:
        return
    count = len(lines) if total is None else total
    more = f"\nand {count - len(lines):,} more.\n" if count > len(lines) else ""
    yield (
        f"\n<details{' open' if is_open else ''}><summary>{title} ({count:,})</summary>\n\n"
        f"{head}{''.join(lines)}{more}\n</details>\n\n"
    )


def _within(limit: int, sections: Iterable[str]) -> str:
    """Return as many sections as fit, and a line that counts the others."""
    text, left_out = "", 0
    for section in sections:
        if len(text.encode()) + len(section.encode()) > limit:
            left_out += 1
        else:
            text += section
    if left_out:
        text += f"{plural(left_out, 'list')} left out, because GitHub limits the size of comments: "
        text += "the page has all.\n"
    return text
