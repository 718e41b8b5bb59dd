"""The gates of ``evalkit.yaml``: their rules, and the verdict that they give. Pure.

    gates:
      release:
        max_regressions: 0
        non_inferiority: {margin: 0.05, confidence: 0.95}
        min_pass_rate: {rate: 0.9, lower_bound: 0.85}
        pass_hat: {k: 3, min: 0.8}
        tokens: {max_increase: 0.1}
        required_tags: [smoke]
        judge: {max_age: 90d, min_kappa: 0.6}
        allow: {"support::old-refund": the feature was removed}

Each key is a rule (:mod:`.model_rules`, :mod:`.evidence_rules`). It gives *pass*, *fail*, or
*inconclusive* if the runs are too small to tell. Evidence that is missing is not a pass: what a run
left out makes a gate inconclusive, unless the gate says how much may be missing, or ``allow`` names
it with a reason. A scenario of the baseline that the candidate does not have fails it, and so does
an expectation that was removed or loosened.

Without a gate one of two applies. Replay of cassettes has no chance in it: nothing that passed may
fail. Live runs are samples: the candidate must be non-inferior, and no variant may go from always
passing to always failing.
"""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from evalkit.compare.rows import ExtraKind

GateOutcome = Literal["pass", "fail", "inconclusive"]
Share = Annotated[float, Field(ge=0, le=1)]
Confidence = Annotated[float, Field(gt=0.5, lt=1)]
Limit = Annotated[int, Field(ge=0)]
Reason = Annotated[str, Field(min_length=1)]


class _GateModel(BaseModel):
    # Strict, because YAML has types: true is not 1, and "5" is not 5.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NonInferiorityBound(_GateModel):
    """The candidate may be worse by less than ``margin``.

    That is, the low end of the interval must be above ``-margin``.
    """

    margin: float = Field(
        gt=0,
        lt=1,
        description="Largest acceptable drop of the pass rate, as a share: 0.05 is five points.",
    )
    confidence: Confidence = Field(0.95, description="Confidence of the two-sided interval.")


class PassRateBound(_GateModel):
    """The candidate's least pass rate, and the certainty of it."""

    rate: Share = Field(
        description="Least share of scored results that pass; inconclusive if the interval of the "
        "share contains it. 1 means that no result may fail."
    )
    lower_bound: Share | None = Field(
        None, description="Least lower end of the interval of that share."
    )
    confidence: Confidence = Field(0.95, description="Confidence of the interval.")


class PassHatBound(_GateModel):
    """A bound on pass^k, the chance that several trials in a row pass."""

    k: int = Field(ge=1, description="Number of trials that must all pass.")
    min: Share = Field(description="Least mean over the variants.")


class MetricBudget(_GateModel):
    """A bound on the mean of a measured value, over pairs where both runs have it."""

    max_mean: float | None = Field(None, ge=0, description="Highest mean of the candidate.")
    max_increase: float | None = Field(
        None,
        ge=-1,
        description="Highest growth of the mean over the baseline's, as a share: 0.1 is a tenth.",
    )

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.max_mean is None and self.max_increase is None:
            raise PydanticCustomError("no_bound", "max_mean, max_increase or both")
        return self


class TokenBudget(MetricBudget):
    """A bound on tokens or cost; what is counted apart is part of it on request."""

    include: list[ExtraKind] = Field(
        [],
        description="Counts also the tokens of judge checks (judge), of simulated users "
        "(simulator), or of answers that could not be used and were asked for again (retried).",
    )


class JudgeBound(_GateModel):
    """What must be known about the error of each judge of the candidate: its calibration."""

    max_age: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}d$")] | None = Field(
        None,
        description="Highest age of the calibration when the run started, in days: 90d.",
    )
    min_kappa: Share | None = Field(
        None, description="Least agreement with people beyond chance (Cohen's kappa)."
    )


class Gate(_GateModel):
    """One gate: every rule that is set must be satisfied; ``null`` turns a rule off."""

    description: str = ""
    max_regressions: Limit | None = Field(
        None, description="Most pairs that may pass in the baseline and fail in the candidate."
    )
    max_systematic_regressions: Limit | None = Field(
        None,
        description="Most variants with three or more trials that may pass all of them in the "
        "baseline and none in the candidate.",
    )
    non_inferiority: NonInferiorityBound | None = None
    min_pass_rate: Share | PassRateBound | None = None
    pass_hat: PassHatBound | None = None
    tokens: TokenBudget | None = None
    cost: TokenBudget | None = None
    latency: MetricBudget | None = Field(
        None, description="The recorded milliseconds of a variant."
    )
    required_tags: list[str] = Field(
        default=[],
        description="Tags that must exist in the candidate and whose results must all pass.",
    )
    judge: JudgeBound | None = Field(
        None, description="What must be known about each judge ('evalkit calibrate')."
    )
    complete: bool = Field(True, description="Whether both runs must have ended.")
    min_pairs: Limit = Field(1, description="Least pairs that must be scored in both runs.")
    max_removed: Limit | None = Field(
        0, description="Most variants of the baseline that the candidate may lack."
    )
    max_weakened: Limit | None = Field(
        0,
        description="Most expectations of the baseline that may be removed or loosened; no result "
        "may pass only by the candidate's own expectations.",
    )
    max_deselected: Limit | None = Field(
        0, description="Most variants that may be deselected in one of the runs."
    )
    max_skipped: Limit | None = Field(0, description="Most skipped results of the candidate.")
    max_errors: Limit | None = Field(0, description="Most errored results of the candidate.")
    max_baseline_errors: Limit | None = Field(
        0, description="Most results of the baseline that errored, or were skipped only there."
    )
    max_unmatched: Limit | None = Field(
        0, description="Most trials that only one of the runs may have of a variant in both."
    )
    allow: dict[str, Reason] = Field(
        default={},
        description="Scenarios (suite::scenario) or variants that may be missing, skipped, errored "
        "or expected less of, each with the reason.",
    )


REPLAY = Gate(description="replayed: nothing that passed may fail", max_regressions=0)
"""The gate of replayed runs if none is named."""
LIVE = Gate(
    description="live: at most 5 points worse, no variant from always passing to always failing",
    non_inferiority=NonInferiorityBound(margin=0.05),
    max_systematic_regressions=0,
)
"""The gate of runs that reached the endpoint, if none is named."""


class RuleVerdict(NamedTuple):
    """The outcome of one rule, and a sentence with the figure and the bound."""

    rule: str
    verdict: GateOutcome
    message: str


class GateVerdict(NamedTuple):
    """The verdict of a comparison.

    ``reason`` has the messages of the rules that decided it.
    """

    gate: str
    verdict: GateOutcome
    reason: str
    rules: tuple[RuleVerdict, ...]
