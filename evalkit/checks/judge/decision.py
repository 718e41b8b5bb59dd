"""Answers of the decisions resource: what they say about a conversation. Pure.

An answer is read only if it is consistent: an outcome without a probability, probabilities that do
not add up, or a choice that is not the most probable option say nothing about the conversation.
"""

from collections.abc import Iterator, Mapping

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, canonical
from evalkit._lib.text import shorten, show, visible
from evalkit.checks.core.arguments import format_number, plain
from evalkit.checks.core.formatting import table
from evalkit.checks.core.schema_validation import violations
from evalkit.checks.judge.questions import Question
from evalkit.verdict import Finding, Judgment, Severity, Verdict, Where

_MAX_RUBRIC = 300
_TOLERANCE = 1e-9
# Services round probabilities.
_ROUNDING = 0.02
_PROBABILITY: dict[str, JSON] = {"type": "number", "minimum": 0, "maximum": 1}


def answer_problems(question: Question, answer: JSON) -> list[str]:
    """Return why an answer cannot be used."""
    found = [
        f"{violation.pointer or '(whole)'}: {violation.message}"
        for violation in violations(_schema(question), answer)
    ]
    return found or list(_contradictions(question, answer))


def _schema(question: Question) -> dict[str, JSON]:
    properties: dict[str, JSON] = {"type": {"const": question.to_json()["type"]}}
    if question.kind == "yes_no":
        properties["noul"] = _PROBABILITY
    else:
        properties["probabilities"] = {
            "type": "object",
            "properties": dict.fromkeys(question.outcomes, _PROBABILITY),
            "required": question.outcomes,
            "additionalProperties": False,
        }
    if question.kind == "choice":
        properties["choice"] = {"enum": question.outcomes}
    if question.kind == "score":
        highest = len(question.outcomes) - 1
        properties["score"] = {"type": "number", "minimum": 0, "maximum": highest}
    required = [name for name in properties if name != "type"]
    return {"type": "object", "properties": properties, "required": required}


def _contradictions(question: Question, answer: Mapping[str, JSON]) -> Iterator[str]:
    if question.kind == "yes_no":
        return
    probabilities = _probabilities(answer)
    total = sum(probabilities.values())
    if abs(total - 1) > _ROUNDING:
        yield f"its probabilities add up to {total:.4g}, not to 1"
    elif question.kind == "choice":
        best = max(probabilities, key=probabilities.__getitem__)
        if probabilities[best] - probabilities[answer["choice"]] > _ROUNDING:
            yield f"it chooses {show(answer['choice'])}, but {show(best)} is more probable"
    else:
        mean = sum(int(level) * value for level, value in probabilities.items())
        if abs(mean - float(answer["score"])) > _ROUNDING * len(probabilities):
            score = format_number(float(answer["score"]))
            yield f"its score is {score}, but that of its probabilities is {mean:.4g}"


def read_judgment(
    question: Question,
    answer: Mapping[str, JSON],
    *,
    name: str | None,
    model: str,
    model_version: str | None,
    min_confidence: float | None,
) -> Judgment:
    """Return what a usable answer says about the conversation."""
    probabilities = _probabilities(answer)
    score: float | None = None
    choice: str | None = None
    if question.choice is not None:
        choice = str(answer["choice"])
        passes = choice in question.choice.accept
        probability = sum(probabilities[option] for option in set(question.choice.accept))
        if question.choice.ordered:
            score = list(question.choice.options).index(choice)
    else:
        least = question.least or 0.0
        score = probability = float(answer["score" if question.score else "noul"])
        passes = score >= least - _TOLERANCE
        if question.score is not None:
            passing = (value for level, value in probabilities.items() if int(level) >= least)
            probability = sum(passing)
    probability = min(1.0, rounded(probability))
    confidence = probability if passes else rounded(1 - probability)
    limit = {} if min_confidence is None else {"min_confidence": plain(min_confidence)}
    return Judgment(
        kind=question.kind,
        rubric=question.rubric,
        # The order of options is lost in canonical text.
        rubric_digest=sha256(canonical([question.to_json(), question.outcomes])),
        model=model,
        model_version=model_version,
        verdict=Verdict.PASSED if passes else Verdict.FAILED,
        expected={**question.expected, **limit},
        question=name,
        score=None if score is None else rounded(score),
        choice=choice,
        probability=plain(probability),
        confidence=plain(confidence),
        uncertain=min_confidence is not None and confidence < min_confidence - _TOLERANCE,
    )


def _probabilities(answer: Mapping[str, JSON]) -> dict[str, float]:
    return {name: float(value) for name, value in answer.get("probabilities", {}).items()}


def decision_findings(
    question: Question, judgment: Judgment, answer: Mapping[str, JSON], where: Where
) -> Iterator[Finding]:
    """Yield that a judgment does not pass, and that it is uncertain."""
    subject = f"{prefix(judgment.question)}the judge"
    got = {
        name: answer[name]
        for name in ("noul", "choice", "score", "probabilities", "confidence")
        if name in answer
    }
    rubric = visible(shorten(question.rubric, _MAX_RUBRIC))
    detail = f"{rubric}\n{table([*_rows(question, answer)])}"
    if judgment.verdict is Verdict.FAILED:
        code = "judge_choice" if question.kind == "choice" else "judge_below"
        yield Finding(
            code,
            f"{subject} {_verdict_text(question, judgment)}",
            where,
            expected=question.expected,
            got=got,
            detail=detail,
        )
    if judgment.uncertain:
        limit = judgment.expected["min_confidence"]
        yield Finding(
            "judge_uncertain",
            f"{subject} is uncertain: the confidence that this {judgment.verdict} is"
            f" {judgment.confidence:.4g}, expected at least {limit:.4g}",
            where,
            expected={"min_confidence": limit},
            got=got,
            severity=Severity.WARN,
            detail=detail,
        )


def _verdict_text(question: Question, judgment: Judgment) -> str:
    if question.choice is not None:
        accepted = " or ".join(map(show, question.choice.accept))
        return f"chooses {show(judgment.choice)}, expected {accepted}"
    value, least = (format_number(number or 0) for number in (judgment.score, question.least))
    given = f"gives {value}" if question.score else f"gives yes a probability of {value}"
    return f"{given}, expected at least {least}"


def _rows(question: Question, answer: Mapping[str, JSON]) -> Iterator[list[str]]:
    """Yield the probability of each outcome, the most probable first."""
    if question.kind == "yes_no":
        yield ["yes", f"{float(answer['noul']):.4g}"]
    for name, value in sorted(_probabilities(answer).items(), key=lambda row: -row[1]):
        meaning = [question.score.levels[int(name)]] if question.score is not None else []
        yield [name, f"{value:.4g}", *meaning]


def prefix(name: str | None) -> str:
    """Return the beginning of a message about a question with a name."""
    return f"{name}: " if name else ""


def rounded(value: float) -> float:
    """Return a number to six places, an integral one as an integer."""
    return plain(round(value, 6))
