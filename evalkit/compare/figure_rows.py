"""Tokens, cost and time of a comparison as rows of text, the same in every form. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evalkit.compare.evidence import MetricDifference

CONVERSATIONS = 1_000
"""The number of conversations whose cost is shown: that of one has too many zeros."""

_STATISTICS = {"mean": "mean", "median": "median", "p95": "95 % are below"}


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """A statistic of a measured value in both runs; only the mean has a ``change``.

    ``between`` is the interval of the relative change.
    """

    name: str
    baseline: str
    candidate: str
    change: str = ""
    between: str = ""


def metric_rows(metrics: Mapping[str, MetricDifference], currency: str) -> Iterator[MetricRow]:
    """Yield the mean, the median and the 95th percentile of each metric."""
    for metric_name, metric in metrics.items():
        label, factor = _label(metric_name, currency)
        for statistic, statistic_label in _STATISTICS.items():
            is_mean = statistic == "mean"
            name = f"{statistic_label} {label}" if is_mean else statistic_label
            if is_mean and metric.pairs < metric.total:
                name += f", {metric.pairs} of {metric.total} pairs"
            yield MetricRow(
                name=name,
                baseline=_amount(getattr(metric.baseline, statistic) * factor),
                candidate=_amount(getattr(metric.candidate, statistic) * factor),
                change=metric.change_text if is_mean else "",
                between=metric.between_text if is_mean else "",
            )


def _label(name: str, currency: str) -> tuple[str, float]:
    """Return what a metric is called, and the factor to its unit."""
    if name == "cost":
        return f"{currency or 'cost'} per {CONVERSATIONS:,}", CONVERSATIONS
    return ("recorded ms", 1) if name == "elapsed_ms" else (name, 1)


def _amount(value: float) -> str:
    return f"{value:,.2f}" if 0.1 <= value < 1_000 and value != int(value) else f"{value:,.4g}"
