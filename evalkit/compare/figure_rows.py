"""The figures of a comparison as rows of text, the same in every form. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from evalkit._lib.text import visible
from evalkit.compare.compared_run import ComparedRun
from evalkit.compare.evidence import Evidence
from evalkit.compare.intervals import points
from evalkit.compare.metrics import MetricDifference, ScoreDifference

CONVERSATIONS = 1_000
"""The number of conversations whose cost is shown: that of one has too many zeros."""

_STATISTICS = {"mean": "mean", "median": "median", "p95": "95 % are below"}
_COUNTS = ("results", "passed", "failed", "errored", "skipped")


@dataclass(frozen=True, kw_only=True)
class FigureRow:
    """A figure of both runs; ``change`` and its interval ``between`` only where there is one.

    ``subject`` is text of a suite that says what the figure is about, not escaped.
    """

    name: str
    baseline: str
    candidate: str
    change: str = ""
    between: str = ""
    subject: str = ""

    @property
    def label(self) -> str:
        """The name with what it is about."""
        return f"{self.name}: {visible(self.subject)}" if self.subject else self.name


def run_rows(baseline: ComparedRun, candidate: ComparedRun, found: Evidence) -> list[FigureRow]:
    """Return what both runs are, how many of their results have which verdict, and the rates."""
    texts = {
        "run": (baseline.name, candidate.name),
        "started": (baseline.started[:10], candidate.started[:10]),
        "model": (", ".join(baseline.models), ", ".join(candidate.models)),
        "prompt": (", ".join(baseline.prompts), ", ".join(candidate.prompts)),
        **{one: (f"{baseline.counts[one]:,}", f"{candidate.counts[one]:,}") for one in _COUNTS},
    }
    rows = [FigureRow(name=name, baseline=old, candidate=new) for name, (old, new) in texts.items()]
    rows = [row for row in rows if row.name != "prompt" or row.baseline or row.candidate]
    change = between = ""
    if found.table.pairs:
        change = f"{points(found.table.difference)} points"
        between = f"{found.interval.points} ({found.confidence:.0%})"
    old, new = map(pass_rate, (baseline, candidate))
    row = FigureRow(name="pass rate", baseline=old, candidate=new, change=change, between=between)
    return [*rows, row]


def pass_rate(run: ComparedRun) -> str:
    """Return the pass rate of a run with its denominator."""
    scored = run.counts["scored"]
    return f"{run.counts['passed'] / scored:.1%} of {scored:,}" if scored else "nothing scored"


def metric_rows(metrics: Mapping[str, MetricDifference], currency: str) -> Iterator[FigureRow]:
    """Yield the mean, the median and the 95th percentile of each metric; the mean has a change."""
    for metric_name, metric in metrics.items():
        label, factor = _label(metric_name, currency)
        for statistic, statistic_label in _STATISTICS.items():
            is_mean = statistic == "mean"
            name = f"{statistic_label} {label}" if is_mean else statistic_label
            if is_mean and metric.pairs < metric.total:
                name += f", {metric.pairs} of {metric.total} pairs"
            yield FigureRow(
                name=name,
                baseline=_amount(getattr(metric.baseline, statistic) * factor),
                candidate=_amount(getattr(metric.candidate, statistic) * factor),
                change=metric.change_text if is_mean else "",
                between=metric.between_text if is_mean else "",
            )


def score_rows(scores: Iterable[ScoreDifference]) -> Iterator[FigureRow]:
    """Yield the mean score of each judge, with its change."""
    for score in scores:
        metric = score.metric
        yield FigureRow(
            name="score",
            subject=score.name,
            baseline=f"{metric.baseline.mean:.3g}",
            candidate=f"{metric.candidate.mean:.3g}",
            change=f"{metric.difference:+.3g}",
            between=metric.between_text,
        )


def _label(name: str, currency: str) -> tuple[str, float]:
    """Return what a metric is called, and the factor to its unit."""
    if name == "cost":
        return f"{currency or 'cost'} per {CONVERSATIONS:,}", CONVERSATIONS
    return ("recorded ms", 1) if name == "elapsed_ms" else (name, 1)


def _amount(value: float) -> str:
    return f"{value:,.2f}" if 0.1 <= value < 1_000 and value != int(value) else f"{value:,.4g}"
