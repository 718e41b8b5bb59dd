"""Lint reports nothing about traffic as real clients send it: cancels, nested results, other resources."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from evalkit._lib.json import JSON
from evalkit.cassette.recording import Recording
from evalkit.protocol.input_reader import input_steps
from evalkit.server import serving
from tests.lint.cassettes import (
    MODEL,
    URI,
    create_request,
    function_call,
    function_result,
    interaction,
    lint_codes,
    lint_findings,
    model_output,
    recording,
    user_input,
    write,
)

TOOLS: JSON = [{"type": "function", "name": "weather"}]


def cancel(body: JSON, id_: str = "v1_a") -> Recording:
    return recording(
        body, interaction(id=id_, status="cancelled", steps=[]), uri=f"{URI}/{id_}/cancel"
    )


@pytest.mark.parametrize("body", [{}, {"reason": "too slow"}, None])
def test_a_cancel_is_no_turn_whatever_its_body(tmp_path: Path, body: JSON) -> None:
    first = create_request(input=[user_input("Hi")], store=False)
    follow_up = create_request(
        input=[user_input("Hi"), model_output("Hello"), user_input("And now?")], store=False
    )
    path = write(
        tmp_path / "c.yaml",
        recording(first, interaction(model_output("Hello"))),
        recording(
            create_request(background=True), interaction(id="v1_b", status="in_progress", steps=[])
        ),
        cancel(body, "v1_b"),
        recording(follow_up, interaction(model_output("Fine"), id="v1_c")),
    )
    assert lint_codes(path) == []


CALLS = [function_call(), function_call("c2")]
RESULTS = [function_result(), function_result("c2")]


@pytest.mark.parametrize(
    "added",
    [
        [{"type": "user_input", "content": RESULTS}],
        [{"type": "user_input", "content": [*RESULTS, {"type": "text", "text": "And?"}]}],
        [
            {"type": "user_input", "content": [RESULTS[0]]},
            {"type": "user_input", "content": [RESULTS[1]]},
        ],
        [*RESULTS, {"type": "text", "text": "And?"}],
    ],
    ids=["both", "with-text", "one-by-one", "beside-content"],
)
@pytest.mark.parametrize("stored", [True, False])
def test_results_among_contents_answer_their_calls(
    tmp_path: Path, added: list[JSON], stored: bool
) -> None:
    first: dict[str, JSON] = create_request(input=[user_input("Hi")], tools=TOOLS)
    second = create_request(input=added, tools=TOOLS)
    if stored:
        second["previous_interaction_id"] = "v1_a"
    else:
        second["input"] = [user_input("Hi"), *CALLS, *added]
    path = write(
        tmp_path / "c.yaml",
        recording(first, interaction(*CALLS, status="requires_action")),
        recording(second, interaction(id="v1_b")),
    )
    assert lint_codes(path) == []


def test_a_result_as_the_whole_input_and_a_wrong_one_are_located(tmp_path: Path) -> None:
    answered = interaction(function_call(), status="requires_action")
    follow_up = create_request(input=function_result(), tools=TOOLS, previous_interaction_id="v1_a")
    path = write(
        tmp_path / "c.yaml",
        recording(create_request(tools=TOOLS), answered),
        recording(follow_up, interaction(id="v1_b")),
    )
    assert lint_codes(path) == []
    wrong = {
        "type": "user_input",
        "content": [{"type": "text", "text": "x"}, function_result("c9")],
    }
    path = write(
        tmp_path / "d.yaml",
        recording(create_request(tools=TOOLS), answered),
        recording(
            create_request(input=[wrong], tools=TOOLS, previous_interaction_id="v1_a"),
            interaction(id="v1_b"),
        ),
    )
    findings = {finding.code: finding.where.get("pointer") for finding in lint_findings(path)}
    assert findings == {
        "result_unpaired": "/input/0/content/1/call_id",
        "call_unanswered": "/input",
    }


def test_input_in_every_shape_is_read_as_steps() -> None:
    text = {"type": "user_input", "content": [{"type": "text", "text": "x"}]}
    result = function_result()
    for value, expected in (
        (None, []),
        ("x", [text]),
        ({"type": "text", "text": "x"}, [text]),
        ([{"text": "x"}], [text]),
        (result, [result]),
        ({"type": "user_input", "content": [{"text": "x"}, result]}, [text, result]),
        ([1, "x", None, result], [result]),
        ({}, [{}]),
    ):
        assert input_steps(value) == expected


def test_other_resources_and_repeated_reads_are_not_turns(tmp_path: Path) -> None:
    recordings: list[Recording] = []
    with (
        serving() as url,
        httpx.Client(base_url=f"{url}/v1beta", headers={"x-goog-api-key": "any"}) as client,
    ):

        def send(method: str, path: str, body: JSON = None) -> JSON:
            response = client.request(method, path, json=body)
            assert response.is_success, response.text
            recordings.append(
                recording(
                    body,
                    response.text,
                    method=method,
                    uri=f"https://generativelanguage.googleapis.com/v1beta{path}",
                )
            )
            return json.loads(response.text or "{}")

        _use_resources(send)
    codes = lint_codes(write(tmp_path / "c.yaml", *recordings))
    assert codes == []


def _use_resources(send: Callable[..., JSON]) -> None:
    first = send("POST", "/interactions", {"model": MODEL, "input": "I have 2 dogs in my house."})
    send("GET", f"/interactions/{first['id']}?stream=false")
    send("GET", f"/interactions/{first['id']}?include_input=true")
    second = {
        "model": MODEL,
        "input": "How many paws are in my house?",
        "previous_interaction_id": first["id"],
    }
    send("POST", "/interactions", second)
    send("GET", f"/interactions/{first['id']}")
    agent = send("POST", "/agents", {"id": "helper", "base_agent": "antigravity-preview-05-2026"})
    send("GET", "/agents?page_size=1")
    send("GET", f"/agents/{agent['id']}")
    environment = send("POST", "/environments", {})
    send("GET", "/environments")
    send("DELETE", f"/environments/{environment['id']}")
    trigger = {
        "schedule": "0 9 * * *",
        "time_zone": "UTC",
        "interaction": {"agent": agent["id"], "input": "Good morning"},
    }
    send("PATCH", f"/triggers/{send('POST', '/triggers', trigger)['id']}", {"status": "paused"})
    send("DELETE", f"/interactions/{first['id']}")
