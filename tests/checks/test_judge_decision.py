"""The check ``judge`` with ``ask: decision``: its request, its answers and its verdicts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.checks.core.base import View
from evalkit.checks.core.strictness import Order, option_changes, worst_order
from evalkit.checks.judge.decision import answer_problems, read_judgment
from evalkit.checks.judge.questions import Question
from evalkit.conversation.side_requests import is_side_request, side_role
from evalkit.errors import CassetteMiss
from evalkit.plugins import Catalog
from evalkit.suite import BadArguments
from evalkit.transcript import Request, Response
from evalkit.verdict import CheckResult, Severity, Verdict
from tests.checks.building import transcript
from tests.checks.examples import check_entry

HOSTILE = "\x1b[31m{{ rubric }}</script>\u202e"
TALK = {
    "settings": {"model": "gemini-3.5-flash"},
    "turns": [
        {"user": "Hi", "steps": []},
        {
            "user": "My money?",
            "steps": [
                {"type": "model_output", "content": [{"type": "text", "text": f"Soon {HOSTILE}"}]}
            ],
        },
    ],
}
YES: dict[str, Any] = {"ask": "decision", "rubric": "It offers a refund."}
TONE: dict[str, Any] = {
    **YES,
    "choice": {"options": ["rude", "neutral", "polite"], "accept": ["neutral", "polite"]},
}
CLEAR: dict[str, Any] = {**YES, "score": {"levels": ["useless", "vague", "clear"], "min": 1.5}}
SEVERAL: dict[str, Any] = {
    "ask": "decision",
    "questions": {
        "refund": "It offers a refund.",
        "tone": {"rubric": "How polite?", "choice": TONE["choice"]},
    },
}


def answer(**answers: Any) -> Response:
    """Return a response; the only question is ``it``."""
    ids = {
        "evalkit.judge" if name == "it" else f"evalkit.judge.{name}": value
        for name, value in answers.items()
    }
    return respond({"answers": ids, "usage": {"total_tokens": 9}})


def respond(body: Any, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body))


def noul(value: Any) -> dict[str, Any]:
    return {"type": "noul", "noul": value, "confidence": 0.9}


def chosen(name: str, **shares: Any) -> dict[str, Any]:
    return {"type": "choice", "choice": name, "probabilities": shares, "confidence": 0.9}


def scored(score: Any, *shares: Any) -> dict[str, Any]:
    levels = {str(level): share for level, share in enumerate(shares)}
    return {"type": "score", "score": score, "probabilities": levels, "confidence": 0.9}


def run(entry: Any, response: Response | Exception, turn: int | None = -1) -> CheckResult:
    conversation = transcript(TALK)

    def ask(request: Request) -> Response:
        if isinstance(response, Exception):
            raise response
        return response

    return check_entry(
        entry, View(conversation, None if turn is None else conversation.turns[turn], ask=ask)
    )


SURE, SPLIT = chosen("rude", rude=0.9, neutral=0.1, polite=0), chosen("neutral", rude=0.4, neutral=0.5, polite=0.1)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "reply", "verdict", "numbers"),
    [
        (YES, noul(0.5), "passed", (0.5, 0.5, 0.5)),
        (YES, noul(0.49), "failed", (0.49, 0.49, 0.51)),
        (YES, noul(1), "passed", (1, 1, 1)),
        (YES, noul(0), "failed", (0, 0, 1)),
        ({**YES, "min": 0.9}, noul(0.8), "failed", (0.8, 0.8, 0.2)),
        (TONE, SPLIT, "passed", (None, 0.6, 0.6)),
        (TONE, SURE, "failed", (None, 0.1, 0.9)),
        ({**YES, "choice": {**TONE["choice"], "ordered": True}}, SPLIT, "passed", (1, 0.6, 0.6)),
        (CLEAR, scored(1.7, 0.1, 0.1, 0.8), "passed", (1.7, 0.8, 0.8)),
        (CLEAR, scored(0.3, 0.8, 0.1, 0.1), "failed", (0.3, 0.1, 0.9)),
        # The expected level reaches the limit, the most probable one does not.
        (CLEAR, scored(1.5, 0.25, 0, 0.75), "passed", (1.5, 0.75, 0.75)),
        # The service rounds: 0.333 three times.
        (CLEAR, scored(1, 0.333, 0.333, 0.333), "failed", (1, 0.333, 0.667)),
    ],
    ids=repr,
)
def test_an_answer_decides(options: Any, reply: Any, verdict: str, numbers: Any) -> None:
    result = run({"judge": options}, answer(it=reply))
    assert (result.verdict, [one.code for one in result.findings]) == (
        verdict,
        [] if verdict == "passed" else ["judge_choice" if "choice" in options else "judge_below"],
    )
    (judgment,) = result.judgments
    assert judgment.verdict == verdict
    assert (judgment.score, judgment.probability, judgment.confidence) == numbers
    assert (judgment.model, judgment.model_version) == ("gemini-decision-1", None)
    inverted = run({"not": {"judge": options}}, answer(it=reply))
    assert inverted.verdict is (Verdict.PASSED if verdict == "failed" else Verdict.FAILED)
    assert inverted.judgments == (judgment,)


@pytest.mark.parametrize(
    ("options", "reply", "message"),
    [
        (YES, noul(0.1), "the judge gives yes a probability of 0.1, expected at least 0.5"),
        (TONE, SURE, 'the judge chooses "rude", expected "neutral" or "polite"'),
        (
            CLEAR,
            scored(0.3, 0.8, 0.1, 0.1),
            "the judge gives 0.3, expected at least 1.5",
        ),
    ],
)
def test_a_failure_reports_the_rubric_and_every_probability(
    options: Any, reply: Any, message: str
) -> None:
    (finding,) = run({"judge": options}, answer(it=reply)).findings
    assert finding.message == message
    assert "It offers a refund." in finding.detail
    for value in reply.get("probabilities", {"yes": reply.get("noul")}).values():
        assert f"{value:g}" in finding.detail
    assert finding.where.turn == 2


def test_an_uncertain_judgment_is_a_warning_and_keeps_its_verdict() -> None:
    passing = run({"judge": {**YES, "min_confidence": 0.8}}, answer(it=noul(0.6)))
    (finding,) = passing.findings
    assert (passing.verdict, finding.code, finding.severity) == (
        Verdict.PASSED,
        "judge_uncertain",
        Severity.WARN,
    )
    assert finding.message == (
        "the judge is uncertain: the confidence that this passed is 0.6, expected at least 0.8"
    )
    assert passing.to_json()["judgments"][0] | {"rubric_digest": ""} == {
        "kind": "yes_no",
        "rubric": "It offers a refund.",
        "rubric_digest": "",
        "model": "gemini-decision-1",
        "verdict": "passed",
        "expected": {"min": 0.5, "min_confidence": 0.8},
        "score": 0.6,
        "probability": 0.6,
        "confidence": 0.6,
        "uncertain": True,
    }
    failing = run({"judge": {**YES, "min_confidence": 0.8}}, answer(it=noul(0.3)))
    assert (failing.verdict, [one.code for one in failing.findings]) == (
        Verdict.FAILED,
        ["judge_below", "judge_uncertain"],
    )
    sure = run({"judge": {**YES, "min_confidence": 0.8}}, answer(it=noul(0.8)))
    assert sure.findings == ()
    assert "uncertain" not in sure.to_json()["judgments"][0]


def test_several_questions_are_one_request_and_each_is_judged() -> None:
    result = run({"judge": SEVERAL}, answer(refund=noul(0.9), tone=SURE))
    assert result.verdict is Verdict.FAILED
    assert [finding.message for finding in result.findings] == [
        'tone: the judge chooses "rude", expected "neutral" or "polite"'
    ]
    assert [(one.question, one.kind, one.verdict) for one in result.judgments] == [
        ("refund", "yes_no", "passed"),
        ("tone", "choice", "failed"),
    ]
    digests = {one.rubric_digest for one in result.judgments}
    alone = run({"judge": YES}, answer(it=noul(1))).judgments[0].rubric_digest
    assert len(digests) == 2
    assert alone in digests, "the same question has the same digest wherever it is asked"


UNUSABLE: list[tuple[Any, Any, str]] = [
    (YES, respond({"usage": {}}), "the judge did not answer the question"),
    (YES, respond({"answers": []}), "the judge did not answer the question"),
    (YES, answer(other=noul(1)), "the judge did not answer the question"),
    (SEVERAL, answer(refund=noul(1)), 'the judge did not answer the question "tone"'),
    (
        YES,
        respond({"prompt_feedback": {"block_reason": "safety", "block_reason_message": HOSTILE}}),
        'the judge\'s input was blocked: "safety" (',
    ),
    # Blocked counts, whatever else is there.
    (
        YES,
        respond(
            {
                "prompt_feedback": {"block_reason": "new_reason"},
                "answers": {"evalkit.judge": noul(1)},
            }
        ),
        'the judge\'s input was blocked: "new_reason"',
    ),
    (YES, respond([1]), "the judge's answer cannot be read"),
    (YES, Response(200, {}, "<html>"), "the judge's answer cannot be read"),
    (
        YES,
        Response(200, {}, '{"answers": {"evalkit.judge": {"noul": NaN}}}'),
        "the judge's answer cannot be read",
    ),
    (
        YES,
        respond({"error": {"code": "quota", "message": HOSTILE}}, 429),
        "the judge did not answer: the API returned 429",
    ),
    (YES, CassetteMiss("no recording answers this"), "no recording answers this"),
    *(
        (options, answer(it=reply), "the judge's answer cannot be used: " + problem)
        for options, reply, problem in (
            (YES, None, "(whole): "),
            (YES, noul("0.9"), "/noul: "),
            (YES, noul(True), "/noul: "),
            (YES, noul(1.01), "/noul: "),
            (YES, noul(-0.01), "/noul: "),
            (YES, {"type": "noul"}, "(whole): "),
            (YES, {**noul(1), "type": "choice"}, "/type: "),
            (TONE, noul(1), "(whole): "),
            (TONE, chosen("kind", rude=0, neutral=0, polite=1), "/choice: "),
            (TONE, chosen("polite", rude=0, polite=1), "/probabilities: "),
            (TONE, chosen("polite", rude=0, neutral=0, polite=1, x=0), "/probabilities: "),
            (TONE, chosen("polite", rude=0, neutral=0, polite="1"), "/probabilities/polite: "),
            (TONE, chosen("polite", rude=0.5, neutral=0.5, polite=1), "its probabilities add up"),
            (TONE, chosen("rude", rude=0.1, neutral=0, polite=0.9), 'it chooses "rude", but'),
            (CLEAR, scored(9, 0, 0, 1), "/score: "),
            (CLEAR, scored(2, 1, 0, 0), "its score is 2, but that of its probabilities is 0"),
            (CLEAR, scored(2, 0, 1), "/probabilities: "),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "response", "message"), UNUSABLE, ids=repr)
@pytest.mark.parametrize("inverted", [False, True])
def test_an_unusable_answer_is_an_error_not_a_failure(
    options: Any, response: Any, message: str, inverted: bool
) -> None:
    entry = {"judge": options}
    result = run({"not": entry} if inverted else entry, response)
    assert result.verdict is Verdict.ERRORED
    (finding,) = result.findings
    assert (finding.code, result.judgments) == ("check_unusable", ())
    text = f"{finding.message}{finding.detail}"
    assert text.startswith(message), text
    assert "\x1b" not in text


def test_a_refused_request_that_is_long_says_how_long() -> None:
    error = respond({"error": {"code": "invalid_request", "message": "too long"}}, 400)
    assert "characters" not in run({"judge": YES}, error).findings[0].message
    conversation = transcript({"user": "x" * 300_000, "steps": []})
    view = View(conversation, conversation.turns[0], ask=lambda request: error)
    message = check_entry({"judge": YES}, view).findings[0].message
    assert message.endswith(" characters, and at most 262,144 tokens are accepted")


def test_the_request_has_the_conversation_once_and_is_recognized_as_a_judges() -> None:
    sent: list[Request] = []

    def ask(request: Request) -> Response:
        sent.append(request)
        return answer(refund=noul(1), tone=SPLIT)

    conversation = transcript(TALK)
    check_entry({"judge": SEVERAL}, View(conversation, conversation.turns[1], ask=ask))
    check_entry({"judge": SEVERAL}, View(conversation, conversation.turns[0], ask=ask))
    request, first = sent
    assert (request.method, request.path) == ("POST", "/v1beta/decisions")
    assert is_side_request(request)
    assert request.body.keys() == {"model", "input", "questions"}
    assert request.body["questions"] == {
        "evalkit.judge.refund": {"type": "noul", "instructions": "It offers a refund."},
        "evalkit.judge.tone": {
            "type": "choice",
            "instructions": "How polite?",
            "criteria": {"rude": "", "neutral": "", "polite": ""},
        },
    }
    task, talk = (block["text"] for block in request.body["input"])
    assert "turn 2, the last one" in task
    assert json.loads(talk.splitlines()[-2]) == {"turn": 2, "model": f"Soon {HOSTILE}"}
    assert "money" not in json.dumps(first.body)


@pytest.mark.parametrize(
    ("body", "role"),
    [
        ({"questions": {"evalkit.judge": {}}}, "judge"),
        ({"questions": {"evalkit.judge.a": {}, "mine": {}}}, None),
        ({"questions": {}}, None),
        ({"questions": ["evalkit.judge"]}, None),
    ],
)
def test_other_decisions_are_not_a_judges(body: Any, role: str | None) -> None:
    assert side_role(body) == role


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ({"ask": "decision"}, (), "needs 'rubric'"),
        ({"ask": "guess", "rubric": "x"}, ("ask",), "must be one of text, decision"),
        ({**YES, "samples": 2}, ("samples",), "is an option of 'ask: text', not of 'ask: dec"),
        ({"rubric": "x", "min_confidence": 0.5}, ("min_confidence",), "option of 'ask: decision'"),
        ({**YES, "min": 2}, ("min",), "must be a probability above 0, got 2"),
        ({**YES, "min": 0}, ("min",), "must be a probability above 0, got 0"),
        ({**TONE, "min": 0.5}, ("min",), "is for yes and no; 'choice' has 'accept'"),
        ({**CLEAR, "min": 0.5}, ("min",), "is for yes and no; 'score' has 'min'"),
        ({**TONE, "score": CLEAR["score"]}, ("choice",), "'choice' and 'score' exclude"),
        ({**SEVERAL, "rubric": "x"}, ("rubric",), "does not go with 'questions'"),
        ({**YES, "min_confidence": 1.5}, ("min_confidence",), "must be at most 1, got 1.5"),
        ({"ask": "decision", "questions": {}}, ("questions",), "must not be empty"),
        (
            {"ask": "decision", "questions": {str(number): "x" for number in range(1001)}},
            ("questions",),
            "at most 1000 items",
        ),
        ({"ask": "decision", "questions": {"a": 3}}, ("questions", "a"), "must be a rubric, or"),
        (
            {"ask": "decision", "questions": {"a": {"rubric": "x", "min": 0}}},
            ("questions", "a", "min"),
            "must be a probability above 0",
        ),
        ({"ask": "decision", "questions": {"a": {}}}, ("questions", "a"), "needs 'rubric'"),
        *(
            ({**YES, "choice": choice}, ("choice", *path), message)
            for choice, path, message in (
                ({"options": ["a", "a"], "accept": "a"}, ("options",), "is there twice"),
                ({"options": ["a"], "accept": "a"}, ("options",), "at least 2 items"),
                ({"options": "a", "accept": "a"}, ("options",), "must be a list of options"),
                ({"options": ["a", " b"], "accept": "a"}, ("options",), "space"),
                ({"options": ["a", "b"], "accept": "c"}, ("accept",), "is not an option; valid: a"),
                ({"options": ["a", "b"], "accept": ["b", "a"]}, ("accept",), "accepts every"),
            )
        ),
        *(
            ({**YES, "score": score}, ("score", *path), message)
            for score, path, message in (
                ({"levels": ["a"], "min": 1}, ("levels",), "at least 2 items"),
                ({"levels": ["a", "b"], "min": 0}, ("min",), "must be above 0 and at most 1"),
                ({"levels": ["a", "b"], "min": 2}, ("min",), "must be above 0 and at most 1"),
                ({"levels": ["a", "b"]}, (), "needs 'min'"),
            )
        ),
    ],
    ids=repr,
)
def test_options_that_cannot_work_are_refused(options: Any, path: Any, message: str) -> None:
    with pytest.raises(BadArguments) as raised:
        Catalog().build("judge", options, bare=False)
    found = raised.value.problems
    assert any(where[: len(path)] == path and message in text for where, text in found), found


@pytest.mark.parametrize(
    ("old", "new", "order"),
    [
        (YES, {**YES, "min": 0.6}, Order.STRICTER),
        ({**YES, "min": 0.6}, YES, Order.LOOSER),
        ({"rubric": "x"}, {"rubric": "x", "min": 0.6}, Order.LOOSER),
        (TONE, {**YES, "choice": {**TONE["choice"], "accept": ["polite"]}}, Order.STRICTER),
        (CLEAR, {**YES, "score": {**CLEAR["score"], "min": 1}}, Order.LOOSER),
        (YES, TONE, Order.CHANGED),
        # 0.7 of a written score and 0.5 of a probability cannot be ordered.
        ({"rubric": "It offers a refund."}, YES, Order.CHANGED),
        (YES, {"rubric": "It offers a refund.", "min": 0.1}, Order.CHANGED),
        (YES, {**YES, "min_confidence": 0.8}, Order.STRICTER),
        (SEVERAL, {**SEVERAL, "questions": {"refund": "It offers a refund."}}, Order.LOOSER),
    ],
)
def test_a_changed_limit_is_ordered(old: Any, new: Any, order: Order) -> None:
    checks = [Catalog().build("judge", options, bare=False) for options in (old, new)]
    assert worst_order(change.order for change in option_changes(*checks)) is order


@given(
    st.lists(st.integers(1, 100), min_size=2, max_size=6),
    st.integers(1, 5),
    st.floats(0.01, 1),
)
def test_numbers_of_any_consistent_answer_agree(
    weights: list[int], limit: int, min_confidence: float
) -> None:
    shares = [weight / sum(weights) for weight in weights]
    names = [f"o{number}" for number in range(len(shares))]
    best = max(range(len(shares)), key=shares.__getitem__)
    accept = names[: min(limit, len(names) - 1)]
    choice = Question.model_validate(
        {"rubric": "x", "choice": {"options": names, "accept": accept, "ordered": True}}
    )
    score = Question.model_validate(
        {"rubric": "x", "score": {"levels": names, "min": min(limit, len(names) - 1)}}
    )
    mean = sum(level * share for level, share in enumerate(shares))
    for question, reply in (
        (choice, chosen(names[best], **dict(zip(names, shares, strict=True)))),
        (score, scored(mean, *shares)),
    ):
        assert answer_problems(question, reply) == []
        judgment = read_judgment(
            question,
            reply,
            name=None,
            model="m",
            model_version=None,
            min_confidence=min_confidence,
        )
        assert judgment.probability is not None
        assert judgment.confidence is not None
        assert 0 <= judgment.probability <= 1
        is_pass = judgment.verdict is Verdict.PASSED
        side = judgment.probability if is_pass else 1 - judgment.probability
        assert judgment.confidence == pytest.approx(side)
        assert judgment.uncertain == (judgment.confidence < min_confidence - 1e-9)
