"""HTTP archives as browsers and proxies write them: order, bodies, encodings, compression."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli.main import main
from evalkit.importing.traffic_reader import read_traffic
from tests.importing.traffic import MODEL, URL, interaction, run_import, scenarios, streamed, text

ANSWER = interaction(text("Grüße 👍"))
STREAM = streamed(text("Grüße 👍"))
PNG = b"\x89PNG\r\n\xff\x00"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def content(body: Any, **more: Any) -> dict[str, Any]:
    body = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return {"size": 9, "mimeType": "application/json", "text": body, **more}


def entry(
    words: str, content: Any, second: int = 0, *, status: int = 200, **body: Any
) -> dict[str, Any]:
    """Return an entry with a request of the user's ``words``."""
    sent = json.dumps({"model": MODEL, "input": words, **body})
    return {
        "startedDateTime": f"2026-05-01T10:00:{second:02}.1234567+02:00",
        "time": 123.25,
        "request": {
            "method": "POST",
            "url": URL,
            "headers": [{"name": ":authority", "value": "h"}],
            "postData": {"mimeType": "application/json", "text": sent},
        },
        "response": {"status": status, "headers": [], "content": content},
    }


def image(content_encoding: str, **content: Any) -> dict[str, Any]:
    headers = [{"name": "content-encoding", "value": content_encoding}]
    content = {"mimeType": "image/png", "encoding": "base64", "text": encoded(PNG), **content}
    return {
        "request": {"method": "GET", "url": "https://example.org/a.png"},
        "response": {"status": 200, "headers": headers, "content": content},
    }


def write(name: str, *entries: Any) -> bytes:
    data = json.dumps({"log": {"version": "1.2", "pages": [], "entries": entries}}).encode()
    Path(name).write_bytes(data)
    return data


def answer_in(name: str) -> Any:
    """Return the text of the one answer of an archive, after its suite was replayed."""
    outcome = run_import(name, "--suite", "a")
    assert outcome.exit_code == 0, outcome.output
    assert len(scenarios()) == 1
    recordings = [one for one in read_traffic(Path(name)) if one.method == "POST" and one.status]
    return recordings[0].body


SSE = {"mimeType": "text/event-stream", "size": 9}


@pytest.mark.parametrize(
    "response",
    [
        {**SSE, "text": STREAM},
        {**SSE, "text": encoded(STREAM.encode()), "encoding": "base64"},
        {**SSE, "text": STREAM.encode().decode("latin-1")},
        {**SSE, "mimeType": "text/event-stream; charset=utf-8", "text": STREAM},
    ],
    ids=["text", "base64", "latin-1", "charset"],
)
def test_a_stream_is_read_whatever_the_exporter_made_of_it(response: dict[str, Any]) -> None:
    streamed_entry = entry("Hi", response, stream=True)
    # The coding of what was sent, of which the archive has the decompressed text.
    streamed_entry["response"]["headers"] = [{"name": "content-encoding", "value": "zstd"}]
    write("a.har", streamed_entry)
    assert answer_in("a.har") == STREAM


def test_a_text_with_a_charset_is_not_decoded_again() -> None:
    twice = interaction(text("Ã¼"))
    write("a.har", entry("Hi", content(twice, mimeType="application/json; charset=utf-8")))
    assert "Ã¼" in answer_in("a.har")


def test_entries_are_read_by_the_time_of_their_requests() -> None:
    turns = [
        entry("One", content(interaction(text("1"), id_="v1_1")), 1),
        entry(
            "Two", content(interaction(text("2"), id_="v1_2")), 2, previous_interaction_id="v1_1"
        ),
        entry(
            "Three", content(interaction(text("3"), id_="v1_3")), 3, previous_interaction_id="v1_2"
        ),
    ]
    write("a.har", turns[2], turns[0], turns[1])
    assert run_import("a.har").exit_code == 0
    (scenario,) = scenarios()
    assert [turn["user"] for turn in scenario["turns"]] == ["One", "Two", "Three"]
    assert [one.elapsed_ms for one in read_traffic(Path("a.har"))] == [123.25] * 3


@pytest.mark.parametrize(
    "foreign",
    [
        image("br"),
        image("compress"),
        image("", text="abc"),
        image("", _file="missing.png"),
        {"request": {"method": "GET", "url": "https://a.example/", "headers": 5}, "response": {}},
    ],
    ids=["brotli", "unknown-coding", "bad-base64", "missing-file", "bad-headers"],
)
def test_bodies_of_other_requests_do_not_matter(foreign: dict[str, Any]) -> None:
    write("a.har", foreign, entry("Hi", content(ANSWER)))
    assert json.loads(answer_in("a.har")) == ANSWER


def test_bodies_may_be_in_files_beside_the_archive(here: Path) -> None:
    (here / "body.json").write_text(json.dumps({"model": MODEL, "input": "Hi"}))
    (here / "answer.json").write_text(json.dumps(ANSWER))
    attached = entry("", {"mimeType": "application/json", "_file": "../elsewhere/answer.json"})
    attached["request"]["postData"] = {"mimeType": "", "text": "", "_file": "body.json"}
    write("a.har", attached)
    assert json.loads(answer_in("a.har")) == ANSWER


@pytest.mark.parametrize("status", [0, -1])
def test_a_request_without_response_is_not_an_answer(status: int) -> None:
    nothing = {"size": -1, "mimeType": "x-unknown"}
    write("a.har", entry("Hi", nothing, status=status), entry("Hi", content(ANSWER), 1))
    assert json.loads(answer_in("a.har")) == ANSWER
    write("b.har", entry("Hi", nothing, status=status))
    assert "(hi): the log has no response" in run_import("b.har").output


@pytest.mark.parametrize("left_out", [{}, {"text": None}, {"text": ""}])
def test_content_that_was_not_exported_is_named(left_out: dict[str, Any]) -> None:
    write("a.har", entry("Hi", {"size": 50_000, "mimeType": "application/json", **left_out}))
    outcome = run_import("a.har")
    assert outcome.exit_code == 2
    assert "the archive does not have its content" in outcome.output


@pytest.mark.parametrize("post", [None, {"mimeType": "application/json", "params": []}])
def test_a_request_body_that_was_not_exported_is_named(post: Any) -> None:
    unknown = entry("Hi", content(ANSWER))
    unknown["request"]["postData"] = post
    write("a.har", unknown)
    assert "the body of the request that began it is not in the log" in run_import("a.har").output


@pytest.mark.parametrize(
    ("name", "compress"), [("a.har.gz", gzip.compress), ("a.zhar", zlib.compress)]
)
def test_archives_may_be_compressed(here: Path, name: str, compress: Any) -> None:
    (here / name).write_bytes(compress(write("plain.har", entry("Hi", content(ANSWER)))))
    assert run_import(name).output.startswith("suites/a.yaml: 1 scenario")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"{}" * 999)[:-9], "a.gz: the compressed file is damaged"),
        (gzip.compress(b" " * 2 * 1024 * 1024), "a.gz: cannot be read (it is too large after"),
        (b"PK\x03\x04" + bytes(20), "a.gz: is a ZIP archive; unpack it"),
    ],
)
def test_a_compressed_file_that_cannot_be_read(here: Path, data: bytes, message: str) -> None:
    (here / "a.gz").write_bytes(data)
    outcome = CliRunner().invoke(main, ["--limit", "cassette=1MB", "import", "a.gz"])
    assert outcome.exit_code == 2
    assert message in outcome.output


def test_archives_in_folders_are_read(here: Path) -> None:
    for folder in ("traffic/b", "traffic/.hidden"):
        (here / folder).mkdir(parents=True)
        write(f"{folder}/a.HAR", entry(folder, content(interaction(text("1"), id_=folder))))
    assert run_import("traffic").exit_code == 0
    assert len(scenarios()) == 1


def test_a_conversation_that_was_exported_again_is_imported_once() -> None:
    first = entry("One", content(interaction(text("1"), id_="v1_1")), 1)
    second = entry(
        "Two", content(interaction(text("2"), id_="v1_2")), 2, previous_interaction_id="v1_1"
    )
    write("a.har", first)
    write("b.har", first, second)
    write("c.har", second, first)
    outcome = run_import("a.har", "b.har", "c.har")
    assert outcome.exit_code == 0
    for name in ("a.har", "c.har"):
        assert f"left out: {name}, conversation 1: another conversation" in outcome.output
    (scenario,) = scenarios()
    assert (scenario["id"], len(scenario["turns"])) == ("one", 2)
    assert "From b.har" in scenario["description"]


def test_a_sample_is_one_of_conversations_only() -> None:
    images = [image("") for _ in range(30)]
    for number, one in enumerate(images):
        one["request"]["url"] += f"?{number}"
    write("a.har", *images, entry("Hi", content(ANSWER)))
    outcome = run_import("a.har", "--sample", "2")
    assert "logs: 1 conversation of 1 line\n" in outcome.output
    assert len(scenarios()) == 1


def test_a_text_that_begins_like_a_compressed_file_is_a_text(here: Path) -> None:
    (here / "a.log").write_text("x is not a log\n")
    assert "a.log:1 is not JSON" in run_import("a.log").output
