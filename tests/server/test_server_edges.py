"""Edge cases of the service: paths, keys, limits, arbitrary requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit._lib.json import dumps
from evalkit.protocol.step_reader import output_text
from evalkit.server import Script
from evalkit.server.api.service import Service
from evalkit.server.calls import Call
from tests.server.talking import message


@pytest.mark.parametrize(
    "version", ["/v1", "/v1beta", "/v1alpha", "", "/", "/prefix/v1", "/a/v2/b/v1beta"]
)
def test_every_version_has_the_same_routes(client: Any, version: str) -> None:
    created = client(
        "POST", f"{version}/interactions", {"model": "gemini-3.5-flash", "input": "Hi"}
    )
    assert client("GET", f"{version}/interactions/{created['id']}")["id"] == created["id"]


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 404, None),
        ("GET", "/v1beta/models", 404, None),
        ("POST", "/v2/interactions", 404, None),
        ("GET", "/v1beta/interactions", 405, "POST"),
        ("POST", "/v1beta/interactions/x", 405, "GET, DELETE"),
        ("GET", "/v1beta/interactions/x/cancel", 405, "POST"),
        ("GET", "/v1beta/interactions/x/y", 404, None),
        ("GET", "/v1beta/environments/x/files/v1/interactions", 404, None),
        ("GET", "/v1beta/interactions/unknown", 404, None),
        ("POST", "/v1beta/interactions/unknown/cancel", 404, None),
    ],
)
def test_unknown_paths_and_methods_are_refused(
    client: Any, method: str, path: str, status: int, allow: str | None
) -> None:
    body = client(method, path, {} if method == "POST" else None)
    assert client.last.status == status
    assert list(body["error"]) == ["code", "message"]
    assert client.last.headers.get("allow") == allow


def test_a_query_parameter_must_be_a_boolean(client: Any) -> None:
    body = client.get(client.create("a")["id"], stream="maybe")
    assert message(body) == "'stream' must be true or false, got 'maybe'."


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, {}, 401),
        ({"x-goog-api-key": ""}, {"key": ""}, 401),
        ({"authorization": "Bearer "}, {}, 401),
        ({"x-goog-api-key": "k"}, {}, 404),
        ({}, {"key": "k"}, 404),
        ({"authorization": "Bearer k"}, {}, 404),
    ],
)
def test_any_key_is_accepted_but_a_missing_one(
    default_script: Script, headers: dict[str, str], query: dict[str, str], status: int
) -> None:
    reply = Service(default_script).handle(
        Call("GET", "/v1/interactions/x", query=query, headers=headers)
    )
    assert reply.status == status


def test_times_are_counted_over_requests(scripted: Callable[[str], Any]) -> None:
    client = scripted("  - {times: 2, error: {status: 503, retry_after: 1}}\n  - reply: at last\n")
    statuses = []
    for _ in range(3):
        client.create("same")
        statuses.append((client.last.status, client.last.headers.get("retry-after")))
    assert statuses == [(503, "1"), (503, "1"), (200, None)]


def test_a_rule_may_extend_the_default_answer(scripted: Callable[[str], Any]) -> None:
    client = scripted(
        "  - {plain: true, status: budget_exceeded, usage: {total_tokens: 7}, fields: {warning: "
        "low}}\n"
    )
    body = client.create("Hi")
    assert output_text(body["steps"]).startswith("You said")
    assert (body["status"], body["usage"]["total_tokens"], body["warning"]) == (
        "budget_exceeded",
        7,
        "low",
    )


def test_unknown_fields_and_types_are_preserved(client: Any) -> None:
    step = {"type": "from_the_future", "x": {"y": None}}
    created = client.create(
        [step, {"type": "user_input", "content": [{"type": "text", "text": "a", "x": 1}]}]
    )
    listed = client.get(created["id"], include_input="true")
    assert listed["input"] == [
        step,
        {"type": "user_input", "content": [{"type": "text", "text": "a", "x": 1}]},
    ]


def test_a_limit_counts_characters_where_words_have_no_spaces(
    scripted: Callable[[str], Any],
) -> None:
    client = scripted("  - reply: 人工智能 从数据中学习\n")
    body = client.create("x", generation_config={"max_output_tokens": 6})
    assert (body["status"], output_text(body["steps"]), body["usage"]["total_output_tokens"]) == (
        "incomplete",
        "人工智能 从数",
        6,
    )


def test_a_limit_spans_outputs(scripted: Callable[[str], Any]) -> None:
    client = scripted("  - steps: [{text: a b}, {text: c d}, {text: e}]\n")
    created = [
        client.create("x", generation_config={"max_output_tokens": limit})["steps"][1:]
        for limit in (2, 3, 5)
    ]
    assert [
        [block["text"] for step in steps for block in step["content"]] for steps in created
    ] == [
        ["a b"],
        ["a b", "c"],
        ["a b", "c d", "e"],
    ]


@pytest.mark.parametrize("depth", [100, 400, 900, 2_000])
def test_deep_input_is_answered_or_refused(client: Any, depth: int) -> None:
    raw = (
        b'{"model":"gemini-3.5-flash","input":[{"type":"new","x":'
        + b"[" * depth
        + b"]" * depth
        + b"}]}"
    )
    client("POST", "/v1/interactions", raw)
    assert client.last.status in ((200,) if depth == 100 else (200, 400))


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "name", "id", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
_types = st.sampled_from(
    [
        "user_input",
        "thought",
        "model_output",
        "function_call",
        "function_result",
        "text",
        "image",
        "google_search_result",
        "new",
    ]
)
_steps = st.lists(
    st.builds(
        lambda kind, rest: {**rest, "type": kind},
        _types,
        st.dictionaries(
            st.sampled_from(
                [
                    "content",
                    "signature",
                    "id",
                    "call_id",
                    "name",
                    "arguments",
                    "result",
                    "text",
                    "data",
                    "is_error",
                ]
            ),
            _json,
            max_size=5,
        ),
    ),
    max_size=4,
)
_tool = st.fixed_dictionaries(
    {"type": st.sampled_from(["function", "google_search", "code_execution"])},
    optional={"name": _json, "parameters": _json},
)


_OPTIONAL = (
    "tools",
    "generation_config",
    "response_format",
    "store",
    "stream",
    "background",
    "environment",
    "labels",
    "agent",
)


@given(
    body=st.fixed_dictionaries(
        {
            "model": st.just("gemini-3.5-flash") | _json,
            "input": st.text(max_size=20) | _steps | _json,
        },
        optional=dict.fromkeys(
            (
                "tools",
                "generation_config",
                "response_format",
                "store",
                "stream",
                "background",
                "environment",
                "labels",
                "agent",
            ),
            _json,
        )
        | {
            "tools": st.lists(_tool, max_size=2),
            "response_format": st.fixed_dictionaries({"type": st.just("text"), "schema": _json}),
        },
    )
)
def test_every_request_is_answered_or_refused(default_script: Script, body: dict[str, Any]) -> None:
    reply = Service(default_script).handle(
        Call("POST", "/v1/interactions", headers={"x-goog-api-key": "k"}, body=dumps(body).encode())
    )
    assert reply.status in (200, 400, 404)
    if reply.frames is None:
        answered = json.loads(reply.body)
        assert ("status" in answered) is (reply.status == 200)
        assert ("error" in answered) is (reply.status != 200)
