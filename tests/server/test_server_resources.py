"""Agents, environments and webhooks without HTTP: fields, paging, refusals, and what an interaction makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from evalkit.protocol.reading import output_text
from evalkit.server.faults import ApiFault
from evalkit.server.shelf import LARGEST_PAGE, Shelf
from evalkit.server.uploads import LARGEST

BASE = "antigravity-preview-05-2026"
HOOK = "http://127.0.0.1:9/hook"
DONE = ["interaction.completed"]


def message(body: Any) -> str:
    return str(body["error"]["message"])


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the clock, in seconds since 1970."""

    def set_clock(seconds: int) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(seconds))

    set_clock(1_800_000_000)
    return set_clock


# --- lists


def shelf(count: int) -> Shelf[int]:
    held: Shelf[int] = Shelf("thing")
    for number in range(count):
        held.add(f"t{number}", number)
    return held


def pages(held: Shelf[int], size: str) -> list[list[int]]:
    shown, query = [], {"page_size": size}
    while True:
        page = held.page("things", query, lambda item: item)
        shown.append(page["things"])
        if "next_page_token" not in page:
            return shown
        query["page_token"] = page["next_page_token"]


@pytest.mark.parametrize(
    ("count", "size", "wanted"),
    [
        (0, "2", [[]]),
        (2, "2", [[0, 1]]),
        (3, "2", [[0, 1], [2]]),
        (3, "1", [[0], [1], [2]]),
        (51, "", [list(range(50)), [50]]),
        (51, "0", [list(range(50)), [50]]),
        (1001, "9" * 30, [list(range(LARGEST_PAGE)), [1000]]),
    ],
)
def test_pages(count: int, size: str, wanted: list[list[int]]) -> None:
    assert pages(shelf(count), size) == wanted


def test_a_page_token_holds_where_resources_come_and_go() -> None:
    held = shelf(4)
    token = held.page("things", {"page_size": "2"}, lambda item: item)["next_page_token"]
    held.delete("t0")
    held.delete("t1")
    held.add("new", 9)
    assert held.page("things", {"page_token": token}, lambda item: item) == {"things": [2, 3, 9]}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"page_size": "-1"}, "'page_size' must be a whole number from 1 to 1000, got '-1'."),
        ({"page_size": "many"}, "'page_size' must be a whole number from 1 to 1000, got 'many'."),
        ({"page_token": "x"}, "'page_token': 'x' is no token of this list."),
        ({"page_token": "YWZ0ZXIgeA=="}, "'page_token': 'YWZ0ZXIgeA==' is no token of this list."),
        ({"page_token": "é"}, "'page_token': 'é' is no token of this list."),
    ],
)
def test_a_page_that_is_none(query: dict[str, str], said: str) -> None:
    with pytest.raises(ApiFault) as caught:
        shelf(1).page("things", query, lambda item: item)
    assert (caught.value.status, caught.value.message) == (400, said)


@pytest.mark.parametrize("kind", ["agents", "environments", "webhooks"])
def test_every_resource_is_made_listed_shown_and_deleted(client: Any, kind: str) -> None:
    bodies = {"agents": {}, "environments": {}, "webhooks": {"uri": HOOK, "subscribed_events": DONE}}
    assert client("GET", f"/v1beta/{kind}") == {kind: []}
    made = [
        client("POST", f"/v1beta/{kind}", {**bodies[kind], **({"id": f"a{number}"} if kind == "agents" else {})}) for number in range(3)
    ]
    assert client.last.status == 200
    ids = [item["id"] for item in made]
    assert len(set(ids)) == 3
    first = client("GET", f"/v1beta/{kind}", page_size="2")
    assert [item["id"] for item in first[kind]] == ids[:2]
    rest = client("GET", f"/v1/{kind}", page_token=first["next_page_token"])
    assert [item["id"] for item in rest[kind]] == ids[2:]
    assert "next_page_token" not in rest
    assert client("GET", f"/v1beta/{kind}/{ids[0]}") == {name: value for name, value in made[0].items() if name != "new_signing_secret"}
    assert client("DELETE", f"/v1beta/{kind}/{ids[0]}") == {}
    for method in ("GET", "DELETE"):
        body = client(method, f"/v1beta/{kind}/{ids[0]}")
        assert (client.last.status, body["error"]["code"]) == (404, "not_found")
        assert message(body) == f"{kind[:-1].capitalize()} '{ids[0]}' was not found."
    assert [item["id"] for item in client("GET", f"/v1beta/{kind}")[kind]] == ids[1:]


@pytest.mark.parametrize("kind", ["triggers", "voices", "credentials", "models"])
def test_what_is_not_there_says_what_is(client: Any, kind: str) -> None:
    said = message(client("GET", f"/v1beta/{kind}"))
    assert said == f"There is nothing at /v1beta/{kind}; this server has interactions, agents, environments and webhooks under /v1beta."


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "agents", {"name": "x"}, "Unknown parameter 'name'."),
    ("POST", "agents", {"tools": "x"}, "'tools' must be of type array, got string."),
    ("POST", "agents", {"id": "a/b"}, "'id' must be letters, digits, '-', '_' and '.', at most 128 of them."),
    ("POST", "agents", {"id": BASE}, f"'id': there is an agent '{BASE}' already."),
    (
        "POST",
        "agents",
        {"base_agent": BASE[:-1]},
        f"'base_agent': '{BASE[:-1]}' is no agent that can be extended (did you mean '{BASE}'?).",
    ),
    (
        "POST",
        "agents",
        {"tools": [{"type": "google_maps"}]},
        "'tools[0].type': an agent has no google_maps; there are code_execution, function, google_search, mcp_server, url_context.",
    ),
    ("POST", "agents", {"tools": [{"type": "function"}]}, "'tools[0].name' must be a function's name, got null."),
    (
        "POST",
        "agents",
        {"base_environment": {"type": "local"}},
        "Unsupported value for 'base_environment.type': \"local\". Supported: remote.",
    ),
    ("POST", "environments", {"source": []}, "Unknown parameter 'source' (did you mean 'sources'?)."),
    (
        "POST",
        "environments",
        {"sources": [{"type": "ftp"}]},
        "Unsupported value for 'sources[0].type': \"ftp\". Supported: gcs, inline, repository, skill_registry.",
    ),
    ("POST", "environments", {"network": "on"}, "Unsupported value for 'network': \"on\". Supported: disabled."),
    ("POST", "environments", {"from_environment": "env_x"}, "'from_environment': environment 'env_x' was not found."),
    (
        "POST",
        "environments",
        {"sources": [{"type": "inline", "content": "é", "encoding": "base64"}]},
        "'sources[0].content' is not base64.",
    ),
    ("POST", "webhooks", {"uri": HOOK}, "'subscribed_events' is required."),
    ("POST", "webhooks", {"subscribed_events": DONE}, "'uri' is required."),
    ("POST", "webhooks", {"uri": "ftp://x", "subscribed_events": DONE}, "'uri' must be an http or https address, got 'ftp://x'."),
    ("POST", "webhooks", {"uri": "http://[x", "subscribed_events": DONE}, "'uri' must be an http or https address, got 'http://[x'."),
    ("POST", "webhooks", {"uri": HOOK, "subscribed_events": []}, "'subscribed_events' is empty."),
    (
        "POST",
        "webhooks",
        {"uri": HOOK, "subscribed_events": ["interaction.done"]},
        "Unsupported value for 'subscribed_events[0]': \"interaction.done\". Supported: batch.succeeded, batch.expired, batch.failed,"
        " interaction.requires_action, interaction.completed, interaction.failed, video.generated.",
    ),
    ("PATCH", "webhooks/wh_1", {"state": "enabled"}, "Webhook 'wh_1' was not found."),
    ("POST", "webhooks/wh_1:ping", {}, "Webhook 'wh_1' was not found."),
    ("POST", "webhooks/wh_1:rotateSigningSecret", {}, "Webhook 'wh_1' was not found."),
]


@pytest.mark.parametrize(("method", "path", "body", "said"), REFUSED)
def test_a_resource_that_is_refused(client: Any, method: str, path: str, body: dict[str, Any], said: str) -> None:
    answer = client(method, f"/v1beta/{path}", body)
    assert message(answer) == said
    assert client.last.status in (400, 404)


# --- agents


def agent(client: Any, **fields: Any) -> Any:
    return client("POST", "/v1beta/agents", {"id": "sentinel", "base_agent": BASE, **fields})


def test_an_agent_gives_what_the_request_does_not_say(client: Any) -> None:
    made = agent(client, system_instruction="Be brief.", tools=[{"type": "code_execution"}], base_environment="remote", description="d")
    assert made == {
        "id": "sentinel",
        "base_agent": BASE,
        "system_instruction": "Be brief.",
        "tools": [{"type": "code_execution"}],
        "base_environment": "remote",
        "description": "d",
    }
    answer = client.create("Count my words", agent="sentinel")
    assert (answer["agent"], answer["status"]) == ("sentinel", "completed")
    assert [step["type"] for step in answer["steps"]] == ["thought", "code_execution_call", "code_execution_result", "model_output"]
    told = output_text(answer["steps"])
    assert f"I worked in the environment {answer['environment_id']}." in told
    assert "My instructions are: “Be brief.”" in told
    assert "“Speak.”" in output_text(client.create("Count", agent="sentinel", system_instruction="Speak.")["steps"])
    assert client.create("Count", agent="sentinel", environment=answer["environment_id"])["environment_id"] == answer["environment_id"]


def test_an_agents_functions_are_called(client: Any) -> None:
    agent(client, tools=[{"type": "function", "name": "count", "parameters": {"type": "object", "properties": {}}}])
    answer = client.create("Count", agent="sentinel")
    assert (answer["status"], answer["steps"][1]["name"]) == ("requires_action", "count")


def test_an_agent_keeps_to_the_rules_of_its_base(client: Any) -> None:
    agent(client, base_agent="deep-research-preview-04-2026")
    assert message(client.create("Look", agent="sentinel")) == "Agent 'sentinel' needs 'background': true."
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
    made = client("POST", "/v1beta/agents", {"system_instruction": "x"})
    assert made["id"].startswith("agent-")
    assert made["base_agent"] == BASE


# --- environments


def test_an_environment_that_an_interaction_made_is_listed(client: Any, at: Callable[[int], None]) -> None:
    made = client.create("Do it", agent=BASE, environment="remote")
    (listed,) = client("GET", "/v1beta/environments")["environments"]
    assert listed == {
        "id": made["environment_id"],
        "status": "active",
        "created": "2027-01-15T08:00:00Z",
        "updated": "2027-01-15T08:00:00Z",
        "last_accessed": "2027-01-15T08:00:00Z",
        "file_count": "0",
        "size_bytes": "0",
    }


SOURCES = [
    {"type": "inline", "target": "/src/main.py", "content": "print(1)"},
    {"type": "inline", "target": "/src/a/é.bin", "content": "AAEC", "encoding": "base64"},
    {"type": "repository", "source": "https://example.com/r.git"},
]


def test_an_environment_has_the_files_of_its_sources(client: Any) -> None:
    made = client("POST", "/v1beta/environments", {"sources": SOURCES, "network": {"allowlist": [{"domain": "example.com"}]}})
    assert (made["file_count"], made["size_bytes"], made["sources"]) == ("2", "11", SOURCES)
    assert made["network"] == {"allowlist": [{"domain": "example.com"}]}
    files = f"/v1beta/environments/{made['id']}/files"
    (top,) = client("GET", files)["files"]
    assert (top["name"], top["path"], top["type"]) == ("src", "src", "directory")
    below = client("GET", f"{files}/src/")["files"]
    assert [(item["path"], item["type"]) for item in below] == [("src/main.py", "file"), ("src/a", "directory")]
    assert [item["path"] for item in client("GET", files, recursive="true")["files"]] == ["src/main.py", "src/a/é.bin"]
    page = client("GET", f"{files}/src", page_size="1")
    assert [item["path"] for item in page["files"]] == ["src/main.py"]
    assert [item["path"] for item in client("GET", f"{files}/src", page_token=page["next_page_token"])["files"]] == ["src/a"]
    (main,) = client("GET", f"{files}/src/main.py")["files"]
    assert (main["size_bytes"], main["mime_type"]) == ("8", "text/x-python")
    raw = client.service.handle(_call(f"{files}/src/a/é.bin", alt="media"))
    assert (raw.body, raw.headers["content-type"]) == (b"\x00\x01\x02", "application/octet-stream")
    for path in ("/nothing", "/src/main.py/x"):
        assert client("GET", files + path)["error"]["code"] == "not_found"
    assert client("GET", f"{files}/src", alt="media")["error"]["code"] == "not_found"


def _call(path: str, **query: str) -> Any:
    from evalkit.server.calls import Call

    return Call("GET", path, query, {"x-goog-api-key": "k"})


def test_an_answer_leaves_its_files_in_its_environment(client: Any, scripted: Callable[[str], Any]) -> None:
    asked = "Write a script that saves the first 20 Fibonacci numbers to fibonacci.txt."
    made = client.create(asked, agent=BASE, environment="remote")
    result = next(step["result"] for step in reversed(made["steps"]) if step["type"] == "code_execution_result")
    (entry,) = client("GET", f"/v1beta/environments/{made['environment_id']}/files")["files"]
    assert (entry["name"], entry["size_bytes"], entry["mime_type"]) == ("fibonacci.txt", str(len(result)), "text/plain")
    raw = client.service.handle(_call(f"/v1beta/environments/{made['environment_id']}/files/fibonacci.txt", alt="media"))
    assert raw.body.decode() == result
    assert client.create(asked, agent=BASE)["status"] == "completed"
    other = scripted("  - {reply: done, files: {/a/b.txt: '{{ text }}'}}\n")
    made = other.create("wrote", agent=BASE, environment="remote")
    again = other.create("wrote more", agent=BASE, environment=made["environment_id"])
    raw = other.service.handle(_call(f"/v1beta/environments/{again['environment_id']}/files/a/b.txt", alt="media"))
    assert raw.body == b"wrote more"
    copy = other("POST", "/v1beta/environments", {"from_environment": made["environment_id"]})
    assert copy["file_count"] == "1"


def upload(client: Any, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    from evalkit.server.calls import Call

    named = {"x-goog-api-key": "k", **{f"x-goog-upload-{name.replace('_', '-')}": value for name, value in headers.items()}}
    path, _, query = path.partition("?")
    client.last = client.service.handle(Call(method, path, dict(pair.split("=") for pair in query.split("&") if pair), named, body))
    return json.loads(client.last.body)


def test_an_upload_comes_in_pieces(client: Any) -> None:
    id_ = client("POST", "/v1beta/environments", {})["id"]
    upload(client, "PUT", f"/prefix/upload/v1beta/environments/{id_}/files/a/b.txt", command="start", header_content_length="5")
    assert client.last.headers["x-goog-upload-status"] == "active"
    address = client.last.headers["x-goog-upload-url"].removeprefix("http://127.0.0.1")
    upload(client, "POST", address, b"hel", command="upload", offset="0")
    assert client.last.headers["x-goog-upload-status"] == "active"
    for body, offset, command, said in (
        (b"lo", "0", "upload, finalize", "'x-goog-upload-offset' must be 3, got '0'."),
        (b"lo", "3", "query", "'x-goog-upload-command' must be upload, or upload, finalize."),
        (b"loo", "3", "upload", "More is sent than the 5 bytes that were announced."),
    ):
        assert message(upload(client, "POST", address, body, command=command, offset=offset)) == said
    file = upload(client, "POST", address, b"lo", command="upload, finalize", offset="3")
    assert client.last.headers["x-goog-upload-status"] == "final"
    assert (file["path"], file["size_bytes"]) == ("a/b.txt", "5")
    assert message(upload(client, "POST", address, command="upload", offset="0")) == "There is no such upload, or it is done."


@pytest.mark.parametrize(
    ("path", "headers", "status", "said"),
    [
        ("a", {}, 400, "'x-goog-upload-command' must be start; files are uploaded the resumable way."),
        ("a", {"command": "start"}, 400, "'x-goog-upload-header-content-length' must be the number of bytes that will be sent."),
        ("a", {"command": "start", "header_content_length": "9" * 20}, 413, f"The file is larger than {LARGEST} bytes."),
        ("a?extract=true", {"command": "start", "header_content_length": "1"}, 501, "Archives are not unpacked here; upload the files."),
        ("//", {"command": "start", "header_content_length": "1"}, 400, "The file has no path."),
        (
            "main.py",
            {"command": "start", "header_content_length": "1"},
            400,
            "'main.py': there is such a file already; send overwrite=true to replace it.",
        ),
    ],
)
def test_an_upload_that_is_refused(client: Any, path: str, headers: dict[str, Any], status: int, said: str) -> None:
    id_ = client("POST", "/v1beta/environments", {"sources": [{"type": "inline", "target": "main.py", "content": ""}]})["id"]
    body = upload(client, "PUT", f"/upload/v1/environments/{id_}/files/{path}", **headers)
    assert (client.last.status, message(body)) == (status, said)
    assert upload(client, "PUT", f"/upload/v1/environments/env_x/files/{path}", **headers)["error"]["message"] != ""


def test_a_half_upload_is_not_there(client: Any) -> None:
    id_ = client("POST", "/v1beta/environments", {})["id"]
    upload(client, "PUT", f"/upload/v1beta/environments/{id_}/files/a", command="start", header_content_length="5")
    address = client.last.headers["x-goog-upload-url"].removeprefix("http://127.0.0.1")
    body = upload(client, "POST", address, b"hel", command="upload, finalize", offset="0")
    assert message(body) == "3 of the 5 bytes that were announced were sent."
    assert client("GET", f"/v1beta/environments/{id_}")["file_count"] == "0"
    client("DELETE", f"/v1beta/environments/{id_}")
    assert message(upload(client, "POST", address, b"lo", command="upload, finalize", offset="3")) == f"Environment '{id_}' was not found."


def test_an_environment_is_copied(client: Any) -> None:
    first = client("POST", "/v1beta/environments", {"sources": SOURCES, "network": "disabled"})
    copy = client("POST", "/v1beta/environments", {"from_environment": f"environments/{first['id']}"})
    assert copy["id"] != first["id"]
    assert (copy["sources"], copy["network"], copy["file_count"]) == (SOURCES, "disabled", "2")
    both = client("POST", "/v1beta/environments", {"from_environment": first["id"], "sources": SOURCES})
    assert message(both) == "'from_environment' and 'sources' cannot be used together."


def test_an_environment_is_added_to_by_its_id(client: Any) -> None:
    made = client("POST", "/v1beta/environments", {})
    more = {"type": "remote", "environment_id": made["id"], "sources": SOURCES[:1], "network": "disabled"}
    assert client.create("Do it", agent=BASE, environment=more)["environment_id"] == made["id"]
    shown = client("GET", f"/v1beta/environments/{made['id']}")
    assert (shown["file_count"], shown["network"]) == ("1", "disabled")


def test_an_environment_expires_where_nobody_uses_it(client: Any, at: Callable[[int], None]) -> None:
    week = 7 * 86_400
    id_ = client("POST", "/v1beta/environments", {})["id"]
    at(1_800_000_000 + week - 1)
    assert client("GET", f"/v1beta/environments/{id_}")["status"] == "active"
    client.create("Do it", agent=BASE, environment=id_)
    at(1_800_000_000 + week)
    assert client("GET", f"/v1beta/environments/{id_}")["status"] == "active"
    at(1_800_000_000 + 2 * week)
    assert client("GET", f"/v1beta/environments/{id_}")["status"] == "expired"
    body = client.create("Do it", agent=BASE, environment=id_)
    assert (body["error"]["code"], message(body)) == ("failed_precondition", f"'environment': environment '{id_}' has expired.")
    body = client("POST", "/v1beta/environments", {"from_environment": id_})
    assert message(body) == f"'from_environment': environment '{id_}' has expired."


def test_an_environment_that_was_deleted_is_not_worked_in(client: Any) -> None:
    id_ = client("POST", "/v1beta/environments", {})["id"]
    client("DELETE", f"/v1beta/environments/{id_}")
    assert message(client.create("Do it", agent=BASE, environment=id_)) == f"'environment': environment '{id_}' was not found."


def test_an_empty_body_makes_an_empty_environment(client: Any) -> None:
    assert client("POST", "/v1beta/environments", None)["file_count"] == "0"
