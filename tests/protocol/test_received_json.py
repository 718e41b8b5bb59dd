"""Repeated keys and the spelling of numbers, from a response to the request that re-sends it."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit._lib.exact_json import RepeatedKeyError
from evalkit._lib.json import compact, dumps
from evalkit.checks.core.call_arguments import misfit
from evalkit.protocol.received_json import read_received
from evalkit.protocol.sse import read_events
from evalkit.protocol.stream_assembler import assemble


def response(arguments: str) -> str:
    step = f'{{"type": "function_call", "id": "c", "name": "f", "arguments": {arguments}}}'
    return f'{{"id": "v1", "status": "requires_action", "steps": [{step}]}}'


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"n":1,"n":2}', '{"n": 1, "n": 2}'),
        ('{"n":1,"n":1}', '{"n": 1, "n": 1}'),
        ('{"x":[1,{"a":0.50,"a":[]}],"y":"é"}', '{"x": [1, {"a": 0.50, "a": []}], "y": "é"}'),
        ('{"\\u006e":1,"n":2}', '{"n": 1, "n": 2}'),
        ('[{"a":{},"a":{}}]', '[{"a": {}, "a": {}}]'),
    ],
)
def test_arguments_in_which_a_key_repeats_stay_text_and_fit_no_declaration(
    arguments: str, text: str
) -> None:
    step = read_received(response(arguments))["steps"][0]
    assert step["arguments"] == text
    reason = misfit({"type": "object"}, step["arguments"])
    assert "occurs more than once in an object" in reason
    assert misfit(None, step["arguments"])


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "a", "id": "b", "steps": []}',
        '{"steps": [{"type": "model_output", "type": "thought"}]}',
        '{"steps": [{"type": "function_call", "arguments": {"a": 1}, "arguments": {}}]}',
        '[{"error": {"code": 1, "code": 2}}]',
    ],
)
def test_a_key_that_repeats_anywhere_else_makes_a_response_unreadable(text: str) -> None:
    with pytest.raises(RepeatedKeyError):
        read_received(text)


def stream(*events: str) -> str:
    return "".join(f"data: {event}\n\n" for event in events)


@pytest.mark.parametrize(
    "events",
    [
        [
            '{"event_type":"step.start","index":0,"step":{"type":"function_call","arguments":{}}}',
            '{"event_type":"step.delta","index":0,"delta":{"type":"arguments_delta",'
            '"arguments":"{\\"n\\": 1, "}}',
            '{"event_type":"step.delta","index":0,"delta":{"type":"arguments_delta",'
            '"arguments":"\\"n\\": 2}"}}',
        ],
        [
            '{"event_type":"step.start","index":0,"step":{"type":"function_call",'
            '"arguments":{"n":1,"n":2}}}'
        ],
        [
            '{"event_type":"step.start","index":0,"step":{"type":"mcp_server_tool_call"}}',
            '{"event_type":"step.delta","index":0,"delta":{"type":"mcp_server_tool_call",'
            '"arguments":{"n":1,"n":2}}}',
        ],
    ],
    ids=["deltas", "start", "typed delta"],
)
def test_streamed_arguments_in_which_a_key_repeats_stay_text(events: list[str]) -> None:
    read = read_events(stream(*events, '{"event_type":"step.stop","index":0}'))
    interaction = assemble(read.events, garbage=read.garbage).interaction
    assert interaction is not None
    assert interaction["steps"][0]["arguments"] == '{"n": 1, "n": 2}'


def test_an_event_in_which_a_key_repeats_is_not_read_and_is_a_problem() -> None:
    read = read_events(stream('{"event_type":"step.stop","index":0,"index":1}'))
    assert read.events == []
    codes = [problem.code for problem in assemble(read.events, garbage=read.garbage).problems]
    assert "event_not_json" in codes


@pytest.mark.parametrize(
    "number", ["0.1234567890123456789012", "1E5", "-0.0", "1.0", "1e400", "-0", "0.10", "9" * 4000]
)
def test_a_step_is_sent_again_with_its_numbers_as_received(number: str) -> None:
    whole: dict[str, Any] = read_received(response(f'{{"n": {number}}}'))["steps"][0]
    parts = [f'"{{\\"n\\": {number[:3]}"', f'"{number[3:]}}}"']
    deltas = [
        '{"event_type":"step.delta","index":0,"delta":{"type":"arguments_delta",'
        f'"arguments":{part}}}}}'
        for part in parts
    ]
    start = '{"event_type":"step.start","index":0,"step":{"type":"function_call","id":"c"}}'
    read = read_events(stream(start, *deltas, '{"event_type":"step.stop","index":0}'))
    streamed = assemble(read.events).interaction
    assert streamed is not None
    for step in (whole, streamed["steps"][0]):
        assert f'"arguments":{{"n":{number}}}' in compact([step])
        assert f'"arguments":{{"n":{number}}}' in dumps([step])
