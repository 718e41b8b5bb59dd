"""Questions to the decisions resource, as options of the judge (docs/protocol.md section 12). Pure.

| question | asked as | passes |
|---|---|---|
| yes or no | ``noul`` | the probability of yes is at least ``min`` |
| ``choice`` | ``choice`` | the chosen option is one of ``accept`` |
| ``score`` | ``score`` | the expected level, counted from 0, is at least ``min`` |
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from evalkit._lib.json import JSON
from evalkit._lib.text import show
from evalkit.checks.core.arguments import Words, format_number, or_bare, plain
from evalkit.checks.core.base import Options, option_error
from evalkit.checks.core.strictness import Strictness
from evalkit.verdict import JudgmentKind

MODEL = "gemini-decision-1"
MAX_QUESTIONS, MAX_OUTCOMES, MAX_TOKENS = 1_000, 255, 262_144

DEFAULT_PROBABILITY = 0.5
"""The lowest probability of yes that passes."""


def _outcome(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise option_error(
            f"must not begin or end with a space, nor have control characters, got {show(text)}"
        )
    return text


NonEmpty = Annotated[str, Field(min_length=1)]
Outcome = Annotated[NonEmpty, AfterValidator(_outcome)]


def _without_descriptions(options: list[str]) -> JSON:
    repeated = [name for number, name in enumerate(options) if name in options[:number]]
    if repeated:
        raise option_error(f"{show(repeated[0])} is there twice")
    return dict.fromkeys(options, "")


class ChoiceOptions(Options):
    """Options of which the judge chooses one."""

    strictness: ClassVar[Mapping[str, Strictness]] = {"accept": "allowed"}

    options: Annotated[
        dict[Outcome, str],
        or_bare(
            list,
            _without_descriptions,
            dict,
            "a list of options, or a mapping of options to descriptions",
            list[Outcome] | dict[Outcome, str],
        ),
        Field(min_length=2, max_length=MAX_OUTCOMES),
    ] = Field(description="The options: a list, or a mapping of each to its description.")
    accept: Words = Field(description="The options that pass.")
    ordered: bool = Field(
        False,
        description="Whether the options go from the worst to the best, so that comparisons may"
        " count steps between them.",
    )

    @model_validator(mode="after")
    def _refuse_useless(self) -> Self:
        for number, name in enumerate(self.accept):
            if name not in self.options:
                valid = ", ".join(self.options)
                raise option_error(
                    f"{show(name)} is not an option; valid: {valid}", "accept", number
                )
        if set(self.accept) == set(self.options):
            raise option_error("accepts every option, so the check cannot fail", "accept")
        return self


class ScoreLevels(Options):
    """Levels of which the judge gives the expected one."""

    strictness: ClassVar[Mapping[str, Strictness]] = {"min": "higher"}

    levels: Annotated[list[NonEmpty], Field(min_length=2, max_length=MAX_OUTCOMES)] = Field(
        description="What each level means, from the worst, which is 0, to the best."
    )
    min: float = Field(description="The lowest score that passes.")

    @model_validator(mode="after")
    def _refuse_useless(self) -> Self:
        highest = len(self.levels) - 1
        if not 0 < self.min <= highest:
            raise option_error(
                f"must be above 0 and at most {highest}, got {format_number(self.min)}", "min"
            )
        return self


class Question(Options):
    """One question about a conversation."""

    strictness: ClassVar[Mapping[str, Strictness]] = {
        "min": "part",
        "least": "higher",
        "choice": "options",
        "score": "options",
    }

    rubric: NonEmpty = Field(description="What is asked, in plain words.")
    min: float | None = Field(
        None, description="The lowest probability of yes that passes, 0.5 where absent."
    )
    choice: ChoiceOptions | None = Field(None, description="Options instead of yes and no.")
    score: ScoreLevels | None = Field(None, description="Levels instead of yes and no.")

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        self.refuse_contradictions()
        return self

    def refuse_contradictions(self) -> None:
        """Raise ``option_error`` for options that do not go together."""
        if self.choice is not None and self.score is not None:
            raise option_error("'choice' and 'score' exclude each other", "choice")
        if self.min is not None and self.kind != "yes_no":
            inner = "accept" if self.choice is not None else "min"
            raise option_error(f"is for yes and no; '{self.kind}' has '{inner}'", "min")
        if self.min is not None and not 0 < self.min <= 1:
            raise option_error(
                f"must be a probability above 0, got {format_number(self.min)}", "min"
            )

    @property
    def kind(self) -> JudgmentKind:
        """The type of the question."""
        if self.choice is not None:
            return "choice"
        return "score" if self.score is not None else "yes_no"

    @property
    def least(self) -> float | None:
        """The lowest number that passes, None for a choice."""
        if self.choice is not None:
            return None
        if self.score is not None:
            return self.score.min
        return DEFAULT_PROBABILITY if self.min is None else self.min

    def to_json(self) -> dict[str, JSON]:
        """Return the question as it is sent."""
        if self.choice is not None:
            return {**self._named("choice"), "criteria": self.choice.options}
        if self.score is not None:
            return {**self._named("score"), "criteria": self.score.levels}
        return self._named("noul")

    def _named(self, kind: str) -> dict[str, JSON]:
        return {"type": kind, "instructions": self.rubric}

    @property
    def outcomes(self) -> list[str]:
        """The names of the outcomes as an answer has them; none for yes and no."""
        if self.choice is not None:
            return list(self.choice.options)
        return [str(level) for level in range(len(self.score.levels))] if self.score else []

    @property
    def expected(self) -> dict[str, JSON]:
        """What passes."""
        if self.choice is not None:
            return {"accept": self.choice.accept}
        return {"min": plain(self.least or 0)}


NamedQuestion = Annotated[
    Question,
    or_bare(
        str,
        lambda rubric: {"rubric": rubric},
        dict,
        "a rubric, or a mapping with 'rubric'",
        NonEmpty | Question,
    ),
]
"""A question, or only its rubric."""
