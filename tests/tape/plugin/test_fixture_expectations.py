"""Output of a failed expectation: the findings and the user's line, no evalkit frames."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.tape.plugin.taped_project import HELLO, TapedProject


def test_failure_message_of_the_fixture_is_the_same_as_in_a_suite(project: TapedProject) -> None:
    project.write(
        "test_app.py", HELLO.replace('text="Hello"', 'text="Bonjour", steps="model_output"')
    )
    result = project.record()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>*evalkit_tape.expect(text="Bonjour", steps="model_output")',
            "E*conversation 1: 'Hello', stateful, 1 turn, 1 exchange  (cassettes/test_app/test_hello.yaml)",
            'E*text: the text does not contain "Bonjour"',
            "E*steps: *",
            "test_app.py:*: ExpectationFailed",
            'FAILED test_app.py::test_hello - text: the text does not contain "Bonjour"',
        ]
    )
    result.stdout.no_fnmatch_line("*expecting.py*")


def test_unknown_check_is_reported_with_a_suggestion(project: TapedProject) -> None:
    project.write("test_app.py", HELLO.replace('text="Hello"', 'txt="Hello"'))
    result = project.record()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["E*UsageError: expect: unknown check 'txt' (did you mean 'text'?)"]
    )


def test_cassette_path_is_a_junit_property(project: TapedProject) -> None:
    project.record("--junitxml", "out.xml").assert_outcomes(passed=1)
    properties = {
        one.get("name"): one.get("value")
        for one in ElementTree.parse(project.root / "out.xml").iter("property")
    }
    assert properties == {
        "evalkit_cassette": "cassettes/test_app/test_hello.yaml",
        "evalkit_conversations": "1",
    }
