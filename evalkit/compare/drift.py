"""Find a change in a sequence of looks at the same service, however often somebody looks. Pure.

If nothing changes, the results of a series (one turn of one variant, look after look) are
*exchangeable*: today's could as well have been that of any earlier look. So the p of a look is
computed with no assumption about models, rates or distributions: today's result of each series is
exchanged, independently, with any result of the same series, and p is the chance that the sum over
the series is then larger than it is today. Such p are uniform, and independent of each other from
look to look (Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a Random World", chapter 8).

Time is different. All requests of a look share a network and a machine, so whole looks are
exchanged: p is the rank of today's look (:func:`look_p`).

Independent p can be betted against (Vovk 2021, "Testing randomness online", Statistical Science
36:4). A capital of 1 is multiplied, look by look, by e * p**(e - 1), which is large where p is
small and has a mean of 1 if nothing changed. Then the capital *ever* reaches c with a chance of 1/c
at most (Ville 1939): looking every day costs nothing. The capital is a mean over several e, and
over the look from which on the bets are made, so that a change after a quiet year is found nearly
as soon as one after a quiet week. A part is staked on the simplest change, after which each look
outranks all that were before: among n looks, of which m are since the change, p is m / n at most.

Sums of failures are often equal, and then p is not uniform unless equal ones are put in a random
order. ``tie``, a number from 0 to 1, decides that; callers derive it from the look.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import add
from statistics import fmean, median

EXPONENTS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
"""The small ones win most by a tiny p, the large ones by many that are a little small."""
STAKE = 0.8
_LEVELS = 5
_LEAST_P = 1e-15
"""The other side's p is 1 - p, which is no more exact than this."""


def series_p(
    earlier: Mapping[str, Sequence[float]], today: Mapping[str, float], tie: float
) -> float | None:
    """Return the p of today's results, as large ones, among all results of each series.

    Values count by the fifth of their series that they are in, so that a series with large numbers
    or an outlier does not decide alone. None if no series has an earlier result.
    """
    chances, total = [1.0], 0
    for key, value in today.items():
        counts, level = _levels([*earlier.get(key, ()), value])
        # A constant series changes nothing.
        if len(counts) > 1:
            total += level
            chances = _convolved(chances, counts)
    if not any(earlier.get(key) for key in today):
        return None
    return min(1.0, sum(chances[total + 1 :]) + tie * chances[total])


def look_p(
    earlier: Sequence[Mapping[str, float]], today: Mapping[str, float], tie: float
) -> float | None:
    """Return the p of today's look among looks at the same series; None if it is the first one.

    A look is the median over its series of how much each differs from its own mean.
    """
    looks = [look for look in (*earlier, today) if look]
    if not today or len(looks) < 2:
        return None
    keys = dict.fromkeys(key for look in looks for key in look)
    means = {key: fmean(look[key] for look in looks if key in look) for key in keys}
    levels = [median(look[key] - means[key] for key in look) for look in looks]
    higher = sum(1 for level in levels if level > levels[-1])
    return (higher + tie * levels.count(levels[-1])) / len(levels)


class Bets:
    """The capital of bets against the claim that nothing changed."""

    def __init__(self, ps: Sequence[float] = ()) -> None:
        self._ps: list[float] = []
        self._bets = [0.0] * len(EXPONENTS)
        # By the look from which on they are made.
        self._steps: list[float] = []
        for p in ps:
            self.add(p)

    def add(self, p: float) -> None:
        """Bet on one more look."""
        p = max(p, _LEAST_P)
        self._ps.append(p)
        count = len(self._ps)
        self._steps.append(_weight(count))
        self._bets = [
            (bet + _weight(count)) * exponent * p ** (exponent - 1)
            for bet, exponent in zip(self._bets, EXPONENTS, strict=True)
        ]
        self._steps = [
            capital * (1 - STAKE + STAKE * (p * count <= later) * count / later)
            for capital, later in zip(self._steps, range(count, 0, -1), strict=True)
        ]

    @property
    def capital(self) -> float:
        """The capital after the last look; it began with 1."""
        spent = math.fsum(self._bets) + math.fsum(self._steps)
        return _unspent(len(self._ps) + 1) + spent / (len(EXPONENTS) + 1)

    @property
    def change_point(self) -> int:
        """The index of the look from which on bets of one kind won most: the change began there."""
        logs = [0.0] * len(EXPONENTS)
        worth = []
        for index in reversed(range(len(self._ps))):
            logs = [
                log + math.log(exponent) + (exponent - 1) * math.log(self._ps[index])
                for log, exponent in zip(logs, EXPONENTS, strict=True)
            ]
            step = math.log(self._steps[index] / _weight(index + 1))
            worth.append((max(*logs, step), index))
        return max(worth)[1]


def _weight(number: int) -> float:
    """Return the share of the capital that is staked from a look on, counted from 1.

    All shares add up to 1, and decrease nearly as slowly as is possible.
    """
    return _unspent(number) - _unspent(number + 1)


def _unspent(number: int) -> float:
    return 1 / math.log2(number + 1)


def _levels(values: Sequence[float]) -> tuple[Mapping[int, int], int]:
    """Return how many values have each level, and the level of the last one.

    It is the position among few different values, else the fifth that a value is in.
    """
    distinct = sorted(set(values))
    if len(distinct) <= _LEVELS:
        counts = {level: values.count(one) for level, one in enumerate(distinct)}
        return counts, distinct.index(values[-1])
    sizes = Counter(values)
    levels: Counter[int] = Counter()
    last = below = 0
    for value in distinct:
        # Equal values share the middle of their ranks.
        level = _LEVELS * (2 * below + sizes[value]) // (2 * len(values))
        levels[level] += sizes[value]
        below += sizes[value]
        if value == values[-1]:
            last = level
    return levels, last


def _convolved(chances: Sequence[float], counts: Mapping[int, int]) -> list[float]:
    """Return the chances of a sum that one more independent series adds to."""
    highest, total = max(counts), sum(counts.values())
    result = [0.0] * (len(chances) + highest)
    for level, count in counts.items():
        share = count / total
        part = [share * chance for chance in chances]
        result = list(map(add, result, [0.0] * level + part + [0.0] * (highest - level)))
    return result
