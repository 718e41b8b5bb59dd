"""A secret that nobody configured is known by position or format: not written, and found by lint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from evalkit.cassette.serializer import VcrSerializer, vcr_response
from evalkit.lint import RULES
from tests.lint.cassettes import lint_findings, write

VALUE = "q7RtZ0vX3mK9pL2wY5sD8fH1"
BASE = "https://api.other.example/v1/things"
PEM = f"-----BEGIN EC PRIVATE KEY-----\n{VALUE}{VALUE}\n-----END EC PRIVATE KEY-----"
JSON_TYPE = {"content-type": ["application/json"]}


def recording(body: Any = "{}", **fields: Any) -> Recording:
    settings: dict[str, Any] = {
        "method": "POST", "uri": BASE, "request_body": "{}", "request_headers": JSON_TYPE,
        "status": 200, "reason": "OK", "response_headers": JSON_TYPE, **fields,
    }  # fmt: skip
    return Recording(body=body if isinstance(body, str) else json.dumps(body), **settings)


PARAMETERS = (
    "key", "api_key", "api-key", "apikey", "access_token", "refresh_token", "id_token", "token",
    "auth_token", "sig", "signature", "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token",
    "X-Goog-Signature", "X-Goog-Credential", "client_secret", "password", "client_assertion",
    "assertion", "secret", "jwt", "x-api-key", "code_verifier",
)  # fmt: skip
FIELDS = (
    "access_token", "accessToken", "refresh_token", "id_token", "client_secret", "clientSecret",
    "assertion", "auth_token", "environment_key", "new_signing_secret", "password", "api_key",
    "apiKey", "private_key", "device_code", "secret_access_key", "SecretAccessKey",
)  # fmt: skip
HEADERS = (
    "authorization", "proxy-authorization", "api-key", "x-api-key", "x-goog-api-key",
    "x-auth-token", "x-amz-security-token", "private-token", "ocp-apim-subscription-key",
)  # fmt: skip
FORMATS = (
    f"AIza{VALUE}{VALUE}"[:39], f"ya29.{VALUE}{VALUE}", f"sk-{VALUE}{VALUE}", f"sk-ant-{VALUE * 2}",
    f"ghp_{VALUE}{VALUE}", f"xoxb-{VALUE}", f"whsec_{VALUE}", f"AKIA{'Q7RTZ0VX3MK9PL2W'}",
    f"eyJ{VALUE}.eyJ{VALUE}.{VALUE}", f"glpat-{VALUE}", f"hf_{VALUE}{VALUE}"[:40], PEM,
)  # fmt: skip
RECORDINGS: dict[str, Recording] = {
    **{f"parameter {name}": recording(uri=f"{BASE}?{name}={VALUE}") for name in PARAMETERS},
    "user and password": recording(uri=f"https://me:{VALUE}@api.other.example/v1"),
    **{f"field {name}": recording({"a": [{name: VALUE}]}) for name in FIELDS},
    **{f"field of a stream {name}": recording(f'data: {{"{name}":"{VALUE}"}}\n\n')
       for name in FIELDS[:6]},
    **{f"form {name}": recording(request_body=f"a=1&{name}={VALUE}&b=2") for name in FIELDS[:6]},
    "code of a token request": recording(
        request_body=f"grant_type=authorization_code&code={VALUE}"
    ),
    "list of signing secrets": recording({"signing_secrets": [VALUE]}),
    "credential": recording(
        uri="https://generativelanguage.googleapis.com/v1/credentials",
        request_body=json.dumps({"type": "bearer_token", "token": VALUE}),
    ),
    "mcp header": recording(
        request_body=json.dumps({"tools": [{"type": "mcp_server", "headers": {"x": VALUE}}]})
    ),
    "cookie that is set": recording(
        response_headers={**JSON_TYPE, "set-cookie": [f"sid={VALUE}; Path=/"]}
    ),
    **{f"header {name}": recording(request_headers={**JSON_TYPE, name: [f"Bearer {VALUE}"]})
       for name in HEADERS},
    "cookie that is sent": recording(request_headers={**JSON_TYPE, "cookie": [f"a=b; sid={VALUE}"]}),
    **{f"format {text[:7]}": recording({"text": f"It is {text}."}) for text in FORMATS},
    **{f"streamed format {text[:7]}": recording(
        "".join(
            f"data: {json.dumps({'index': 0, 'delta': {'type': 'text', 'text': piece}})}\n\n"
            for piece in (text[:9], text[9:20], text[20:])
        ),
        response_headers={"content-type": ["text/event-stream"]},
    ) for text in FORMATS[:6]},
    "address in a text": recording({"uri": f"https://x.example/a?X-Goog-Signature={VALUE}&b=1"}),
    "address in a header": recording(
        status=302, response_headers={"location": [f"/next?code={VALUE}&state=x"]}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_secret_by_position_or_format_is_not_written(name: str, tmp_path: Path) -> None:
    item = RECORDINGS[name]
    clean, _ = Redactor().recording(item)
    assert VALUE[:12] not in repr(clean)
    if not name.startswith(("header", "cookie that is sent")):
        assert "REDACTED" in repr(clean) or "password" in name
    again, _ = Redactor().recording(clean)
    assert again == clean
    request = {
        "method": item.method, "uri": item.uri, "body": item.request_body,
        "headers": item.request_headers,
    }  # fmt: skip
    interactions = [{"request": request, "response": vcr_response(item)}]
    text = VcrSerializer(tmp_path / "_media", ()).serialize({"interactions": interactions})
    assert VALUE[:12] not in text


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in RECORDINGS
        if not name.startswith(("streamed format", "address in a header"))
    ],
)
def test_lint_finds_it_in_a_cassette_of_any_tool(name: str, tmp_path: Path) -> None:
    findings = [
        finding
        for finding in lint_findings(write(tmp_path / "c.yaml", RECORDINGS[name]))
        if RULES[finding.code].topic == "secrets"
    ]
    assert findings != []
    assert VALUE not in json.dumps([finding.to_json() for finding in findings])


@pytest.mark.parametrize(
    "item",
    [
        recording({"text": "Use ?key=YOUR_API_KEY and sk-... or ghp_<token>."}),
        recording({"token": "7", "code": "US", "state": "open", "signature": "c2ln" * 20}),
        recording({"steps": [{"type": "thought", "signature": "q7RtZ0vX" * 40}]}),
        recording(uri=f"{BASE}?code=US&page_token=abc&next=2"),
        recording(request_body="a=1&page=2"),
    ],
)
def test_what_is_no_secret_stays(item: Recording) -> None:
    assert Redactor().recording(item) == (item, 0)
