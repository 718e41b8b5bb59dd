"""The service without HTTP: state, background runs, streams, histories, stateful refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from evalkit._lib.json import dumps
from evalkit.protocol.step_reader import output_text
from evalkit.server import load_script
from evalkit.server.api.service import Service
from evalkit.server.calls import Call
from tests.server.talking import message
from tests.weather import WEATHER

DOGS = "I have 2 dogs in my house."
PAWS = "How many paws are in my house?"
EIGHT = "There are 8 paws in your house. 2 dogs × 4 paws = 8 paws."


# --- answers


def test_an_answer_is_a_whole_interaction(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    body = client.create(
        "Explain how AI works in a few words", labels={"team": "a"}, system_instruction="Be brief."
    )
    assert list(body) == [
        "id",
        "status",
        "usage",
        "created",
        "updated",
        "service_tier",
        "steps",
        "object",
        "model",
        "labels",
    ]
    assert body["id"].startswith("v1_Chd")
    assert (body["status"], body["object"], body["service_tier"], body["created"]) == (
        "completed",
        "interaction",
        "standard",
        "2026-01-01T00:00:00Z",
    )
    assert [step["type"] for step in body["steps"]] == ["thought", "model_output"]
    usage = body["usage"]
    assert (
        usage["total_tokens"]
        == usage["total_input_tokens"]
        + usage["total_output_tokens"]
        + usage["total_thought_tokens"]
    )
    assert usage["total_input_tokens"] == 10


def test_two_servers_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    raw = dumps({"model": "gemini-3.5-flash", "input": "Hi", "tools": [WEATHER]}).encode()
    call = Call("POST", "/v1/interactions", headers={"x-goog-api-key": "k"}, body=raw)
    one, other = Service(load_script()), Service(load_script())
    one.handle(
        Call(
            "POST",
            "/v1/interactions",
            headers={"x-goog-api-key": "k"},
            body=b'{"model":"gemini-3.5-flash","input":"before"}',
        )
    )
    first = one.handle(call).body
    assert first == other.handle(call).body
    assert json.loads(first)["id"] != json.loads(one.handle(call).body)["id"]


def test_a_token_limit_makes_an_answer_incomplete(client: Any) -> None:
    body = client.create(
        "Explain how AI works in a few words", generation_config={"max_output_tokens": 4}
    )
    assert (body["status"], output_text(body["steps"])) == ("incomplete", "AI learns patterns from")
    assert body["usage"]["total_output_tokens"] == 4
    history = [
        {"type": "user_input", "content": "Explain how AI works in a few words"},
        *body["steps"],
        {"type": "user_input", "content": "Go on"},
    ]
    assert client.create(history)["status"] == "completed"


def test_an_unstored_interaction_has_no_id(client: Any) -> None:
    assert "id" not in client.create("Hello", store=False)


def test_null_is_absent(client: Any) -> None:
    assert client.create("Hello", previous_interaction_id=None, tools=None, store=None)["id"]


# --- conversations


def test_a_stored_conversation_is_continued(client: Any) -> None:
    first = client.create(DOGS)
    second = client.create(PAWS, previous_interaction_id=first["id"])
    assert output_text(second["steps"]) == EIGHT
    assert second["previous_interaction_id"] == first["id"]
    assert (
        output_text(client.create(PAWS)["steps"])
        == "I do not know how many animals live in your house."
    )


def test_a_history_sent_back_is_continued(client: Any) -> None:
    history: list[Any] = [{"type": "user_input", "content": DOGS}]
    history += client.create(history, store=False)["steps"]
    history += [{"type": "user_input", "content": PAWS}]
    assert output_text(client.create(history, store=False)["steps"]) == EIGHT
    assert (
        output_text(client.create(history[-1:], store=False)["steps"])
        == "I do not know how many animals live in your house."
    )


def test_the_number_of_paws_follows_from_the_history(client: Any) -> None:
    first = client.create("I have 3 dogs in my house.")
    assert "12 paws" in output_text(
        client.create(PAWS, previous_interaction_id=first["id"])["steps"]
    )


def test_a_conversation_branches(client: Any) -> None:
    first = client.create(DOGS)
    for _ in range(2):
        assert (
            output_text(client.create(PAWS, previous_interaction_id=first["id"])["steps"]) == EIGHT
        )


def test_a_conversation_may_switch_between_stored_and_unstored(client: Any) -> None:
    history: list[Any] = [{"type": "user_input", "content": DOGS}]
    stored = client.create(
        [
            *history,
            *client.create(history, store=False)["steps"],
            {"type": "user_input", "content": "And?"},
        ]
    )
    assert output_text(client.create(PAWS, previous_interaction_id=stored["id"])["steps"]) == EIGHT
    listed = client.get(client.create(DOGS)["id"])["steps"]
    assert (
        output_text(client.create([*listed, {"type": "user_input", "content": PAWS}])["steps"])
        == EIGHT
    )


@pytest.mark.parametrize("at", [1, 2])
def test_a_strict_service_refuses_an_altered_history(strict: Any, client: Any, at: int) -> None:
    history: list[Any] = [{"type": "user_input", "content": DOGS}]
    history += strict.create(history, store=False)["steps"]
    history[at] = (
        {"type": "thought", "signature": history[1]["signature"][:-4] + "AAA="}
        if at == 1
        else {**history[2], "content": []}
    )
    history.append({"type": "user_input", "content": PAWS})
    body = strict.create(history, store=False)
    assert strict.last.status == 400
    assert body["error"]["code"] == "invalid_request"
    assert message(body).startswith(f"input[{at}]: this ")
    assert client.create(history, store=False)["status"] == "completed"
    assert client.warnings == [f"tolerated: {message(body)}"]


def test_a_script_without_signatures_accepts_every_history(scripted: Callable[[str], Any]) -> None:
    client = scripted("script: t\nsignatures: false\nrules: []")
    body = client.create(
        [
            {"type": "user_input", "content": "a"},
            {"type": "model_output", "content": "mine"},
            {"type": "user_input", "content": "b"},
        ]
    )
    assert [step["type"] for step in body["steps"]] == ["model_output"]
    assert body["usage"]["total_thought_tokens"] == 0


# --- functions


def test_a_function_is_called_and_its_result_reported(client: Any) -> None:
    first = client.create("What is the temperature in London?", tools=[WEATHER])
    call = first["steps"][1]
    assert first["status"] == "requires_action"
    assert (call["name"], call["arguments"]) == ("get_current_temperature", {"location": "London"})
    result = {
        "type": "function_result",
        "call_id": call["id"],
        "name": call["name"],
        "result": {"location": "London", "temperature": "-3", "unit": "celsius"},
    }
    second = client.create([result], tools=[WEATHER], previous_interaction_id=first["id"])
    assert (second["status"], output_text(second["steps"])) == (
        "completed",
        "The temperature in London is currently -3°C.",
    )
    assert [step["type"] for step in second["steps"]] == ["thought", "model_output"]


def test_several_cities_are_called_in_one_answer(client: Any) -> None:
    body = client.create("What are the temperatures in London, Paris and Oslo?", tools=[WEATHER])
    calls = [step for step in body["steps"] if step["type"] == "function_call"]
    assert [call["arguments"]["location"] for call in calls] == ["London", "Paris", "Oslo"]
    assert len({call["id"] for call in calls}) == 3


@pytest.mark.parametrize("order", [[0, 1], [1, 0]], ids=["in order", "the other way"])
def test_parallel_results_are_reported_in_the_order_of_their_calls(
    client: Any, order: list[int]
) -> None:
    history: list[Any] = [
        {"type": "user_input", "content": "What are the temperatures in London and Paris?"}
    ]
    history += client.create(history, tools=[WEATHER], store=False)["steps"]
    results = [
        {
            "type": "function_result",
            "call_id": step["id"],
            "result": {"location": step["arguments"]["location"], "temperature": number},
        }
        for number, step in enumerate(history[2:], 20)
    ]
    body = client.create(
        [*history, *(results[index] for index in order)], tools=[WEATHER], store=False
    )
    assert (
        output_text(body["steps"])
        == "The temperature in London is currently 20°C. The temperature in Paris is currently "
        "21°C."
    )


def test_a_failed_function_is_reported(client: Any) -> None:
    first = client.create("What is the temperature in London?", tools=[WEATHER])
    result = {
        "type": "function_result",
        "call_id": first["steps"][1]["id"],
        "result": "down",
        "is_error": True,
    }
    assert (
        output_text(client.create([result], previous_interaction_id=first["id"])["steps"])
        == "I could not get the temperature in London."
    )


def test_a_result_without_its_call_is_refused(client: Any) -> None:
    body = client.create(
        [
            {"type": "user_input", "content": "a"},
            {"type": "function_result", "call_id": "nobody", "result": "x"},
        ]
    )
    assert client.last.status == 400
    assert (
        message(body)
        == "input[1]: this function_result answers the call 'nobody', which is not in the "
        "conversation."
    )


def test_a_repeated_result_is_refused(client: Any) -> None:
    first = client.create("What is the temperature in London?", tools=[WEATHER])
    id_ = first["steps"][1]["id"]
    result = {"type": "function_result", "call_id": id_, "result": "x"}
    body = client.create([result, result], previous_interaction_id=first["id"])
    assert (
        message(body) == f"input[1]: this function_result answers the call '{id_}' a second time."
    )


def test_a_call_without_its_result_is_refused(client: Any) -> None:
    history: list[Any] = [{"type": "user_input", "content": "What is the temperature in London?"}]
    history += client.create(history, tools=[WEATHER], store=False)["steps"]
    id_ = history[2]["id"]
    body = client.create([*history, {"type": "user_input", "content": "b"}], store=False)
    assert (
        message(body)
        == f"input[2]: the function_call '{id_}' (get_current_temperature) has no function_result."
    )
    stored = client.create("What is the temperature in London?", tools=[WEATHER])
    body = client.create("b", previous_interaction_id=stored["id"])
    assert message(body).startswith("step 3 of the stored conversation: the function_call ")


def test_a_result_before_its_call_is_refused(client: Any) -> None:
    history: list[Any] = [{"type": "user_input", "content": "What is the temperature in London?"}]
    history += client.create(history, tools=[WEATHER], store=False)["steps"]
    result = {"type": "function_result", "call_id": history[2]["id"], "result": "x"}
    body = client.create([history[0], result, *history[1:]], store=False)
    assert message(body).startswith("input[1]: this function_result precedes its call")


def test_a_result_without_call_id_belongs_to_the_waiting_call(client: Any) -> None:
    first = client.create("What is the temperature in London?", tools=[WEATHER])
    result = {
        "type": "function_result",
        "call_id": None,
        "result": {"location": "London", "temperature": 1},
    }
    assert "1°C" in output_text(
        client.create([result], previous_interaction_id=first["id"])["steps"]
    )


# --- get, cancel, delete


def test_get_lists_the_question_before_the_answer(client: Any) -> None:
    created = client.create(DOGS)
    listed = client.get(created["id"], stream="false")
    assert listed["steps"] == [
        {"type": "user_input", "content": [{"type": "text", "text": DOGS}]},
        *created["steps"],
    ]
    assert {**listed, "steps": created["steps"]} == created
    assert "input" not in listed
    assert client.get(created["id"], include_input="true")["input"] == listed["steps"][:1]


def test_get_does_not_list_earlier_turns_or_results(client: Any) -> None:
    first = client.create(DOGS)
    second = client.create(PAWS, previous_interaction_id=first["id"])
    assert [step["type"] for step in client.get(second["id"])["steps"]] == [
        "user_input",
        "thought",
        "model_output",
    ]
    called = client.create("What is the temperature in London?", tools=[WEATHER])
    result = {"type": "function_result", "call_id": called["steps"][1]["id"], "result": "x"}
    answer = client.create([result], previous_interaction_id=called["id"])
    assert [step["type"] for step in client.get(answer["id"])["steps"]] == [
        "thought",
        "model_output",
    ]


def test_a_deleted_interaction_is_not_found_and_its_continuation_is(client: Any) -> None:
    first = client.create(DOGS)
    second = client.create("And a cat.", previous_interaction_id=first["id"])
    assert client("DELETE", f"/v1beta/interactions/{first['id']}") == {}
    assert client.get(first["id"])["error"]["code"] == "not_found"
    assert client("DELETE", f"/v1beta/interactions/{first['id']}")["error"]["code"] == "not_found"
    assert output_text(client.create(PAWS, previous_interaction_id=second["id"])["steps"]) == EIGHT
    body = client.create(PAWS, previous_interaction_id=first["id"])
    assert (client.last.status, message(body)) == (
        404,
        f"'previous_interaction_id': interaction '{first['id']}' was not found.",
    )


BACKGROUND = (
    "Write a detailed analysis of the impact of artificial intelligence on modern healthcare."
)


def test_a_background_run_is_in_progress_for_a_number_of_polls(client: Any) -> None:
    started = client.create(BACKGROUND, background=True)
    assert {key: started[key] for key in ("status", "object", "model")} == {
        "status": "in_progress",
        "object": "interaction",
        "model": "gemini-3.5-flash",
    }
    assert "steps" not in started
    assert "usage" not in started
    listed = [client.get(started["id"]) for _ in range(4)]
    assert [body["status"] for body in listed] == [
        "in_progress",
        "in_progress",
        "completed",
        "completed",
    ]
    assert "steps" not in listed[1]
    assert [step["type"] for step in listed[2]["steps"]] == [
        "user_input",
        "thought",
        "model_output",
    ]
    assert output_text(listed[2]["steps"]).startswith(
        "Artificial intelligence has transformed modern healthcare in several"
    )


def test_a_background_run_may_fail(client: Any) -> None:
    started = client.create("Please fail this task.", background=True)
    client.get(started["id"])
    failed = client.get(started["id"])
    error = {"code": "api_error", "message": "The task failed as requested."}
    assert (failed["status"], failed["error"], failed["errors"]) == ("failed", error, [error])
    assert [step["type"] for step in failed["steps"]] == ["user_input", "thought"]


def test_a_running_interaction_is_not_continued(client: Any) -> None:
    started = client.create(BACKGROUND, background=True)
    body = client.create("b", previous_interaction_id=started["id"])
    assert (client.last.status, body["error"]["code"]) == (400, "failed_precondition")
    for _ in range(3):
        client.get(started["id"])
    assert client.create("b", previous_interaction_id=started["id"])["status"] == "completed"


def test_a_cancelled_run_has_no_answer(client: Any) -> None:
    started = client.create(BACKGROUND, background=True)
    cancelled = client("POST", f"/v1beta/interactions/{started['id']}/cancel")
    assert (cancelled["status"], cancelled["steps"]) == ("cancelled", [])
    assert {client.get(started["id"])["status"] for _ in range(4)} == {"cancelled"}
    after = client.create("b", previous_interaction_id=started["id"])
    assert f"Before that you said: “{BACKGROUND}”" in output_text(after["steps"])


def test_cancelling_an_ended_run_changes_nothing(client: Any) -> None:
    created = client.create(DOGS)
    assert client("POST", f"/v1beta/interactions/{created['id']}/cancel") == created


# --- agents


def test_the_environment_of_an_agent_can_be_reused(client: Any) -> None:
    agent = "antigravity-preview-05-2026"
    first = client.create("Do it", agent=agent, environment="remote")
    assert first["environment_id"].startswith("env_")
    assert (first["agent"], "model" in first) == (agent, False)
    second = client.create(
        "Again",
        agent=agent,
        environment=first["environment_id"],
        previous_interaction_id=first["id"],
    )
    assert second["environment_id"] == first["environment_id"]
    third = client.create(
        "Again",
        agent=agent,
        environment={"type": "remote", "environment_id": first["environment_id"]},
    )
    assert third["environment_id"] == first["environment_id"]
    assert (
        client.create("Anew", agent=agent, environment={"type": "remote"})["environment_id"]
        != first["environment_id"]
    )
    assert "environment_id" not in client.create("Alone", agent=agent)
    body = client.create("x", agent=agent, environment="env_none")
    assert (client.last.status, message(body)) == (
        404,
        "'environment': environment 'env_none' was not found.",
    )
