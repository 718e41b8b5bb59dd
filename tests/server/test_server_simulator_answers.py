"""Answers to a simulated user's request: from the quoted words of goal and end condition."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from evalkit.conversation.engine import Send
from evalkit.conversation.simulator import Dialogue, SimulatedUser
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.answers.side_answers import as_simulator_sees, simulator_answer
from evalkit.server.scripting.script import Script, load_script
from evalkit.transcript import Step, Transcript, Turn


def ask(number: int, *talk: tuple[str, str], **settings: Any) -> InteractionRequest:
    """Return the request for a message of a simulated user who had this conversation."""

    def render(_: Mapping[str, Any]) -> dict[str, Any]:
        return {"max_turns": 3, **settings}

    turns = [
        Turn(
            at,
            [{"type": "text", "text": user}],
            steps=[
                Step(
                    {"type": "model_output", "content": [{"type": "text", "text": text}]},
                    "model",
                    at,
                )
            ],
        )
        for at, (user, text) in enumerate(talk, 1)
    ]
    dialogue = Dialogue(SimulatedUser(render, "m"), {}, given=(), path="/x", effect=Send)
    request = next(dialogue.ask(Transcript({}, turns), number)).request
    return InteractionRequest(
        body=request.body,
        conversation=[{"type": "user_input", "content": request.body["input"]}],
    )


def reply(request: InteractionRequest) -> tuple[bool, str]:
    answer = simulator_answer(request)
    assert answer is not None
    value = json.loads(answer.steps[0]["content"][0]["text"])
    return value["done"], value["message"]


QUOTED = 'Say "One, please." and "Two, please."'


@pytest.mark.parametrize(
    ("number", "talk", "settings", "expected"),
    [
        (1, [], {"goal": QUOTED}, (False, "One, please.")),
        (2, [("a", "b")], {"goal": QUOTED}, (False, "Two, please.")),
        (3, [("a", "b")], {"goal": QUOTED}, (True, "")),
        (1, [], {"goal": "a refund."}, (False, "I want this: a refund.")),
        (2, [("a", "b")], {"goal": "a refund."}, (True, "")),
        (2, [("a", "It is DONE")], {"goal": QUOTED, "until": '"done"'}, (True, "")),
        (1, [("a", "It is done")], {"goal": QUOTED, "until": '"done"'}, (False, "One, please.")),
        (
            3,
            [("a", "b")],
            {"goal": QUOTED, "until": '"done"'},
            (False, "That does not help me yet."),
        ),
        (4, [("a", "b")], {"goal": QUOTED, "until": '"done"'}, (False, "")),
        (4, [("a", "done")], {"goal": QUOTED, "until": '"done"'}, (True, "")),
        (2, [("done", "b")], {"goal": QUOTED, "until": '"done"'}, (False, "Two, please.")),
        (1, [], {"goal": 'Two\n\nparts: "x"', "persona": '"y"', "until": 'a\n\n"z"'}, (False, "x")),
    ],
)
def test_the_quoted_sentences_are_said(
    number: int, talk: list[tuple[str, str]], settings: dict[str, Any], expected: tuple[bool, str]
) -> None:
    assert reply(ask(number, *talk, **settings)) == expected


def test_other_requests_are_not_answered() -> None:
    talk = InteractionRequest(body={"model": "m", "input": "Hi"}, conversation=[])
    assert simulator_answer(talk) is None


def test_a_script_reads_the_conversation_as_the_simulated_user_does() -> None:
    request = ask(2, ("I want tea", "Which tea?"), ("Green", "Here it is"), goal="x")
    seen = as_simulator_sees(request)
    assert seen.texts == ["", "Which tea?", "Here it is"]
    assert seen.text == "Here it is"


def test_a_rule_for_simulators_answers_and_others_do_not() -> None:
    script = Script.load(
        """\
script: s
rules:
  - {when: {text: {contains: tea}}, reply: for the conversation}
  - {when: {judge: true}, reply: for judges}
  - {name: first, when: {simulator: true, turn: 1}, reply: first}
  - {name: tea, when: {simulator: true, turn: 2, text: {matches: 'Which (?P<drink>\\w+)'}}, reply: "{{ match.drink }} {{ texts | length }}"}
""",
        "s.yaml",
    )
    found = script.find(ask(1, goal="tea"), {})
    assert found is not None
    assert found[0].location.startswith("rule 'first'")
    found = script.find(ask(2, ("I want tea", "Which tea?"), goal="tea"), {})
    assert found is not None
    rule, variables = found
    assert rule.location.startswith("rule 'tea'")
    assert variables["match"] == {"drink": "tea"}
    assert script.find(ask(3, ("a", "b"), ("c", "d"), goal="tea"), {}) is None


def test_the_default_script_leaves_simulators_to_the_default_answer() -> None:
    assert load_script().find(ask(1, goal="Explain how AI works in a few words"), {}) is None
