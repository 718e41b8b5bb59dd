"""Streams of the service: events, resumed streams, cut streams, errors within streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from evalkit.protocol.sse import read_events
from evalkit.protocol.step_reader import output_text, strip_user_input
from evalkit.protocol.stream_assembler import assemble
from tests.server.talking import message
from tests.weather import WEATHER

BACKGROUND = (
    "Write a detailed analysis of the impact of artificial intelligence on modern healthcare."
)


@pytest.mark.parametrize(
    ("prompt", "fields"),
    [
        ("Explain how AI works", {}),
        ("Who won the euro 2024?", {"tools": [{"type": "google_search"}]}),
        ("Who wrote Faust?", {"tools": [{"type": "google_search"}]}),
        ("What are the temperatures in London and Paris?", {"tools": [WEATHER]}),
        ("A skyline at sunset", {"model": "gemini-3.1-flash-image"}),
        ("first 20 Fibonacci numbers fibonacci.txt", {"agent": "antigravity-preview-05-2026"}),
        (BACKGROUND, {"background": True}),
    ],
)
def test_a_stream_equals_a_get(client: Any, prompt: str, fields: dict[str, Any]) -> None:
    events = read_events("".join(client.create(prompt, stream=True, **fields)))
    created = assemble(events.events)
    assert (events.done, events.garbage, created.problems, created.complete) == (True, [], [], True)
    assert created.interaction is not None
    assert all("event_type" in event and "event_id" in event for event in events.events)
    assert "steps" not in events.events[-1]["interaction"]
    listed = client.get(created.interaction["id"])
    assert strip_user_input(listed["steps"]) == created.interaction["steps"]
    assert {name: value for name, value in listed.items() if name != "steps"} == {
        name: value for name, value in created.interaction.items() if name != "steps"
    }


def test_an_unstored_stream_has_an_empty_id_and_the_same_steps(client: Any) -> None:
    plain = client.create("Explain how AI works", store=False)
    events = read_events(
        "".join(client.create("Explain how AI works", store=False, stream=True))
    ).events
    created = assemble(events)
    assert created.interaction is not None
    assert created.interaction["steps"] == plain["steps"]
    assert {event["interaction"]["id"] for event in events if "interaction" in event} == {""}


def test_frames_are_those_of_the_protocol(client: Any) -> None:
    frames = client.create("Explain how AI works", stream=True)
    assert frames[0].startswith("event: interaction.created\ndata: {")
    assert frames[1].startswith("event: interaction.status_update\ndata: {")
    assert frames[-2].startswith("event: interaction.completed\ndata: {")
    assert frames[-1] == "event: done\ndata: [DONE]\n\n"
    assert all(frame.endswith("\n\n") and frame.count("\n") == 3 for frame in frames)


def test_alt_sse_requests_a_stream(client: Any) -> None:
    frames = client(
        "POST", "/v1beta/interactions", {"model": "gemini-3.5-flash", "input": "Hi"}, alt="sse"
    )
    assert frames[-1] == "event: done\ndata: [DONE]\n\n"


def test_a_stream_resumes_after_the_last_event(client: Any) -> None:
    whole = client.create("Explain how AI works", stream=True)
    id_ = json.loads(whole[0].split("data: ")[1])["interaction"]["id"]
    assert client.get(id_, stream="true") == whole
    assert client.get(id_, stream="true", last_event_id="3") == whole[3:]
    body = client.get(id_, stream="true", last_event_id="nope")
    assert (client.last.status, message(body)) == (
        400,
        "'last_event_id': event 'nope' is not in this stream.",
    )


def test_streaming_a_running_interaction_waits_for_its_end(client: Any) -> None:
    started = client.create(BACKGROUND, background=True)
    assert '"status":"completed"' in client.get(started["id"], stream="true")[-2]
    assert client.get(started["id"])["status"] == "completed"


def test_a_rule_may_cut_a_stream(scripted: Callable[[str], Any]) -> None:
    client = scripted("  - {reply: a b c, cut_after: 6}\n")
    events = read_events("".join(client.create("x", stream=True)))
    assert len(events.events) == 6
    assert not events.done
    assert output_text(client.create("x")["steps"]) == "a b c"


def test_an_error_may_be_sent_within_a_stream(client: Any) -> None:
    events = read_events("".join(client.create("Answer with error 504", stream=True))).events
    assert events[-1] == {
        "event_type": "error",
        "error": {"code": "gateway_timeout", "message": "The request took too long."},
    }
    assert len(events) == 7
    assert client.create("Answer with error 504")["error"]["code"] == "gateway_timeout"
    assert client.last.status == 504


def test_delays_are_part_of_the_reply(scripted: Callable[[str], Any]) -> None:
    client = scripted(
        "  - {when: {stream: true}, reply: a, delay: 60, event_delay: 30}\n  - {error: 503, "
        "delay: 90}\n"
    )
    client.create("x", stream=True)
    assert (client.last.delay, client.last.event_delay) == (60, 30)
    client.create("x")
    assert (client.last.status, client.last.delay) == (503, 90)
