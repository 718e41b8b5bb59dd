from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import JSON
from evalkit.protocol.api_errors import ApiError, error_of, errors_of_run
from evalkit.protocol.error_bodies import read_error
from evalkit.protocol.wire_facts import CHECK_ADDRESS
from tests.protocol import strategies

BODIES: list[tuple[str, int, JSON, str, str]] = [
    (
        "API",
        400,
        {"error": {"code": "invalid_request", "message": "No."}},
        "invalid_request",
        "No.",
    ),
    (
        "gateway",
        400,
        {"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT"}},
        "INVALID_ARGUMENT",
        "No.",
    ),
    (
        "gateway, in a list",
        403,
        [{"error": {"code": 403, "message": "No.", "status": "X"}}],
        "X",
        "No.",
    ),
    (
        "no code",
        400,
        {"error": {"message": "No.", "status": "INVALID_ARGUMENT"}},
        "INVALID_ARGUMENT",
        "No.",
    ),
    ("message only", 429, {"error": {"message": "No."}}, "429", "No."),
    ("no message", 404, {"error": {"code": "not_found"}}, "not_found", "HTTP 404 Not Found"),
    ("error as text", 500, {"error": "broken"}, "500", "broken"),
    ("error object alone", 400, {"code": "x", "message": "No."}, "x", "No."),
    ("null error", 503, {"error": None}, "503", "HTTP 503 Service Unavailable"),
    ("blank message", 400, {"error": {"message": " "}}, "400", "HTTP 400 Bad Request"),
    (
        "fields of a wrong type",
        400,
        {"error": {"code": True, "message": 7}},
        "400",
        "HTTP 400 Bad Request",
    ),
]


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [row[1:] for row in BODIES],
    ids=[row[0] for row in BODIES],
)
def test_errors_in_json_bodies_are_read(status: int, body: JSON, code: str, message: str) -> None:
    assert read_error(status, json.dumps(body)) == ApiError(status, code, message, body)


TEXTS = [
    ("empty", "", "HTTP 502 Bad Gateway"),
    ("blank", " \n", "HTTP 502 Bad Gateway"),
    ("empty object", " {} ", "HTTP 502 Bad Gateway"),
    ("empty list", "[]", "HTTP 502 Bad Gateway"),
    ("null", "null", "HTTP 502 Bad Gateway"),
    ("empty string", '""', "HTTP 502 Bad Gateway"),
    ("number", "5", "HTTP 502 Bad Gateway: 5"),
    ("false", "false", "HTTP 502 Bad Gateway: false"),
    ("string", '"no route"', "HTTP 502 Bad Gateway: no route"),
    ("another object", '{"detail": "no"}', 'HTTP 502 Bad Gateway: {"detail": "no"}'),
    ("an object with a message", '{"message": "no"}', "HTTP 502 Bad Gateway: no"),
    ("plain text", "upstream\n  connect error", "HTTP 502 Bad Gateway: upstream connect error"),
    (
        "HTML with a title",
        "<!DOCTYPE html><html><head><title>\nError 502 &amp; more</title></head><body><h1>x</h1>",
        "HTTP 502 Bad Gateway: Error 502 & more",
    ),
    (
        "HTML with a heading",
        "<html><body><h1 class=a>Bad</h1><p>Go away",
        "HTTP 502 Bad Gateway: Bad",
    ),
    (
        "HTML without title and heading",
        "<html><style>p{}</style><body><p>Go<br>away",
        "HTTP 502 Bad Gateway: Go away",
    ),
    ("empty HTML", "<html></html>", "HTTP 502 Bad Gateway"),
    (
        "truncated JSON",
        '{"error": {"code": 4',
        'HTTP 502 Bad Gateway: {"error": {"code": 4',
    ),
    (
        "hostile text",
        "a\x1b[31m\u202eb",
        "HTTP 502 Bad Gateway: a<U+001B>[31m<U+202E>b",
    ),
]


@pytest.mark.parametrize(
    ("text", "message"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS]
)
def test_a_body_without_an_error_follows_the_status_and_its_reason(text: str, message: str) -> None:
    assert read_error(502, text) == ApiError(502, "502", message, None)


def test_a_long_body_is_shortened() -> None:
    assert len(read_error(502, "x" * 10_000).message) <= 230


@given(st.integers(0, 999), strategies.values, st.text())
def test_any_body_gives_a_code_and_a_message(status: int, body: JSON, text: str) -> None:
    for error in (
        error_of(status, body),
        error_of(status, {"error": body}),
        read_error(status, text),
    ):
        assert error.status == status or (status < 400 <= error.status < 600)
        assert error.code
        assert error.message


LOCATION = "User location is not supported for the API use."
REASON = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "googleapis.com"}


@pytest.mark.parametrize(
    ("status", "error", "advice"),
    [
        # HTTP statuses
        (401, {}, "API key"),
        (402, {}, "billing"),
        (403, {"code": "permission_denied"}, "API key"),
        (408, {}, "again"),
        (409, {"code": "aborted"}, "again"),
        (429, {"code": "quota_exceeded"}, "again"),
        (451, {}, "place"),
        (499, {"code": "cancelled"}, "again"),
        (500, {"code": "invalid_request"}, "again"),
        (501, {"code": "unimplemented"}, "again"),
        (599, {}, "again"),
        # words and numbers inside of a successful response
        (200, {"code": "rate_limit_exceeded"}, "again"),
        (200, {"code": "SERVICE_UNAVAILABLE"}, "again"),
        (200, {"code": "gateway_timeout", "message": "late"}, "again"),
        (200, {"code": "api_error"}, "again"),
        (200, {"code": 503, "status": "UNAVAILABLE"}, "again"),
        (200, {"code": "429"}, "again"),
        (200, {"code": 401}, "API key"),
        (0, {"code": 14, "message": "no connection"}, "again"),
        (0, {"code": 8}, "again"),
        (200, {}, "again"),
        (200, "The model is overloaded. Please try again later.", "again"),
        # a word of the gateway behind a 400
        (400, {"code": 400, "status": "UNAVAILABLE"}, "again"),
        (400, {"code": 400, "status": "RESOURCE_EXHAUSTED"}, "again"),
        # keys, billing and places behind a 400
        (400, {"message": "API key not valid. Please pass a valid API key."}, "API key"),
        (400, {"code": "invalid_request", "message": "API key expired. Renew it."}, "API key"),
        (400, {"message": "Please pass a valid API key."}, "API key"),
        (200, "upstream connect error or disconnect/reset before headers", "again"),
        (200, "overloaded", "again"),
        (400, {"message": "API Key not found. Please pass a valid API key."}, "API key"),
        (400, {"details": [{**REASON, "reason": "API_KEY_INVALID"}]}, "API key"),
        (400, {"code": "failed_precondition", "message": LOCATION}, "place"),
        (400, {"message": "Gemini is not available in your country."}, "place"),
        (400, {"status": "FAILED_PRECONDITION", "message": "Please enable billing."}, "billing"),
        (400, {"message": "Imagen is only accessible to billed users at this time."}, "billing"),
        (403, {"details": [{**REASON, "reason": "BILLING_DISABLED"}]}, "billing"),
        # a wrong name
        (404, {"code": "model_not_found", "message": "No such model."}, "name of the model"),
        (404, {"message": "models/gemini-0 is not found for API version v1."}, "name of the model"),
    ],
)
def test_errors_that_say_nothing_about_the_model_have_advice(
    status: int, error: JSON, advice: str
) -> None:
    assert advice in str(error_of(status, {"error": error}).advice)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {}),
        (400, {"code": "invalid_request", "message": "Request contains an invalid argument."}),
        (400, {"code": 400, "status": "FAILED_PRECONDITION", "message": "It is still running."}),
        (400, {"code": "malformed_function_call"}),
        (400, {"code": "safety", "message": "The output was blocked."}),
        (400, {"code": "parameter_unknown", "message": 'Unknown name "billing".'}),
        (400, {"message": "input[0]: 'What is an API key?' is not an object."}),
        (404, {"code": "not_found", "message": "Interaction 'v1_a' was not found."}),
        (413, {}),
        (422, {}),
        (200, {"code": "prohibited_content"}),
        (200, {"code": "of_tomorrow", "message": "Who knows."}),
        (200, {"message": "The model left its role."}),
        (0, {"code": 3, "message": "The video cannot be decoded."}),
    ],
)
def test_other_errors_have_no_advice(status: int, error: JSON) -> None:
    assert error_of(status, {"error": error}).advice is None


@pytest.mark.parametrize(
    ("status", "error", "label", "http_status"),
    [
        (429, {"code": 429, "status": "RESOURCE_EXHAUSTED"}, "429 RESOURCE_EXHAUSTED", 429),
        (502, {}, "502", 502),
        (200, {"code": 503, "status": "UNAVAILABLE"}, "503 UNAVAILABLE", 503),
        (200, {"code": 504}, "504", 504),
        (200, {"code": "safety"}, "safety", 200),
        (0, {"code": 13}, "internal", 0),
        (200, {}, "unknown", 200),
        (302, {}, "302", 302),
        (400, {"code": "a\n\x1b[31mb"}, "400 a <U+001B>[31mb", 400),
    ],
)
def test_an_error_is_labeled_with_its_status_and_its_word(
    status: int, error: JSON, label: str, http_status: int
) -> None:
    read = error_of(status, error)
    assert (read.label, read.status) == (label, http_status)


PRETTY = (
    '{\n  "error": {\n    "code": 400,\n    "status": "UNAVAILABLE",\n    "message": "busy"\n  }\n}'
)
COMPACT = '{"error":{"code":"unavailable","message":"busy"}}'


def as_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (301, ""),
        (302, "<html><title>Sign in to the network</title></html>"),
        (400, "<html><h1>Blocked by the firewall</h1></html>"),
        (404, '{"detail": "Not Found"}'),
        (404, "404 page not found"),
        (405, '{"message": "no Route matched with those values"}'),
        (418, "7"),
        (410, "[]"),
        (413, ""),
    ],
)
def test_an_error_that_is_not_from_the_api_says_nothing_about_the_model(
    status: int, text: str
) -> None:
    error = read_error(status, text)
    assert (error.status, error.code, error.body) == (status, str(status), None)
    assert error.advice == CHECK_ADDRESS


@pytest.mark.parametrize(
    "text",
    [
        f"data: {COMPACT}\n\n",
        f"event: error\r\ndata: {COMPACT}\r\n\r\ndata: [DONE]\r\n\r\n",
        'event: error\ndata: {"code": "unavailable", "message": "busy"}\n\n',
        'data: {"event_type": "error", "error": {"code": "unavailable", "message": "busy"}}\n\n',
        "".join(f"data: {line}\n" for line in PRETTY.splitlines()),
        f": ping\n\ndata: [{COMPACT}]\n\n",
        f"[{PRETTY}]",
        f"[{PRETTY}\n,\n",
        f")]}}'\n{PRETTY}",
        f"\ufeff{PRETTY}",
        f"upstream said: {COMPACT} (retries exhausted)",
        '{"error":{"code":"unavailable","message":"idle","message":"busy"}}',
        as_text(gzip.compress(PRETTY.encode(), mtime=0)),
        as_text(PRETTY.encode("utf-16")),
        as_text(b"\xff\xfe" + COMPACT.encode("utf-16-le")),
    ],
)
@pytest.mark.parametrize("status", [400, 404, 503])
def test_an_error_is_found_in_every_frame(text: str, status: int) -> None:
    error = read_error(status, text)
    assert (error.code.lower(), error.message) == ("unavailable", "busy")
    assert error.advice is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "HTTP 503 Service Unavailable"),
        (" \r\n", "HTTP 503 Service Unavailable"),
        ("data: \n\n", "data:"),
        (as_text("Zugriff verweigert für Gäste".encode("latin-1")), "Zugriff verweigert für Gäste"),
        (as_text(gzip.compress(b"<html><title>502 Bad</title>", mtime=0)), "502 Bad"),
        (as_text(gzip.compress(b"", mtime=0)[:10] + b"\xff" * 9), "a body in gzip that is damaged"),
        ("<?xml version='1.0'?><Error><Code>Denied</Code></Error>", "Denied"),
        ("<center><h1>504 Gateway Time-out</h1></center>", "504 Gateway Time-out"),
        ('{"error"', '{"error"'),
        ('{"error":' * 5000, '{"error":'),
        ("\ud83d", "<U+D83D>"),
    ],
)
def test_a_body_without_an_error_is_readable(text: str, message: str) -> None:
    error = read_error(503, text)
    assert message in error.message
    assert (error.code, error.body) == ("503", None)


@pytest.mark.parametrize(
    ("details", "delay"),
    [
        ([{"retryDelay": "10s"}], 10.0),
        ([{"links": []}, {"retryDelay": "1.5s"}], 1.5),
        ([{"retryDelay": "0.250000001s"}], 0.250000001),
        ([{"retryDelay": 10}, 7], 10.0),
        ([{"retryDelay": "3.s"}, {"retryDelay": "4s"}], 3.0),
        ([{"retryDelay": 2.5}], 2.5),
        ([{"retryDelay": {"seconds": 3, "nanos": 5}}], 3.000000005),
        ([{"retryDelay": {"seconds": "3"}}], 3.0),
        ([{"retryDelay": {"nanos": 500_000_000}}], 0.5),
        ([{"retryDelay": {"seconds": "soon"}}, {"retryDelay": "1s"}], 1.0),
        ([{"retryDelay": "-1s"}], None),
        ([{"retryDelay": -1}], None),
        ([{"retryDelay": "1e9s"}], None),
        ([{"retryDelay": float("inf")}], None),
        ([{"retryDelay": True}], None),
        ([{"retryDelay": [3]}], None),
        ([{"retryDelay": "3s later"}], None),
        ([{"retryDelay": {"seconds": {"seconds": {}}}}], None),
        ({"retryDelay": "10s"}, 10.0),
        ({"details": [{"retryDelay": "10s"}]}, 10.0),
        ([[{"@type": "x", "details": {"details": [{"retryDelay": "7s"}]}}]], 7.0),
        ("retryDelay: 10s", None),
        (None, None),
    ],
)
def test_the_wait_that_an_error_asks_for(details: JSON, delay: float | None) -> None:
    body = {"error": {"code": 429, "details": details}}
    assert error_of(429, body).retry_delay == delay
    assert error_of(429, [body]).retry_delay == delay


def test_errors_of_a_run_are_those_that_ended_it_and_those_of_its_outputs() -> None:
    def codes(**fields: JSON) -> list[str]:
        return [error.code for error in errors_of_run(fields)]

    broken = {"type": "model_output", "error": {"code": 4, "message": "too late"}}
    errors: JSON = [{"code": "safety"}, {"code": "api_error", "message": "x"}, None, "text"]
    assert codes(status="failed", errors=errors, error={"code": "x"}) == [
        "safety",
        "api_error",
        "error",
        "x",
    ]
    assert codes(status="completed", errors=errors) == []
    assert codes(status="completed", steps=[broken, {"type": "tool", "error": {"code": "x"}}]) == [
        "deadline_exceeded"
    ]
    assert codes(status="failed", errors={}, steps=None) == []
