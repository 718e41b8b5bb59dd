"""Environments without HTTP: use by interactions, files, uploads, expiry."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from evalkit.server.api.environments import MAX_FILE_SIZE
from evalkit.server.calls import Call
from tests.server.talking import message

BASE = "antigravity-preview-05-2026"


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the clock, in seconds since 1970."""

    def set_clock(seconds: int) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(seconds))

    set_clock(1_800_000_000)
    return set_clock


def test_an_environment_created_by_an_interaction_is_listed(
    client: Any, at: Callable[[int], None]
) -> None:
    created = client.create("Do it", agent=BASE, environment="remote")
    (listed,) = client("GET", "/v1beta/environments")["environments"]
    assert listed == {
        "id": created["environment_id"],
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
    created = client(
        "POST",
        "/v1beta/environments",
        {"sources": SOURCES, "network": {"allowlist": [{"domain": "example.com"}]}},
    )
    assert (created["file_count"], created["size_bytes"], created["sources"]) == (
        "2",
        "11",
        SOURCES,
    )
    assert created["network"] == {"allowlist": [{"domain": "example.com"}]}
    files = f"/v1beta/environments/{created['id']}/files"
    (top,) = client("GET", files)["files"]
    assert (top["name"], top["path"], top["type"]) == ("src", "src", "directory")
    below = client("GET", f"{files}/src/")["files"]
    assert [(item["path"], item["type"]) for item in below] == [
        ("src/main.py", "file"),
        ("src/a", "directory"),
    ]
    assert [item["path"] for item in client("GET", files, recursive="true")["files"]] == [
        "src/main.py",
        "src/a/é.bin",
    ]
    page = client("GET", f"{files}/src", page_size="1")
    assert [item["path"] for item in page["files"]] == ["src/main.py"]
    assert [
        item["path"]
        for item in client("GET", f"{files}/src", page_token=page["next_page_token"])["files"]
    ] == ["src/a"]
    (main,) = client("GET", f"{files}/src/main.py")["files"]
    assert (main["size_bytes"], main["mime_type"]) == ("8", "text/x-python")
    raw = client.service.handle(_call(f"{files}/src/a/é.bin", alt="media"))
    assert (raw.body, raw.headers["content-type"]) == (b"\x00\x01\x02", "application/octet-stream")
    for path in ("/nothing", "/src/main.py/x"):
        assert client("GET", files + path)["error"]["code"] == "not_found"
    assert client("GET", f"{files}/src", alt="media")["error"]["code"] == "not_found"


def _call(path: str, **query: str) -> Any:
    return Call("GET", path, query=query, headers={"x-goog-api-key": "k"})


def test_an_answer_writes_its_files_into_its_environment(
    client: Any, scripted: Callable[[str], Any]
) -> None:
    prompt = "Write a script that saves the first 20 Fibonacci numbers to fibonacci.txt."
    created = client.create(prompt, agent=BASE, environment="remote")
    result = next(
        step["result"]
        for step in reversed(created["steps"])
        if step["type"] == "code_execution_result"
    )
    (entry,) = client("GET", f"/v1beta/environments/{created['environment_id']}/files")["files"]
    assert (entry["name"], entry["size_bytes"], entry["mime_type"]) == (
        "fibonacci.txt",
        str(len(result)),
        "text/plain",
    )
    raw = client.service.handle(
        _call(f"/v1beta/environments/{created['environment_id']}/files/fibonacci.txt", alt="media")
    )
    assert raw.body.decode() == result
    assert client.create(prompt, agent=BASE)["status"] == "completed"
    other = scripted("  - {reply: done, files: {/a/b.txt: '{{ text }}'}}\n")
    created = other.create("wrote", agent=BASE, environment="remote")
    again = other.create("wrote more", agent=BASE, environment=created["environment_id"])
    raw = other.service.handle(
        _call(f"/v1beta/environments/{again['environment_id']}/files/a/b.txt", alt="media")
    )
    assert raw.body == b"wrote more"
    copy = other("POST", "/v1beta/environments", {"from_environment": created["environment_id"]})
    assert copy["file_count"] == "1"


def upload(client: Any, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    named = {
        "x-goog-api-key": "k",
        **{f"x-goog-upload-{name.replace('_', '-')}": value for name, value in headers.items()},
    }
    path, _, query = path.partition("?")
    client.last = client.service.handle(
        Call(
            method,
            path,
            query=dict(pair.split("=") for pair in query.split("&") if pair),
            headers=named,
            body=body,
        )
    )
    return json.loads(client.last.body)


def test_an_upload_arrives_in_pieces(client: Any) -> None:
    id_ = client("POST", "/v1beta/environments", {})["id"]
    upload(
        client,
        "PUT",
        f"/prefix/upload/v1beta/environments/{id_}/files/a/b.txt",
        command="start",
        header_content_length="5",
    )
    assert client.last.headers["x-goog-upload-status"] == "active"
    address = client.last.headers["x-goog-upload-url"].removeprefix("http://127.0.0.1")
    upload(client, "POST", address, b"hel", command="upload", offset="0")
    assert client.last.headers["x-goog-upload-status"] == "active"
    for body, offset, command, expected in (
        (b"lo", "0", "upload, finalize", "'x-goog-upload-offset' must be 3, got '0'."),
        (b"lo", "3", "query", "'x-goog-upload-command' must be upload, or upload, finalize."),
        (b"loo", "3", "upload", "The file is larger than the announced 5 bytes."),
    ):
        assert (
            message(upload(client, "POST", address, body, command=command, offset=offset))
            == expected
        )
    file = upload(client, "POST", address, b"lo", command="upload, finalize", offset="3")
    assert client.last.headers["x-goog-upload-status"] == "final"
    assert (file["path"], file["size_bytes"]) == ("a/b.txt", "5")
    assert (
        message(upload(client, "POST", address, command="upload", offset="0"))
        == "The upload does not exist, or is finished."
    )


@pytest.mark.parametrize(
    ("path", "headers", "status", "expected"),
    [
        (
            "a",
            {},
            400,
            "'x-goog-upload-command' must be start; uploads are resumable.",
        ),
        (
            "a",
            {"command": "start"},
            400,
            "'x-goog-upload-header-content-length' must be the number of bytes to upload.",
        ),
        (
            "a",
            {"command": "start", "header_content_length": "9" * 20},
            413,
            f"The file is larger than {MAX_FILE_SIZE} bytes.",
        ),
        (
            "a?extract=true",
            {"command": "start", "header_content_length": "1"},
            501,
            "Archives are not extracted; upload the files.",
        ),
        (
            "//",
            {"command": "start", "header_content_length": "1"},
            400,
            "The path of the file is missing.",
        ),
        (
            "main.py",
            {"command": "start", "header_content_length": "1"},
            400,
            "'main.py': the file already exists; send overwrite=true to replace it.",
        ),
    ],
)
def test_an_invalid_upload_is_refused(
    client: Any, path: str, headers: dict[str, Any], status: int, expected: str
) -> None:
    id_ = client(
        "POST",
        "/v1beta/environments",
        {"sources": [{"type": "inline", "target": "main.py", "content": ""}]},
    )["id"]
    body = upload(client, "PUT", f"/upload/v1/environments/{id_}/files/{path}", **headers)
    assert (client.last.status, message(body)) == (status, expected)
    assert (
        upload(client, "PUT", f"/upload/v1/environments/env_x/files/{path}", **headers)["error"][
            "message"
        ]
        != ""
    )


def test_an_unfinished_upload_is_not_a_file(client: Any) -> None:
    id_ = client("POST", "/v1beta/environments", {})["id"]
    upload(
        client,
        "PUT",
        f"/upload/v1beta/environments/{id_}/files/a",
        command="start",
        header_content_length="5",
    )
    address = client.last.headers["x-goog-upload-url"].removeprefix("http://127.0.0.1")
    body = upload(client, "POST", address, b"hel", command="upload, finalize", offset="0")
    assert message(body) == "Only 3 of the announced 5 bytes were sent."
    assert client("GET", f"/v1beta/environments/{id_}")["file_count"] == "0"
    client("DELETE", f"/v1beta/environments/{id_}")
    assert (
        message(upload(client, "POST", address, b"lo", command="upload, finalize", offset="3"))
        == f"Environment '{id_}' was not found."
    )


def test_an_environment_is_copied(client: Any) -> None:
    first = client("POST", "/v1beta/environments", {"sources": SOURCES, "network": "disabled"})
    copy = client(
        "POST", "/v1beta/environments", {"from_environment": f"environments/{first['id']}"}
    )
    assert copy["id"] != first["id"]
    assert (copy["sources"], copy["network"], copy["file_count"]) == (SOURCES, "disabled", "2")
    both = client(
        "POST", "/v1beta/environments", {"from_environment": first["id"], "sources": SOURCES}
    )
    assert message(both) == "'from_environment' and 'sources' cannot be used together."


def test_sources_are_added_to_an_environment_by_its_id(client: Any) -> None:
    created = client("POST", "/v1beta/environments", {})
    more = {
        "type": "remote",
        "environment_id": created["id"],
        "sources": SOURCES[:1],
        "network": "disabled",
    }
    assert client.create("Do it", agent=BASE, environment=more)["environment_id"] == created["id"]
    environment = client("GET", f"/v1beta/environments/{created['id']}")
    assert (environment["file_count"], environment["network"]) == ("1", "disabled")


def test_an_unused_environment_expires(client: Any, at: Callable[[int], None]) -> None:
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
    assert (body["error"]["code"], message(body)) == (
        "failed_precondition",
        f"'environment': environment '{id_}' has expired.",
    )
    body = client("POST", "/v1beta/environments", {"from_environment": id_})
    assert message(body) == f"'from_environment': environment '{id_}' has expired."


def test_a_deleted_environment_cannot_be_used(client: Any) -> None:
    id_ = client("POST", "/v1beta/environments", {})["id"]
    client("DELETE", f"/v1beta/environments/{id_}")
    assert (
        message(client.create("Do it", agent=BASE, environment=id_))
        == f"'environment': environment '{id_}' was not found."
    )


def test_an_empty_body_creates_an_empty_environment(client: Any) -> None:
    assert client("POST", "/v1beta/environments", None)["file_count"] == "0"


@pytest.mark.parametrize(
    ("fields", "mode"),
    [
        ({}, None),
        ({"mode": "on_demand"}, "on_demand"),
        ({"mode": "self_hosted", "custom_config": {"zone": "a"}}, "self_hosted"),
        ({"mode": "self_hosted", "system_instruction": "Be brief."}, "self_hosted"),
        ({"system_instruction": "Be brief.", "custom_config": None}, None),
    ],
)
def test_an_environment_has_a_mode_and_its_key_once(
    client: Any, fields: dict[str, Any], mode: str | None
) -> None:
    created = client("POST", "/v1/environments", fields)
    assert created.get("mode") == mode
    assert created.get("custom_config") == fields.get("custom_config")
    assert "system_instruction" not in created
    assert created.pop("environment_key", "").startswith("ek_") == (mode == "self_hosted")
    assert client("GET", f"/v1/environments/{created['id']}") == created
    assert client("GET", "/v1/environments") == {"environments": [created]}


def test_environments_are_listed_by_mode(client: Any) -> None:
    for mode in ("on_demand", "self_hosted", None):
        client("POST", "/v1/environments", {"mode": mode})
    listed = client("GET", "/v1/environments", mode="on_demand", page_size="1")
    assert [one["mode"] for one in listed["environments"]] == ["on_demand"]
    rest = client("GET", "/v1/environments", mode="on_demand", page_token=listed["next_page_token"])
    assert [one.get("mode") for one in rest["environments"]] == [None]
    assert "next_page_token" not in rest
    assert client("GET", "/v1/environments", mode="other")["error"]["message"] == (
        "Unsupported value for 'mode': \"other\". Supported: on_demand, self_hosted."
    )


@pytest.mark.parametrize("fields", [{"mode": "self_hosted"}, {"custom_config": {"a": 1}}])
def test_an_interaction_may_describe_its_environment(client: Any, fields: Any) -> None:
    environment = {"type": "remote", **fields}
    body = client.create("x", agent="antigravity-preview-09-2026", environment=environment)
    stored = client("GET", f"/v1/environments/{body['environment_id']}")
    assert {name: stored[name] for name in fields} == fields
