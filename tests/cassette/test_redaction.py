"""Known secrets are replaced in every spelling; the guard finds what was not redacted."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import TOKEN, Redactor
from evalkit.errors import SecretLeak, UsageError
from tests.cassette.samples import recording

KEY = "AIzaSyD-planted_key/0123+456789=abc"


def redacted(body: str) -> str:
    clean, _ = Redactor([KEY]).recording(
        Recording("POST", "http://h/v1beta/interactions", body=body)
    )
    assert isinstance(clean.body, str)
    return clean.body


SPELLINGS = {
    "as it is": KEY,
    "percent-encoded": quote(KEY, safe=""),
    "percent-encoded in lower case": quote(KEY, safe="").replace("%2F", "%2f"),
    "percent-encoded twice": quote(quote(KEY, safe=""), safe=""),
    "every character percent-encoded": "".join(f"%{ord(char):02X}" for char in KEY),
    "JSON with escaped slashes": KEY.replace("/", "\\/"),
    "JSON with every character escaped": "".join(f"\\u{ord(char):04x}" for char in KEY),
    "JSON inside JSON": json.dumps(
        json.dumps({"k": "".join(f"\\u{ord(char):04X}" for char in KEY)})
    ),
    "YAML escapes": "".join(f"\\x{ord(char):02x}" for char in KEY),
}


@pytest.mark.parametrize(
    "spelling", [spelling for name, spelling in SPELLINGS.items() if name != "YAML escapes"]
)
def test_every_spelling_is_replaced(spelling: str) -> None:
    text = Redactor([KEY]).text(f"before {spelling} after {spelling}")
    assert text.startswith("before ")
    assert text.count(TOKEN) == 2
    Redactor([KEY]).guard(text, "x")


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_the_guard_finds_every_spelling_and_does_not_print_it(spelling: str) -> None:
    with pytest.raises(SecretLeak, match=r"^c\.yaml: a known secret") as caught:
        Redactor([KEY]).guard(f"x{spelling}x", "c.yaml")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "some longer text "])
@pytest.mark.parametrize("urlsafe", [False, True])
def test_base64_at_every_alignment_stays_base64(before: str, urlsafe: bool) -> None:
    text = base64.b64encode(f"{before}{KEY} and more".encode()).decode()
    if urlsafe:
        text = text.replace("+", "-").replace("/", "_")
    with pytest.raises(SecretLeak):
        Redactor([KEY]).guard(text, "x")
    clean = Redactor([KEY]).text(text)
    assert len(clean) == len(text)
    assert KEY[2:-2].encode() not in base64.urlsafe_b64decode(
        clean.replace("+", "-").replace("/", "_")
    )
    Redactor([KEY]).guard(clean, "x")


def test_a_key_split_over_the_events_of_a_stream_is_replaced() -> None:
    def delta(text: str) -> str:
        event = {"event_type": "step.delta", "delta": {"type": "text", "text": text}}
        return f"event: step.delta\ndata: {json.dumps(event)}\n\n"

    pieces = ["The key is ", KEY[:9], KEY[9:20], KEY[20:] + ". Again: " + KEY[:3], KEY[3:], " done"]
    body = redacted("".join(map(delta, pieces)))
    texts = [
        json.loads(line[6:])["delta"]["text"]
        for line in body.splitlines()
        if line.startswith("data: ")
    ]
    assert "".join(texts) == f"The key is {TOKEN}. Again: {TOKEN} done"
    assert len(texts) == len(pieces)


def test_only_allowed_headers_are_stored() -> None:
    item = recording({"a": 1})
    item.request_headers |= {
        "X-Goog-Api-Key": [KEY],
        "authorization": ["Bearer x"],
        "Cookie": ["c"],
        "user-agent": ["me"],
    }
    item.response_headers |= {"Set-Cookie": ["s"], "Retry-After": ["5"], "x-request-id": ["7"]}
    clean, _ = Redactor().recording(item)
    assert clean.request_headers == {"content-type": ["application/json"]}
    assert clean.response_headers == {"content-type": ["application/json"], "retry-after": ["5"]}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://h/v1/x?key=abc&alt=sse", f"https://h/v1/x?key={TOKEN}&alt=sse"),
        ("https://h/v1/x?alt=sse&API_KEY=abc#f", f"https://h/v1/x?alt=sse&API_KEY={TOKEN}#f"),
        (
            "https://h/v1/x?access%5Ftoken=abc&access_token=",
            f"https://h/v1/x?access%5Ftoken={TOKEN}&access_token={TOKEN}",
        ),
        ("https://me:pw@h:8080/v1/x", "https://h:8080/v1/x"),
        (f"https://h/{KEY}/x?q={quote(KEY, safe='')}", f"https://h/{TOKEN}/x?q={TOKEN}"),
        ("https://h/v1/x?page_token=7&keys=1", "https://h/v1/x?page_token=7&keys=1"),
        (f"https://h/v1/x?key={TOKEN}", f"https://h/v1/x?key={TOKEN}"),
    ],
)
def test_credentials_in_uris_are_replaced(uri: str, expected: str) -> None:
    assert Redactor([KEY]).uri(uri) == expected


def test_every_text_of_a_recording_is_redacted_and_counted() -> None:
    item = recording(
        {"a": KEY},
        {"b": KEY},
        path=f"/x?key={KEY}",
        reason=KEY,
        broken=f"lost {KEY}",
        extra={"url": KEY},
    )
    item.response_headers["retry-after"] = [KEY]
    clean, count = Redactor([KEY]).recording(item)
    assert KEY not in repr(clean)
    assert count == 7
    binary, _ = Redactor([KEY]).recording(
        Recording("POST", "http://h/", b"\xff" + KEY.encode(), body=KEY.encode() + b"\xff")
    )
    assert binary.request_body == b"\xff" + TOKEN.encode()
    assert binary.body == TOKEN.encode() + b"\xff"


@pytest.mark.parametrize("short", ["", "no-key", "1234567", "   x   ", TOKEN])
def test_short_secrets_are_not_replaced(short: str) -> None:
    redactor = Redactor([short])
    assert not redactor.active
    assert redactor.text("no-key 1234567 x") == "no-key 1234567 x"


def test_patterns_are_replaced_and_validated() -> None:
    redactor = Redactor([], [r"\b\d{3}-\d{2}-\d{4}\b"])
    assert redactor.text('{"ssn": "123-45-6789"}') == f'{{"ssn": "{TOKEN}"}}'
    with pytest.raises(UsageError, match="redaction pattern '\\('"):
        Redactor([], ["("]).text("x")


def test_a_pattern_that_breaks_json_is_refused() -> None:
    with pytest.raises(UsageError, match="breaks a JSON body"):
        Redactor([], ['": "']).recording(recording({"a": "b"}))


def test_the_repr_has_no_secret() -> None:
    assert KEY not in repr(Redactor([KEY], ["x"]))


def test_adding_a_known_secret_returns_the_same_redactor() -> None:
    redactor = Redactor([KEY])
    assert redactor.with_secrets([KEY]) is redactor
    assert redactor.with_secrets(["another-secret"]).text("another-secret") == TOKEN


@settings(max_examples=60, deadline=None)
@given(
    st.text(
        st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=8, max_size=30
    ),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_redacted_text_has_no_secret_and_does_not_change_again(
    secret: str, before: str, after: str
) -> None:
    redactor = Redactor([secret])
    if secret in TOKEN or TOKEN in secret or secret.replace("\\", "") in f"{before}{TOKEN}{after}":
        return  # the guard looks past backslashes, and would rather refuse once too often
    text = redactor.text(json.dumps({"a": before + secret + after}))
    assert TOKEN in text
    redactor.guard(text, "x")
    assert redactor.text(text) == text


def test_a_secret_that_contains_the_token_is_replaced() -> None:
    body = 'data: {"text": "A"}\n\ndata: {"text": "AREDACTED"}\n\ndata: {"text": "AREDACTE"}\n\n'
    for secret in ("AREDACTED", "AREDACTE", "REDACTEDREDACTED"):
        clean, _ = Redactor([secret]).recording(Recording("POST", "http://h/", body=body * 3))
        Redactor([secret]).guard(clean.body, "x")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_text_without_a_secret_is_not_changed(text: str) -> None:
    assert Redactor([KEY]).text(text) == text


@pytest.mark.parametrize("secrets", [[], [KEY]], ids=["no key is known", "a key is known"])
def test_a_signing_secret_of_a_webhook_is_never_written(secrets: list[str]) -> None:
    secret = "whsec_QUJD/REVG+R0hJSktMTU5PUFFS"
    escaped = secret.replace("/", "\\/")
    body = f'{{"id":"wh_1","new_signing_secret":"{secret}","secret":"{escaped}"}}'
    clean, count = Redactor(secrets).recording(Recording("POST", "http://h/v1/webhooks", body=body))
    assert (clean.body, count) == (
        '{"id":"wh_1","new_signing_secret":"REDACTED","secret":"REDACTED"}',
        2,
    )
    prose, count = Redactor(secrets).recording(
        Recording("POST", "http://h/", body="Secrets begin with whsec_, then base64.")
    )
    assert (prose.body, count) == ("Secrets begin with whsec_, then base64.", 0)
