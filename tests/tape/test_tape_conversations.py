"""Conversations of a tape, and checks of them."""

from __future__ import annotations

import asyncio
import json
import warnings
from pathlib import Path
from typing import Any

import httpx
import pytest
from google import genai

from evalkit import ExpectationFailed
from evalkit.errors import ServiceFault, UsageError
from evalkit.taping import ContinuityWarning, ExpectationWarning
from evalkit.taping.tapes import Tape
from tests.tape.http_clients import KEY
from tests.tape.tape_support import DOGS, MODEL, PAWS, MakeTape, create, serving_rules
from tests.weather import WEATHER


def client_of(url: str) -> Any:
    return genai.Client(api_key=KEY, http_options={"base_url": url})


async def two_turns(client: Any, start: asyncio.Barrier, **fields: Any) -> str:
    """Run a conversation whose requests alternate with those of others."""
    await start.wait()
    first = await client.aio.interactions.create(model=MODEL, input=DOGS, **fields)
    await start.wait()
    second = await client.aio.interactions.create(
        model=MODEL, input=PAWS, previous_interaction_id=first.id, **fields
    )
    return str(second.output_text)


async def stateless_tool(client: Any, start: asyncio.Barrier, city: str) -> str:
    history: list[Any] = [
        {
            "type": "user_input",
            "content": [{"type": "text", "text": f"What is the temperature in {city}?"}],
        }
    ]
    while True:
        await start.wait()
        answer = await client.aio.interactions.create(
            model=MODEL, store=False, input=history, tools=[WEATHER]
        )
        results = 0
        for step in answer.steps:
            history.append(step.model_dump())
            if step.type == "function_call":
                results += 1
                result_text = json.dumps({"location": city, "temperature": "22", "unit": "celsius"})
                result = {
                    "type": "function_result",
                    "name": step.name,
                    "call_id": step.id,
                    "result": [{"type": "text", "text": result_text}],
                }
                history.append(result)
        if not results:
            return str(answer.output_text)


async def interleaved(url: str) -> list[str]:
    client = client_of(url)
    start = asyncio.Barrier(5)
    talks = [two_turns(client, start), two_turns(client, start, system_instruction="Be brief.")]
    talks += [stateless_tool(client, start, city) for city in ("London", "Paris", "Oslo")]
    try:
        return await asyncio.gather(*talks)
    finally:
        await client.aio.aclose()


def test_interleaved_conversations_are_distinguished(make_tape: MakeTape, guide_url: str) -> None:
    with make_tape("once") as tape:
        replies = asyncio.run(interleaved(guide_url))
    with make_tape() as replayed:
        assert asyncio.run(interleaved(guide_url)) == replies
    for read in (tape, replayed):
        talks = read.conversations()
        assert len(talks) == 5
        assert sorted(talk.text for talk in talks) == sorted(replies)
        for talk in talks:
            if talk.transcript.stateless:
                city = talk.summary.split("in ")[1].split("?")[0]
                talk.expect(
                    steps="thought* function_call function_result thought* model_output",
                    tool_calls=[{"name": WEATHER["name"], "arguments": {"location": city}}],
                    history="exact",
                    text=city,
                )
            else:
                assert len(talk) == 2
                talk.turn(1).expect(text="dogs")
                talk.turn(2).expect(text="8 paws")


@pytest.fixture
def dogs(make_tape: MakeTape, guide_url: str) -> Tape:
    """A tape of one conversation of two turns."""
    with client_of(guide_url) as client, make_tape("once") as tape:
        first = client.interactions.create(model=MODEL, input=DOGS)
        client.interactions.create(model=MODEL, input=PAWS, previous_interaction_id=first.id)
    return tape


def test_met_expectations_pass(dogs: Tape) -> None:
    talk = dogs.conversation()
    assert dogs.conversation(1).number == talk.number
    results = talk.expect(
        "history",
        steps="(thought model_output)+",
        not_=[{"text": "cats"}, {"text": "3 paws"}],
        usage={"total_tokens": {"min": 1}},
    )
    assert [result.name for result in results] == ["history", "steps", "text", "text", "usage"]
    assert talk.turn(2).text == talk.text == talk.turns[1].text
    assert [len(talk), len(talk.exchanges), [step.type for step in talk.turn(1).steps]] == [
        2,
        2,
        ["thought", "model_output"],
    ]
    assert talk.expect() == []  # stateful and not streamed: nothing is on by default


def test_failure_message_is_the_same_as_in_a_suite(dogs: Tape) -> None:
    with pytest.raises(ExpectationFailed) as raised:
        dogs.conversation().turn(2).expect(text="cats", steps="model_output", status="completed")
    assert isinstance(raised.value, AssertionError)
    lines = str(raised.value).splitlines()
    assert lines[0] == (
        "conversation 1, turn 2: 'I have 2 dogs in my house.', stateful, 2 turns, 2 exchanges  (cassettes/app/test.yaml)"
    )
    assert 'text: the text does not contain "cats"' in lines
    assert "    text_missing at turn 2" in lines
    assert any(line.startswith("steps: ") for line in lines)
    assert not any("status" in line for line in lines)


@pytest.mark.parametrize(
    ("entries", "checks", "message"),
    [
        ((), {"step": "x"}, "unknown check 'step' (did you mean 'steps'?)"),
        (
            (),
            {"history": "exakt"},
            "history: must be one of exact, equivalent, got \"exakt\" (did you mean 'exact'?)",
        ),
        (
            (),
            {"text": {"contain": "x"}},
            "text: unknown option 'contain' (did you mean 'contains'?)",
        ),
        ((), {"not_": {"txt": "x"}}, "unknown check 'txt' (did you mean 'text'?)"),
        (
            ({"text": "x", "severity": "warning"},),
            {},
            "severity must be 'error' or 'warn', not \"warning\"",
        ),
        ((), {"text": object()}, "not a JSON value"),
    ],
)
def test_invalid_check_is_a_one_line_error(
    dogs: Tape, entries: tuple[Any, ...], checks: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        dogs.expect(*entries, **checks)
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 3


def test_all_invalid_checks_are_reported_at_once(dogs: Tape) -> None:
    with pytest.raises(UsageError, match=r"'step'(?s:.*)'txt'"):
        dogs.expect(step="x", txt="y")


def test_failed_check_with_severity_warning_warns(dogs: Tape) -> None:
    with pytest.warns(ExpectationWarning, match='text: the text does not contain "cats"') as caught:
        dogs.expect({"text": "cats", "severity": "warn"})
    assert Path(caught[0].filename) == Path(__file__)


def test_a_check_may_name_files_and_functions_of_the_project(
    dogs: Tape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tape_targets.py").write_text("def one(transcript, turn):\n    return []\n")
    dogs.expect(python="tape_targets:one")
    with pytest.raises(ExpectationFailed, match="no module 'nowhere'"):
        dogs.expect(python="nowhere:one")
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    with pytest.raises(ExpectationFailed, match="json_schema"):
        dogs.expect(json_schema={"file": "schema.json"})
    with pytest.raises(ExpectationFailed, match="is outside the project"):
        dogs.expect(json_schema={"file": "../schema.json"})


def test_expectation_needs_an_unambiguous_conversation(
    make_tape: MakeTape, guide_url: str, dogs: Tape
) -> None:
    with pytest.raises(
        ExpectationFailed,
        match=r"the tape holds 1 conversation, but not number 2\n  1: 'I have 2 dogs",
    ):
        dogs.conversation(2)
    with pytest.raises(ExpectationFailed, match="has 2 turns, but not number 3"):
        dogs.conversation().turn(3)
    with client_of(guide_url) as client, make_tape("once", "app/two") as two:
        for message in ("Hello", "Goodbye"):
            client.interactions.create(model=MODEL, input=message)
    with pytest.raises(
        ExpectationFailed,
        match=r"holds 2 conversations; name one, as in tape.conversation\(1\)\n  1: 'Hello'.*\n  2: 'Goodbye'",
    ):
        two.expect(status="completed")
    with (
        make_tape("once", "app/none") as none,
        pytest.raises(ExpectationFailed, match="the tape holds no conversation"),
    ):
        none.conversation()


def test_unexpected_api_error_fails_any_expectation(make_tape: MakeTape, guide_url: str) -> None:
    with (
        client_of(guide_url) as client,
        make_tape("once") as tape,
        pytest.raises(Exception, match="404"),
    ):
        client.interactions.create(model=MODEL, input="Go on", previous_interaction_id="v1_unknown")
    with pytest.raises(ExpectationFailed, match="conversation: the API answered 404"):
        tape.expect()
    tape.expect(error={"status": 404})


@pytest.mark.parametrize(
    "rule",
    [
        "error: {status: 429}",
        "error: {status: 503, code: service_unavailable, message: down}",
        "error: {status: 400, code: invalid_request, message: API key expired.}",
    ],
)
def test_a_fault_of_the_service_is_not_a_failed_expectation(make_tape: MakeTape, rule: str) -> None:
    def run(tape: Tape, url: str) -> None:
        with tape:
            httpx.post(f"{url}/v1beta/interactions", json=create("Hello"))
            tape.expect(status="completed")

    tape = make_tape("once")
    with serving_rules(f"  - {{{rule}}}\n") as url, pytest.raises(ServiceFault) as caught:
        run(tape, url)
    assert not isinstance(caught.value, AssertionError)
    assert "conversation: the API answered" in str(caught.value)
    assert not tape.path.exists()
    tape.expect("error")


def test_default_checks_evaluate_a_stream(make_tape: MakeTape, guide_url: str) -> None:
    with client_of(guide_url) as client, make_tape("once") as tape:
        for _ in client.interactions.create(model=MODEL, input="Hello", stream=True):
            pass
    assert [result.name for result in tape.expect()] == ["stream"]


def test_conversations_can_be_read_while_the_tape_runs(make_tape: MakeTape, guide_url: str) -> None:
    with client_of(guide_url) as client, make_tape("once") as tape:
        assert tape.conversations() == []
        first = client.interactions.create(model=MODEL, input=DOGS)
        assert len(tape.conversation()) == 1
        client.interactions.create(model=MODEL, input=PAWS, previous_interaction_id=first.id)
        assert len(tape.conversation()) == 2


def test_passing_tape_warns_about_nothing(dogs: Tape) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dogs.expect(text="8 paws")


def test_what_a_conversation_loses_is_a_warning(make_tape: MakeTape, guide_url: str) -> None:
    url, headers = f"{guide_url}/v1beta/interactions", {"x-goog-api-key": KEY}

    def application() -> None:
        question = "What is the temperature in London?"
        body = create(question, tools=[WEATHER], system_instruction="Be short.")
        answer = httpx.post(url, json=body, headers=headers).json()
        call = next(step for step in answer["steps"] if step["type"] == "function_call")
        result = {"type": "function_result", "call_id": call["id"], "result": "22"}
        follow = create([result], previous_interaction_id=answer["id"])
        httpx.post(url, json=follow, headers=headers).raise_for_status()

    for mode in ("once", "none"):
        with pytest.warns(ContinuityWarning) as caught, make_tape(mode):
            application()
        place = "app/test.yaml: conversation 1, exchange 2: the request has no "
        names = [str(one.message).partition(place)[2].partition(",")[0] for one in caught]
        assert names == ["system_instruction", "tools"]
        assert all(one.filename == __file__ for one in caught)
