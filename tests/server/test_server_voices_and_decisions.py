"""Voices, credentials, auth tokens and decisions: what is refused, by the exact messages."""

from __future__ import annotations

from typing import Any

import pytest

NOUL = {"type": "noul", "instructions": "Is it?"}
PROMPTED = {"type": "prompted", "prompted": {"input": "deep"}}
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("voices", {"voice": PROMPTED}, 400, "'store' must be true for a voice of type prompted."),
    (
        "voices",
        {"voice": {"type": "prompted"}, "store": True},
        400,
        "'voice.prompted' is required.",
    ),
    ("voices", {"store": True}, 400, "'voice' is required."),
    ("voices", {"voice": {**PROMPTED, "x": 1}}, 400, "Unknown parameter 'voice.x'."),
    ("credentials", {"type": "oauth2"}, 400, "'id' is required."),
    (
        "credentials",
        {"id": "c", "type": "password"},
        400,
        "Unsupported value for 'type': \"password\". "
        "Supported: bearer_token, environment_variable, oauth2.",
    ),
    (
        "decisions",
        {"model": "gemini-decision-1", "input": "x", "questions": {}},
        400,
        "'questions' must be 1 to 1000 questions by name, got {}.",
    ),
    (
        "decisions",
        {"model": "gpt", "input": "x", "questions": {"a": NOUL}},
        404,
        "Model 'gpt' was not found.",
    ),
    (
        "decisions",
        {
            "model": "models/gemini-decision-1",
            "input": "x",
            "questions": {"a": {"type": "choice", "instructions": "Which?"}},
        },
        400,
        "'questions.a.criteria' is required.",
    ),
]


TONE = {"type": "choice", "instructions": "Tone?", "criteria": {"rude": "", "kind": ""}}
CLEAR = {"type": "score", "instructions": "Clear?", "criteria": ["no", "so-so", "yes"]}
RULES = """\
  - {when: {question: {matches: 'is it (?P<what>\\w+)'}}, decide: "{{ 0.9 if match.what == 'raining' else 0.2 }}"}
  - {when: {question: tone?, text: {contains: hello}}, decide: kind}
  - {when: {question: tone?}, decide: {rude: 0.7, kind: 0.3}}
  - {when: {question: clear?}, times: 1, decide: 2}
  - {when: {question: clear?}, decide: {1: 0.5, 2: 0.5}}
  - {when: {question: bad}, decide: 3}
  - {when: {question: worse}, decide: mauve}
  - {when: {question: secret}, blocked: prohibited_content}
  - {when: {question: busy}, error: {status: 503, message: later}}
  - {when: {question: slow}, delay: 2, decide: 0.5}
  - {when: {question: flaky}, decide: 0.5, faults: [{error: 503, first: 1}, {delay: 2}]}
  - {reply: not for decisions}
"""


def decide(client: Any, text: str, **questions: Any) -> Any:
    return client(
        "POST",
        "/v1beta/decisions",
        {"model": "gemini-decision-1", "input": text, "questions": questions},
    )


def yes_no(instructions: str) -> dict[str, Any]:
    return {"type": "noul", "instructions": instructions}


def test_rules_decide_each_question(scripted: Any) -> None:
    client = scripted(RULES)
    first = decide(client, "Hello", a=yes_no("Is it raining?"), b=TONE, c=CLEAR)["answers"]
    assert first["a"] == {"type": "noul", "noul": 0.9, "confidence": 0.9}
    assert (first["b"]["choice"], first["b"]["probabilities"]) == ("kind", {"rude": 0, "kind": 1})
    assert (first["c"]["score"], first["c"]["legend"]["2"]) == (2, "yes")
    second = decide(client, "Bye", a=yes_no("Is it dry?"), b=TONE, c=CLEAR)["answers"]
    assert second["a"]["noul"] == 0.2
    assert (second["b"]["choice"], second["b"]["confidence"]) == ("rude", 0.7)
    assert (second["c"]["score"], second["c"]["probabilities"]["0"]) == (1.5, 0)
    assert client.create("Hello")["steps"][-1]["content"][0]["text"] == "not for decisions"


def test_a_rule_may_block_or_refuse_a_decision(scripted: Any) -> None:
    client = scripted(RULES)
    blocked = decide(client, "Hello", a=yes_no("other"), b=yes_no("secret"))
    assert blocked.keys() == {"prompt_feedback", "usage"}
    assert blocked["prompt_feedback"] == {"block_reason": "prohibited_content"}
    decide(client, "Hello", a=yes_no("slow"), b=yes_no("busy"))
    assert (client.last.status, client.last.delay) == (503, 2)


def test_the_faults_of_a_rule_strike_its_decisions_only_and_once_each(scripted: Any) -> None:
    client = scripted(RULES)
    decide(client, "Hello", a=yes_no("other"))
    assert client.last.faults == ()
    decide(client, "Hello", a=yes_no("flaky"), b=yes_no("also flaky"))
    assert (client.last.status, client.last.faults) == (503, ("error",))
    answers = decide(client, "Hello", a=yes_no("flaky"), b=yes_no("also flaky"))["answers"]
    assert {answer["noul"] for answer in answers.values()} == {0.5}
    assert (client.last.delay, client.last.faults) == (2, ("delay",))


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (yes_no("bad"), "'decide' must be the probability of yes, got 3."),
        ({**TONE, "instructions": "worse"}, "'decide' names \"mauve\"; valid: rude, kind."),
    ],
)
def test_a_rule_that_cannot_decide_is_named(scripted: Any, question: Any, message: str) -> None:
    error = decide(scripted(RULES), "x", a=question)["error"]["message"]
    assert "rule at test.yaml:" in error
    assert message.rstrip(".") in error


def test_an_input_of_too_many_tokens_is_refused(client: Any) -> None:
    error = decide(client, "word " * 300_000, a=NOUL)["error"]["message"]
    assert error.endswith("at most 262144 are accepted.")


@pytest.mark.parametrize(("resource", "body", "status", "expected"), REFUSED)
def test_an_invalid_request_is_refused(
    client: Any, resource: str, body: dict[str, Any], status: int, expected: str
) -> None:
    answer = client("POST", f"/v1/{resource}", body)
    assert (client.last.status, answer["error"]["message"]) == (status, expected)


def test_prebuilt_voices_stay(client: Any) -> None:
    client("DELETE", "/v1/voices/Puck")
    assert client.last.status == 403
    assert client("GET", "/v1/voices", gender="female")["voices"][0]["id"] == "Kore"
    assert client("GET", "/v1/voices", language_code="fr-FR") == {"voices": []}


def test_a_credential_exists_once(client: Any) -> None:
    body = {"id": "c", "type": "bearer_token", "token": "secret-token"}
    assert "secret-token" not in str(client("POST", "/v1/credentials", body))
    again = client("POST", "/v1/credentials", body)
    assert again["error"]["code"] == "already_exists"


@pytest.mark.parametrize(
    ("path", "body"),
    [("v1_none/auth_tokens", {}), ("{id}/auth_tokens", {"expire_time": "tomorrow"})],
)
def test_a_token_needs_an_interaction_and_a_time(client: Any, path: str, body: Any) -> None:
    created = client.create("Hello")
    client("POST", f"/v1/interactions/{path.format(id=created['id'])}", body)
    assert client.last.status in (400, 404)


def test_a_token_ends_at_its_time_and_is_deleted_once(client: Any) -> None:
    path = f"/v1/interactions/{client.create('Hello')['id']}/auth_tokens"
    token = client("POST", path, {"expire_time": "2020-01-01T00:00:00Z"})
    assert token["expires_at"] == "2020-01-01T00:00:00Z"
    assert not client.service.auth_tokens.accepts(token["auth_token"])
    assert client.service.auth_tokens.accepts(client("POST", path)["auth_token"])
    assert client("DELETE", f"{path}/{token['auth_token']}") == {}
    client("DELETE", f"{path}/{token['auth_token']}")
    assert client.last.status == 404
