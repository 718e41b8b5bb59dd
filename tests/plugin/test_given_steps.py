"""``given``: a conversation continues from recorded turns, or from a list of steps."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit._lib import yaml
from evalkit._lib.json import loads
from tests.plugin.project import Project

HEAD = "suite: later\ndefaults: {model: gemini-3.5-flash, history: [stateful, stateless]}\n"
RECORDED = "{cassette: ../cassettes/weather/london.stateless.yaml, turns: 1}"
STEPS = (
    "[{type: user_input, content: [{type: text, text: 'I am {{ name }}.'}]}, "
    "{type: model_output, content: [{type: text, text: Hello.}]}]"
)


def suite(given: str) -> str:
    return (
        f"{HEAD}vars: {{name: Ada}}\nscenarios:\n  - id: a\n    given: {given}\n"
        "    turns: [{user: Hello}, {user: Thank you}]\n"
    )


def bodies(project: Project, name: str) -> list[Any]:
    document = yaml.load((project.root / "cassettes" / name).read_text())
    return [loads(item["request"]["body"]) for item in document["interactions"]]


@pytest.mark.parametrize(
    ("given", "types"),
    [
        (RECORDED, ["user_input", "thought", "function_call", "function_result", "thought",
                    "model_output", "user_input"]),
        (STEPS, ["user_input", "model_output", "user_input"]),
    ],
)  # fmt: skip
def test_the_first_request_begins_with_the_given_steps(
    recorded: Project, given: str, types: list[str]
) -> None:
    recorded.suite("later", suite(given))
    recorded.record("-k", "later").assert_outcomes(passed=2, deselected=4)

    stateful, stateless = (
        bodies(recorded, f"later/a.{history}.yaml") for history in ("stateful", "stateless")
    )
    for first, _ in (stateful, stateless):
        assert [step["type"] for step in first["input"]] == types
    assert stateful[1]["input"] == "Thank you"
    assert stateful[1]["previous_interaction_id"]
    assert stateless[1]["input"][: len(types)] == stateless[0]["input"]
    recorded.run("suites", "--evalkit-strict").assert_outcomes(passed=6)
    (record,) = [one for one in recorded.manifest()["suites"] if one["suite"] == "later"]
    files = [one["path"] for one in record["files"]]
    assert files == (["cassettes/weather/london.stateless.yaml"] if given == RECORDED else [])


def test_recorded_steps_are_sent_as_they_were_received(recorded: Project) -> None:
    recorded.suite("later", suite(RECORDED))
    recorded.record("-k", "later")
    (first, _) = bodies(recorded, "later/a.stateless.yaml")
    *_, last = bodies(recorded, "weather/london.stateless.yaml")
    assert first["input"][: len(last["input"])] == last["input"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{cassette: ../cassettes/weather/london.stateless.yaml, turns: 2}",
         "suites/later.yaml:6:12 scenario 'a': the cassette has 1 completed turns, not 2"),
        ("{cassette: later.yaml}", "suites/later.yaml:6:12 scenario 'a': suites/later.yaml:7 no 'version: 1'"),
    ],
)  # fmt: skip
def test_turns_that_are_not_recorded_are_a_located_error(
    recorded: Project, given: str, message: str
) -> None:
    recorded.suite("later", suite(given))
    result = recorded.record("-k", "later and stateful")
    result.assert_outcomes(errors=1, deselected=5)
    result.stdout.fnmatch_lines([f"*{message}*"])
