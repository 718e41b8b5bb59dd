"""Cassettes over HTTP: which recording answers which request, misses, timing, broken streams."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cassette.files import load_cassette
from evalkit.cassette.format import render
from evalkit.cassette.recording import Cassette, Recording
from evalkit.errors import CassetteError, UsageError
from evalkit.server import create_app, serving
from evalkit.server.calls import Call, Reply
from evalkit.server.replay.backend import CassetteBackend, reply_of
from evalkit.server.replay.library import (
    CassetteLibrary,
    NormalizedRequest,
    PlayedCassette,
    normalize_body,
    normalize_recording,
    normalize_request,
)
from tests.cassette.samples import JSON_OBJECTS, model_output, recording, user

PATH = "/v1beta/interactions"
FOUND = 200


def tape(name: str, *texts: str, server: str = "") -> PlayedCassette:
    """Return a stateful conversation: each request names the interaction before it."""
    recordings = [
        recording(
            {
                "model": "m",
                "input": text,
                **({"previous_interaction_id": f"{name}{number}"} if number else {}),
            },
            {"id": f"{name}{number + 1}"},
        )
        for number, text in enumerate(texts)
    ]
    return PlayedCassette(f"{name}.yaml", recordings, server=server)


def ask(
    body: Any, method: str = "POST", path: str = PATH, query: tuple[tuple[str, str], ...] = ()
) -> NormalizedRequest:
    return normalize_request(method, path, query, body)


def play(library: CassetteLibrary, body: Any) -> str | None:
    match = library.take(ask(body))
    return None if match is None else f"{match.cassette.name}:{match.number}"


# --- which requests are equal

HELLO = {"model": "m", "input": "Hello"}
HISTORY = [user("Hi"), {"type": "thought", "signature": "s"}, model_output("Ho"), user("Again")]

SAME: dict[str, tuple[Any, Any]] = {
    "key order": ({"model": "m", "input": "Hello"}, {"input": "Hello", "model": "m"}),
    "number spelling": (
        {**HELLO, "generation_config": {"seed": 1}},
        {**HELLO, "generation_config": {"seed": 1.0}},
    ),
    "null at the top": (HELLO, {**HELLO, "previous_interaction_id": None, "store": None}),
    "null in a step": (
        {"input": HISTORY},
        {"input": [{**step, "error": None} for step in HISTORY]},
    ),
    "null in content": (
        {"input": [user("a")]},
        {
            "input": [
                {
                    "type": "user_input",
                    "content": [{"type": "text", "text": "a", "annotations": None}],
                }
            ]
        },
    ),
    "string and step": (HELLO, {**HELLO, "input": [user("Hello")]}),
    "string and content": (HELLO, {**HELLO, "input": {"type": "text", "text": "Hello"}}),
    "content list and step": ({"input": [{"type": "text", "text": "a"}]}, {"input": [user("a")]}),
    "content without type": ({"input": [{"text": "a"}]}, {"input": "a"}),
    "content as a string": (
        {"input": [{"type": "user_input", "content": "a"}]},
        {"input": [user("a")]},
    ),
}
OTHER: dict[str, tuple[Any, Any]] = {
    "text": (HELLO, {**HELLO, "input": "hello"}),
    "a field": (HELLO, {**HELLO, "stream": True}),
    "false is not absent": (HELLO, {**HELLO, "stream": False}),
    "true is not one": ({**HELLO, "x": True}, {**HELLO, "x": 1}),
    "signature": (
        {"input": HISTORY},
        {
            "input": [
                {**step, "signature": "t"} if "signature" in step else step for step in HISTORY
            ]
        },
    ),
    "null in arguments": (
        {"input": [{"type": "function_call", "id": "c", "name": "f", "arguments": {}}]},
        {"input": [{"type": "function_call", "id": "c", "name": "f", "arguments": {"a": None}}]},
    ),
    "null in a result": (
        {"input": [{"type": "function_result", "result": {}}]},
        {"input": [{"type": "function_result", "result": {"a": None}}]},
    ),
    "null in a schema": (
        {"response_format": {"schema": {}}},
        {"response_format": {"schema": {"default": None}}},
    ),
    "order of steps": ({"input": HISTORY}, {"input": HISTORY[::-1]}),
    "no body": (None, {}),
}


@pytest.mark.parametrize("name", SAME)
def test_different_spellings_of_a_request_are_equal(name: str) -> None:
    left, right = SAME[name]
    assert ask(left).key == ask(right).key


@pytest.mark.parametrize("name", OTHER)
def test_requests_with_different_meanings_are_not_equal(name: str) -> None:
    left, right = OTHER[name]
    assert ask(left).key != ask(right).key


@pytest.mark.parametrize(
    ("uri", "path", "query"),
    [
        ("https://h/v1beta/interactions", "/v1/interactions", ()),
        ("https://h/v1beta/interactions", "/interactions", ()),
        ("https://h/v1beta/interactions", "//interactions", ()),
        ("https://h/gateway/v1alpha/interactions", "/v1/interactions", (("alt", "sse"),)),
        ("https://h/v1/interactions/v1_a?stream=false", "/v1beta/interactions/v1_a", ()),
        ("https://h/v1/interactions/a%3Ab", "/v1/interactions/a:b", ()),
        (
            "https://h/v1/interactions/a?key=REDACTED&stream=true",
            "/v1/interactions/a",
            (("stream", "true"), ("key", "secret")),
        ),
    ],
)
def test_versions_keys_and_defaults_in_the_uri_do_not_matter(
    uri: str, path: str, query: tuple[tuple[str, str], ...]
) -> None:
    assert (
        normalize_recording(Recording("GET", uri)).key
        == normalize_request("GET", path, query, None).key
    )


@pytest.mark.parametrize(
    "path",
    ["/v1/interactions/b", "/v1/interactions", "/v1/agents/a", "/v1/interactions/a?stream=true"],
)
def test_requests_with_different_uris_are_not_equal(path: str) -> None:
    bare, _, query = path.partition("?")
    pairs = (("stream", "true"),) if query else ()
    assert (
        normalize_recording(Recording("GET", "https://h/v1/interactions/a")).key
        != normalize_request("GET", bare, pairs, None).key
    )


@given(JSON_OBJECTS, st.none() | st.text() | st.lists(JSON_OBJECTS))
def test_every_body_has_one_normal_form(body: dict[str, Any], value: Any) -> None:
    once = normalize_body({**body, "input": value})
    assert normalize_body(once) == once
    assert ask({**body, "input": value}).key == ask(once).key


# --- which recording is played


def test_identical_first_requests_are_each_played_once_and_continue_in_their_cassette() -> None:
    library = CassetteLibrary(
        [tape("a", "Hello", "More"), tape("b", "Hello", "More"), tape("c", "Hello")]
    )
    assert [play(library, HELLO) for _ in range(4)] == ["a.yaml:0", "b.yaml:0", "c.yaml:0", None]
    more = {"model": "m", "input": "More"}
    assert play(library, {**more, "previous_interaction_id": "b1"}) == "b.yaml:1"
    assert play(library, {**more, "previous_interaction_id": "a1"}) == "a.yaml:1"
    assert library.unplayed() == []


def stateless(name: str, *texts: str) -> PlayedCassette:
    """Return a conversation whose requests differ from others only by their position."""
    history: list[Any] = []
    recordings = []
    for text in texts:
        history.append(user(text))
        recordings.append(
            recording(
                {"store": False, "input": list(history)},
                {"steps": [model_output("Yes")], "of": name},
            )
        )
        history.append(model_output("Yes"))
    return PlayedCassette(f"{name}.yaml", recordings)


def test_a_cassette_in_progress_is_preferred() -> None:
    library = CassetteLibrary(
        [
            stateless("a", "Hi", "One"),
            stateless("b", "Hi", "Two", "Three"),
            stateless("c", "Hi", "Two", "Three"),
        ]
    )
    first = {"store": False, "input": [user("Hi")]}
    second = {"store": False, "input": [user("Hi"), model_output("Yes"), user("Two")]}
    third = {"store": False, "input": [*second["input"], model_output("Yes"), user("Three")]}  # type: ignore[misc]
    assert [play(library, first), play(library, first)] == ["a.yaml:0", "b.yaml:0"]
    assert play(library, second) == "b.yaml:1"
    assert play(library, third) == "b.yaml:2"
    assert play(library, first) == "c.yaml:0"
    assert [play(library, second), play(library, third)] == ["c.yaml:1", "c.yaml:2"]
    assert library.unplayed() == ["a.yaml: not played: recording 2: POST /v1beta/interactions"]


def test_recordings_are_played_again_only_with_the_option() -> None:
    def tapes() -> list[PlayedCassette]:
        return [tape("a", "Hello", "More"), tape("b", "Hello", "Other")]

    more = {"model": "m", "input": "More", "previous_interaction_id": "a1"}
    strict, again = CassetteLibrary(tapes()), CassetteLibrary(tapes(), again=True)
    for _ in range(2):
        for library in (strict, again):
            assert play(library, HELLO) is not None
    assert play(strict, HELLO) is None
    assert [play(again, body) for body in (more, HELLO, more, more)] == [
        "a.yaml:1",
        "a.yaml:0",
        "a.yaml:1",
        "a.yaml:1",
    ]
    assert strict.unplayed() == [
        "a.yaml: not played: recording 2: POST /v1beta/interactions",
        "b.yaml: not played: recording 2: POST /v1beta/interactions",
    ]
    report = strict.miss_report(ask(HELLO), "record it")
    assert "cause: already played" in report
    assert "--replay-again" in report


def test_a_thousand_cassettes_cost_as_much_as_one() -> None:
    def calls(count: int) -> float:
        library = CassetteLibrary(
            [tape(f"t{number}-", "Hello", "More", "Most") for number in range(count)]
        )
        bodies = [HELLO] * count
        bodies += [
            {"model": "m", "input": text, "previous_interaction_id": f"t{number}-{at}"}
            for text, at in (("More", 1), ("Most", 2))
            for number in range(count)
        ]
        requests = [ask(body) for body in bodies]
        counted = 0

        def count_one(*_: object) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count_one)
        try:
            matches = [library.take(request) for request in requests]
        finally:
            sys.setprofile(None)
        assert None not in matches
        return counted / len(requests)

    assert calls(1000) <= calls(10) * 1.1


def test_a_miss_shows_the_nearest_recording_and_the_difference() -> None:
    library = CassetteLibrary([tape("a", "Hello", "More"), tape("b", "How warm is it in Rome?")])
    report = library.miss_report(
        ask({"model": "m", "input": "How warm is it in Paris?"}),
        "the command",
        lambda tape, number: 7,
    )
    assert report.splitlines() == [
        "evalkit serve: the cassette b.yaml has no recording of request 1, POST /interactions",
        "  cause: user text changed in turn 1 (step 1)",
        "  nearest: recording 1 of 1, b.yaml:7",
        "    /input/0/content/0/text",
        '      recorded  "How warm is it in Rome?"',
        '      sent      "How warm is it in Paris?"',
        "  to record this scenario again:",
        "    the command",
    ]


def test_of_equally_near_recordings_one_in_progress_is_shown() -> None:
    library = CassetteLibrary([tape("a", "Hello", "More"), tape("b", "Hi", "More")])
    assert play(library, {"model": "m", "input": "Hi"}) == "b.yaml:0"
    assert "nearest: recording 2 of 2" in (
        report := library.miss_report(
            ask({"model": "m", "input": "Less", "previous_interaction_id": "b1"}), ""
        )
    )
    assert "b.yaml" in report


# --- over HTTP


def write(folder: Path, name: str, *recordings: Recording, **metadata: Any) -> Path:
    path = folder / "suite" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(Cassette(list(recordings), metadata)), encoding="utf-8")
    return path


EVENTS = 'event: interaction.created\ndata: {"event_type":"interaction.created"}\n\n: ping\n\ndata: {"event_type":"x"}\r\n\r\ndata: [DONE]\n\n'
STREAM = {
    "response_headers": {"content-type": ["text/event-stream"]},
    "event_ms": (100.0, 350.0),
    "elapsed_ms": 360.0,
}


def test_a_recording_is_served_with_its_status_body_and_server(tmp_path: Path) -> None:
    refused = recording(
        {**HELLO, "input": "No"},
        {"error": {"code": "x", "message": "y"}},
        status=429,
        response_headers={"retry-after": ["3"]},
    )
    write(tmp_path, "a.yaml", recording(HELLO, {"id": "v1_a", "n": 1}), refused, server="theirs/1")
    log: list[str] = []
    with serving(create_app(CassetteBackend(tmp_path, log=log.append))) as url:
        fine = httpx.post(f"{url}/v1/interactions?key=any", json=HELLO)
        no = httpx.post(f"{url}{PATH}", json={**HELLO, "input": "No"})
    assert (fine.status_code, fine.json(), fine.headers["server"]) == (
        200,
        {"id": "v1_a", "n": 1},
        "theirs/1",
    )
    assert (no.status_code, no.headers["retry-after"], no.json()["error"]["code"]) == (
        429,
        "3",
        "x",
    )
    assert log == []


def test_a_miss_is_404_in_the_shape_of_the_api_and_in_the_log(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", recording(HELLO), recording({**HELLO, "input": "Unasked"}))
    key = "a-key-nobody-may-see"
    requests: list[str] = []
    log: list[str] = []
    with serving(create_app(CassetteBackend(tmp_path, log=log.append), log=requests.append)) as url:
        httpx.post(url + PATH, json=HELLO)
        answer = httpx.post(
            url + PATH, json={**HELLO, "model": f"m2 {key}"}, headers={"x-goog-api-key": key}
        )
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "not_recorded")
    assert "cause: model changed" in error["message"]
    assert "a.yaml:" in error["message"]
    assert error["message"] in requests[1]
    assert key not in requests[1]
    assert key not in answer.text
    [line] = log
    assert line.endswith("a.yaml: not played: recording 2: POST /v1beta/interactions")


def test_a_redacted_recording_answers_the_client_with_that_key(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", recording({**HELLO, "input": "My key is REDACTED"}))
    with serving(create_app(CassetteBackend(tmp_path))) as url:
        body = {**HELLO, "input": "My key is a-key-nobody-may-see"}
        assert (
            httpx.post(
                url + PATH, json=body, headers={"x-goog-api-key": "a-key-nobody-may-see"}
            ).status_code
            == FOUND
        )


def test_a_stream_is_served_byte_by_byte_as_recorded(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", stream(request_body=json.dumps({**HELLO, "stream": True})))
    with serving(create_app(CassetteBackend(path))) as url:
        answer = httpx.post(url + PATH, json={**HELLO, "stream": True})
    assert answer.text == EVENTS
    assert answer.headers["content-type"] == "text/event-stream"


def stream(body: str = EVENTS, **fields: Any) -> Recording:
    return Recording(
        "POST", "https://h" + PATH, body=body, **{"request_body": "{}", **STREAM, **fields}
    )


def test_timing_is_instant_or_recorded() -> None:
    assert reply_of(stream()).gaps == ()
    assert reply_of(recording(HELLO)).delay == 0
    timed = reply_of(stream(), timed=True)
    assert [*zip(timed.frames or (), timed.gaps, strict=True)] == [
        ('event: interaction.created\ndata: {"event_type":"interaction.created"}\n\n', 0.1),
        (": ping\n\n", 0.0),
        ('data: {"event_type":"x"}\r\n\r\n', 0.25),
        ("data: [DONE]\n\n", 0.0),
    ]
    assert reply_of(recording(HELLO), timed=True).delay == 0.0125


@pytest.mark.parametrize("at", range(len(EVENTS) + 1))
def test_a_broken_stream_is_served_as_it_broke(at: int) -> None:
    reply = reply_of(stream(EVENTS[:at], broken="cut"), timed=True)
    assert reply.end == "cut"
    assert "".join(reply.frames or ()) == EVENTS[:at]
    assert len(reply.gaps) == len(reply.frames or ())


def test_binary_bodies_are_served_unchanged(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.yaml",
        Recording(
            "GET",
            "https://h/v1/files/a",
            body=b"\xff\x00",
            response_headers={"content-type": ["image/png"]},
        ),
    )
    with serving(create_app(CassetteBackend(tmp_path))) as url:
        assert httpx.get(url + "/v1/files/a").content == b"\xff\x00"


def handle(served: CassetteBackend, call: Call) -> Reply:
    """Handle a call without an event loop, which replay does not need."""
    coroutine = served.handle(call)
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    reply = ended.value.value
    assert isinstance(reply, Reply)
    return reply


def test_no_connection_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.yaml", recording(HELLO))

    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    served = CassetteBackend(tmp_path)
    assert [
        handle(served, Call("POST", PATH, body=json.dumps(HELLO).encode())).status for _ in range(2)
    ] == [200, 404]


def test_every_request_gets_a_response(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", recording(HELLO))
    served = CassetteBackend(tmp_path)
    for body in (
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"1",
        b'{"input": [[]]}',
        b'{"input": {"type": []}}',
        b"[" * 5000,
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
    ):
        assert handle(served, Call("POST", PATH, body=body)).status == 404


# --- invalid cassettes


def test_an_invalid_cassette_is_an_error_with_file_and_line_at_startup(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "a.yaml", recording(HELLO))
    path.write_text(path.read_text()[:-20], encoding="utf-8")
    with pytest.raises(CassetteError, match=r"a\.yaml:\d+"):
        CassetteBackend(tmp_path)


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_missing_cassettes_are_a_usage_error(tmp_path: Path, what: str) -> None:
    folder = tmp_path / what
    if what == "empty":
        (folder / "_media").mkdir(parents=True)
        (folder / "_media" / "x.yaml").write_text("not a cassette")
    with pytest.raises(UsageError, match=r"--cassettes .*: no (such folder|cassettes)"):
        CassetteBackend(folder)


def test_numbered_cassettes_are_played_in_recorded_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        write(
            tmp_path,
            f"a-1f{f'.{number}' if number > 1 else ''}.yaml",
            recording(HELLO, {"id": f"v1_{number}"}),
        )
    with serving(create_app(CassetteBackend(tmp_path))) as url:
        assert [httpx.post(url + PATH, json=HELLO).json()["id"] for _ in range(3)] == [
            "v1_1",
            "v1_2",
            "v1_10",
        ]


def test_the_cassettes_of_this_repository_replay_completely() -> None:
    folder = Path(__file__).parents[2] / "cassettes"
    served = CassetteBackend(folder)
    for path in sorted(folder.rglob("*.yaml")):
        cassette = load_cassette(path)
        assert cassette is not None
        for one in cassette.recordings:
            target = "/" + one.uri.partition("://")[2].partition("/")[2]
            text = one.request_body or ""
            call = Call(
                one.method,
                target.partition("?")[0],
                body=text.encode() if isinstance(text, str) else text,
                target=target,
            )
            assert handle(served, call).status == one.status
