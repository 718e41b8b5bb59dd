"""What an emulator of the API must do (docs/protocol.md section 10), over HTTP without an SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from evalkit.protocol.sse import read_events
from tests.weather import WEATHER

HELLO = {"model": "gemini-3.5-flash", "input": "Hello"}


@pytest.fixture(scope="module")
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"x-goog-api-key": "any"}) as client:
        yield client


def post(http: httpx.Client, **fields: Any) -> Any:
    response = http.post("/v1beta/interactions", json={**HELLO, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def events(response: httpx.Response) -> list[Any]:
    assert response.headers["content-type"].startswith("text/event-stream")
    read = read_events(response.text)
    assert (read.done, read.garbage) == (True, [])
    return read.events


@pytest.mark.parametrize("version", ["/v1", "/v1beta", "/v1alpha", ""])
@pytest.mark.parametrize("revision", [None, "2026-05-20", "2026-05-07", "tomorrow"])
def test_any_version_and_any_revision(
    http: httpx.Client, version: str, revision: str | None
) -> None:
    headers = {"api-revision": revision} if revision else {}
    response = http.post(f"{version}/interactions", json=HELLO, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == "application/json"
    assert (
        http.get(
            f"{version}/interactions/{response.json()['id']}?stream=false", headers=headers
        ).json()["status"]
        == "completed"
    )


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {"stream": True}),
        ("?alt=sse", {"stream": True}),
        ("?alt=sse", {}),
        ("?alt=sse", {"stream": None}),
    ],
)
def test_every_way_to_request_a_stream_returns_one(
    http: httpx.Client, query: str, fields: dict[str, Any]
) -> None:
    response = http.post(f"/v1beta/interactions{query}", json={**HELLO, **fields})
    assert response.text.endswith("event: done\ndata: [DONE]\n\n")
    got = events(response)
    id_ = got[0]["interaction"]["id"]
    assert "steps" not in got[-1]["interaction"]
    assert got[-1]["interaction"]["usage"]["total_tokens"] > 0
    assert http.get(f"/v1beta/interactions/{id_}?alt=sse").text == response.text
    assert http.get(
        f"/v1beta/interactions/{id_}?stream=true&last_event_id={got[3]['event_id']}"
    ).text.startswith("event: step.")


def test_an_unstored_answer_has_no_id(http: httpx.Client) -> None:
    assert "id" not in post(http, store=False)
    got = events(http.post("/v1beta/interactions", json={**HELLO, "store": False, "stream": True}))
    assert {event["interaction"]["id"] for event in got if "interaction" in event} == {""}
    assert got[1]["interaction_id"] == ""


def test_new_steps_only_and_the_question_in_a_get(http: httpx.Client) -> None:
    first = post(http)
    second = post(http, input="And you?", previous_interaction_id=first["id"])
    assert [step["type"] for step in second["steps"]] == ["thought", "model_output"]
    listed = http.get(f"/v1beta/interactions/{second['id']}?include_input=true").json()
    assert [step["type"] for step in listed["steps"]] == ["user_input", "thought", "model_output"]
    assert listed["input"] == listed["steps"][:1]


def test_a_background_run_of_an_agent_streams_and_is_stored(http: httpx.Client) -> None:
    body = {
        "agent": "antigravity-preview-05-2026",
        "input": "Count my words",
        "background": True,
        "stream": True,
    }
    with http.stream("POST", "/v1beta/interactions", json=body) as response:
        first = next(line for line in response.iter_lines() if line.startswith("data: "))
    id_ = json.loads(first.removeprefix("data: "))["interaction"]["id"]
    assert http.get(f"/v1beta/interactions/{id_}").json()["status"] == "completed"


def test_a_run_is_cancelled_then_deleted(http: httpx.Client) -> None:
    started = post(http, background=True)
    assert started["status"] == "in_progress"
    assert "steps" not in started
    cancelled = http.post(f"/v1beta/interactions/{started['id']}/cancel")
    assert cancelled.json()["status"] == "cancelled"
    assert http.delete(f"/v1beta/interactions/{started['id']}").json() == {}
    for response in (
        http.get(f"/v1beta/interactions/{started['id']}"),
        http.post(f"/v1beta/interactions/{started['id']}/cancel"),
        http.delete(f"/v1beta/interactions/{started['id']}"),
        http.post("/v1beta/interactions", json={**HELLO, "previous_interaction_id": started["id"]}),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_unknown_steps_are_stored_unchanged(http: httpx.Client) -> None:
    strange = [
        {"type": "from_the_future", "x": {"y": None}, "z": [1.5]},
        {
            "type": "user_input",
            "content": [
                {"type": "text", "text": "Hello", "mood": "good"},
                {"type": "smell", "data": 1},
            ],
            "n": None,
        },
    ]
    id_ = post(http, input=strange)["id"]
    assert http.get(f"/v1beta/interactions/{id_}?include_input=true").json()["input"] == strange


def naive(events_: list[Any]) -> list[dict[str, Any]]:
    """Return the steps as a simple client assembles them: ``step.start`` updated by deltas."""
    steps: list[dict[str, Any]] = []
    for event in events_:
        if event["event_type"] == "step.start":
            steps.append(dict(event["step"]))
        elif event["event_type"] == "step.delta":
            delta, step = event["delta"], steps[event["index"]]
            if delta["type"] == "text":
                content = step.setdefault("content", [{"type": "text", "text": ""}])
                content[-1]["text"] += delta["text"]
            elif delta["type"] == "arguments_delta":
                step["arguments"] = json.loads(delta["arguments"])
            else:
                step.update({name: value for name, value in delta.items() if name != "type"})
    return steps


def test_a_history_assembled_from_a_stream_is_accepted(http: httpx.Client) -> None:
    prompt = {**HELLO, "store": False, "stream": True, "tools": [WEATHER]}
    history: list[Any] = [
        {"type": "user_input", "content": "What are the temperatures in London and Paris?"}
    ]
    history += naive(events(http.post("/v1beta/interactions", json={**prompt, "input": history})))
    calls = [step for step in history if step["type"] == "function_call"]
    assert [call["signature"] for call in calls] == ["", ""]
    for call in calls:
        result = {"location": call["arguments"]["location"], "temperature": 20}
        history.append({"type": "function_result", "call_id": call["id"], "result": result})
    history += naive(events(http.post("/v1beta/interactions", json={**prompt, "input": history})))
    assert history[-1]["content"][0]["text"].startswith(
        "The temperature in London is currently 20°C."
    )
    history.append({"type": "user_input", "content": "Thank you."})
    assert http.post("/v1beta/interactions", json={**prompt, "input": history}).status_code == 200
    search = {**prompt, "tools": [{"type": "google_search"}]}
    history = [{"type": "user_input", "content": "Who won the euro 2024?"}]
    history += naive(events(http.post("/v1beta/interactions", json={**search, "input": history})))
    assert [step["type"] for step in history[2:4]] == ["google_search_call", "google_search_result"]
    history[-1]["content"][0].update(annotations=history[-1].pop("annotations"))
    history.append({"type": "user_input", "content": "Thank you."})
    assert http.post("/v1beta/interactions", json={**search, "input": history}).status_code == 200
