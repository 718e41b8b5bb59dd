"""Estimate the error of a judge from people's labels, and correct pass rates for it. Pure.

A label is what a person says of a judged answer. *Pass* is the positive class: **sensitivity** is
the share of answers that people pass and the judge passes too, **specificity** the share of those
that people fail and the judge fails too. Numbers of judgments may be weights: a labelled judgment
counts for all judgments like it (:func:`weighted_confusions`). The unit of evidence is the cluster,
as everywhere (:mod:`.clusters`).

* Cohen's kappa has the large-sample variance of Fleiss, Cohen and Everitt (1969, Psychological
  Bulletin 72:323), written as the influence of each judgment and so summed over clusters.
* A rate that a judge gave elsewhere is corrected by Rogan and Gladen (1978, American Journal of
  Epidemiology 107:71), its interval by Lang and Reiczigel (2014, Preventive Veterinary Medicine
  113:13), which includes the uncertainty of sensitivity and specificity.
* Where some of the judged answers themselves are labelled, prediction-powered inference corrects
  the rate (Angelopoulos, Duchi and Zrnic 2023, PPI++). For a judge that says pass or fail, the best
  power tuning gives the post-stratified estimate: the labels' pass rate within each verdict, times
  the share of the verdict.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from evalkit.compare.clusters import ClusterSum, cluster_mean, cluster_sums, interval_of_rate
from evalkit.compare.distributions import t_quantile
from evalkit.compare.intervals import CONFIDENCE, Interval
from evalkit.compare.rows import grouped

CorrectionMethod = Literal["rogan-gladen", "prediction-powered"]
MIN_LABELS = 10
"""Independent labels of each class that a correction needs; with fewer its interval is wrong."""

_SHARES, _DIFFERENCES = Interval(0.0, 1.0), Interval(-1.0, 1.0)


class Confusion(NamedTuple):
    """Labelled judgments of a cluster: what people say, and whether the judge says so too."""

    true_pass: float
    false_fail: float
    false_pass: float
    true_fail: float


class JudgedAnswer(NamedTuple):
    """A judgment: the judge's verdict, and a person's label if it has one.

    Labels of the judgments of one stratum are a sample of it: answers about which the judge is
    ``uncertain`` are labelled more often than others, and so may be those that it fails.
    """

    cluster: str
    passed: bool
    uncertain: bool
    label: bool | None = None

    @property
    def stratum(self) -> tuple[bool, bool]:
        """The judgments that are as likely to be labelled."""
        return self.passed, self.uncertain


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share over clusters; ``value`` is None without any.

    ``effective`` is the number of independent observations that it is worth, 0 where its precision
    is not known; ``freedom`` are the degrees of freedom of its variance.
    """

    value: float | None
    interval: Interval
    effective: float
    freedom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedRate:
    """A pass rate as people would give it; ``judged`` is the judge's own.

    ``value`` is None where it cannot be corrected, and ``problem`` says why.
    """

    method: CorrectionMethod
    judged: float
    value: float | None
    interval: Interval
    problem: str = ""


def rate_of(clusters: Sequence[ClusterSum], confidence: float = CONFIDENCE) -> Rate:
    """Return a share over clusters; those without observations are left out."""
    counted = [cluster for cluster in clusters if cluster.size]
    mean = cluster_mean(counted)
    if mean is None:
        return Rate(value=None, interval=_SHARES, effective=0, freedom=0)
    return Rate(
        value=mean.value,
        interval=interval_of_rate(mean, confidence),
        effective=mean.effective_size(mean.value * (1 - mean.value))
        if mean.error is not None
        else 0,
        freedom=mean.freedom,
    )


class JudgeError:
    """The error of a judge, from labelled judgments over clusters."""

    def __init__(self, clusters: Iterable[Confusion], confidence: float = CONFIDENCE) -> None:
        self.clusters = [one for one in clusters if sum(one)]
        self.confidence = confidence

    @cached_property
    def sensitivity(self) -> Rate:
        """The share of the answers that people pass and the judge passes too."""
        return self._rate((one.true_pass, one.false_fail) for one in self.clusters)

    @cached_property
    def specificity(self) -> Rate:
        """The share of the answers that people fail and the judge fails too."""
        return self._rate((one.true_fail, one.false_pass) for one in self.clusters)

    @cached_property
    def agreement(self) -> Rate:
        """The share of the answers of which people and the judge say the same."""
        return self._rate(
            (one.true_pass + one.true_fail, one.false_pass + one.false_fail)
            for one in self.clusters
        )

    def _rate(self, counts: Iterable[tuple[float, float]]) -> Rate:
        return rate_of([ClusterSum(yes + no, yes) for yes, no in counts], self.confidence)

    @cached_property
    def kappa(self) -> Rate:
        """Cohen's kappa; its value is None if people and the judge give one verdict only."""
        sums = [math.fsum(column) for column in zip(*self.clusters, strict=True)]
        size = math.fsum(sums)
        chance = 1.0
        if size:
            judge, people = (sums[0] + sums[2]) / size, (sums[0] + sums[1]) / size
            chance = judge * people + (1 - judge) * (1 - people)
        if chance > 1 - 1e-9:
            return Rate(value=None, interval=_DIFFERENCES, effective=0, freedom=0)
        agreement = (sums[0] + sums[3]) / size
        kappa = (agreement - chance) / (1 - chance)

        def influence(passes: int, labelled: int) -> float:
            """Return how much a judgment moves kappa: the derivative at the shares."""
            moved = (2 * people - 1) * (passes - judge) + (2 * judge - 1) * (labelled - people)
            return ((passes == labelled) - agreement - (1 - kappa) * moved) / (1 - chance)

        cells = [influence(*cell) for cell in ((1, 1), (0, 1), (1, 0), (0, 0))]
        mean = cluster_mean([ClusterSum(sum(one), _dot(one, cells)) for one in self.clusters])
        interval = mean.interval(self.confidence) if mean is not None else None
        if mean is None or interval is None:
            return Rate(value=kappa, interval=_DIFFERENCES, effective=0, freedom=0)
        # The variance is too small near 1, and 0 without a disagreement: the interval is at least
        # that of the agreement, whose ends are right there.
        low, high = ((end - chance) / (1 - chance) for end in self.agreement.interval)
        return Rate(
            value=kappa,
            interval=Interval(
                max(-1.0, min(kappa + interval.low, low)),
                min(1.0, max(kappa + interval.high, high)),
            ),
            effective=mean.effective,
            freedom=mean.freedom,
        )


def weighted_confusions(answers: Iterable[JudgedAnswer]) -> dict[str, Confusion]:
    """Return the labelled judgments of each cluster, weighted as all judgments of their stratum.

    Without weights, labels that are mostly of failures would make a judge look less sensitive and
    more specific than it is (verification bias; Begg and Greenes 1983, Biometrics 39:207).
    """
    strata = grouped((answer.stratum, answer) for answer in answers)
    cells: dict[str, list[float]] = defaultdict(lambda: [0.0] * 4)
    for stratum in strata.values():
        labelled = [answer for answer in stratum if answer.label is not None]
        for answer in labelled:
            cell = 2 * (not answer.label) + (not answer.passed)
            cells[answer.cluster][cell] += len(stratum) / len(labelled)
    return {name: Confusion(*sums) for name, sums in sorted(cells.items())}


def corrected_rate(
    judged: Sequence[ClusterSum], error: JudgeError, confidence: float = CONFIDENCE
) -> CorrectedRate:
    """Correct the rate at which a judge passes answers, by its sensitivity and specificity.

    The answers are others than those of the labels. It is impossible if the judge is not better
    than chance, that is if sensitivity + specificity are at most 1.
    """
    rate, yes, no = rate_of(judged), error.sensitivity, error.specificity
    share = rate.value or 0.0
    problem = _problem(yes, no)
    if problem or yes.value is None or no.value is None:
        return CorrectedRate(
            method="rogan-gladen", judged=share, value=None, interval=_SHARES, problem=problem
        )
    value = min(1.0, max(0.0, (share + no.value - 1) / (yes.value + no.value - 1)))
    interval = _SHARES
    if all(one.effective for one in (rate, yes, no)):
        t = t_quantile(0.5 + confidence / 2, min(rate.freedom, yes.freedom, no.freedom))
        interval = _lang_reiczigel(rate, yes, no, t)
    low, high = interval
    return CorrectedRate(
        method="rogan-gladen",
        judged=share,
        value=value,
        interval=Interval(min(low, value), max(high, value)),
    )


def _problem(sensitivity: Rate, specificity: Rate) -> str:
    """Return why rates of a judge cannot be corrected, as a clause about it; empty if they can."""
    few = min(sensitivity.effective, specificity.effective)
    # Weights are rounded when they are stored.
    if few < MIN_LABELS - 0.01:
        return (
            f"has labels of one class that are worth {math.floor(few)} independent ones, "
            f"at least {MIN_LABELS} are needed"
        )
    if (sensitivity.value or 0) + (specificity.value or 0) <= 1:
        return "is not better than chance (sensitivity + specificity ≤ 1)"
    return ""


def _lang_reiczigel(rate: Rate, yes: Rate, no: Rate, quantile: float) -> Interval:
    """Return the interval of a corrected rate, from 0 to 1 where the judge is not above chance."""
    p, count = _shrunk(rate, quantile * quantile)
    sensitivity, yes_count = _shrunk(yes, 2)
    specificity, no_count = _shrunk(no, 2)
    youden = sensitivity + specificity - 1
    if youden <= 0:
        return _SHARES
    value = (p + specificity - 1) / youden
    yes_variance = sensitivity * (1 - sensitivity) / yes_count
    no_variance = specificity * (1 - specificity) / no_count
    shift = 2 * quantile * quantile * (value * yes_variance - (1 - value) * no_variance)
    variance = p * (1 - p) / count + value**2 * yes_variance + (1 - value) ** 2 * no_variance
    center, half = value + shift, quantile * math.sqrt(variance) / youden
    return Interval(min(1.0, max(0.0, center - half)), max(0.0, min(1.0, center + half)))


def _shrunk(rate: Rate, more: float) -> tuple[float, float]:
    """Return a share with so ``more`` observations, half of which are yes, and their number."""
    count = rate.effective + more
    return ((rate.value or 0.0) * rate.effective + more / 2) / count, count


def prediction_powered_rate(
    answers: Sequence[JudgedAnswer], confidence: float = CONFIDENCE
) -> CorrectedRate | None:
    """Correct a judge's rate of answers by labels of some; None if a stratum has no label.

    Each stratum has one more label of each class, so that labels that all agree are not taken for
    certain.
    """
    strata = list(grouped((answer.stratum, answer) for answer in answers).values())
    labels = [
        [(one.cluster, float(one.label)) for one in stratum if one.label is not None]
        for stratum in strata
    ]
    if not answers or not all(labels):
        return None
    size = len(answers)
    weights = [len(stratum) / size for stratum in strata]
    rates = [rate_of(cluster_sums(grouped(group))) for group in labels]
    means = [rate.value or 0.0 for rate in rates]
    value = _dot(weights, means)
    influences: dict[str, list[float]] = defaultdict(list)
    for stratum, group, mean in zip(strata, labels, means, strict=True):
        weight = len(stratum) / len(group)
        for answer in stratum:
            correction = 0.0 if answer.label is None else weight * (answer.label - mean)
            influences[answer.cluster].append(mean - value + correction)
    spread = cluster_mean(cluster_sums(influences))
    interval = _SHARES
    clusters = len({cluster for group in labels for cluster, _ in group})
    if spread is not None and spread.error is not None and clusters > len(strata):
        shrunk = [_shrunk(rate, 2) for rate in rates]
        center = math.fsum(weight * mean for weight, (mean, _) in zip(weights, shrunk, strict=True))
        variance = math.fsum(
            weight**2 * mean * (1 - mean) / count + weight * (mean - center) ** 2 / size
            for weight, (mean, count) in zip(weights, shrunk, strict=True)
        )
        freedom = min(spread.freedom, clusters - len(strata))
        half = t_quantile(0.5 + confidence / 2, freedom) * max(spread.error, math.sqrt(variance))
        interval = Interval(
            max(0.0, min(value, center - half)), min(1.0, max(value, center + half))
        )
    return CorrectedRate(
        method="prediction-powered",
        judged=sum(answer.passed for answer in answers) / size,
        value=value,
        interval=interval,
    )


class CorrectedDifference(NamedTuple):
    """A difference of two rates by one judge, without the judge's error."""

    value: float
    interval: Interval


def corrected_difference(
    difference: float, interval: Interval, error: JudgeError, confidence: float = CONFIDENCE
) -> CorrectedDifference | None:
    """Correct a difference of two rates by one judge; None where the rates cannot be corrected.

    ``difference`` and ``interval`` are of the judge's own rates. An error that does not depend on
    the run shrinks a difference to sensitivity + specificity - 1 of it; the uncertainty of that is
    added as variance.
    """
    yes, no = error.sensitivity, error.specificity
    if _problem(yes, no):
        return None
    value = difference / ((yes.value or 0) + (no.value or 0) - 1)
    value = max(-1.0, min(1.0, value))
    (sensitivity, yes_count), (specificity, no_count) = _shrunk(yes, 2), _shrunk(no, 2)
    youden = sensitivity + specificity - 1
    if youden <= 0:
        return CorrectedDifference(value, _DIFFERENCES)
    variance = (
        sensitivity * (1 - sensitivity) / yes_count + specificity * (1 - specificity) / no_count
    )
    t = t_quantile(0.5 + confidence / 2, min(yes.freedom, no.freedom))
    center = difference / youden
    stretch = t * math.sqrt(variance) / youden * center
    below, above = (math.hypot((end - difference) / youden, stretch) for end in interval)
    return CorrectedDifference(
        value, Interval(max(-1.0, min(value, center - below)), min(1.0, max(value, center + above)))
    )


def share_change(old: Rate, new: Rate) -> Interval:
    """Return the interval of the change of a share between two independent samples.

    Newcombe's hybrid score interval (1998, Statistics in Medicine 17:873, method 10).
    """
    before, after = old.value or 0.0, new.value or 0.0
    return Interval(
        after - before - math.hypot(after - new.interval.low, old.interval.high - before),
        after - before + math.hypot(new.interval.high - after, before - old.interval.low),
    )


def _dot(weights: Iterable[float], values: Iterable[float]) -> float:
    return math.fsum(map(math.prod, zip(weights, values, strict=True)))
