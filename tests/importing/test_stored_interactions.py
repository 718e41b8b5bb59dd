"""Conversations imported by id: walked back at a real server, and what cannot be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evalkit._lib.json import dumps
from evalkit.errors import ConnectFailed, Disconnected, UsageError
from evalkit.importing.stored_interactions import read_ids, read_stored
from evalkit.transcript import Request, Response
from tests.importing.stored_conversation import converse
from tests.importing.traffic import pytest_in, run_import
from tests.weather import WEATHER

USER = {"type": "user_input", "content": [{"type": "text", "text": "Hi"}]}
ANSWER = {"type": "model_output", "content": [{"type": "text", "text": "Hello"}]}


def stored(**fields: Any) -> dict[str, Any]:
    return {"id": "x", "status": "completed", "model": "m", "steps": [USER, ANSWER], **fields}


def read(interactions: Mapping[str, Any], *ids: str) -> Any:
    def send(request: Request) -> Response:
        assert request.query == (("include_input", "true"),)
        value = interactions.get(request.path.rpartition("/")[2])
        if isinstance(value, Exception):
            raise value
        if isinstance(value, Response):
            return value
        if value is None:
            error = {"error": {"code": "not_found", "message": "Not found."}}
            return Response(404, {}, dumps(error))
        return Response(200, {}, value if isinstance(value, str) else dumps(value))

    return read_stored(ids, send, base_url="https://api.example", version="v1beta")


LONG_ID = f"v1_{'ChdXYnM1' * 12}"
PROBLEMS: dict[str, tuple[Any, str]] = {
    "unknown": (
        None,
        'cannot be read: 404 not_found: "Not found."; '
        "it expired, was deleted, or is of another project",
    ),
    "no such page": (
        Response(404, {}, "<html><title>Not Found</title></html>"),
        "cannot be read: HTTP 404 Not Found; it is not from the API; check the base URL",
    ),
    "not for this key": (
        Response(403, {}, dumps({"error": {"code": 403, "message": "No."}})),
        'cannot be read: 403: "No."; check the API key',
    ),
    "overloaded": (Response(503, {}, ""), "HTTP 503 Service Unavailable; run it again later"),
    "no connection": (Disconnected("reset by peer"), "cannot be read: reset by peer"),
    "not JSON": ("<html>", "is not JSON"),
    "not an object": ("[]", "is not an interaction"),
    "running": (stored(status="in_progress"), "is in_progress; import it when it has ended"),
    "no steps": (stored(steps=None), "has no steps"),
    "odd steps": (stored(steps=["x"]), "has no steps"),
    "waits for results": (
        stored(status="requires_action", steps=[ANSWER]),
        "does not say what was sent to it (status requires_action",
    ),
    "its own history": (stored(previous_interaction_id="last"), "continues itself"),
    "expired history": (
        stored(previous_interaction_id="gone"),
        "its earlier interaction gone cannot be read: 404",
    ),
    "a history with a long id": (
        stored(previous_interaction_id=LONG_ID),
        f"its earlier interaction {LONG_ID} cannot be read: 404",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_cannot_be_read(name: str) -> None:
    value, message = PROBLEMS[name]
    found = read({"last": value}, "last")
    assert found.recordings == {}
    assert message in found.problems["last"]


def test_an_invalid_request_is_not_called_expired() -> None:
    error = {"error": {"code": 400, "message": "Bad id."}}
    found = read({"last": Response(400, {}, dumps(error))}, "last")
    assert found.problems == {"last": 'cannot be read: 400: "Bad id."'}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ConnectFailed("nobody answers"), "interaction a: cannot be read: nobody answers"),
        (
            Response(400, {}, dumps({"error": {"code": 400, "message": "API key not valid."}})),
            "interaction a: cannot be read: 400: .API key not valid..; check the API key",
        ),
        (Response(401, {}, "{}"), "interaction a: cannot be read: HTTP 401 .*; check the API key"),
    ],
)
def test_what_concerns_all_ids_ends_the_import(answer: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        read({"a": answer, "b": stored()}, "a", "b")


def test_one_bad_id_does_not_stop_the_others() -> None:
    found = read({"good": stored()}, "bad", "good", "good")
    assert list(found.recordings) == ["good"]
    assert list(found.problems) == ["bad"]


def test_an_id_in_the_history_of_another_is_part_of_it() -> None:
    chain = {"a": stored(), "b": stored(previous_interaction_id="a")}
    found = read(chain, "a", "b")
    assert {id_: len(list_) for id_, list_ in found.recordings.items()} == {"b": 2}


def test_the_request_is_what_the_resource_repeats() -> None:
    resource = stored(
        input=[USER, USER],
        tools=[WEATHER],
        system_instruction="Be brief.",
        service_tier="standard",
        usage={"total_tokens": 3},
    )
    (recording,) = read({"a": resource}, "a").recordings["a"]
    assert json.loads(recording.request_body) == {
        "model": "m",
        "system_instruction": "Be brief.",
        "tools": [WEATHER],
        "input": [USER, USER],
    }
    body = json.loads(recording.body)
    assert body["steps"] == [ANSWER]
    assert body["usage"] == {"total_tokens": 3}


def test_ids_of_a_file() -> None:
    assert read_ids("a\n\n# old\n b # from a ticket\n", "ids") == ["a", "b"]
    with pytest.raises(UsageError, match=r"^ids: has no id; write one interaction id in each line"):
        read_ids("", "ids")
    for text in ("a b", '["a", "b"]', '[\n  "a"\n]', "https://api.example/v1/interactions/a"):
        with pytest.raises(UsageError, match=r"^ids: id 1 is .* .expected one id, such as v1_"):
            read_ids(f"{text}\n", "ids")


def test_a_stored_conversation_replays(tmp_path: Path, url: str) -> None:
    ids = converse(url)
    Path("ids.txt").write_text(f"{ids[0]}  # in the history of the next\n{ids[-1]}\n")
    result = run_import("--ids", "ids.txt", "--interaction", "v1_gone", "--base-url", url)
    assert result.exit_code == 0, result.output
    assert "left out: interaction v1_gone: cannot be read: 404" in result.output
    assert "suites/stored.yaml: 1 scenario" in result.output
    text = Path("suites/stored.yaml").read_text()
    assert "system_instruction: Be exact." in text
    assert "get_current_temperature" in text
    assert "1 passed in" in pytest_in(tmp_path, "suites")


def test_nothing_to_import(tmp_path: Path, url: str) -> None:
    Path("ids.txt").write_bytes(b"v1_\xff\n")
    for arguments, message in (
        ([], "nothing to import; name files, or ids with --interaction or --ids"),
        (["--interaction", "gone", "--base-url", url], "no conversation can be read"),
        (["--interaction", "x"], "no API key: set GEMINI_API_KEY"),
        (["--interaction", "", "--base-url", url], "--interaction is '' (expected one id, such"),
        (["--ids", "nowhere.txt"], "nowhere.txt: cannot be read (No such file or directory)"),
        (["--ids", "ids.txt"], "ids.txt: cannot be read (not UTF-8: invalid start byte)"),
        (["--interaction", "x", "--base-url", "ftp://x"], "ftp://x"),
    ):
        result = run_import(*arguments)
        assert result.exit_code == 2, result.output
        assert message in result.output
        assert {path.name for path in tmp_path.iterdir()} == {"ids.txt", "pyproject.toml"}
