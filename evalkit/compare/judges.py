"""The judges of a run: how often they pass answers, and the rates corrected for their error. Pure.

A judge is a rubric, its limit, a model and the version that answered; another one has another
error. The error is known from labels of the run's own judgments, else from the calibration that
applies (``results.calibrations``).
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.text import quoted
from evalkit.compare.clusters import cluster_sums
from evalkit.compare.evidence import cluster_evidence
from evalkit.compare.figure_rows import FigureRow
from evalkit.compare.intervals import CONFIDENCE, Interval, PairTable, points
from evalkit.compare.judge_error import (
    Confusion,
    CorrectedRate,
    JudgedAnswer,
    JudgeError,
    Rate,
    corrected_difference,
    corrected_rate,
    prediction_powered_rate,
    rate_of,
    share_change,
    weighted_confusions,
)
from evalkit.compare.pairing import Pair
from evalkit.compare.rows import ResultRow, cluster_name, grouped
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.results.calibrations import TIME, Calibration, find_calibration, rubric_excerpt
from evalkit.results.judgments import (
    FigureRecord,
    JudgeKey,
    JudgeRateRecord,
    StoredJudgment,
    percent,
    stored_judgments,
)
from evalkit.results.result_line import parse_head

_MAX_RUBRIC = 60
_TIME = re.compile(TIME)
ClusterJudgment = tuple[str, StoredJudgment]
"""A judgment, and the scenario or case that it is about."""


@dataclass(frozen=True, kw_only=True)
class JudgeRate:
    """The rate at which a judge passes answers.

    ``calibration`` is the one that applies, None if none does; ``problem`` is a clause about the
    judge that says why.
    """

    key: JudgeKey
    rubric: str
    answers: Sequence[JudgedAnswer]
    calibration: Calibration | None
    problem: str

    @property
    def name(self) -> str:
        """The judge in a sentence."""
        return f"{quoted(self.rubric, _MAX_RUBRIC)} ({self.key.version or self.key.model})"

    @cached_property
    def labels(self) -> int:
        """The number of labels of its own judgments."""
        return sum(answer.label is not None for answer in self.answers)

    @cached_property
    def unlabelled(self) -> str:
        """A clause about the judgments of which none is labelled; empty if all kinds have labels.

        The error of the judge is not known then: the labels are not a sample of its judgments.
        """
        strata = grouped((one.stratum, one.label is not None) for one in self.answers)
        kinds = (
            f"{len(labels)} that it {'passes' if passed else 'fails'}"
            f"{' with low confidence' if uncertain else ''}"
            for (passed, uncertain), labels in sorted(strata.items())
            if not any(labels)
        )
        listed = " and of ".join(kinds)
        return listed and f"has no label of the {listed}"

    @cached_property
    def error(self) -> JudgeError | None:
        """The error of the judge by its calibration."""
        return None if self.calibration is None else judge_error(self.calibration)

    @cached_property
    def judged(self) -> Rate:
        """The judge's own rate."""
        return rate_of(
            cluster_sums(grouped((one.cluster, float(one.passed)) for one in self.answers))
        )

    @cached_property
    def corrected(self) -> CorrectedRate | None:
        """The corrected rate, None if the error of the judge is not known."""
        corrected = prediction_powered_rate(self.answers) if self.labels else None
        if corrected is None and self.error is not None:
            sums = cluster_sums(grouped((one.cluster, float(one.passed)) for one in self.answers))
            corrected = corrected_rate(sums, self.error)
        return corrected

    def to_record(self) -> JudgeRateRecord:
        """Return the rate as ``judges.json`` has it."""
        corrected, error = self.corrected, self.error
        is_own = corrected is not None and corrected.method == "prediction-powered"
        calibration = self.calibration
        return {
            "rubric": self.rubric,
            "rubric_digest": self.key.rubric,
            "expected": json.loads(self.key.expected),
            "model": self.key.model,
            "model_version": self.key.version,
            "judgments": len(self.answers),
            "judged": _figure(self.judged),
            "corrected": None
            if corrected is None or corrected.value is None
            else _figure(corrected),
            "method": corrected.method if corrected is not None else "",
            "labels": self.labels if is_own else calibration.labels if calibration else 0,
            "calibrated": calibration.judged if calibration is not None else "",
            "sensitivity": _figure(error.sensitivity) if error is not None else None,
            "specificity": _figure(error.specificity) if error is not None else None,
            "kappa": _figure(error.kappa) if error is not None else None,
            "problem": self.problem if corrected is None else corrected.problem,
        }


def _figure(rate: Rate | CorrectedRate) -> FigureRecord:
    return {"value": rate.value, "interval": list(rate.interval)}


def judge_rates(
    judgments: Iterable[ClusterJudgment],
    calibrations: Sequence[Calibration],
    labels: Mapping[str, bool] | None = None,
) -> list[JudgeRate]:
    """Return the rate of each judge; ``labels`` are people's, by the id of the judgment."""
    groups = grouped((judgment.key, (cluster, judgment)) for cluster, judgment in judgments)
    return [
        _judge_rate(key, group, calibrations, labels or {}) for key, group in sorted(groups.items())
    ]


def _judge_rate(
    key: JudgeKey,
    judgments: Sequence[ClusterJudgment],
    calibrations: Sequence[Calibration],
    labels: Mapping[str, bool],
) -> JudgeRate:
    clusters = {cluster for cluster, _ in judgments}
    calibration, problem = find_calibration(key, clusters, calibrations)
    return JudgeRate(
        key=key,
        rubric=rubric_excerpt(judgments[0][1].rubric),
        answers=[
            JudgedAnswer(cluster, one.passed, one.uncertain, labels.get(one.id))
            for cluster, one in judgments
        ],
        calibration=calibration,
        problem=problem,
    )


def judgments_of(rows: Iterable[ResultRow]) -> Iterator[ClusterJudgment]:
    """Yield the judgments of results."""
    return ((row.cluster, judgment) for row in rows for judgment in row.judgments)


def run_judge_rates(run: Run, calibrations: Sequence[Calibration]) -> list[JudgeRate]:
    """Return the rates of the judges of a run."""
    judgments: list[ClusterJudgment] = []
    for line in run.lines():
        if '"judgments":' in line:
            head = parse_head(line)
            case = str(head["variant"].get("case") or "")
            cluster = cluster_name(head["suite"], head["scenario"], case)
            judgments += ((cluster, judgment) for judgment in stored_judgments(head))
    return judge_rates(judgments, calibrations)


def calibrate(rate: JudgeRate, judged: str) -> Calibration:
    """Return the calibration that the labels of a judge's answers give; ``judged`` is their time.

    Raises UsageError where that is not a time.
    """
    if not _TIME.fullmatch(judged):
        raise UsageError(
            f"manifest.json: 'started' is not a time ({quoted(judged)}); run the suites again"
        )
    return Calibration(
        rubric=rate.rubric,
        rubric_digest=rate.key.rubric,
        expected=json.loads(rate.key.expected),
        model=rate.key.model,
        model_version=rate.key.version,
        judged=judged,
        labels=rate.labels,
        clusters={name: list(one) for name, one in weighted_confusions(rate.answers).items()},
    )


class Drift(NamedTuple):
    """How sensitivity and specificity of a judge changed since an earlier calibration.

    Of both intervals together the confidence is 95 % (Bonferroni).
    """

    since: str
    sensitivity: Interval
    specificity: Interval

    @property
    def sentence(self) -> str:
        """Whether the judge has changed."""
        changes = {"sensitivity": self.sensitivity, "specificity": self.specificity}
        texts = [
            f"{name} changed by {change.points} points"
            for name, change in changes.items()
            if change.low > 0 or change.high < 0
        ]
        if texts:
            return f"the judge has changed since {self.since}: {', '.join(texts)}"
        between = ", ".join(f"{name} {change.points}" for name, change in changes.items())
        return f"no change is shown since {self.since} (points: {between})"


def drift_since(calibrations: Iterable[Calibration], new: Calibration) -> Drift | None:
    """Return how a judge changed since its last calibration, by any version of its model.

    None if there is none by the same rubric, limit and model.
    """
    earlier = [
        one for one in calibrations if one.key[:3] == new.key[:3] and one.judged < new.judged
    ]
    if not earlier:
        return None
    last = max(earlier, key=lambda one: one.judged)
    old, now = (judge_error(one, 1 - (1 - CONFIDENCE) / 2) for one in (last, new))
    return Drift(
        last.judged,
        share_change(old.sensitivity, now.sensitivity),
        share_change(old.specificity, now.specificity),
    )


def judge_error(calibration: Calibration, confidence: float = CONFIDENCE) -> JudgeError:
    """Return the error of a judge by its calibration."""
    return JudgeError((Confusion(*one) for one in calibration.clusters.values()), confidence)


@dataclass(frozen=True, kw_only=True)
class JudgeComparison:
    """A judge in both runs; differences are of its judgments of the same turns, if there are any.

    ``corrected`` is the difference without the error of the judge, None if that is not known.
    """

    baseline: JudgeRate | None
    candidate: JudgeRate
    pairs: int = 0
    difference: float = 0.0
    interval: Interval | None = None
    corrected: float | None = None
    corrected_interval: Interval | None = None

    def to_json(self) -> dict[str, JSON]:
        """Return the judge as ``comparison.json`` has it."""
        corrected = self.corrected_interval
        return {
            "baseline": self.baseline and self.baseline.to_record(),
            "candidate": self.candidate.to_record(),
            "pairs": self.pairs,
            "difference": self.difference if self.pairs else None,
            "interval": list(self.interval) if self.interval is not None else None,
            "corrected_difference": self.corrected,
            "corrected_interval": list(corrected) if corrected is not None else None,
        }

    def rows(self) -> Iterator[FigureRow]:
        """Yield the judge's own rates, and the corrected ones."""
        sides, rubric = (self.baseline, self.candidate), self.candidate.rubric
        old, new = (
            f"{one.judged.value:.1%} of {len(one.answers):,}" if one is not None else ""
            for one in sides
        )
        change = between = ""
        if self.interval is not None:
            change, between = f"{points(self.difference)} points", self.interval.points
        yield FigureRow(
            name="judge",
            subject=rubric,
            baseline=old,
            candidate=new,
            change=change,
            between=between,
        )
        old, new = (_corrected_text(one.to_record()) if one is not None else "" for one in sides)
        record = self.candidate.to_record()
        change = between = ""
        if self.corrected is not None and self.corrected_interval is not None:
            change, between = f"{points(self.corrected)} points", self.corrected_interval.points
        yield FigureRow(
            name=f"corrected by {record['labels']:,} labels"
            if record["corrected"]
            else "corrected",
            subject="" if record["corrected"] else rubric,
            baseline=old,
            candidate=new,
            change=change,
            between=between,
        )


def _corrected_text(record: JudgeRateRecord) -> str:
    if record["corrected"] is None:
        return f"unknown: the judge {record['problem']}"
    low, high = record["corrected"]["interval"]
    return f"{percent(record['corrected'])} ({low:.1%} to {high:.1%})"


def compare_judges(
    pairs: Sequence[Pair], baseline: Sequence[JudgeRate], candidate: Sequence[JudgeRate]
) -> list[JudgeComparison]:
    """Compare the judges of the candidate with those of the baseline; ``pairs`` are the scored."""
    before = {rate.key: rate for rate in baseline}
    compared = []
    for rate in candidate:
        differences = list(_differences(pairs, rate.key))
        if rate.key not in before or not differences:
            compared.append(JudgeComparison(baseline=before.get(rate.key), candidate=rate))
            continue
        counts = Counter((old, new) for _, old, new in differences)
        table = PairTable(
            counts[True, True], counts[False, False], counts[True, False], counts[False, True]
        )
        sums = cluster_sums(grouped((cluster, new - old) for cluster, old, new in differences))
        interval = cluster_evidence(table, sums).interval
        corrected = (
            corrected_difference(table.difference, interval, rate.error) if rate.error else None
        )
        compared.append(
            JudgeComparison(
                baseline=before[rate.key],
                candidate=rate,
                pairs=table.pairs,
                difference=table.difference,
                interval=interval,
                corrected=corrected.value if corrected else None,
                corrected_interval=corrected.interval if corrected else None,
            )
        )
    return compared


def _differences(pairs: Iterable[Pair], key: JudgeKey) -> Iterator[tuple[str, bool, bool]]:
    """Yield what a judge says of the same turn in both runs, and its cluster."""
    for pair in pairs:
        old, new = (
            {(one.turn, one.question): one.passed for one in row.judgments if one.key == key}
            for row in pair
        )
        for place in old.keys() & new.keys():
            yield pair.candidate.cluster, old[place], new[place]
