"""The Python SDK's stateless loop: ``history`` reports what ``step.model_dump()`` changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from google import genai

from evalkit import ExpectationFailed
from tests.tape.tape_support import MODEL, MakeTape, serving_rules
from tests.weather import WEATHER

# The SDK drops nulls of optional fields, preserves those of unknown ones, and reorders keys.
RULES = """\
  - when: {results: true}
    steps:
      - {type: model_output, content: [{type: text, text: It is 22 degrees.}]}
  - when: {text: {contains: temperature}}
    steps:
      - {type: model_output, x_trace: null, error: null, content: [{type: text, text: I shall look., annotations: null}]}
      - {type: function_call, id: call_1, name: get_current_temperature, arguments: {location: London, unit: null}}
  - {reply: You are welcome.}
"""


def answers(step: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": json.dumps({"location": "London", "temperature": "22"})}]
    return {"type": "function_result", "name": step.name, "call_id": step.id, "result": content}


def stateless_loop(client: Any) -> None:
    """The guide's loop, and one more turn."""
    history: list[Any] = [
        {
            "type": "user_input",
            "content": [{"type": "text", "text": "What is the temperature in London?"}],
        }
    ]
    while True:
        interaction = client.interactions.create(
            model=MODEL, store=False, input=history, tools=[WEATHER]
        )
        function_results = []
        for step in interaction.steps:
            history.append(step.model_dump())
            if step.type == "function_call":
                function_results.append(answers(step))
                history.append(function_results[-1])
        if not function_results:
            break
    history.append({"type": "user_input", "content": [{"type": "text", "text": "Thank you."}]})
    client.interactions.create(model=MODEL, store=False, input=history, tools=[WEATHER])


async def stateless_loop_async(client: Any) -> None:
    history: list[Any] = [
        {
            "type": "user_input",
            "content": [{"type": "text", "text": "What is the temperature in London?"}],
        }
    ]
    while True:
        interaction = await client.aio.interactions.create(
            model=MODEL, store=False, input=history, tools=[WEATHER]
        )
        history += [step.model_dump() for step in interaction.steps]
        calls = [step for step in interaction.steps if step.type == "function_call"]
        history += map(answers, calls)
        if not calls:
            break
    history.append({"type": "user_input", "content": [{"type": "text", "text": "Thank you."}]})
    await client.aio.interactions.create(model=MODEL, store=False, input=history, tools=[WEATHER])
    await client.aio.aclose()


@pytest.mark.parametrize(
    "loop",
    [stateless_loop, lambda client: asyncio.run(stateless_loop_async(client))],
    ids=["sync", "async"],
)
def test_history_exact_reports_sdk_changes_and_equivalent_allows_them(
    make_tape: MakeTape, loop: Callable[[Any], None]
) -> None:
    with serving_rules(RULES) as url:
        for mode in ("once", "none"):
            with (
                genai.Client(api_key="any-key-will-do", http_options={"base_url": url}) as client,
                make_tape(mode) as tape,
            ):
                loop(client)
            talk = tape.conversation()
            sent, got = talk.exchanges[1].request.body["input"], talk.exchanges[0].interaction
            assert got is not None
            assert list(sent[2]) != list(got["steps"][1])  # reordered, which does not count
            talk.expect(history="equivalent")
            with pytest.raises(ExpectationFailed) as raised:
                talk.expect(history="exact")
            report = str(raised.value)
            named = [line.strip() for line in report.splitlines() if line.startswith("    null_")]
            # Request 2 drops both nulls of response 1. Request 3 repeats request 2 unchanged.
            assert named == [
                "null_dropped at turn 1, exchange 2, request /input/2/error",
                "null_dropped at turn 1, exchange 2, request /input/2/content/0/annotations",
            ]
            assert "x_trace" not in report
            assert "unit" not in report
            talk.expect(
                steps="thought model_output function_call function_result thought? model_output thought? model_output",
                tool_calls=[
                    {
                        "name": "get_current_temperature",
                        "arguments": {"location": "London", "unit": None},
                    }
                ],
            )
            assert len(talk) == 2


def test_history_check_explains_why_the_service_rejected_a_request(make_tape: MakeTape) -> None:
    rules = "  - {reply: Hello.}\n"
    with (
        serving_rules(rules, strict=True) as url,
        genai.Client(api_key="any-key-will-do", http_options={"base_url": url}) as client,
        make_tape("once") as tape,
    ):
        history: list[Any] = [
            {"type": "user_input", "content": [{"type": "text", "text": "Hello"}]}
        ]
        interaction: Any = client.interactions.create(model=MODEL, store=False, input=history)
        history += [step.model_dump() for step in interaction.steps if step.type != "thought"]
        history.append({"type": "user_input", "content": [{"type": "text", "text": "And now?"}]})
        with pytest.raises(Exception, match="input\\[1\\]"):
            client.interactions.create(model=MODEL, store=False, input=history)
    for checks in ({"history": "exact"}, {"history": "equivalent"}, {}):
        with pytest.raises(ExpectationFailed) as raised:
            tape.expect(**checks)
        assert "conversation: the API answered 400 invalid_request" in str(raised.value)
        assert "step_missing at turn 2, exchange 2, request /input/1" in str(raised.value)
