"""Logs as programs write them: archives, arrays, encodings, names of parts, shapes of bodies."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.cassette.recording import Recording
from evalkit.errors import CassetteError, UsageError
from evalkit.importing.traffic_reader import read_traffic
from evalkit.protocol.stream_writer import events_of
from tests.importing.traffic import (
    MODEL,
    URL,
    exchange,
    interaction,
    run_import,
    scenarios,
    streamed,
    text,
)

BODY = {"model": MODEL, "input": "Grüße"}
ANSWER = interaction(text("Hallo 👍"))
LINE = exchange({"input": "Grüße"}, ANSWER)
STREAM = streamed(text("Hallo 👍"))


def har(content: dict[str, Any], status: int = 200, **request: Any) -> dict[str, Any]:
    """An archive with a preflight, a page, an aborted request and the exchange."""
    post = {
        "method": "POST",
        "url": URL,
        "headers": [{"name": "Content-Type", "value": "application/json"}],
        "postData": {"mimeType": "application/json", "text": json.dumps(BODY)},
        **request,
    }
    response = {"status": status, "headers": [], "content": {"size": 9, **content}}
    nothing = {"status": 204, "headers": [], "content": {"size": 0, "mimeType": "x-unknown"}}
    page = {"method": "GET", "url": "https://example.org/", "headers": []}
    aborted = {"status": 0, "headers": [], "content": {"size": 0, "mimeType": "x-unknown"}}
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "a browser"},
            "entries": [
                {"request": {"method": "OPTIONS", "url": URL, "headers": []}, "response": nothing},
                {"request": page, "response": {**nothing, "status": 200}},
                {"request": post, "response": aborted},
                {"request": post, "response": response},
            ],
        }
    }


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


JSON_TYPE = {"mimeType": "application/json; charset=utf-8"}
COMPRESSED = gzip.compress(json.dumps(ANSWER).encode())
LOGS: dict[str, bytes | str | dict[str, Any] | list[Any]] = {
    "array.json": [LINE],
    "nested.json": {"exchanges": [LINE]},
    "pretty.json": json.dumps(LINE, indent=2),
    "pretty-ones.log": json.dumps(LINE, indent=2) + "\n\n",
    "windows.jsonl": "\ufeff" + json.dumps(LINE).replace("Gr", "Gr") + "\r\n\r\n",
    "utf16.jsonl": (json.dumps(LINE, ensure_ascii=False) + "\r\n").encode("utf-16"),
    "sequence.log": "\x1e" + json.dumps(LINE) + "\n",
    "separators.jsonl": json.dumps(exchange({"input": "a\u2028b\x85c"}, ANSWER), ensure_ascii=False),
    "raw-line-breaks.jsonl": json.dumps(exchange({"input": "a\nb"}, ANSWER)).replace("\\n", "\n"),
    "half-pair.jsonl": json.dumps(exchange({"input": "a\udc00b"}, ANSWER), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    ),
    "methods.jsonl": exchange({"input": "a"}, ANSWER, method="pOsT"),
    "status-line.jsonl": {**LINE, "response": {"status": "200 OK", "body": ANSWER}},
    "status-object.jsonl": {**LINE, "response": {"status": {"code": 200}, "body": ANSWER}},
    "bodies-alone.jsonl": {"request": BODY, "response": ANSWER},
    "stream-alone.jsonl": {"input": {**BODY, "stream": True}, "output": STREAM},
    "text-bodies.jsonl": {
        "req": {"uri": URL, "body": json.dumps(BODY)},
        "res": {"statusCode": 200, "text": json.dumps(ANSWER)},
    },
    "header-list.jsonl": {
        **LINE,
        "response": {"headers": [["Content-Type", "application/json"]], "body": ANSWER},
    },
    "header-object.jsonl": {
        **LINE,
        "response": {"headers": {"CONTENT-TYPE": ["application/json"]}, "body": ANSWER},
    },
    "events.jsonl": {
        "request": {"body": {**BODY, "stream": True}},
        "response": {"events": events_of(ANSWER)},
    },
    "chunks.jsonl": {
        "request": {"body": {**BODY, "stream": True}},
        "response": {"chunks": [STREAM[:100], STREAM[100:]]},
    },
    "node-buffer.jsonl": {
        "request": {"body": BODY},
        "response": {"body": {"type": "Buffer", "data": list(json.dumps(ANSWER).encode())}},
    },
    "browser.har": har({**JSON_TYPE, "text": json.dumps(ANSWER)}),
    "bom.har": "\ufeff" + json.dumps(har({**JSON_TYPE, "text": json.dumps(ANSWER)}), indent=2),
    "base64.har": har(
        {**JSON_TYPE, "text": encoded(json.dumps(ANSWER).encode()), "encoding": "base64"}
    ),
    "stream.har": har(
        {"mimeType": "text/event-stream", "text": encoded(STREAM.encode()), "encoding": "base64"},
        postData={"mimeType": "application/json", "text": json.dumps({**BODY, "stream": True})},
    ),
    "proxy.har": {
        "log": {
            "entries": [
                {
                    "request": {"method": "POST", "url": URL, "postData": {"text": json.dumps(BODY), "mimeType": ""}},
                    "response": {
                        "status": 200,
                        "headers": [{"name": "content-encoding", "value": "gzip"}],
                        "content": {"text": encoded(COMPRESSED), "encoding": "base64"},
                    },
                }
            ]
        }
    },
    "vcr.json": {
        "version": 1,
        "interactions": [
            {
                "request": {"method": "POST", "uri": URL, "body": json.dumps(BODY), "headers": {}},
                "response": {
                    "status": {"code": 200, "message": "OK"},
                    "headers": {"content-type": ["application/json"]},
                    "body": {"string": json.dumps(ANSWER)},
                },
            }
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_read_whatever_writes_it(here: Path, name: str) -> None:
    content = LOGS[name]
    if not isinstance(content, bytes):
        content = content if isinstance(content, str) else json.dumps(content)
        content = content.encode()
    (here / name).write_bytes(content)
    recordings = [one for one in read_traffic(here / name) if one.method == "POST" and one.status]
    (recording,) = [one for one in recordings if "/interactions" in one.uri]
    assert recording.status == 200
    assert isinstance(recording.body, str)
    outcome = run_import(name, "--suite", "a")
    assert outcome.exit_code == 0, outcome.output
    (scenario,) = scenarios()
    assert {"status": "completed"} in scenario["turns"][0]["expect"]


def test_two_documents_follow_each_other_in_any_way(here: Path) -> None:
    other = exchange({"input": "Other"}, ANSWER)
    for separator in ("\n", "\r\n", "", "\n\n\ufeff", "\x1e"):
        (here / "a.log").write_text(json.dumps(LINE) + separator + json.dumps(other), newline="")
        assert len(read_traffic(here / "a.log")) == 2


def test_lines_of_results_keep_their_streams(here: Path) -> None:
    turn = {
        "number": 1,
        "exchanges": [
            {
                "number": 1,
                "request": {"method": "POST", "path": "/v1/interactions", "body": BODY},
                "response": {
                    "status": 200,
                    "source": "live",
                    "events": events_of(ANSWER),
                    "elapsed_ms": 812.5,
                },
            }
        ],
    }
    line = {"id": "a::b", "verdict": "passed", "turns": [turn, {"number": 2, "exchanges": []}]}
    (here / "results.jsonl").write_text(json.dumps(line) + "\n")
    (recording,) = read_traffic(here / "results.jsonl")
    assert recording.response_headers == {"content-type": ["text/event-stream"]}
    assert recording.elapsed_ms == 812.5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"request": {}}\n{"req', 'a.jsonl:2 is not JSON (Unterminated string'),
        ("a.log", b"2026-01-01 INFO sent\n", "a.log:1 is not an exchange: expected {\"request\": {…}, \"response\": {…}}, got 2026"),
        ("a.jsonl", b'{"a": "\xff"}', "a.jsonl:1 is not text in UTF-8 (byte 0xFF)"),
        ("a.json", b'{"log": {"entries": [{"x": 1}]}}', 'a.json:1 item 1 is not an exchange'),
        ("a.json", b'{"name": "x"}', 'got an object with ["name"]'),
        ("a.json", b'["x"]', "a.json:1 item 1 is not an exchange: expected"),
        ("a.har", b'{"log": {"entries": []}}', "no conversation: the files contain no request"),
        (
            "a.json",
            b'{"request": {"body": {}}, "response": {"body": {"text": "abc", "encoding": "base64"}}}',
            "a.json:1: a body cannot be read",
        ),
        ("a.yaml", b"{}", "a.yaml:1 is not an exchange"),
        ("a.txt", b"text", "a.txt:1 "),
    ],
)  # fmt: skip
def test_what_is_not_a_log_is_named_with_its_line(
    here: Path, name: str, content: bytes, message: str
) -> None:
    (here / name).write_bytes(content)
    outcome = run_import(name)
    assert outcome.exit_code == 2
    assert message in outcome.output
    assert sorted(path.name for path in here.iterdir()) == [name, "pyproject.toml"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path)])
def test_a_log_that_cannot_be_read(here: Path, make: Callable[[Path], None]) -> None:
    make(here / "a.jsonl")
    with pytest.raises(UsageError, match=r"^a\.jsonl: cannot be read \("):
        read_traffic(Path("a.jsonl"))


def test_errors_are_of_the_kind_that_a_caller_expects(here: Path) -> None:
    (here / "a.json").write_text('{"request": {}, "response": {"status": true}}')
    with pytest.raises(CassetteError, match="the status is boolean, not a number"):
        read_traffic(here / "a.json")
    (here / "b.json").write_text('{"request": {"body": {"string": "x"}}, "response": null}')
    assert read_traffic(here / "b.json") == [
        Recording(
            "POST",
            "https://generativelanguage.googleapis.com/v1beta/interactions",
            "x",
            status=0,
            response_headers={"content-type": ["application/json"]},
            broken="the log has no response",
        )
    ]


KEY = "AIzaSyKeyOfAnImportedLog0000000000000001"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"X-Goog-Api-Key": KEY}, ""),
        ([{"name": "authorization", "value": f"Bearer {KEY}"}], ""),
        ({}, f"?alt=sse&key={KEY}"),
        ({}, ""),
    ],
    ids=["header", "bearer", "query", "environment"],
)
def test_no_draft_has_the_key_of_its_log(
    here: Path, monkeypatch: pytest.MonkeyPatch, headers: Any, query: str
) -> None:
    if not headers and not query:
        monkeypatch.setenv("GEMINI_API_KEY", KEY)
    line = exchange({"input": f"{KEY} is my key", "labels": {"a": KEY}}, interaction(text(KEY)))
    line["request"] |= {"headers": headers, "url": URL + query}
    (here / "a.json").write_text(json.dumps(line))
    assert run_import("a.json").exit_code == 0
    scenarios()
    written = [path for path in here.rglob("*") if path.is_file() and path.name != "a.json"]
    assert len(written) == 3
    for path in written:
        assert KEY not in path.read_text()
        assert KEY.lower() not in path.name.lower()
