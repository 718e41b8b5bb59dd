"""A secret that nobody configured is known by position or format: not written, and found by lint."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
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
    "assertion", "secret", "jwt", "x-api-key", "code_verifier", "subscription-key", "private_token",
    "oauth_token", "oauth_signature", "app_key", "auth_key", "consumer_secret", "db_password",
    "passphrase", "sessionid", "%6Bey", "X-Api-Token",
)  # fmt: skip
FIELDS = (
    "access_token", "accessToken", "refresh_token", "id_token", "client_secret", "clientSecret",
    "assertion", "auth_token", "environment_key", "new_signing_secret", "password", "api_key",
    "apiKey", "private_key", "device_code", "secret_access_key", "SecretAccessKey", "x-api-key",
    "userPassword", "db_password", "webhookSecret", "app_secret", "secret", "token", "bearer_token",
    "AccountKey", "subject_token", "passphrase", "csrf_token", "sasToken", "authorization", "jwt",
)  # fmt: skip
HEADERS = (
    "authorization", "proxy-authorization", "api-key", "x-api-key", "x-goog-api-key",
    "x-auth-token", "x-amz-security-token", "private-token", "ocp-apim-subscription-key",
    "x-functions-key", "x-vault-token", "dpop", "x-shopify-access-token", "cf-access-client-secret",
)  # fmt: skip
FORMATS = (
    f"AIza{VALUE}{VALUE}"[:39], f"ya29.{VALUE}{VALUE}", f"sk-{VALUE}{VALUE}", f"sk-ant-{VALUE * 2}",
    f"ghp_{VALUE}{VALUE}", f"xoxb-{VALUE}", f"whsec_{VALUE}", f"AKIA{'Q7RTZ0VX3MK9PL2W'}",
    f"eyJ{VALUE}.eyJ{VALUE}.{VALUE}", f"glpat-{VALUE}", f"hf_{VALUE}{VALUE}"[:40], PEM,
    PEM.replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A\n\n", 1),
    PEM.replace("EC PRIVATE KEY", "PGP PRIVATE KEY BLOCK"), f"gsk_{VALUE}{VALUE}", f"npm_{VALUE * 2}",
    f"https://hooks.slack.com/services/T0AB12CD3/B0AB12CD3/{VALUE}", f"postgres://me:{VALUE}@db/x",
    f"eyJ{VALUE}.{VALUE}.{VALUE}.{VALUE}.{VALUE}", f"123456789:AA{VALUE}{VALUE}"[:45],
)  # fmt: skip
BODIES = (
    'API_KEY="VALUE"\nA=b\n', "password: VALUE\na: 1\n", "[default]\nclient_secret = VALUE\n",
    'var config = {apiKey: "VALUE", a: 1};', "login(password: VALUE)", "Authorization: Bearer VALUE",
    '<form><input type="hidden" name="access_token" value="VALUE"></form>',
    "<p><input value='VALUE' id=p type=password></p>",
    '<head><meta name="csrf-token" content="VALUE"/></head>', '<a data-api-key="VALUE">x</a>',
    '<user name="a" password="VALUE"/>', "<password><![CDATA[VALUE]]></password>",
    "<a><password><value>VALUE</value></password></a>",
    "<member><name>password</name><value><string>VALUE</string></value></member>",
    "<dict><key>password</key>\n<string>VALUE</string></dict>",
    '<html>\n<script>window.state = {"access_token": "VALUE"}</script>\n</html>',
    'callback({"access_token":"VALUE"});', "data: access_token=VALUE\n\n", "user[password]=VALUE",
    "a=1;password=VALUE", '--b\r\nContent-Disposition: form-data; name=password\r\n\r\nVALUE\r\n--b--',
)  # fmt: skip
PHRASES = ("Bad password=VALUE", "See https://x/?token=VALUE", 'Bad "api_key": "VALUE"')
CHALLENGES = (
    'Bearer realm="x", token="VALUE"',
    "Negotiate VALUE==",
    'Basic realm="x", api_key=VALUE',
)
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
    **{f"body {text[:12]}": recording(text.replace("VALUE", VALUE)) for text in BODIES},
    **{f"message {text[:12]}": recording({"error": {"message": text.replace("VALUE", VALUE)}})
       for text in BODIES[:6]},
    **{f"reason {text[:12]}": recording(reason=text.replace("VALUE", VALUE)) for text in PHRASES},
    **{f"break {text[:12]}": recording(broken=text.replace("VALUE", VALUE)) for text in PHRASES},
    **{f"challenge {text[:12]}": recording(
        status=401, response_headers={**JSON_TYPE, name: [text.replace("VALUE", VALUE)]}
    ) for text in CHALLENGES for name in ("www-authenticate", "proxy-authenticate")},
    "second cookie of a header": recording(
        response_headers={
            **JSON_TYPE,
            "set-cookie": [f"a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/, sid={VALUE}"],
        }
    ),
    "address in a parameter": recording(
        response_headers={
            **JSON_TYPE, "location": [f"/login?next=https%3A%2F%2Fx%2F%3Faccess_token%3D{VALUE}&a=1"]
        }
    ),
    "header in a list": recording({"headers": [{"name": "Authorization", "value": f"Bearer {VALUE}"}]}),
    "variable in a list": recording({"env": [{"name": "MY_API_KEY", "value": VALUE}, {"name": "a"}]}),
    "address in a header": recording(
        status=302, response_headers={"location": [f"/next?code={VALUE}&state=x"]}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_secret_by_position_or_format_is_not_written(name: str, tmp_path: Path) -> None:
    item = RECORDINGS[name]
    clean, _ = Redactor().recording(item)
    assert VALUE[:12] not in repr(clean)
    if not name.startswith(("header ", "cookie that is sent")):
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
        if not name.startswith(("streamed format", "address in a header", "address in a parameter"))
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
        recording({"continuation_token": VALUE, "next_page_token": VALUE, "etag": VALUE}),
        recording(uri=f"{BASE}?page_token={VALUE}&continuation_token={VALUE}"),
        recording({"text": f"password = {VALUE}", "arguments": {"password": VALUE}}),
        recording(request_body=json.dumps({"input": f"api_key={VALUE}", "model": "m"})),
        recording("<p>Your password: it must have 16 characters.</p><input name=password>"),
        recording("secret_key: short\nkeyboard: q7RtZ0vX3mK9pL2wY5sD8fH1\n"),
        recording(
            reason="Token expired", response_headers={"www-authenticate": ['Basic realm="x"']}
        ),
    ],
)
def test_what_is_no_secret_stays(item: Recording) -> None:
    clean, count = Redactor().recording(item)
    assert clean == item
    assert count == 0


@pytest.mark.parametrize("redactor", [Redactor(), Redactor([VALUE])])
@pytest.mark.parametrize("part", ["request", "response"])
@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_compressed_file_stays_one(
    redactor: Redactor, part: str, compress: Callable[[bytes], bytes]
) -> None:
    body = compress(json.dumps({"access_token": VALUE}).encode())
    item = recording(request_body=body) if part == "request" else replace(recording(), body=body)
    clean, _ = redactor.recording(item)
    stored = clean.request_body if part == "request" else clean.body
    assert isinstance(stored, bytes)
    opened = zlib.decompress(stored, wbits=zlib.MAX_WBITS | 32)
    assert opened == b'{"access_token": "REDACTED"}'
    plain = compress(b'{"a": 1}')
    item = recording(request_body=plain) if part == "request" else replace(recording(), body=plain)
    assert redactor.recording(item) == (item, 0)
