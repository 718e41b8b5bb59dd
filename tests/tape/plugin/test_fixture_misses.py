"""A miss is an error of the test even if the application swallows it."""

from __future__ import annotations

import pytest

from tests.tape.plugin.taped_project import TapedProject

CARELESS = """
from taped_application import ask, careless

def test_hello(evalkit_tape):
    {body}
"""
REPORT = [
    "*has no recording of request 1, POST /v1beta/interactions",
    "*cause: user text changed*",
    '*sent      "Hello again"',
]


@pytest.mark.parametrize(
    ("body", "more"),
    [
        ("careless('Hello again')", []),
        ("assert careless('Hello again')", ["*the test ended with AssertionError: *"]),
        ("ask('Hello again')", []),
        ("careless('Hello again')['id']", ["*the test ended with TypeError: *"]),
    ],
    ids=["swallowed", "swallowed, then an assertion", "raised", "swallowed, then a crash"],
)
def test_miss_is_an_error_of_the_test_and_is_reported(
    project: TapedProject, body: str, more: list[str]
) -> None:
    project.record().assert_outcomes(passed=1)
    project.write("test_app.py", CARELESS.format(body=body))
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(REPORT + more)
    result.stdout.no_fnmatch_line("*site-packages*")


def test_a_miss_in_a_teardown_is_an_error(project: TapedProject) -> None:
    project.write(
        "test_app.py",
        """
        import pytest
        from taped_application import ask, careless

        @pytest.fixture
        def session(evalkit_tape):
            yield
            careless("Hello again")

        def test_hello(session):
            pass
        """,
    )
    result = project.run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*has no recording of request 1, POST /v1beta/interactions"])


def test_key_is_not_in_the_printed_locals(
    project: TapedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "planted-key-1a2b3c4d")
    project.write(
        "test_app.py",
        "import evalkit\nfrom taped_application import ask\n\ndef test_hello():\n    with evalkit.tape('a/b'):\n        ask('x')\n",
    )
    result = project.run("--showlocals", "--full-trace")
    result.assert_outcomes(failed=1)
    key_lines = [line for line in result.outlines if "planted-key" in line]
    assert not [line for line in key_lines if "Asked(" in line or "TapePlan(" in line], key_lines


def test_expected_failure_is_still_reported_as_xfailed(project: TapedProject) -> None:
    project.write(
        "test_app.py",
        "import pytest\n"
        + CARELESS.format(body="careless('x')").replace("def test", "@pytest.mark.xfail\ndef test"),
    )
    project.run().assert_outcomes(xfailed=1)
