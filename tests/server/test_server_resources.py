"""Operations of all resources (lists, pages, refusals), and agents; without HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evalkit.protocol.step_reader import output_text
from evalkit.server.api.collection import MAX_PAGE_SIZE, ResourceCollection
from evalkit.server.calls import Call
from evalkit.server.requests.error_response import ErrorResponse
from tests.server.talking import message

BASE = "antigravity-preview-05-2026"
HOOK = "http://127.0.0.1:9/hook"
DONE = ["interaction.completed"]


# --- lists


def things(count: int) -> ResourceCollection[int]:
    collection: ResourceCollection[int] = ResourceCollection("thing", "things")
    for number in range(count):
        collection.add(f"t{number}", number)
    return collection


def page(collection: ResourceCollection[int], **query: str) -> Any:
    return json.loads(collection.list_page(Call("GET", "/things", query=query)).body)


def pages(collection: ResourceCollection[int], size: str) -> list[list[int]]:
    items, query = [], {"page_size": size}
    while True:
        body = page(collection, **query)
        items.append(body["things"])
        if "next_page_token" not in body:
            return items
        query["page_token"] = body["next_page_token"]


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [
        (0, "2", [[]]),
        (2, "2", [[0, 1]]),
        (3, "2", [[0, 1], [2]]),
        (3, "1", [[0], [1], [2]]),
        (51, "", [list(range(50)), [50]]),
        (51, "0", [list(range(50)), [50]]),
        (1001, "9" * 30, [list(range(MAX_PAGE_SIZE)), [1000]]),
    ],
)
def test_pages(count: int, size: str, expected: list[list[int]]) -> None:
    assert pages(things(count), size) == expected


def test_a_page_token_is_valid_after_resources_were_added_and_deleted() -> None:
    collection = things(4)
    token = page(collection, page_size="2")["next_page_token"]
    for resource_id in ("t0", "t1"):
        collection.delete(Call("DELETE", f"/things/{resource_id}"), resource_id)
    collection.add("new", 9)
    assert page(collection, page_token=token) == {"things": [2, 3, 9]}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"page_size": "-1"}, "'page_size' must be a whole number, got '-1'."),
        ({"page_size": "many"}, "'page_size' must be a whole number, got 'many'."),
        ({"page_token": "x"}, "'page_token' must be a whole number, got 'x'."),
        ({"page_token": "é"}, "'page_token' must be a whole number, got 'é'."),
    ],
)
def test_an_invalid_page_is_refused(query: dict[str, str], message: str) -> None:
    with pytest.raises(ErrorResponse) as caught:
        page(things(1), **query)
    assert (caught.value.status, caught.value.message) == (400, message)


@pytest.mark.parametrize("kind", ["agents", "environments", "webhooks"])
def test_every_resource_is_created_listed_read_and_deleted(client: Any, kind: str) -> None:
    bodies = {
        "agents": {},
        "environments": {},
        "webhooks": {"uri": HOOK, "subscribed_events": DONE},
    }
    assert client("GET", f"/v1beta/{kind}") == {kind: []}
    created = [
        client(
            "POST",
            f"/v1beta/{kind}",
            {**bodies[kind], **({"id": f"a{number}"} if kind == "agents" else {})},
        )
        for number in range(3)
    ]
    assert client.last.status == 200
    ids = [item["id"] for item in created]
    assert len(set(ids)) == 3
    first = client("GET", f"/v1beta/{kind}", page_size="2")
    assert [item["id"] for item in first[kind]] == ids[:2]
    rest = client("GET", f"/v1/{kind}", page_token=first["next_page_token"])
    assert [item["id"] for item in rest[kind]] == ids[2:]
    assert "next_page_token" not in rest
    assert client("GET", f"/v1beta/{kind}/{ids[0]}") == {
        name: value for name, value in created[0].items() if name != "new_signing_secret"
    }
    assert client("DELETE", f"/v1beta/{kind}/{ids[0]}") == {}
    for method in ("GET", "DELETE"):
        body = client(method, f"/v1beta/{kind}/{ids[0]}")
        assert (client.last.status, body["error"]["code"]) == (404, "not_found")
        assert message(body) == f"{kind[:-1].capitalize()} '{ids[0]}' was not found."
    assert [item["id"] for item in client("GET", f"/v1beta/{kind}")[kind]] == ids[1:]


@pytest.mark.parametrize("kind", ["files", "models"])
def test_an_unknown_path_lists_the_resources(client: Any, kind: str) -> None:
    message_text = message(client("GET", f"/v1beta/{kind}"))
    assert (
        message_text
        == f"/v1beta/{kind} was not found; under /v1beta this server has: interactions, agents, "
        "environments, webhooks, triggers, voices, credentials, decisions."
    )


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "agents", {"name": "x"}, "Unknown parameter 'name'."),
    ("POST", "agents", {"tools": "x"}, "'tools' must be of type array, got string."),
    (
        "POST",
        "agents",
        {"id": "a/b"},
        "'id' must be 1 to 128 letters, digits, '-', '_' and '.', got \"a/b\".",
    ),
    ("POST", "agents", {"id": BASE}, f"'id': agent '{BASE}' already exists."),
    (
        "POST",
        "agents",
        {"base_agent": BASE[:-1]},
        f"'base_agent': '{BASE[:-1]}' is not an agent to extend (did you mean '{BASE}'?).",
    ),
    (
        "POST",
        "agents",
        {"tools": [{"type": "google_maps"}]},
        "Unsupported value for 'type' at 'tools[0]': \"google_maps\". Supported: "
        "code_execution, function, google_search, mcp_server, url_context.",
    ),
    (
        "POST",
        "agents",
        {"tools": [{"type": "function"}]},
        "'tools[0].name' is required.",
    ),
    (
        "POST",
        "agents",
        {"base_environment": {"type": "local"}},
        "Unsupported value for 'base_environment.type': \"local\". Supported: remote.",
    ),
    (
        "POST",
        "environments",
        {"source": []},
        "Unknown parameter 'source' (did you mean 'sources'?).",
    ),
    (
        "POST",
        "environments",
        {"sources": [{"type": "ftp"}]},
        "Unsupported value for 'type' at 'sources[0]': \"ftp\". Supported: gcs, inline, "
        "repository, skill_registry.",
    ),
    (
        "POST",
        "environments",
        {"network": "on"},
        "Unsupported value for 'network': \"on\". Supported: disabled.",
    ),
    (
        "POST",
        "environments",
        {"from_environment": "env_x"},
        "'from_environment': environment 'env_x' was not found.",
    ),
    (
        "POST",
        "environments",
        {"sources": [{"type": "inline", "content": "é", "encoding": "base64"}]},
        "'sources[0].content' must be base64, got \"é\".",
    ),
    ("POST", "webhooks", {"uri": HOOK}, "'subscribed_events' is required."),
    ("POST", "webhooks", {"subscribed_events": DONE}, "'uri' is required."),
    (
        "POST",
        "webhooks",
        {"uri": "ftp://x", "subscribed_events": DONE},
        "'uri' must be an http or https address, got \"ftp://x\".",
    ),
    (
        "POST",
        "webhooks",
        {"uri": "http://[x", "subscribed_events": DONE},
        "'uri' must be an http or https address, got \"http://[x\".",
    ),
    (
        "POST",
        "webhooks",
        {"uri": HOOK, "subscribed_events": []},
        "'subscribed_events' must be a list with at least one event, got [].",
    ),
    (
        "POST",
        "webhooks",
        {"uri": HOOK, "subscribed_events": ["interaction.done"]},
        "Unsupported value for 'subscribed_events[0]': \"interaction.done\". Supported: "
        "batch.succeeded, batch.expired, batch.failed,"
        " interaction.requires_action, interaction.completed, interaction.failed, video.generated.",
    ),
    ("PATCH", "webhooks/wh_1", {"state": "enabled"}, "Webhook 'wh_1' was not found."),
    ("POST", "webhooks/wh_1:ping", {}, "Webhook 'wh_1' was not found."),
    ("POST", "webhooks/wh_1:rotateSigningSecret", {}, "Webhook 'wh_1' was not found."),
]


@pytest.mark.parametrize(("method", "path", "body", "message_text"), REFUSED)
def test_an_invalid_resource_is_refused(
    client: Any, method: str, path: str, body: dict[str, Any], message_text: str
) -> None:
    answer = client(method, f"/v1beta/{path}", body)
    assert message(answer) == message_text
    assert client.last.status in (400, 404)


# --- agents


def agent(client: Any, **fields: Any) -> Any:
    return client("POST", "/v1beta/agents", {"id": "sentinel", "base_agent": BASE, **fields})


def test_an_agent_gives_what_the_request_does_not_say(client: Any) -> None:
    created = agent(
        client,
        system_instruction="Be brief.",
        tools=[{"type": "code_execution"}],
        base_environment="remote",
        description="d",
    )
    assert created == {
        "id": "sentinel",
        "base_agent": BASE,
        "system_instruction": "Be brief.",
        "tools": [{"type": "code_execution"}],
        "base_environment": "remote",
        "description": "d",
    }
    answer = client.create("Count my words", agent="sentinel")
    assert (answer["agent"], answer["status"]) == ("sentinel", "completed")
    assert [step["type"] for step in answer["steps"]] == [
        "thought",
        "code_execution_call",
        "code_execution_result",
        "model_output",
    ]
    text = output_text(answer["steps"])
    assert f"I worked in the environment {answer['environment_id']}." in text
    assert "My instructions are: “Be brief.”" in text
    assert "“Speak.”" in output_text(
        client.create("Count", agent="sentinel", system_instruction="Speak.")["steps"]
    )
    assert (
        client.create("Count", agent="sentinel", environment=answer["environment_id"])[
            "environment_id"
        ]
        == answer["environment_id"]
    )


def test_an_agents_functions_are_called(client: Any) -> None:
    agent(
        client,
        tools=[
            {
                "type": "function",
                "name": "count",
                "parameters": {"type": "object", "properties": {}},
            }
        ],
    )
    answer = client.create("Count", agent="sentinel")
    assert (answer["status"], answer["steps"][1]["name"]) == ("requires_action", "count")


def test_an_agent_keeps_to_the_rules_of_its_base(client: Any) -> None:
    agent(client, base_agent="deep-research-preview-04-2026")
    assert (
        message(client.create("Look", agent="sentinel"))
        == "Agent 'sentinel' needs 'background': true."
    )
    assert client.create("Look", agent="sentinel", background=True)["status"] == "in_progress"


def test_an_agent_named_as_model_is_an_agent(client: Any) -> None:
    agent(client)
    assert client.create("Hi", model="sentinel")["agent"] == "sentinel"


def test_an_agent_that_was_deleted_answers_no_more(client: Any) -> None:
    agent(client)
    first = client.create("Hi", agent="sentinel")
    assert agent(client)["error"]["code"] == "already_exists"
    client("DELETE", "/v1beta/agents/sentinel")
    assert message(client.create("Hi", agent="sentinel")) == "Agent 'sentinel' was not found."
    assert client.get(first["id"])["agent"] == "sentinel"
    assert agent(client)["id"] == "sentinel"
    assert client("DELETE", f"/v1beta/agents/{BASE}")["error"]["code"] == "permission_denied"


def test_an_agent_without_id_and_base_gets_both(client: Any) -> None:
    created = client("POST", "/v1beta/agents", {"system_instruction": "x"})
    assert created["id"].startswith("agent-")
    assert created["base_agent"] == BASE
