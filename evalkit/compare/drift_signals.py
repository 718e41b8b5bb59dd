"""What the looks of a watch say: which measures changed, since when, in which turns. Pure.

Four measures are watched, see ``MEASURES``. Bets against "nothing changed" are made on each,
both ways (:mod:`.drift`). Five of these eight are alarms, and each has a fifth of ``alpha``: the
chance that any of them ever is a false alarm is at most ``alpha``. The others are notes.

An alarm stays until the looks are reset, or one of its turns begins a new series, because its
scenario was recorded again or its expectations changed: then the bets begin again.

A change before the first look is not one between looks. So a turn that has never
passed is found apart (:func:`never_passed`).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from statistics import fmean
from typing import Literal, NamedTuple

from evalkit._lib.files import sha256
from evalkit.compare.drift import Bets, look_p, series_p
from evalkit.compare.rows import grouped
from evalkit.results.watch_history import Look, WatchedTurn

Side = Literal["high", "low"]
_HORIZON = 7
"""The looks within which the clearest change must be noticed, or the looks so far are too few."""
_MOST_NEEDED = 400
_FAILS_SELDOM = 0.2
"""The share of looks in which a turn that is worth watching fails, at most."""


class Measure(NamedTuple):
    """A number of each turn, what its rise and its fall mean, and which of them are alarms."""

    value: Callable[[WatchedTurn], float | None]
    meaning: Mapping[Side, str]
    alarms: tuple[Side, ...] = ("high",)


def _log(number: float | None) -> float | None:
    return math.log(number) if number else None


MEASURES: dict[str, Measure] = {
    "verdicts": Measure(
        lambda turn: float(turn.verdict == "failed"),
        {"high": "more turns fail", "low": "fewer turns fail"},
    ),
    "answers": Measure(
        lambda turn: float(bool(turn.difference)),
        {
            "high": "more answers differ from their recordings",
            "low": "fewer answers differ from their recordings",
        },
    ),
    "tokens": Measure(
        lambda turn: _log(turn.tokens),
        {"high": "answers have more tokens", "low": "answers have fewer tokens"},
        ("high", "low"),
    ),
    "latency": Measure(
        lambda turn: _log(turn.ms),
        {"high": "answers take longer", "low": "answers take less time"},
    ),
}
ALARMS = sum(len(measure.alarms) for measure in MEASURES.values())


class TurnValues(NamedTuple):
    """The values of one turn, or of all, before and since a change."""

    name: str
    before: Sequence[float]
    since: Sequence[float]

    @property
    def change(self) -> float:
        """How much the mean rose."""
        return fmean(self.since) - fmean(self.before) if self.before and self.since else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A change of a measure; ``since`` is the first look with it, ``parts`` the turns by change."""

    measure: str
    side: Side
    is_alarm: bool
    since: Look
    total: TurnValues
    parts: Sequence[TurnValues]


def measure_look(earlier: Sequence[Look], turns: Sequence[WatchedTurn]) -> dict[str, float]:
    """Return the p of a look by measure; without those that nothing can be compared with."""
    series = {turn.series for turn in turns}
    alike = [*takewhile(lambda look: _series(look) == series, reversed(earlier))]
    found = {}
    for name, measure in MEASURES.items():
        today = _values(measure, turns)
        # Deterministic, and no more predictable than the look.
        digest = sha256(f"{name} {len(earlier)} {turns}")
        tie = int(digest[:12], 16) / 16**12
        if name == "latency":
            p = look_p([_values(measure, look.turns) for look in alike], today, tie)
        else:
            p = series_p(values_by_series(name, earlier), today, tie)
        if p is not None:
            found[name] = p
    return found


def find_signals(looks: Sequence[Look], alpha: float) -> list[Signal]:
    """Return what changed, alarms first."""
    bets: dict[tuple[str, Side], Bets] = {}
    numbers: dict[str, list[int]] = {}
    since: dict[tuple[str, Side], int] = {}
    seen, alarmed = set[str](), set[str]()
    for number, look in enumerate(looks):
        if alarmed & {turn.id for turn in look.turns if turn.series not in seen}:
            bets, numbers, since, alarmed = {}, {}, {}, set()
        seen |= _series(look)
        for name, p in look.p.items():
            numbers.setdefault(name, []).append(number)
            for side, value in _sides(p):
                bet = bets.setdefault((name, side), Bets())
                bet.add(value)
                if (name, side) not in since and bet.capital >= ALARMS / alpha:
                    start = numbers[name][bet.change_point]
                    signal = _signal(name, side, looks[: number + 1], start)
                    # Ties in a random order alone are not a change.
                    if signal.parts:
                        since[name, side] = start
                    alarmed |= {part.name for part in signal.parts if signal.is_alarm}
    signals = [_signal(*key, looks, start) for key, start in since.items()]
    return sorted(signals, key=lambda signal: not signal.is_alarm)


def never_passed(looks: Sequence[Look], alpha: float) -> list[WatchedTurn]:
    """Return the turns of the last look that failed in all their looks, if these are enough.

    They are if the chance that any of the turns ever begins with so many failures is at most
    ``alpha``, for turns that fail in a fifth of all looks.
    """
    failures = values_by_series("verdicts", looks)
    turns = looks[-1].turns
    return [
        turn
        for turn in turns
        if turn.verdict == "failed"
        and all(failures[turn.series])
        and len(turns) * _FAILS_SELDOM ** len(failures[turn.series]) <= alpha
    ]


def values_by_series(measure: str, looks: Sequence[Look]) -> dict[str, list[float]]:
    """Return the values of a measure, look by look, by the series of a turn."""
    value = MEASURES[measure]
    return grouped(pair for look in looks for pair in _values(value, look.turns).items())


def looks_needed(looks: Sequence[Look], alpha: float) -> int | None:
    """Return how many more looks are needed until the clearest change would be noticed.

    It is that every turn fails from then on, noticed within a week of looks. None: too many. The
    first look at turns has nothing to compare with.
    """
    values = values_by_series("verdicts", looks)
    counts = [len(values[key]) for key in _series(looks[-1]) & values.keys()]
    ps = [look.p["verdicts"] for look in looks if "verdicts" in look.p]
    for more in range("verdicts" not in looks[-1].p, _MOST_NEEDED if counts else 0):
        changed = [
            math.prod(number / (number + count + more) for count in counts)
            for number in range(1, _HORIZON + 1)
        ]
        if Bets([*ps, *[0.5] * more, *changed]).capital >= ALARMS / alpha:
            return more
    return None


def _sides(p: float) -> Iterator[tuple[Side, float]]:
    yield "high", p
    yield "low", 1 - p


def _values(measure: Measure, turns: Sequence[WatchedTurn]) -> dict[str, float]:
    found = {turn.series: measure.value(turn) for turn in turns if turn.is_scored}
    return {key: value for key, value in found.items() if value is not None}


def _series(look: Look) -> set[str]:
    return {turn.series for turn in look.turns}


def _signal(name: str, side: Side, looks: Sequence[Look], start: int) -> Signal:
    rises = side == "high"
    before, since = (values_by_series(name, part) for part in (looks[:start], looks[start:]))
    ids = {turn.series: turn.id for look in looks[start:] for turn in look.turns}
    parts = [TurnValues(id_, before.get(key, ()), since.get(key, ())) for key, id_ in ids.items()]
    total = TurnValues(
        "all turns",
        *(list(chain(*values)) for values in zip(*(part[1:] for part in parts), strict=True)),
    )
    parts = [part for part in parts if (part.change > 0) is rises and part.change]
    return Signal(
        measure=name,
        side=side,
        is_alarm=side in MEASURES[name].alarms,
        since=looks[start],
        total=total,
        parts=sorted(parts, key=lambda part: -abs(part.change) * len(part.since)),
    )
