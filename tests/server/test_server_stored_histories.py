"""What a client sends again beside the id of a stored interaction."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.protocol.step_reader import output_text
from tests.server.talking import message
from tests.server.test_server_history_integrity import EXACTLY, SAID, TOOLS, result, user

REPEATED = (
    " With 'previous_interaction_id' send only what is new; to send a history, leave the id out."
)


def test_steps_sent_again_beside_an_id_are_left_out(client: Any, strict: Any) -> None:
    first = client.create("I have 2 dogs in my house.")
    listed = client.get(first["id"])["steps"]
    asked = user("How many paws are in my house?")
    again = client.create([*listed[1:], asked], previous_interaction_id=first["id"])
    assert "8 paws" in output_text(again["steps"])
    expected = "input[1]: this model_output is already step 3 of the stored conversation."
    assert client.warnings == [f"tolerated: {expected}{REPEATED}"]
    assert [step["type"] for step in client.get(again["id"], include_input="true")["input"]] == [
        "user_input"
    ]
    first = strict.create("I have 2 dogs in my house.")
    body = strict.create([*first["steps"], asked], previous_interaction_id=first["id"])
    assert message(body) == expected + REPEATED


@pytest.mark.parametrize("extra", [{}, {"summary": [{"type": "text", "text": "x"}]}])
def test_a_thought_may_be_sent_again_with_the_results(strict: Any, extra: dict[str, Any]) -> None:
    first = strict.create("What is the temperature in London?", tools=TOOLS)
    thought, call = first["steps"]
    body = strict.create(
        [{**thought, **extra}, result(call)], tools=TOOLS, previous_interaction_id=first["id"]
    )
    assert output_text(body["steps"]) == "The temperature in London is currently 20°C."


def test_only_a_strict_server_refuses_a_call_sent_again_with_its_result(
    client: Any, strict: Any
) -> None:
    for server in (client, strict):
        first = server.create("What is the temperature in London?", tools=TOOLS)
        call = first["steps"][1]
        body = server.create([call, result(call)], tools=TOOLS, previous_interaction_id=first["id"])
        if server is strict:
            assert message(body).startswith(
                "input[0]: this function_call is already step 3 of the stored conversation."
            )
        else:
            assert output_text(body["steps"]) == "The temperature in London is currently 20°C."


def test_a_question_may_be_asked_again(client: Any) -> None:
    first = client.create("Hello")
    assert client.create("Hello", previous_interaction_id=first["id"])["status"] == "completed"


def test_only_a_strict_server_refuses_an_invented_step_with_an_id(client: Any, strict: Any) -> None:
    first = client.create("Hello")
    assert "error" not in client.create([SAID, user("x")], previous_interaction_id=first["id"])
    first = strict.create("Hello")
    body = strict.create([SAID, user("x")], previous_interaction_id=first["id"])
    assert message(body) == "input[0]: this model_output was not sent by this server." + EXACTLY


def test_only_a_lenient_server_continues_a_running_interaction(client: Any, lenient: Any) -> None:
    expected = "'previous_interaction_id': interaction '{}' is still in_progress."
    started = client.create("Hello", background=True)
    assert message(client.create("b", previous_interaction_id=started["id"])) == expected.format(
        started["id"]
    )
    started = lenient.create("Hello", background=True)
    assert lenient.create("b", previous_interaction_id=started["id"])["status"] == "completed"
    assert lenient.warnings == ["tolerated: " + expected.format(started["id"])]


@pytest.mark.parametrize("signature", [[], {}, [[]], {"a": 1}, 1, True])
def test_a_signature_that_is_not_text_is_refused(strict: Any, signature: Any) -> None:
    for kind in ("google_search_result", "thought", "function_call"):
        refused = strict.create([{"type": kind, "signature": signature}])
        assert strict.last.status == 400, refused
