"""A comparison as Markdown: ``comment.md`` for a pull request, ``summary.md`` to decide.

The comment starts with a marker by which a workflow finds it again, and lists every variant that
changed: what does not fit into GitHub's limit is listed by name, and then counted. The summary fits
on one printed page. Both have the figures of the page. Text of models and suites is escaped.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evalkit._lib.files import write_atomic
from evalkit._lib.text import plural
from evalkit.compare.comparison import Comparison
from evalkit.compare.gates import RuleVerdict
from evalkit.compare.rows import ResultRow
from evalkit.compare.variant_changes import CHANGES, VariantChange
from evalkit.reports.ci.escaping import code

MARKER = "<!-- evalkit:comparison -->"
"""The first line of every comment, and of nothing else."""

LIMIT = 60_000
"""Bytes of a comment; GitHub takes 65,536 characters."""

_ON_ONE_PAGE = 3
"""Entries of a list in the summary."""
_NOT_IN_SUMMARY = frozenset({"passed", "failed"})
"""Figures that the pass rate has, too."""

_SHOWN, _NAMED = 20, 400
_MARKS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}


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
        (title, comparison.changed_variants(change)) for change, (title, _) in CHANGES.items()
    )
    yield f"{MARKER}\n## {_verdict(comparison)}\n{_gate(comparison)}"
    yield from (f"> {code(warning, 400)}\n\n" for warning in comparison.warnings)
    yield from _changes(*regressions, is_open=True)
    yield _figures(comparison)
    for title, rows in comparison.unpaired:
        yield from _rows(title, rows)
    for title, entries in comparison.bar_lists:
        lines = [f"| {code(name)} | {code(text)} |\n" for name, text in entries[:_SHOWN]]
        head = "| variant | why |\n|---|---|\n"
        yield from _folded(title, lines, head, is_open=True, total=len(entries))
    for title, changes in others:
        yield from _changes(title, changes)
    if comparison.configuration:
        differences = [f"* {code(line)}\n" for line in comparison.configuration]
        yield from _folded("Differences besides the model", differences, "")


def _summary(comparison: Comparison) -> Iterator[str]:
    yield f"# {_verdict(comparison)}\n{_gate(comparison, _ON_ONE_PAGE, 300)}"
    yield from _list("Warnings", [code(one, 120) for one in comparison.warnings])
    regressions = [_bullet(one) for one in comparison.changed_variants("regressed")]
    yield from _list(f"Regressions ({plural(len(regressions), 'variant')})", regressions, 4)
    yield _figures(comparison, is_short=True)
    changes = [code(change, 80) for change in comparison.configuration]
    yield from _list("Differences besides the model", changes)


def _verdict(comparison: Comparison) -> str:
    outcome = comparison.verdict.verdict
    return f"{_MARKS[outcome]} {outcome.capitalize()}: {comparison.conclusion}"


def _gate(comparison: Comparison, most: int = 100, limit: int = 600) -> str:
    """Return at most so many rules that decided, what to do, and how many rules are satisfied."""
    verdict = comparison.verdict
    decisive = [rule for rule in verdict.rules if rule.verdict != "pass"]
    rules = plural(len(verdict.rules), "rule")
    met = f"{len(verdict.rules) - len(decisive)} of {rules} met" if decisive else f"{rules} met"
    lines = "".join(_rule(rule, limit) for rule in decisive[:most])
    if len(decisive) > most:
        lines += f"* and {len(decisive) - most} more\n"
    others = ". Not met:" if lines else "."
    return (
        f"\nGate {code(verdict.gate, 200)}: {met}{others}\n\n{lines}\n"
        f"**{comparison.next_step}**\n\n"
    )


def _rule(rule: RuleVerdict, limit: int) -> str:
    return f"* {_MARKS[rule.verdict]} {code(rule.rule)}: {code(rule.message, limit)}\n"


def _figures(comparison: Comparison, *, is_short: bool = False) -> str:
    """Return the figures of both runs, of the pairs, and what they show."""
    lines = ["| | baseline | candidate | change |\n|---|---:|---:|---:|\n"]
    for row in (*comparison.run_rows, *comparison.metric_rows):
        if is_short and (row.name in _NOT_IN_SUMMARY or row.baseline == row.candidate == "0"):
            continue
        is_text = row.name in ("run", "model", "prompt")
        limit = 30 if is_short else 200
        sides = (code(one, limit) if is_text else one for one in (row.baseline, row.candidate))
        change = f"{row.change}, between {row.between}" if row.change else ""
        if row.change or row in comparison.run_rows:
            name = f"{row.name}: {code(row.subject, limit)}" if row.subject else row.name
            lines.append(f"| {name} | {' | '.join(sides)} | {change} |\n")
    return f"{''.join(lines)}\n{' '.join(comparison.sentences)}\n\n"


def _list(title: str, items: Sequence[str], most: int = _ON_ONE_PAGE) -> Iterator[str]:
    """Yield the first items of a list below its title; nothing if there are none."""
    if items:
        more = len(items) - most
        lines = [*items[:most], *([f"and {more:,} more"] if more > 0 else ())]
        yield f"**{title}**\n\n" + "".join(f"* {line}\n" for line in lines) + "\n"


def _bullet(change: VariantChange) -> str:
    extent = f" ({change.extent})" if change.extent else ""
    return f"{code(change.name, 60)}{extent}: {code('; '.join(change.reasons), 70)}"


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
