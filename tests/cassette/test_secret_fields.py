"""Values that are secret because of their field: never written, and still matched in replay."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from evalkit.cassette.bodies import to_text
from evalkit.cassette.matching import Player, body_value
from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from evalkit.cassette.secret_fields import redact_fields
from evalkit.cassette.secret_names import TOKEN

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
    ("https://h/graphql", {"variables": json.dumps({"password": SECRET, "log": "[1]"})}),
    ("https://h/events", {"records": [json.dumps({"body": json.dumps({"api_key": SECRET})})]}),
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
        assert clean.count("\n") == body.count("\n")


PART = 'Content-Disposition: form-data; name="client_secret"'
FORMS = {
    "a name twice": '{"password": "VALUE", "password": "VALUE"}',
    "a name twice, the last not secret": '{"environment_key":"VALUE","environment_key":1}',
    "an object twice": '{"a": {"password": "VALUE"}, "a": 1.0}',
    "headers twice": '{"tools":[{"headers":{"a":"VALUE"},"headers":{}}]}',
    "cut after the value": '{"environment_key": "VALUE", "x": [1,',
    "NaN": '{"environment_key": "VALUE", "x": NaN}',
    "nested deep": f'{{"environment_key": "VALUE", "x": {"[" * 9000}{"]" * 9000}}}',
    "lines": '{"a":1}\n{"environment_key": "VALUE"}\r\n',
    "an event over several lines": 'data: {"a":1,\ndata: "environment_key": "VALUE"}\n\n',
    "an error after a stream": 'data: {"a":1}\n\n{\n "environment_key": "VALUE"\n}\n',
    "a list in an event": 'data:\t[{"environment_key": "VALUE"}]\r\n\r\n',
    "a byte order mark": '\ufeff{"environment_key": "VALUE"}',
    "a guarded answer": ')]}\'\n{"environment_key": "VALUE"}',
    "an escaped name": '{"pass\\u0077ord": "VALUE"}',
    "a list of objects": '{"signing_secrets": [{"secret": "VALUE", "expire_time": "2026"}]}',
    "a list of values": '{"tools": [{"headers": {"x": ["VALUE"]}}]}',
    "a part of a form": f"--b\r\n{PART}\r\n\r\nVALUE\r\n--b--\r\n",
    "JSON in a form": '--b\r\nContent-Type: x\r\n\r\n{"client_secret": "VALUE"}\r\n--b--\r\n',
    "a form with spaces": "client_secret=VALUE&x=a b",
    "XML": "<a:r><SecretAccessKey>VALUE</SecretAccessKey> <b/></a:r>",
}
RANDOM = "q7RtZ0vX3mK9pL2wY5sD8fH1"


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("coding", ["", "latin-1", "gzip"])
def test_a_redacted_body_keeps_its_form(name: str, coding: str) -> None:
    text, clean = FORMS[name].replace("VALUE", RANDOM), FORMS[name].replace("VALUE", TOKEN)
    body: str | bytes = text
    headers: dict[str, list[str]] = {"content-type": ["text/plain"]}
    if coding == "latin-1":
        body, clean = text.encode() + b"\xe9", clean + "\udce9"
    elif coding == "gzip":
        body, headers = gzip.compress(text.encode()), {**headers, "content-encoding": ["gzip"]}
    recording = Recording("POST", CREATE, body=body, response_headers=headers)
    recorded, _ = Redactor().recording(recording)
    assert to_text(recorded.body) == clean
    assert list(recorded.response_headers) == ["content-type"]
    if coding != "gzip":
        sent = Recording("POST", CREATE, body)
        recorded, _ = Redactor().recording(sent)
        assert to_text(recorded.request_body or "") == clean
        player = Player([recorded])
        assert player.take("POST", "/v1/interactions", (), body_value(body)) == 0


def test_a_body_that_was_cut_in_a_secret_does_not_have_it() -> None:
    for cut in (3, len(RANDOM)):
        body = f'{{"a": 1, "password": "{RANDOM[:cut]}'
        recorded, _ = Redactor().recording(Recording("POST", CREATE, body=body))
        assert recorded.body == '{"a": 1, "password": "REDACTED"'


@pytest.mark.parametrize(
    "body",
    [
        '{"password": 1234567, "id_token": null}',
        '{"properties": {"password": {"type": "string", "description": "Of the user."}}}',
        '{"input": "<password>x", "a": "\\u0041"}',
        "The password = x is in a sentence & no form.",
        "form-data",
    ],
)
def test_a_body_that_only_mentions_secrets_stays(body: str) -> None:
    recording = Recording("POST", CREATE, body, body=body)
    assert Redactor().recording(recording) == (recording, 0)


def test_a_token_in_a_path_is_redacted_and_matched() -> None:
    path = f"/v1/interactions/v1_a/auth_tokens/{RANDOM}"
    recorded, _ = Redactor().recording(Recording("DELETE", f"https://h{path}", body="{}"))
    assert recorded.uri == f"https://h/v1/interactions/v1_a/auth_tokens/{TOKEN}"
    assert Player([recorded]).take("DELETE", path, (), None) == 0
    assert Redactor().with_secrets_in(Recording("DELETE", path)).finds(RANDOM)


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
        {"input": '{"api_key": "my-own-key-0"}', "system_instruction": '{"password": "sesame"}'},
        {"input": [{"type": "text", "text": '{"auth_token": "my-own-key-0"}'}]},
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
