from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit._lib.json import JSON
from evalkit.protocol.api_errors import ApiError, error_of, read_error
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
        "400",
        "No.",
    ),
    (
        "gateway, in a list",
        403,
        [{"error": {"code": 403, "message": "No.", "status": "X"}}],
        "403",
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
    (
        "fields of a wrong type",
        400,
        {"error": {"code": True, "message": 7}},
        "400",
        "HTTP 400 Bad Request",
    ),
    ("other JSON", 418, 7, "418", "HTTP 418 I'm a Teapot"),
    ("empty list", 599, [], "599", "HTTP 599"),
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
    ("plain text", "upstream\n  connect error", "upstream connect error"),
    (
        "HTML with a title",
        "<!DOCTYPE html><html><head><title>\nError 502 &amp; more</title></head><body><h1>x</h1>",
        "Error 502 & more",
    ),
    ("HTML with a heading", "<html><body><h1 class=a>Bad</h1><p>Go away", "Bad"),
    ("HTML without title and heading", "<html><style>p{}</style><body><p>Go<br>away", "Go away"),
    ("empty HTML", "<html></html>", "HTTP 502 Bad Gateway"),
    ("truncated JSON", '{"error": {"code": 4', '{"error": {"code": 4'),
    ("hostile text", "a\x1b[31m\u202eb", "a<U+001B>[31m<U+202E>b"),
]


@pytest.mark.parametrize(
    ("text", "message"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS]
)
def test_the_message_of_a_body_that_is_not_json_is_its_text(text: str, message: str) -> None:
    assert read_error(502, text) == ApiError(502, "502", message, None)


def test_a_long_body_is_shortened() -> None:
    assert len(read_error(502, "x" * 10_000).message) <= 200


@given(st.integers(0, 999), strategies.values, st.text())
@settings(max_examples=100, deadline=None)
def test_any_body_gives_a_code_and_a_message(status: int, body: JSON, text: str) -> None:
    for error in (
        error_of(status, body),
        error_of(status, {"error": body}),
        read_error(status, text),
    ):
        assert error.status == status
        assert error.code
        assert error.message
