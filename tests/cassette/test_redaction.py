"""Known secrets are replaced in every spelling; the guard finds what was not redacted."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor, SecretValue, is_replaceable
from evalkit.cassette.secret_names import TOKEN
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
    item.response_headers |= {"Server": ["s"], "Retry-After": ["5"], "X-Api-Key": ["7"]}
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


@pytest.mark.parametrize("pattern", ['": "', '"a": ".*"', r'\{"a.*', '"b"', '.*"$|"x'])
def test_a_pattern_with_quotes_never_breaks_json(pattern: str) -> None:
    item = recording({"a": "b", "n": 7}, {"text": 'said "b"'})
    clean, _ = Redactor([], [pattern]).recording(item)
    assert json.loads(str(clean.request_body)).keys() == {"a", "n"}
    assert json.loads(str(clean.body)).keys() == {"text"}


@pytest.mark.parametrize("word", ["anything", "Development", "PLACEHOLDER", "qwertzuiopasdfgh"])
def test_a_key_that_is_a_word_leaves_texts_alone(word: str) -> None:
    redactor = Redactor([word])
    assert redactor.text(f"If you need {word}, ask.") == f"If you need {word}, ask."
    assert redactor.uri(f"https://h/v1/x?key={word}") == f"https://h/v1/x?key={TOKEN}"
    assert redactor.uri(f"https://h/{word}/x?q={word}") == f"https://h/{word}/x?q={TOKEN}"
    assert redactor.header("location", f"a {word} {word}s") == f"a {TOKEN} {word}s"
    redactor.guard(f"a text with {word}", "c.yaml")
    assert not redactor.active


@pytest.mark.parametrize("key", ["test-key", "aQzKbWxRtY", "anything1", "AIzaSyD-k", "1234567"])
def test_a_short_key_is_replaced_in_headers_and_urls_only(key: str) -> None:
    redactor = Redactor([key])
    assert redactor.text(f"It is {key}.") == f"It is {key}."
    assert redactor.uri(f"https://h/{key}/x?q={key}&r={key}s") == (
        f"https://h/{TOKEN}/x?q={TOKEN}&r={key}s"
    )
    assert redactor.header("x-next", f"{key}; {key}s") == f"{TOKEN}; {key}s"


def test_a_short_value_that_a_suite_sends_is_replaced_in_texts() -> None:
    redactor = Redactor([SecretValue(" tok-9f8a7b "), "tok-short"])
    assert redactor.text('{"a": "tok-9f8a7b tok-short"}') == '{"a": "REDACTED tok-short"}'
    assert Redactor().with_secrets([SecretValue("tok-9f8a7b")]).text("tok-9f8a7b") == TOKEN
    assert not is_replaceable(SecretValue("anything"))


@pytest.mark.parametrize("key", ["a" * 25, "AIzaSyD-planted_", "no-key-is-needed"])
def test_a_long_key_that_is_not_a_word_is_replaced(key: str) -> None:
    assert Redactor([key]).text(f"It is {key}.") == f"It is {TOKEN}."


MAIL = r"dana@\S+"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"a": "to dana@example.org", "b": "Be brief."}, {"a": f"to {TOKEN}", "b": "Be brief."}),
        ({"a": "dana@example.org\nnext"}, {"a": f"{TOKEN}\nnext"}),
        ({"a": '{"to": "dana@example.org", "n": 1}'}, {"a": f'{{"to": "{TOKEN}", "n": 1}}'}),
        ({"a": '["{\\"to\\": \\"dana@x.org\\"}"]'}, {"a": f'["{{\\"to\\": \\"{TOKEN}\\"}}"]'}),
        ({"dana@example.org": ["dana@"], "dana": 1}, {TOKEN: ["dana@"], "dana": 1}),
        ({"a": 'said "dana@example.org" to'}, {"a": f'said "{TOKEN} to'}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("indent", [None, 2])
def test_a_pattern_takes_nothing_of_the_json_around_it(
    body: object, expected: object, indent: int | None
) -> None:
    text = json.dumps(body, indent=indent)
    assert json.loads(Redactor([], [MAIL]).text(text)) == expected
    clean, _ = Redactor([], [MAIL]).recording(Recording("POST", "http://h/", text, body=text))
    assert json.loads(str(clean.request_body)) == json.loads(str(clean.body)) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (
            r"\d{12,}",
            '{"card":4111111111111111,"n":7,"x":1.0}',
            '{"card":"REDACTED","n":7,"x":1.0}',
        ),
        (r"\d+", '{"n":7,"t":1234,"x":10000000.5}', '{"n":7,"t":1234,"x":10000000.5}'),
        ("text", '{"type":"text","text":"a text"}', '{"type":"REDACTED","text":"a REDACTED"}'),
        ("x*", '{"a": "xxb"}', '{"a": "REDACTEDb"}'),
        (r'(?<="n": ")[^"]+', '{"n": "7", "m": "7"}', '{"n": "REDACTED", "m": "7"}'),
        (MAIL, "not {JSON} dana@x.org", "not {JSON} REDACTED"),
        (MAIL, '{"a": "\\udc00 dana@x.org"}', '{"a": "\\udc00 REDACTED"}'),
        (MAIL, '{"a": 1e21, "ü": "dana@x.org"}', '{"a": 1e21, "ü": "REDACTED"}'),
    ],
)
def test_a_pattern_replaces_strings_and_long_whole_numbers(
    pattern: str, text: str, expected: str
) -> None:
    assert Redactor([], [pattern]).text(text) == expected


def stream(*deltas: dict[str, Any], end: str = "\n") -> str:
    events = [
        {"event_type": "step.delta", "index": delta.pop("index", 0), "delta": delta}
        for delta in deltas
    ]
    return "".join(f"event: step.delta{end}data: {json.dumps(event)}{end}{end}" for event in events)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("field", ["text", "arguments"])
def test_a_pattern_sees_the_text_that_a_stream_adds_up_to(field: str, end: str) -> None:
    pieces = ['{"to": "dana@', "exam", 'ple.org", "cc": "', 'dana@x.org"}']
    deltas: list[dict[str, Any]] = [{"type": field, field: piece} for piece in pieces]
    other: dict[str, Any] = {"type": field, field: "dana@", "index": 1}
    body = stream(*deltas[:2], other, *deltas[2:], end=end) + f"data: [DONE]{end}{end}"
    clean, _ = Redactor([], [MAIL]).recording(Recording("POST", "http://h/", body=body))
    lines = [line for line in str(clean.body).split(end) if line.startswith("data: {")]
    events = [json.loads(line[6:]) for line in lines]
    texts = [event["delta"][field] for event in events if event["index"] == 0]
    assert json.loads("".join(texts)) == {"to": TOKEN, "cc": TOKEN}
    assert events[2]["delta"][field] == "dana@"
    assert str(clean.body).endswith(f"data: [DONE]{end}{end}")
    assert Redactor([], [MAIL]).recording(clean)[0].body == clean.body


@pytest.mark.parametrize(
    "spelling",
    [KEY, quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode(), json.dumps({"k": KEY})],
    ids=["plain", "percent", "base64", "json"],
)
def test_a_key_split_over_a_stream_is_replaced_in_every_spelling(spelling: str) -> None:
    pieces = [spelling[at : at + 5] for at in range(0, len(spelling), 5)]
    body = stream(*({"type": "text", "text": piece} for piece in pieces))
    lines = [line for line in redacted(body).splitlines() if line.startswith("data:")]
    joined = "".join(json.loads(line[6:])["delta"]["text"] for line in lines)
    Redactor([KEY]).guard(joined, "x")
    assert TOKEN in joined


def test_an_error_in_the_middle_of_a_stream_stays_json() -> None:
    error = json.dumps([{"error": {"message": "no dana@x.org", "code": 503}}], indent=2)
    body = stream({"type": "text", "text": "a"}) + error
    clean, _ = Redactor([], [MAIL]).recording(Recording("POST", "http://h/", body=body))
    tail = str(clean.body)[str(clean.body).index("[") :]
    assert json.loads(tail) == [{"error": {"message": f"no {TOKEN}", "code": 503}}]


def test_the_repr_has_no_secret() -> None:
    assert KEY not in repr(Redactor([KEY], ["x"]))


def test_adding_a_known_secret_returns_the_same_redactor() -> None:
    redactor = Redactor([KEY])
    assert redactor.with_secrets([KEY]) is redactor
    assert redactor.with_secrets(["another-secret-7"]).text("another-secret-7") == TOKEN


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
    if (
        not is_replaceable(secret)
        or TOKEN in secret
        or secret.replace("\\", "") in f"{before}{TOKEN}{after}"
    ):
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
