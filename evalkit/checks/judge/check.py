"""``judge``: a model scores the conversation by a rubric, over the same API, and its exchange is recorded and replayed like any other.

The check only asks (``View.ask``), reads and compares. An answer that cannot be used, because the API refused, the recording is not there or
the document does not meet its schema, makes the check *errored*: a judge that did not judge is never a low score.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import Field, model_validator

from evalkit._lib.json import JSON
from evalkit._lib.text import plural, shorten, show
from evalkit.checks.core.base import Check, View, option_error
from evalkit.checks.core.formatting import table
from evalkit.checks.core.json_output import parse
from evalkit.checks.core.options import format_number, plain
from evalkit.checks.judge.request import request_of, schema_of, task_of
from evalkit.conversation.response_reader import read_response
from evalkit.errors import CheckCrashed, Misconfigured
from evalkit.protocol.step_reader import output_text
from evalkit.transcript import Exchange, Request
from evalkit.verdict import Finding, Severity, Where

_UNIT = (0.0, 1.0)
_DEFAULT_MIN = 0.7
_NEARLY = 1e-9
_REASON = 300

Words = Annotated[str, Field(min_length=1)]


class Opinion(NamedTuple):
    """One answer of a judge: what it gives, and why, by criterion (``""`` where the rubric has none)."""

    score: float
    parts: dict[str, tuple[float, str]]

    def to_json(self) -> dict[str, Any]:
        """Return the answer as a finding holds it."""
        if "" in self.parts:
            return {"score": plain(self.score), "reason": self.parts[""][1]}
        criteria = {
            name: {"score": plain(score), "reason": reason}
            for name, (score, reason) in self.parts.items()
        }
        return {"score": plain(self.score), "criteria": criteria}


class Judge(Check):
    """A model gives the turn, or the whole conversation, at least a given score by a rubric.

    The score is the mean over the criteria and over the samples. The empty case: an answer without text is judged as it is, the judge is
    shown that nothing came. A judge that does not answer, or not by its schema, makes the check *errored*.
    """

    name: ClassVar[str] = "judge"
    shorthand: ClassVar[str | None] = "rubric"
    sends_requests: ClassVar[bool] = True

    rubric: Words = Field(description="What a good answer is, in plain words.")
    criteria: Annotated[dict[Words, Words], Field(min_length=1)] | None = Field(
        None,
        description="Parts to score one by one, each with its own words; the score is their mean.",
    )
    model: Words | None = Field(None, description="The model that judges; else the variant's own.")
    min: float | None = Field(
        None, description="The lowest score that passes; 0.7 where scores go from 0 to 1."
    )
    scale: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        None, description="The lowest and the highest score, [0, 1] where nothing is said."
    )
    levels: Annotated[dict[Words, float], Field(min_length=2)] | None = Field(
        None,
        description="Words to choose from instead of numbers, each with its score: {good: 1, poor: 0}.",
    )
    samples: int = Field(
        1, ge=1, le=100, description="How often the judge is asked; the mean counts."
    )
    generation_config: dict[str, Any] | None = Field(
        None, description="Sent to the judge as the API names it."
    )

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if self.levels is not None and self.scale is not None:
            raise option_error("'scale' and 'levels' exclude each other", "scale")
        low, high = self._range
        if low >= high:
            raise option_error(
                f"the lowest score must be below the highest, got {format_number(low)} and {format_number(high)}",
                "levels" if self.levels else "scale",
            )
        if self.min is None and (low, high) != _UNIT:
            raise option_error(
                f"needs 'min', since scores go from {format_number(low)} to {format_number(high)}"
            )
        if self.min is not None and not low <= self.min <= high:
            raise option_error(
                f"must lie between {format_number(low)} and {format_number(high)}, got {format_number(self.min)}",
                "min",
            )
        return self

    @property
    def _range(self) -> tuple[float, float]:
        given = list(self.levels.values()) if self.levels is not None else self.scale or _UNIT
        return (min(given), max(given)) if self.levels is not None else (given[0], given[1])

    @property
    def _wanted(self) -> float:
        return self.min if self.min is not None else _DEFAULT_MIN

    def run(self, view: View) -> Iterator[Finding]:
        """Ask, and yield that the score is too low. Raises Misconfigured, CassetteMiss, TransportError, CheckCrashed: there is no score."""
        request = self.request(view)
        opinions = [self.opinion(request, view) for _ in range(self.samples)]
        scores = [opinion.score for opinion in opinions]
        mean = sum(scores) / len(scores)
        passing = sum(score >= self._wanted - _NEARLY for score in scores)
        passed = mean >= self._wanted - _NEARLY
        agreeing = passing if passed else len(scores) - passing
        if passed and agreeing == len(scores):
            return
        where = Where(turn=view.turn.number if view.turn is not None else None)
        got: dict[str, Any] = {
            "score": _rounded(mean),
            "spread": _rounded(max(scores) - min(scores)),
            "agreement": _rounded(agreeing / len(scores)),
            "samples": [opinion.to_json() for opinion in opinions],
        }
        expected = {"min": plain(self._wanted)}
        detail = table(
            [row for count, opinion in enumerate(opinions, 1) for row in self._rows(count, opinion)]
        )
        spread = (
            f" on average, from {format_number(min(scores))} to {format_number(max(scores))}"
            if min(scores) < max(scores)
            else ""
        )
        if passed:
            message = f"the judge is of two minds: {passing} of {plural(len(scores), 'sample')} reach {format_number(self._wanted)}"
            yield Finding(
                "judge_split",
                message,
                where,
                expected=expected,
                got=got,
                severity=Severity.WARN,
                detail=detail,
            )
            return
        share = f" ({agreeing} of {plural(len(scores), 'sample')} below)" if len(scores) > 1 else ""
        message = f"the judge gives {format_number(_rounded(mean))}{spread}, at least {format_number(self._wanted)} is wanted{share}"
        yield Finding("judge_below", message, where, expected=expected, got=got, detail=detail)

    def request(self, view: View) -> Request:
        """Return what the judge is asked. Raises Misconfigured where no model is named."""
        settings, turn = view.transcript.settings, view.turn
        model = self.model or settings.get("model")
        if not isinstance(model, str):
            raise Misconfigured(
                "the scenario names no model that could judge: give the check one, 'model: …'"
            )
        levels = dict(sorted((self.levels or {}).items(), key=lambda item: -item[1]))
        task = task_of(
            self.rubric,
            self.criteria or {},
            self._range,
            levels,
            turn.number if turn is not None else None,
        )
        turns = view.transcript.turns[: turn.number] if turn is not None else view.transcript.turns
        return request_of(model, task, turns, self._schema(), self.generation_config)

    def _schema(self) -> dict[str, JSON]:
        levels = (
            sorted(self.levels, key=lambda name: -(self.levels or {})[name]) if self.levels else ()
        )
        low, high = self._range
        return schema_of(list(self.criteria or ()), [plain(low), plain(high)], levels)

    def opinion(self, request: Request, view: View) -> Opinion:
        """Ask once. Raises CheckCrashed for an answer that is no judgement."""
        exchange = Exchange(0, 0, request)
        read_response(exchange, view.ask(request))
        if exchange.error is not None:
            error = exchange.error
            raise CheckCrashed(
                f"the judge did not answer: the API said {error.status} {error.code}: {show(error.message, 300)}"
            )
        interaction = exchange.interaction
        if interaction is None or exchange.failure is not None:
            raise CheckCrashed(
                f"the judge's answer cannot be read: {exchange.failure or 'no Interaction came'}"
            )
        if (status := interaction.get("status")) not in ("completed", None):
            raise CheckCrashed(f"the judge's answer did not end: its status is {show(status)}")
        text = output_text(interaction.get("steps") or [])
        value, problem, *_ = parse(text)
        if problem:
            raise CheckCrashed(
                f"the judge's answer is no judgement: {problem}\nanswer  {show(text, 300)}"
            )
        return self._read(value, text)

    def _read(self, value: JSON, text: str) -> Opinion:
        from evalkit.checks.core.schema_validation import (
            violations,
        )  # jsonschema is loaded where a judge has spoken, and nowhere else

        wrong = [
            f"{found.pointer or '(whole)'}: {found.message}"
            for found in violations(self._schema(), value)
        ]
        if wrong:
            raise CheckCrashed(
                "\n".join(
                    [
                        "the judge's answer does not meet its schema",
                        *wrong,
                        f"answer  {show(text, 300)}",
                    ]
                )
            )
        parts = value if self.criteria else {"": value}
        read = {
            name: (
                float((self.levels or {})[part["level"]] if self.levels else part["score"]),
                part["reason"],
            )
            for name, part in parts.items()
        }
        return Opinion(sum(score for score, _ in read.values()) / len(read), read)

    def _rows(self, count: int, opinion: Opinion) -> Iterator[list[str]]:
        for name, (score, reason) in opinion.parts.items():
            sample = [f"sample {count}"] if self.samples > 1 else []
            yield [
                *sample,
                *([name] if name else []),
                format_number(score),
                shorten(reason, _REASON),
            ]


def _rounded(value: float) -> float:
    return plain(round(value, 6))
