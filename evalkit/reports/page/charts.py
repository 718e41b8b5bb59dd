"""Charts as inline SVG, drawn here and not in the browser; beside each the page has the same figures as text. Values only."""

from __future__ import annotations

from typing import NamedTuple

from evalkit.compare.proportions import Interval

_WIDTH = 100.0


class Mark(NamedTuple):
    """A labelled place on an axis of 0 to 100."""

    x: str
    label: str


class IntervalChart(NamedTuple):
    """A difference with its interval on an axis. Coordinates are percent of the width; ``margin`` is None without a gate that has one."""

    low: str
    high: str
    width: str
    value: str
    zero: str
    margin: str | None
    ticks: list[Mark]
    label: str


def interval_chart(difference: float, interval: Interval, margin: float | None) -> IntervalChart:
    """Return the chart of a difference of pass rates (shares): symmetric around zero, so that a glance tells better from worse."""
    reach = max(abs(interval.low), abs(interval.high), abs(margin or 0), 0.01)
    step = next(
        size for size in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if reach / size <= 5 or size == 0.5
    )
    edge = min(1.0, (int(reach / step) + 1) * step)

    def place(share: float) -> float:
        return (share + edge) / (2 * edge) * _WIDTH

    count = round(edge / step)
    ticks = [
        Mark(_number(place(number * step)), f"{number * step * 100:+.0f}" if number else "0")
        for number in range(-count, count + 1)
    ]
    low, high = place(max(interval.low, -edge)), place(min(interval.high, edge))
    label = f"Difference {difference * 100:+.1f} points, between {interval.low * 100:+.1f} and {interval.high * 100:+.1f}"
    return IntervalChart(
        _number(low),
        _number(high),
        _number(max(high - low, 0.3)),
        _number(place(difference)),
        _number(place(0)),
        None if margin is None else _number(place(-margin)),
        ticks,
        label + (f"; margin -{margin * 100:.1f}" if margin is not None else ""),
    )


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
