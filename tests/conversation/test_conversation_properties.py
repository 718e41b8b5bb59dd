"""The engine against a fake service with random behavior that the protocol allows.

The checks below do not use the engine. They compare the requests with the responses that the
service logged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import dumps, equal, loads
from evalkit.checks.core.base import View
from evalkit.checks.history.check import History
from evalkit.conversation import (
    CallTool,
    Effect,
    EndTurn,
    Pause,
    Plan,
    Send,
    SimulatedUser,
    ToolResult,
    converse,
    drive,
)
from evalkit.errors import CassetteMiss, EvalkitError, ToolCrashed
from evalkit.protocol.step_types import STATUSES
from evalkit.testing import (
    BEHAVIORS,
    FakeService,
    ServiceLogEntry,
    json_values,
    plans,
    run_conversation,
)
from evalkit.transcript import Exchange, Response, Transcript

KIND = [
    name
    for name in BEHAVIORS
    if name
    not in ("api_errors", "broken", "stream_errors", "wrong_kind", "statuses", "missing_ids")
]


def services(data: st.DataObject) -> FakeService:
    """Return a service with a few behaviors; all at once would end each conversation early."""
    behaviors = data.draw(st.sets(st.sampled_from(list(BEHAVIORS)), max_size=4))
    likely = data.draw(st.sampled_from(("calls", "missing_ids", "continuation")))
    return FakeService(data.draw, ["calls", likely, *behaviors], rarity=4)


def posts(transcript: Transcript) -> list[Exchange]:
    return [exchange for exchange in transcript.exchanges if exchange.request.method == "POST"]


def check_result(call: dict[str, Any], sent: dict[str, Any]) -> None:
    assert sent["type"] == "function_result"
    assert sent["name"] == call["name"]
    assert sent.get("call_id") == call.get("id")
    assert ("call_id" in sent) == ("id" in call)
    assert sent.get("is_error") in (None, True)
    assert isinstance(sent["result"], list)


def content_of(plan: Plan, turn: int) -> Any:
    source = plan.turns[turn - 1]
    assert not isinstance(source, SimulatedUser)
    return source.content({})


def message(plan: Plan, turn: int) -> list[dict[str, Any]]:
    content = content_of(plan, turn)
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def check_history(plan: Plan, transcript: Transcript, log: list[ServiceLogEntry]) -> None:
    """Check that stateless requests repeat the history, and add results and new input."""
    history: list[Any] = []
    steps: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    turn = 0
    for exchange, answer in zip(posts(transcript), log, strict=True):
        body = exchange.request.body
        assert body["store"] is False
        assert "previous_interaction_id" not in body
        if "continuation_token" in body:
            assert equal(body["input"], history)
        else:
            expected = list(history)
            rest = iter(body["input"][len(history) :])
            for step in steps:
                expected.append(step)
                assert equal(next(rest), step)
                if any(step is call for call in waiting):
                    expected.append(next(rest))
                    check_result(step, expected[-1])
            if exchange.turn != turn:
                expected.append({"type": "user_input", "content": message(plan, exchange.turn)})
            assert equal(body["input"], expected)
            history, steps, waiting = expected, [], []
        turn = exchange.turn
        if answer.interaction is not None:
            steps += answer.interaction["steps"]
            waiting += answer.waiting


def check_with_the_history_check(transcript: Transcript) -> None:
    """Check that ``history`` finds only unanswered calls of failed runs, and unsigned thoughts."""
    codes = {finding.code for finding in History().run(View(transcript))}
    assert codes <= {"call_unanswered", "thought_unsigned"}


def check_chain(plan: Plan, transcript: Transcript, log: list[ServiceLogEntry]) -> None:
    """Check that stateful requests reference the previous interaction and add only new input."""
    before: ServiceLogEntry | None = None
    turn = 0
    for exchange, answer in zip(posts(transcript), log, strict=True):
        body = exchange.request.body
        if before is not None:
            assert before.interaction is not None
            assert body["previous_interaction_id"] == before.interaction["id"]
        else:
            assert "previous_interaction_id" not in body
        if "continuation_token" in body:
            assert before is not None
            assert before.interaction is not None
            assert body["continuation_token"] == before.interaction["continuation_token"]
            assert "input" not in body
        elif exchange.turn != turn:
            content = content_of(plan, exchange.turn)
            assert body["input"] == content
        else:
            assert before is not None
            assert len(body["input"]) == len(before.waiting)
            for call, sent in zip(before.waiting, body["input"], strict=True):
                check_result(call, sent)
        before, turn = answer, exchange.turn


def check_fields(plan: Plan, transcript: Transcript) -> None:
    environment = plan.fields.get("environment")
    for exchange in transcript.exchanges:
        body = exchange.request.body
        if exchange.request.method == "POST":
            expected = (
                {**plan.fields, "environment": environment} if environment else dict(plan.fields)
            )
            assert {key: body[key] for key in plan.fields} == expected
            assert bool(body.get("stream")) == plan.stream
            assert bool(body.get("background")) == plan.background
        if (
            environment
            and exchange.interaction is not None
            and exchange.error is None
            and exchange.failure is None
        ):
            environment = exchange.interaction.get("environment_id", environment)


def check_timeline(transcript: Transcript, log: list[ServiceLogEntry]) -> None:
    """Check that timelines have the steps of the service, and results after their calls."""
    answers = iter(log)
    exchanges = {exchange.number: exchange for exchange in transcript.exchanges}
    for turn in transcript.turns:
        truth = [next(answers) for exchange in turn.exchanges if exchange.request.method == "POST"]
        if turn.outcome == "completed":
            received = [
                step
                for answer in truth
                for step in (answer.interaction or {})["steps"]
                if step["type"] != "user_input"
            ]
            assert equal([step.raw for step in turn.steps if step.origin == "model"], received)
            assert all(answer.delivered for answer in truth)
        calls = [call for answer in truth for call in answer.waiting]
        results = [step.raw for step in turn.steps if step.origin == "client"]
        assert (
            len(results) == len(calls)
            if turn.outcome == "completed"
            else len(results) <= len(calls)
        )
        for call, sent in zip(calls, results, strict=False):
            check_result(call, sent)
        for earlier, entry in zip([None, *turn.steps], turn.steps, strict=False):
            exchange = exchanges[entry.exchange]
            if entry.origin == "model":
                assert exchange.interaction is not None
                assert any(entry.raw is step for step in exchange.interaction["steps"])
            else:
                assert any(entry.raw is step for step in exchange.request.body["input"])
                assert earlier is not None
                assert earlier.type == "function_call"
        assert [exchange.turn for exchange in turn.exchanges] == [turn.number] * len(turn.exchanges)
    numbers = [exchange.number for exchange in transcript.exchanges]
    assert numbers == list(range(1, len(numbers) + 1))


def check_outcomes(transcript: Transcript) -> None:
    outcomes = [turn.outcome for turn in transcript.turns]
    ended = next(
        (place for place, outcome in enumerate(outcomes) if outcome != "completed"), len(outcomes)
    )
    assert set(outcomes[ended + 1 :]) <= {"not_run"}
    assert "not_run" not in outcomes[: ended + 1]
    for turn in transcript.turns:
        assert (turn.error is not None) == (turn.outcome == "api_error")
        assert (turn.reason is not None) == (turn.outcome in ("incomplete", "not_run"))


@given(plans(min_turns=2), st.data())
def test_history_is_exact_for_any_service_behavior(plan: Plan, data: st.DataObject) -> None:
    service = services(data)
    transcript = run_conversation(plan, service, data.draw)
    (check_history if plan.history == "stateless" else check_chain)(plan, transcript, service.log)
    check_with_the_history_check(transcript)
    check_fields(plan, transcript)
    check_timeline(transcript, service.log)
    check_outcomes(transcript)
    assert len(transcript.turns) == len(plan.turns)
    assert equal(
        loads(dumps([turn.to_json() for turn in transcript.turns])),
        [turn.to_json() for turn in transcript.turns],
    )


@given(plans(), st.data())
def test_well_behaved_service_lets_only_plan_limits_stop_a_turn(
    plan: Plan, data: st.DataObject
) -> None:
    service = FakeService(data.draw, KIND, rarity=4)
    transcript = run_conversation(plan, service, data.draw)
    for turn in transcript.turns:
        if plan.background and plan.history == "stateless":
            assert turn.outcome in ("api_error", "not_run")
        else:
            assert turn.outcome in ("completed", "not_run") or any(
                word in str(turn.reason) for word in ("max_tool_rounds", "used before", "hops")
            )
    (check_history if plan.history == "stateless" else check_chain)(plan, transcript, service.log)
    check_timeline(transcript, service.log)


FAULTS: list[Exception] = [CassetteMiss("not recorded"), ToolCrashed("raised")]


@given(plans(), st.data())
def test_conversation_ends_and_raises_no_evalkit_error(plan: Plan, data: st.DataObject) -> None:
    service = services(data)
    conversation = converse(plan)
    send: Callable[[Any], Effect] = conversation.send
    given_in: Any = None
    thrown: Exception | None = None
    rounds, hops, polls = plan.max_tool_rounds + 1, plan.max_hops + 1, plan.max_polls + 1
    bound = len(plan.turns) * (rounds * hops * 2 * polls + rounds * 3 + 1)
    ended: list[int] = []
    for _ in range(bound + 2):
        try:
            effect = send(given_in)
        except StopIteration as end:
            transcript = end.value
            break
        send = conversation.send
        if thrown is None and data.draw(st.integers(0, 9)) == 9:
            thrown = given_in = data.draw(st.sampled_from(FAULTS))
            send = conversation.throw
        elif isinstance(effect, Send):
            given_in = service(effect.request)
        elif isinstance(effect, CallTool):
            given_in = ToolResult({"t": 1})
        elif isinstance(effect, EndTurn):
            given_in = True
        else:
            assert isinstance(effect, Pause)
            given_in = None
        if isinstance(effect, EndTurn):
            ended.append(effect.turn.number)
    else:
        raise AssertionError("the conversation did not end")
    assert transcript.crash is thrown
    assert isinstance(transcript.crash, EvalkitError | None)
    assert ended == [turn.number for turn in transcript.turns if turn.outcome != "not_run"]


anything = st.sampled_from(([], {}, [1], {"a": 1}, 3, None, True, "")) | json_values()
odd_steps = st.dictionaries(
    st.sampled_from(("id", "name", "arguments", "content", "call_id")), anything, max_size=4
).flatmap(
    lambda step: (
        anything
        | st.sampled_from(("function_call", "function_result", "user_input", "model_output"))
    ).map(lambda kind: {"type": kind, **step})
)
odd_bodies = anything | st.fixed_dictionaries(
    {"id": st.just("v1_a") | anything, "status": anything | st.sampled_from(STATUSES)},
    optional={
        "steps": anything | st.lists(anything | odd_steps, max_size=3),
        "continuation_token": anything | st.just("t"),
        "environment_id": anything,
        "error": anything,
    },
)


@given(plans(), st.data(), st.lists(odd_bodies, min_size=1, max_size=3))
def test_engine_never_raises_for_any_json_body(
    plan: Plan, data: st.DataObject, bodies: list[Any]
) -> None:
    fields = {**plan.fields, "environment": "remote"}
    answers = cycle(bodies)
    transcript = drive(
        converse(replace(plan, fields=fields)),
        send=lambda request: Response(
            200, {"content-type": "application/json"}, dumps(next(answers))
        ),
        call_tool=lambda call: ToolResult(data.draw(anything)),
        pause=lambda seconds: None,
        end_turn=lambda turn: True,
    )
    check_outcomes(transcript)
