"""Values that are secret because of their field: never written, and still matched in replay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalkit.cassette.headers import TOKEN
from evalkit.cassette.matching import Player
from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from evalkit.cassette.secret_fields import redact_fields

SECRET = "s3cr3t/with some+parts="
CREATE = "https://h/v1/interactions"


def mcp(headers: dict[str, str]) -> dict[str, Any]:
    return {"model": "m", "tools": [{"type": "mcp_server", "url": "https://m", "headers": headers}]}


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    (CREATE, mcp({"x-tenant-key": SECRET})),
    (CREATE, {"environment": {"type": "remote", "env": {"NAME": SECRET}}}),
    (CREATE, {"environment": {"type": "remote", "env": {"NAME": {"value": SECRET}}}}),
    (CREATE, {"environment": {"sources": [{"type": "gcs", "headers": {"a": SECRET}}]}}),
    (
        CREATE,
        {"environment": {"network": {"allowlist": [{"domain": "d", "transform": {"a": SECRET}}]}}},
    ),
    ("https://h/v1beta/agents", {"base_environment": {"env": {"NAME": {"value": SECRET}}}}),
    ("https://h/v1/triggers", {"interaction": {"environment": {"env": {"NAME": SECRET}}}}),
    ("https://h/v1/credentials", {"id": "c", "type": "bearer_token", "token": SECRET}),
    ("https://h/v1/credentials/c", {"type": "environment_variable", "value": SECRET}),
    ("https://h/v1/credentials", {"type": "oauth2", "refresh_token": SECRET, "client_secret": "x"}),
]


@pytest.mark.parametrize(("uri", "body"), REQUESTS)
def test_a_secret_field_of_a_request_is_redacted_and_matched(
    uri: str, body: dict[str, Any]
) -> None:
    recorded, count = Redactor().recording(Recording("POST", uri, json.dumps(body), body="{}"))
    assert count >= 1
    assert "s3cr3t" not in repr(recorded)
    assert TOKEN in str(recorded.request_body)
    path = uri.removeprefix("https://h")
    other = json.loads(json.dumps(body).replace("s3cr3t", "another"))
    for sent in (body, other):
        assert Player([recorded]).take("POST", path, (), sent) == 0
    assert Player([recorded]).take("POST", path, (), {**body, "model": "other"}) is None


ANSWERS: list[dict[str, Any]] = [
    {"id": "env_1", "environment_key": SECRET},
    {"auth_token": "auth_tokens/" + "f" * 20 + "1", "expires_at": "2026-11-30T00:00:00Z"},
    {"id": "wh_1", "new_signing_secret": SECRET},
    {"environments": [{"id": "env_1", "environment_key": SECRET}]},
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_secret_field_of_a_response_is_redacted(answer: dict[str, Any]) -> None:
    text = json.dumps(answer)
    stream = f"event: x\r\ndata: {text}\r\n\r\nevent: done\ndata: [DONE]\n\n"
    for body in (text, json.dumps(answer, indent=2), stream):
        clean = str(Redactor().recording(Recording("POST", CREATE, body=body))[0].body)
        assert "s3cr3t" not in clean
        assert "ffff" not in clean
        assert TOKEN in clean
        assert clean.count("\n") == (body.count("\n") if body is stream else 0)


def test_a_secret_found_once_is_known_afterwards() -> None:
    answer = json.dumps({"auth_token": "auth_tokens/0123456789abcdef"})
    first = Recording("POST", "https://h/v1/interactions/v1_a/auth_tokens", body=answer)
    then = Recording("DELETE", "https://h/v1/interactions/v1_a/auth_tokens/0123456789abcdef")
    redactor = Redactor().with_secrets_in(first)
    assert '"auth_tokens/REDACTED"' in str(redactor.recording(first)[0].body)
    assert redactor.recording(then)[0].uri.endswith("/auth_tokens/REDACTED")


@pytest.mark.parametrize(
    "body",
    [
        {"input": [{"type": "function_result", "result": {"auth_token": SECRET}}]},
        {"tools": [{"type": "function", "parameters": {"properties": {"auth_token": {}}}}]},
        {"steps": [{"type": "function_call", "arguments": {"environment": {"env": {"A": "b"}}}}]},
        {"tools": [{"type": "mcp_server", "url": "https://m", "headers": {}}]},
        {"environment": {"env": {"NAME": {"credential": "my-credential"}}}, "headers": {"a": "b"}},
        {"environment": "env_1", "token": "x", "value": "y"},
        [1, None, "auth_token"],
        "auth_token",
        None,
    ],
)
def test_what_a_model_reads_or_writes_and_other_fields_stay(body: Any) -> None:
    assert redact_fields(body, "/v1/interactions") == (body, [])
    text = json.dumps(body)
    assert Redactor().recording(Recording("POST", CREATE, text))[0].request_body == text


def test_a_word_in_a_secret_field_is_redacted_there_only() -> None:
    body = {**mcp({"authorization": "Bearer letmein"}), "input": "letmein"}
    recorded, _ = Redactor().recording(Recording("POST", CREATE, json.dumps(body)))
    assert json.loads(str(recorded.request_body)) == {
        **mcp({"authorization": f"Bearer {TOKEN}"}),
        "input": "letmein",
    }
