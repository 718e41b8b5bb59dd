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
