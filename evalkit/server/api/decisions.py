"""Decisions: probabilities for questions about an input (docs/protocol.md section 12). Pure.

The answers compare words, not meaning: an outcome is the more probable, the more words of its
description are in the input. Probabilities of one answer add up to 1.
"""

from collections.abc import Mapping, Sequence

from evalkit._lib.json import JSON, dumps
from evalkit.server.answers.default_answers import word_stems
from evalkit.server.answers.interaction import usage_of
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.calls import Call, Reply
from evalkit.server.requests.bodies import OBJECT, closed_object, read_object, validator
from evalkit.server.requests.create import is_model, short_name
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.server.requests.inputs import steps_of_input

_MAX_QUESTIONS, _MAX_OUTCOMES = 1_000, 255
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


def create_decision(call: Call) -> Reply:
    """``POST /decisions``."""
    body = read_object(call.body, _CREATE)
    if not is_model(short_name(body["model"])):
        message = f"Model '{body['model']}' was not found."
        raise ErrorResponse(404, message, code="model_not_found")
    steps = steps_of_input(body["input"])
    words = word_stems(_text_of(body["input"]))
    questions: Mapping[str, dict[str, JSON]] = body["questions"]
    answers = {name: _answer(question, words) for name, question in questions.items()}
    usage = usage_of(
        steps, (), " ".join(_text_of(one["instructions"]) for one in questions.values())
    )
    return Reply(200, dumps({"answers": answers, "usage": usage}))


def _answer(question: Mapping[str, JSON], words: set[str]) -> dict[str, JSON]:
    kind, criteria = question["type"], question.get("criteria") or {}
    if kind == "noul":
        asked = _text_of(question["instructions"])
        yes, no = (str(criteria.get(f"{name}_description") or "") for name in ("true", "false"))
        probability = _probabilities([yes or asked, no], words)[0]
        confidence = max(probability, 1 - probability)
        return {"type": kind, "noul": probability, "confidence": round(confidence, 4)}
    described = dict(criteria) if kind == "choice" else dict(enumerate(criteria))
    texts = [f"{name} {text}" for name, text in described.items()]
    found = _probabilities(texts, words)
    probabilities = {str(name): value for name, value in zip(described, found, strict=True)}
    answer = {"type": kind, "probabilities": probabilities, "confidence": max(found)}
    if kind == "choice":
        return {**answer, "choice": max(probabilities, key=probabilities.__getitem__)}
    legend = {str(level): text for level, text in described.items()}
    score = sum(int(level) * value for level, value in probabilities.items())
    return {**answer, "legend": legend, "score": round(score, 4)}


def _probabilities(texts: Sequence[str], words: set[str]) -> list[float]:
    """Return the share of each text in the words that the texts have in common with the input."""
    weights = [1 + 3 * len(words & word_stems(text)) for text in texts]
    return [round(weight / sum(weights), 4) for weight in weights]


def _text_of(value: JSON) -> str:
    return " ".join(InteractionRequest(body={}, conversation=steps_of_input(value)).texts)
