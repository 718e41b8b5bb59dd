"""Transcripts from recordings: turns, tool results, polls, streams, hops and retries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalkit.cassette import Cassette, Recording
from evalkit.conversation.demultiplex import split_conversations
from evalkit.conversation.reconstruct import TranscriptBuilder, is_interaction, transcript_of
from evalkit.transcript import Transcript

API = "https://host/v1beta/interactions"
JSON_TYPE = {"content-type": ["application/json"]}
Steps = list[dict[str, Any]]


def user(text: str) -> dict[str, Any]:
    return {"type": "user_input", "content": [{"type": "text", "text": text}]}


def model_text(text: str) -> dict[str, Any]:
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def call(identity: str, name: str = "f") -> dict[str, Any]:
    return {"type": "function_call", "id": identity, "name": name, "arguments": {}}


def result(identity: str, text: str = "ok") -> dict[str, Any]:
    return {
        "type": "function_result",
        "call_id": identity,
        "name": "f",
        "result": [{"type": "text", "text": text}],
    }


def recording(
    method: str, uri: str, body: Any, answer: Any, status: int = 200, **more: Any
) -> Recording:
    sent = json.dumps(body) if body is not None else ""
    return Recording(
        method, uri, sent, JSON_TYPE, status, "", JSON_TYPE, json.dumps(answer), **more
    )


def post(
    content: Any, steps: Steps | None, identity: str = "", status: str = "completed", **fields: Any
) -> Recording:
    answer = {"id": identity, "status": status, **({} if steps is None else {"steps": steps})}
    return recording("POST", API, {"model": "m", "input": content, **fields}, answer)


def refused(content: Any, code: int, **fields: Any) -> Recording:
    return recording(
        "POST",
        API,
        {"model": "m", "input": content, **fields},
        {"error": {"code": "e", "message": "no"}},
        code,
    )


def get(
    identity: str, steps: Steps | None, status: str = "completed", query: str = ""
) -> Recording:
    return recording(
        "GET",
        f"{API}/{identity}{query}",
        None,
        {"id": identity, "status": status, **({} if steps is None else {"steps": steps})},
    )


def sse(
    method: str, uri: str, body: Any, events: list[dict[str, Any]], broken: str | None = None
) -> Recording:
    text = "".join(
        f"event: {event['event_type']}\ndata: {json.dumps(event)}\n\n" for event in events
    )
    sent = json.dumps(body) if body is not None else ""
    return Recording(
        method,
        uri,
        sent,
        JSON_TYPE,
        200,
        "",
        {"content-type": ["text/event-stream"]},
        text,
        broken=broken,
    )


def read(*recordings: Recording) -> Transcript:
    return transcript_of(Cassette(list(recordings)))


def shape(transcript: Transcript) -> list[list[str]]:
    """Return the types of each turn's steps, client's results in capitals with their text."""
    return [
        [
            step.type if step.origin == "model" else f"RESULT {step.raw['result'][0]['text']}"
            for step in turn.steps
        ]
        for turn in transcript.turns
    ]


def test_results_of_parallel_calls_follow_their_calls_in_the_timeline() -> None:
    transcript = read(
        post("go", [call("a"), call("b")], "1", "requires_action"),
        post(
            [result("b", "of b"), result("a", "of a")],
            [model_text("done")],
            "2",
            previous_interaction_id="1",
        ),
    )
    assert shape(transcript) == [
        ["function_call", "RESULT of a", "function_call", "RESULT of b", "model_output"]
    ]
    assert [step.exchange for step in transcript.turns[0].steps] == [1, 2, 1, 2, 2]
    assert transcript.turns[0].text == "done"
    assert transcript.settings["history"] == "stateful"


@pytest.mark.parametrize(
    "ids", [("a", "b", "c"), ("a", "a", "a")], ids=["ids of their own", "ids used again"]
)
def test_a_stateless_history_adds_each_result_once(ids: tuple[str, str, str]) -> None:
    first, second, third = ids
    start = [user("go")]
    then = [*start, call(first), result(first, "1")]
    later = [*then, call(second), result(second, "2")]
    last = [*later, model_text("done"), user("again"), call(third), result(third, "3")]
    transcript = read(
        post(start, [call(first)], status="requires_action", store=False),
        post(then, [call(second)], status="requires_action", store=False),
        post(later, [model_text("done")], store=False),
        post(
            [*later, model_text("done"), user("again")],
            [call(third)],
            status="requires_action",
            store=False,
        ),
        post(last, [model_text("end")], store=False),
    )
    assert shape(transcript) == [
        ["function_call", "RESULT 1", "function_call", "RESULT 2", "model_output"],
        ["function_call", "RESULT 3", "model_output"],
    ]
    assert transcript.stateless
    assert [turn.number for turn in transcript.turns for _ in turn.exchanges] == [1, 1, 1, 2, 2]


def test_a_result_and_a_message_in_one_request_belong_to_two_turns() -> None:
    transcript = read(
        post("go", [call("a")], "1", "requires_action"),
        post(
            [result("a"), user("and now?")], [model_text("now")], "2", previous_interaction_id="1"
        ),
    )
    assert shape(transcript) == [["function_call", "RESULT ok"], ["model_output"]]


def test_a_result_without_a_call_is_in_the_timeline() -> None:
    transcript = read(
        post("go", [model_text("hm")], "1"),
        post([result("z")], [model_text("what?")], "2", previous_interaction_id="1"),
    )
    assert shape(transcript) == [["model_output", "RESULT ok", "model_output"]]
    assert transcript.turns[0].text == "what?"


def test_results_without_ids_are_paired_by_order() -> None:
    nameless = {"type": "function_result", "name": "f", "result": [{"type": "text", "text": "x"}]}
    transcript = read(
        post(
            "go", [{"type": "function_call", "name": "f", "arguments": {}}], "1", "requires_action"
        ),
        post([nameless], [model_text("done")], "2", previous_interaction_id="1"),
    )
    assert shape(transcript) == [["function_call", "RESULT x", "model_output"]]


def test_background_run_has_the_steps_and_status_of_its_last_poll() -> None:
    transcript = read(
        post("go", None, "1", "in_progress", background=True),
        get("1", [user("go"), call("a")], "in_progress"),
        get("1", [user("go"), call("a"), model_text("done")]),
        get("1", [user("go"), call("a"), model_text("done")]),
    )
    assert shape(transcript) == [["function_call", "model_output"]]
    (turn,) = transcript.turns
    assert [
        (turn.status, turn.text, turn.outcome, len(turn.exchanges)),
        {step.exchange for step in turn.steps},
    ] == [
        ("completed", "done", "completed", 4),
        {3},
    ]
    assert transcript.settings["background"] is True


def test_interaction_fetched_again_adds_nothing() -> None:
    transcript = read(
        post("go", [model_text("done")], "1"),
        get("1", [user("go"), model_text("done")], query="?include_input=true"),
    )
    assert shape(transcript) == [["model_output"]]
    assert len(transcript.turns[0].exchanges) == 2


def test_conversation_of_get_requests_alone_is_reconstructed() -> None:
    transcript = read(get("1", [user("go"), model_text("done")]))
    assert transcript.turns[0].user == [{"type": "text", "text": "go"}]
    assert shape(transcript) == [["model_output"]]


EVENTS: list[dict[str, Any]] = [
    {
        "event_type": "interaction.created",
        "event_id": "1",
        "interaction": {"id": "1", "status": "in_progress"},
    },
    {
        "event_type": "step.start",
        "event_id": "2",
        "index": 0,
        "step": {"type": "model_output", "content": []},
    },
    {
        "event_type": "step.delta",
        "event_id": "3",
        "index": 0,
        "delta": {"type": "text", "text": "Hello"},
    },
    {
        "event_type": "step.delta",
        "event_id": "4",
        "index": 0,
        "delta": {"type": "text", "text": " world"},
    },
    {"event_type": "step.stop", "event_id": "5", "index": 0},
    {
        "event_type": "interaction.completed",
        "event_id": "6",
        "interaction": {"id": "1", "status": "completed"},
    },
]


@pytest.mark.parametrize("cut", range(1, len(EVENTS)))
def test_resumed_stream_is_joined_into_one_response(cut: int) -> None:
    resumed = f"{API}/1?stream=true&last_event_id={cut}"
    body = {"model": "m", "input": "go", "stream": True}
    transcript = read(
        sse("POST", API, body, EVENTS[:cut], broken="cut"), sse("GET", resumed, None, EVENTS[cut:])
    )
    (turn,) = transcript.turns
    assert (turn.text, turn.status, turn.outcome) == ("Hello world", "completed", "completed")
    assert shape(transcript) == [["model_output"]]
    assert turn.exchanges[1].problems == []
    assert transcript.settings["stream"] is True


def test_a_client_that_reads_on_elsewhere_has_one_stream() -> None:
    """It received more of the first part than it read, and its second part broke off too."""
    body = {"model": "m", "input": "go", "stream": True, "background": True}
    transcript = read(
        sse("POST", API, body, EVENTS),
        sse("GET", f"{API}/1?stream=true&last_event_id=2", None, EVENTS[2:4], broken="cut"),
        sse("GET", f"{API}/1?stream=true&last_event_id=4", None, EVENTS[4:]),
    )
    (turn,) = transcript.turns
    assert (turn.text, turn.outcome) == ("Hello world", "completed")
    assert [exchange.resumed for exchange in turn.exchanges] == [True, True, False]
    last = turn.exchanges[2].interaction
    assert last is not None
    assert last["steps"] == turn.exchanges[0].interaction["steps"]  # type: ignore[index]
    assert turn.exchanges[2].problems == []


def test_a_client_may_poll_a_run_whose_stream_an_error_ended() -> None:
    """The first event does not name a status."""
    created = {"event_type": "interaction.created", "interaction": {"id": "1"}}
    failure = {"event_type": "error", "error": {"code": "gateway_timeout", "message": "late"}}
    done = {"id": "1", "status": "completed", "steps": [model_text("report")]}
    (turn,) = read(
        sse("POST", API, {"model": "m", "input": "go", "stream": True}, [created, failure]),
        recording("GET", f"{API}/1", None, {"id": "1", "status": "in_progress"}),
        recording("GET", f"{API}/1", None, done),
    ).turns
    assert (turn.outcome, turn.status, turn.text, turn.error) == (
        "completed",
        "completed",
        "report",
        None,
    )


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_stream_whose_beginning_was_read_plain_has_no_problems(cut: int) -> None:
    transcript = read(
        recording("POST", API, {"model": "m", "input": "go"}, {"id": "1", "status": "completed"}),
        sse("GET", f"{API}/1?stream=true&last_event_id={cut}", None, EVENTS[cut:]),
    )
    assert [exchange.problems for exchange in transcript.exchanges] == [[], []]


def test_broken_stream_makes_an_incomplete_turn() -> None:
    (turn,) = read(
        sse(
            "POST",
            API,
            {"model": "m", "input": "go", "stream": True},
            EVENTS[:4],
            broken="the connection broke off",
        )
    ).turns
    assert turn.outcome == "incomplete"
    assert "broke off" in (turn.reason or "")


def test_continuation_hops_are_joined_into_one_turn() -> None:
    first = recording(
        "POST", API, {"model": "m", "input": "go"},
        {"id": "1", "status": "requires_continuation", "continuation_token": "t", "steps": [call("a")]},
    )  # fmt: skip
    hop = recording(
        "POST", API, {"model": "m", "previous_interaction_id": "1", "continuation_token": "t"},
        {"id": "2", "status": "completed", "steps": [model_text("one"), model_text("two")]},
    )  # fmt: skip
    transcript = read(
        first, hop, post("more", [model_text("three")], "3", previous_interaction_id="2")
    )
    assert shape(transcript) == [
        ["function_call", "model_output", "model_output"],
        ["model_output"],
    ]
    assert [turn.text for turn in transcript.turns] == ["onetwo", "three"]


def test_stateless_hop_does_not_add_its_repeated_results() -> None:
    history = [user("go"), call("a"), result("a")]
    hop = recording(
        "POST",
        API,
        {"model": "m", "store": False, "input": history, "continuation_token": "t"},
        {"steps": [model_text("b")]},
    )
    transcript = read(
        post(history[:1], [call("a")], status="requires_action", store=False),
        post(history, [model_text("a")], status="requires_continuation", store=False),
        hop,
    )
    assert shape(transcript) == [["function_call", "RESULT ok", "model_output", "model_output"]]


def test_retried_request_belongs_to_the_same_turn() -> None:
    transcript = read(refused("go", 503), refused("go", 503), post("go", [model_text("done")], "1"))
    (turn,) = transcript.turns
    assert (turn.outcome, turn.error, turn.text, len(turn.exchanges)) == (
        "completed",
        None,
        "done",
        3,
    )


def test_results_of_a_retried_request_are_added_once() -> None:
    answer = [result("a")]
    transcript = read(
        post("go", [call("a")], "1", "requires_action"),
        refused(answer, 429, previous_interaction_id="1"),
        post(answer, [model_text("done")], "2", previous_interaction_id="1"),
    )
    assert shape(transcript) == [["function_call", "RESULT ok", "model_output"]]


def test_final_error_becomes_the_outcome_of_the_turn() -> None:
    transcript = read(
        post("go", [model_text("done")], "1"), refused("more", 400, previous_interaction_id="1")
    )
    assert [turn.outcome for turn in transcript.turns] == ["completed", "api_error"]
    assert transcript.turns[1].error is not None


def test_cancel_and_delete_requests_are_reconstructed() -> None:
    transcript = read(
        post("go", None, "1", "in_progress", background=True),
        recording("POST", f"{API}/1/cancel", None, {"id": "1", "status": "cancelled"}),
        recording("DELETE", f"{API}/1", None, {}),
    )
    (turn,) = transcript.turns
    assert (turn.status, turn.outcome, len(turn.exchanges), turn.steps) == (
        "cancelled",
        "completed",
        3,
        [],
    )
    assert turn.interaction is not None
    assert turn.interaction["id"] == "1"


def test_unrelated_traffic_is_ignored() -> None:
    foreign = [
        recording("GET", "https://host/v1beta/agents", None, {"agents": []}),
        recording("POST", "https://host/v1beta/environments", {"input": "x"}, {"id": "e"}),
        recording("POST", "https://elsewhere/token", {"a": 1}, {"b": 2}),
        recording("GET", "https://elsewhere/interactionsx", None, {}),
    ]
    assert not any(map(is_interaction, foreign))
    transcript = read(foreign[0], post("go", [model_text("done")], "1"), *foreign[1:])
    assert [exchange.number for exchange in transcript.exchanges] == [1]
    assert read(*foreign).turns == []


@pytest.mark.parametrize(
    "path",
    [
        "/v1/interactions",
        "/interactions",
        "/prefix/v1beta/interactions/v1_a",
        "/v1/interactions/v1_a/cancel",
    ],
)
def test_interaction_paths_are_recognized(path: str) -> None:
    assert is_interaction(recording("POST", f"http://127.0.0.1:8787{path}?alt=sse", None, {}))


def test_settings_are_read_from_the_first_request() -> None:
    transcript = read(
        post("go", [], "1", tools=[{"type": "google_search"}], stream=False),
        post("on", [], "2", previous_interaction_id="1", labels={}),
    )
    assert transcript.settings == {
        "model": "m",
        "tools": [{"type": "google_search"}],
        "history": "stateful",
        "stream": False,
        "background": False,
    }


def test_caller_can_set_the_turn_boundaries() -> None:
    reader = TranscriptBuilder()
    reader.begin([{"type": "text", "text": "a"}])
    reader.add(post("what the application made of it", [model_text("x")], "1"), begins=False)
    reader.add(post("and asked besides", [model_text("y")], "2"), begins=False)
    reader.begin([{"type": "text", "text": "b"}])
    assert shape(reader.transcript) == [["model_output", "model_output"], []]


def test_request_without_thoughts_is_assigned_to_its_conversation() -> None:
    thought = {"type": "thought", "signature": "s1"}
    talks = [
        post([user("Hello")], [thought, model_text("Hi.")], store=False),
        post(
            [user("Hello there")], [{**thought, "signature": "s2"}, model_text("Hi.")], store=False
        ),
        post(
            [user("Hello"), model_text("Hi."), user("And now?")], [model_text("Now.")], store=False
        ),
        post(
            [user("Hello there"), model_text("Hi."), user("And now?")],
            [model_text("Now.")],
            store=False,
        ),
        post(
            [user("Something else"), model_text("Hi."), user("And now?")],
            [model_text("Now.")],
            store=False,
        ),
    ]
    assert split_conversations(talks) == [[0, 2], [1, 3], [4]]


@pytest.mark.parametrize(
    "uri", ["https://[x/v1beta/interactions", "", "::", "/v1beta/interactions", "https://h/other"]
)
def test_invalid_uri_is_read_as_a_path(uri: str) -> None:
    transcript = transcript_of(Cassette([Recording("POST", uri, '{"input": "Hello"}', body="{}")]))
    assert len(transcript.turns) == ("interactions" in uri)
