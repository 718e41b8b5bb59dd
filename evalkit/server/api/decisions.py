"""Decisions: probabilities for questions about an input (docs/protocol.md section 12). Pure.

Default answers compare words, not meaning: an outcome is the more probable, the more words of its
description are in the input. Of a judge's input only the answer that is judged counts; the rubric's
words in double quotes, if it has any, decide between yes and no. Probabilities of one answer add up
to 1.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import show
from evalkit.server.answers.default_answers import word_stems
from evalkit.server.answers.interaction import usage_of
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.answers.side_answers import judged_text, quoted_share
from evalkit.server.calls import Call, Reply, error_reply
from evalkit.server.fault_injection.plans import FaultPlan, FaultSelector
from evalkit.server.requests.bodies import OBJECT, closed_object, read_object, validator
from evalkit.server.requests.create import is_model, short_name
from evalkit.server.requests.error_response import ErrorResponse, bad_request
from evalkit.server.requests.inputs import steps_of_input
from evalkit.server.scripting.script import Script
from evalkit.suite.model.templates import render

_MAX_QUESTIONS, _MAX_OUTCOMES, _MAX_TOKENS = 1_000, 255, 262_144
_CRITERIA = {
    "noul": OBJECT,
    "choice": {"type": "object", "minProperties": 2, "maxProperties": _MAX_OUTCOMES},
    "score": {
        "type": "array",
        "minItems": 2,
        "maxItems": _MAX_OUTCOMES,
        "items": {"type": "string"},
    },
}
_QUESTION = {
    "type": "object",
    "required": ["type", "instructions"],
    "properties": {
        "type": {"enum": list(_CRITERIA)},
        "instructions": {"type": ["string", "object", "array"]},
    },
    "allOf": [
        {
            "if": {"properties": {"type": {"const": kind}}},
            "then": {
                "properties": {"criteria": schema},
                "required": [] if kind == "noul" else ["criteria"],
            },
        }
        for kind, schema in _CRITERIA.items()
    ],
}
_CREATE = validator(
    closed_object(
        {
            "model": {"type": "string"},
            "input": {"type": ["string", "object", "array"]},
            "questions": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": _MAX_QUESTIONS,
                "additionalProperties": _QUESTION,
                "description": f"1 to {_MAX_QUESTIONS} questions by name",
            },
        },
        "model",
        "input",
        "questions",
    )
)


class Decisions:
    """``/decisions``, answered by the rules of a script that decide, else by comparing words.

    ``rule_uses`` counts the answers of each rule by its location; ``selector`` decides which
    requests get the faults of rules.
    """

    def __init__(self, script: Script, rule_uses: Counter[str], selector: FaultSelector) -> None:
        self._script = script
        self._rule_uses = rule_uses
        self._selector = selector

    def create(self, call: Call) -> Reply:
        """``POST /decisions``."""
        body = read_object(call.body, _CREATE)
        if not is_model(short_name(body["model"])):
            message = f"Model '{body['model']}' was not found."
            raise ErrorResponse(404, message, code="model_not_found")
        steps = steps_of_input(body["input"])
        request = InteractionRequest(body=body, conversation=steps)
        questions: Mapping[str, dict[str, JSON]] = body["questions"]
        asked = {name: _text_of(question["instructions"]) for name, question in questions.items()}
        usage = usage_of(steps, (), " ".join(asked.values()))
        if usage["total_input_tokens"] > _MAX_TOKENS:
            raise bad_request(
                f"The input has {usage['total_input_tokens']} tokens; at most {_MAX_TOKENS} are "
                "accepted."
            )
        answers: dict[str, JSON] = {}
        content: dict[str, JSON] = {"answers": answers, "usage": usage}
        # A rule may answer several questions; its faults are injected once.
        origins: dict[str, Sequence[FaultPlan]] = {}
        delay = 0.0
        for name, question in questions.items():
            match = self._script.find(request, self._rule_uses, question=asked[name])
            if match is None:
                answers[name] = _default_answer(question, request)
                continue
            rule, variables = match
            self._rule_uses[rule.location] += 1
            draft = rule.answer(request, variables)
            origins[rule.location] = draft.faults
            delay = max(delay, draft.delay)
            if draft.error is not None:
                return error_reply(draft.error, delay)
            if "blocked" in rule.data:
                blocked = {"block_reason": rule.data["blocked"]}
                content = {"prompt_feedback": blocked, "usage": usage}
                break
            with rule.located_errors():
                answers[name] = _decided(question, render(rule.data["decide"], variables))
        origin = ", ".join(origins) or "default answer"
        faults = self._selector.for_call(list(chain.from_iterable(origins.values())), call)
        if (failure := faults.replacement()) is not None:
            return replace(failure, delay=failure.delay + delay, by=origin)
        return faults.apply(Reply(200, dumps(content), delay=delay, by=origin))


def _decided(question: Mapping[str, JSON], value: JSON) -> dict[str, JSON]:
    """Return the answer that a rule decides. Raises ValueError for a value that does not fit."""
    kind, criteria = question["type"], question.get("criteria") or {}
    if kind == "noul":
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"'decide' must be the probability of yes, got {show(value)}")
        return _yes_no(value)
    names = list(criteria) if kind == "choice" else [str(level) for level in range(len(criteria))]
    shares = value if isinstance(value, dict) else {value: 1}
    shares = {str(name): share for name, share in shares.items()}
    if unknown := [name for name in shares if name not in names]:
        raise ValueError(f"'decide' names {show(unknown[0])}; valid: {', '.join(names)}")
    return _weighted(kind, criteria, {name: float(shares.get(name, 0)) for name in names})


def _default_answer(question: Mapping[str, JSON], request: InteractionRequest) -> dict[str, JSON]:
    kind, criteria = question["type"], question.get("criteria") or {}
    asked = _text_of(question["instructions"])
    judged = judged_text(request)
    if kind == "noul" and judged is not None:
        return _yes_no(round(quoted_share(asked, judged)[0], 4))
    words = word_stems(" ".join(request.texts) if judged is None else judged)
    if kind == "noul":
        yes, no = (str(criteria.get(f"{name}_description") or "") for name in ("true", "false"))
        return _yes_no(_probabilities([yes or asked, no], words)[0])
    described = dict(criteria) if kind == "choice" else dict(enumerate(criteria))
    found = _probabilities([f"{name} {text}" for name, text in described.items()], words)
    names = map(str, described)
    return _weighted(kind, criteria, dict(zip(names, found, strict=True)))


def _yes_no(probability: float) -> dict[str, JSON]:
    confidence = max(probability, 1 - probability)
    return {"type": "noul", "noul": probability, "confidence": round(confidence, 4)}


def _weighted(kind: str, criteria: JSON, probabilities: Mapping[str, float]) -> dict[str, JSON]:
    answer: dict[str, JSON] = {
        "type": kind,
        "probabilities": probabilities,
        "confidence": max(probabilities.values()),
    }
    if kind == "choice":
        return {**answer, "choice": max(probabilities, key=probabilities.__getitem__)}
    legend = {str(level): text for level, text in enumerate(criteria)}
    score = sum(int(level) * value for level, value in probabilities.items())
    return {**answer, "legend": legend, "score": round(score, 4)}


def _probabilities(texts: Sequence[str], words: set[str]) -> list[float]:
    """Return the share of each text in the words that the texts have in common with the input."""
    weights = [1 + 3 * len(words & word_stems(text)) for text in texts]
    return [round(weight / sum(weights), 4) for weight in weights]


def _text_of(value: JSON) -> str:
    return " ".join(InteractionRequest(body={}, conversation=steps_of_input(value)).texts)
