"""What ``status`` and ``error`` report for small conversations."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.sample_turns import CALL, RESULT, codes, judge, says

STATUS: list[tuple[Any, Any, list[str]]] = [
    ({"status": "completed"}, {"status": "completed"}, []),
    ({"status": ["failed", "cancelled"]}, {"status": "cancelled"}, []),
    ({"status": "completed"}, {"status": "failed"}, ["status_differs"]),
    (
        {"status": "completed"},
        {"exchanges": [], "outcome": "incomplete", "reason": "no network"},
        ["status_absent"],
    ),
    ({"not": {"status": "completed"}}, {"status": "failed"}, []),
    ({"not": {"status": "completed"}}, {"status": "completed"}, ["holds"]),
]


@pytest.mark.parametrize(("entry", "source", "expected"), STATUS)
def test_status(entry: Any, source: Any, expected: list[str]) -> None:
    assert codes(entry, source) == expected


@pytest.mark.parametrize(
    ("entry", "source", "expected"),
    [
        ("error", {"error": {"status": 400, "code": "x", "message": "bad model"}}, []),
        ("error", {"status": "completed"}, ["error_absent"]),
        (
            "error",
            {"exchanges": [], "outcome": "incomplete", "reason": "no network"},
            ["error_absent"],
        ),
        (
            {"error": {"status": [400, 404], "code": ["x", "y"], "message": "^bad"}},
            {"error": {"status": 404, "code": "y", "message": "bad"}},
            [],
        ),
        (
            {"error": {"status": 404, "code": "x"}},
            {"error": {"status": 400, "code": "x", "message": ""}},
            ["error_differs"],
        ),
        (
            {"error": {"message": "quota"}},
            {"error": {"status": 400, "code": "x", "message": ""}},
            ["error_differs"],
        ),
        (
            {"error": {"code": "api_error"}},
            {
                "status": "failed",
                "interaction": {"errors": [{"code": "api_error", "message": "a"}]},
            },
            [],
        ),
        (
            {"error": {"code": "api_error"}},
            {"status": "failed", "interaction": {"error": {"code": "api_error", "message": "a"}}},
            [],
        ),
        (
            {"error": {"status": 500}},
            {"status": "failed", "interaction": {"errors": [{"code": "api_error"}]}},
            ["error_differs"],
        ),
        (
            "error",
            {"status": "completed", "interaction": {"errors": [{"code": "warning"}]}},
            ["error_absent"],
        ),
    ],
)
def test_error(entry: Any, source: Any, expected: list[str]) -> None:
    assert codes(entry, source) == expected
    assert codes(entry, {"turns": [source, {"status": "completed"}]}, whole=True) == expected


def test_a_check_that_must_not_pass_says_what_it_expected() -> None:
    entry = {"not": {"text": {"contains": "never"}}}
    [finding] = judge(entry, {"steps": [says("I never do.")]}).findings
    assert finding.message == 'must not pass, but does: {"contains": ["never"]}'


REQUEST = {"tools": [{"type": "function", "name": "look"}]}
LONG = f"{'Well, ' * 20}I never do, never ever{', indeed' * 20}."


@pytest.mark.parametrize(
    ("entry", "text", "detail"),
    [
        (
            {"text": "never"},
            LONG,
            'text  "…ll, Well, Well, Well, Well, I never do, never ever, indeed, indee…" at '
            "character 123",
        ),
        (
            {"text": {"any_of": ["often", "NEVER", "do"], "ignore_case": True}},
            "I Never do",
            'text  "I Never do" at character 3\ntext  "I Never do" at character 9',
        ),
        ({"text": {"matches": r"n\w+r"}}, "I never do", 'text  "I never do" at character 3'),
        ({"text": {"max_chars": 9}}, "I do", 'text  "I do"'),
        ({"steps": "model_output"}, "I do", "got  model_output"),
        ({"status": "completed"}, "I do", ""),
    ],
)
def test_a_check_that_must_not_pass_shows_what_it_matches(
    entry: Any, text: str, detail: str
) -> None:
    findings = judge({"not": entry}, {"steps": [says(text)]}).findings
    assert [(finding.code, finding.detail) for finding in findings] == [("holds", detail)]


def test_a_call_that_must_not_be_made_is_shown() -> None:
    entry = {"not": {"tool_calls": {"calls": ["look"], "arguments": "ignore"}}}
    [finding] = judge(entry, {"steps": [CALL, RESULT], "request": REQUEST}).findings
    assert finding.detail.startswith("got  look ")
