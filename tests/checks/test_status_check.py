"""What ``status`` and ``error`` report for small conversations."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.sample_turns import codes, judge, says

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
