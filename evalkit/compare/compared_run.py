"""One run of a comparison: its results as rows, and what it should have had.

The rows of a run are read once; each is about a kilobyte (:mod:`.rows`).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from evalkit._lib.json import JSON, loads
from evalkit.checks.core.pricing import cost_of
from evalkit.compare.clusters import ClusterSum, cluster_sums, rate_interval
from evalkit.compare.pairing import unique_rows
from evalkit.compare.rows import ExtraUsage, Prices, ResultRow, VariantKey, grouped, result_row
from evalkit.compare.selection import AxisChoice, select_rows
from evalkit.compare.trials import (
    TrialStatistics,
    VariantRate,
    trial_statistics,
    variant_rates,
)
from evalkit.errors import UsageError
from evalkit.results import Run
from evalkit.results.early_stop import left_out_tests, sequential_of
from evalkit.results.records import SequentialRecord
from evalkit.results.result_line import count_verdicts, parse_result

_ID = re.compile(r'\{"schema_version":\s?\d+,\s?"id":\s?("(?:[^"\\]|\\.)*")')
RunSource = Literal["replayed", "live", "mixed", "unknown"]


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One run of a comparison, named by directory, and choices if some are selected.

    ``rows`` has each result once; ``duplicates`` counts the results that were in the run again.
    ``left_out`` are collected variants that were neither deselected nor have a result, except those
    that a run left out by plan, which is described by ``sequential``.
    """

    name: str
    rows: Sequence[ResultRow]
    started: str = ""
    is_complete: bool = True
    collected: int = 0
    deselected: int = 0
    left_out: int = 0
    duplicates: int = 0
    sequential: SequentialRecord | None = None

    @property
    def largest(self) -> int | None:
        """The most results of a cluster if the run could stop at any time, else None."""
        return self.sequential["largest"] if self.sequential is not None else None

    @cached_property
    def models(self) -> list[str]:
        """The models and agents of its results, sorted."""
        return sorted({row.model for row in self.rows if row.model})

    @cached_property
    def prompts(self) -> list[str]:
        """The prompts of its results, by choice or digest, sorted."""
        return sorted({row.prompt for row in self.rows if row.prompt})

    @cached_property
    def source(self) -> RunSource:
        """Where its responses are from; those that were just recorded are live."""
        sources = {row.source for row in self.rows if row.source}
        if "mixed" in sources or len({source == "replayed" for source in sources}) > 1:
            return "mixed"
        if not sources:
            return "unknown"
        return "replayed" if sources == {"replayed"} else "live"

    @cached_property
    def counts(self) -> dict[str, int]:
        """Its results by verdict."""
        return count_verdicts(row.verdict for row in self.rows)

    @cached_property
    def passed(self) -> list[ClusterSum]:
        """Its scored results that passed, over clusters."""
        return cluster_sums(
            grouped((row.cluster, float(row.passed)) for row in self.rows if row.scored)
        )

    @cached_property
    def trials(self) -> TrialStatistics:
        """The statistics over its trials."""
        return trial_statistics(self.rows)

    @cached_property
    def rates(self) -> dict[VariantKey, VariantRate]:
        """The estimated pass rate of each variant."""
        return variant_rates(self.rows)

    def with_verdict(self, verdict: str) -> list[ResultRow]:
        """Return its results with one verdict."""
        return [row for row in self.rows if row.verdict == verdict]

    def to_json(self) -> dict[str, JSON]:
        """Return the run as it appears in ``comparison.json``."""
        counts, trials = self.counts, self.trials
        return {
            "name": self.name,
            "started": self.started,
            "source": self.source,
            "complete": self.is_complete,
            "models": self.models,
            "prompts": self.prompts,
            "deselected": self.deselected,
            "left_out": self.left_out,
            "duplicates": self.duplicates,
            "sequential": self.sequential,
            **counts,
            "pass_rate": counts["passed"] / counts["scored"] if counts["scored"] else None,
            "pass_rate_interval": list(rate_interval(self.passed, largest=self.largest)),
            "trials": {
                "variants": trials.variants,
                "most": trials.most,
                "repeated": trials.repeated,
                "flaky": trials.flaky if trials.most > 1 else None,
                "sampled": trials.sampled,
                "pass_at": {str(k): share for k, share in trials.pass_at.items()},
                "pass_hat": {str(k): share for k, share in trials.pass_hat.items()},
                "rates": [rate.to_json() for rate in self.rates.values()]
                if trials.repeated
                else [],
            },
        }


def compared_run(
    run: Run,
    choices: Sequence[AxisChoice],
    prices: Mapping[str, Prices],
    *,
    within_run: bool = False,
) -> ComparedRun:
    """Read the results of a run, or those of some choices; the other ones may be of the same run.

    Raises UsageError for a line that is not a result, and for choices without results.
    """
    rows = _rows(run, prices)
    unique = unique_rows(rows)
    totals = run.manifest.get("totals") or {}
    collected, deselected = totals.get("collected", 0), totals.get("deselected", 0)
    sequential = sequential_of(run.manifest)
    name = str(run.directory)
    return ComparedRun(
        name=f"{name} ({', '.join(map(str, choices))})" if choices else name,
        rows=select_rows(unique, choices, run.directory, within_run=within_run),
        started=str(run.manifest.get("started") or ""),
        is_complete=run.manifest.get("complete") is not False,
        collected=collected,
        deselected=deselected,
        left_out=max(
            0,
            collected - deselected - left_out_tests(sequential) - sum(row.counts for row in unique),
        ),
        duplicates=len(rows) - len(unique),
        sequential=sequential,
    )


def result_lines(run: Run, ids: Collection[str]) -> dict[str, str]:
    """Return the result lines of some ids; of a repeated id the last one, which is compared."""
    lines: dict[str, str] = {}
    for line in run.lines() if ids else ():
        # Most lines start with their id, so most need not be parsed.
        head = _ID.match(line)
        id_ = loads(head.group(1)) if head else parse_result(line)["id"]
        if id_ in ids:
            lines[id_] = line
    return lines


def _priced(extra: ExtraUsage, prices: Mapping[str, Prices]) -> ExtraUsage:
    known = prices.get(extra.model)
    return extra if known is None else extra._replace(cost=cost_of(extra.tokens, known))


def _rows(run: Run, prices: Mapping[str, Prices]) -> list[ResultRow]:
    rows = []
    for number, line in enumerate(run.results(), 1):
        try:
            row = result_row(line)
            if row.model in prices:
                row = replace(row, cost=cost_of(row.usage, prices[row.model]))
            if row.extra:
                row = replace(row, extra=tuple(_priced(one, prices) for one in row.extra))
            rows.append(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"{run.directory / 'results.jsonl'}:{number}: not a result ({error!r})"
            ) from error
    return rows
