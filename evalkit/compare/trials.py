"""Several trials of one variant: pass@k, pass^k, flakiness. And Holm's correction, for families of tests. Pure.

Trials are independent recordings of the same variant. One trial tells nothing about flakiness, so nothing is said then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def pass_at(count: int, passed: int, k: int) -> float | None:
    """Return pass@k, the chance that at least one of ``k`` trials drawn of ``count`` passes: 1 - C(n-c,k)/C(n,k) (Chen et al. 2021).

    None where there are fewer than ``k`` trials.
    """
    return None if count < k or k < 1 else 1 - math.comb(count - passed, k) / math.comb(count, k)


def pass_hat(count: int, passed: int, k: int) -> float | None:
    """Return pass^k, the chance that all of ``k`` trials drawn of ``count`` pass: C(c,k)/C(n,k) (Yao et al. 2024).

    None where there are fewer than ``k`` trials.
    """
    return None if count < k or k < 1 else math.comb(passed, k) / math.comb(count, k)


def flaky(verdicts: Sequence[bool]) -> bool | None:
    """Say whether trials of a variant disagree; None with fewer than two, which cannot."""
    return len(set(verdicts)) > 1 if len(verdicts) > 1 else None


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p values adjusted for being a family (Holm 1979): the smallest times the number of tests, the next times one less, never falling."""
    adjusted: dict[str, float] = {}
    least = 0.0
    for place, (name, p) in enumerate(
        sorted(p_values.items(), key=lambda item: (item[1], item[0]))
    ):
        least = max(least, min(1.0, p * (len(p_values) - place)))
        adjusted[name] = least
    return {name: adjusted[name] for name in p_values}
