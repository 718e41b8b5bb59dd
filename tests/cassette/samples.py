"""Recordings for tests: a conversation, and Hypothesis strategies for recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from evalkit._lib.files import sha256
from evalkit.cassette.journal import CassetteJournal, journal_line, journal_path
from evalkit.cassette.recording import Cassette, Recording

HOST = "https://generativelanguage.googleapis.com"
PATH = "/v1beta/interactions"
TOOL = {
    "type": "function",
    "name": "get_temperature",
    "description": "Gets the temperature",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
}


def user(text: str) -> dict[str, Any]:
    return {"type": "user_input", "content": [{"type": "text", "text": text}]}


def model_output(text: str) -> dict[str, Any]:
    return {"type": "model_output", "content": [{"type": "text", "text": text}]}


def ask(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "model": "gemini-3.5-flash",
        "store": False,
        "input": list(steps),
        "tools": [TOOL],
        **fields,
    }


def recording(
    body: Any, answer: Any = None, *, path: str = PATH, method: str = "POST", **fields: Any
) -> Recording:
    text = None if body is None else json.dumps(body)
    headers = {} if text is None else {"content-type": ["application/json"]}
    outcome = {
        "status": 200,
        "reason": "OK",
        "response_headers": {"content-type": ["application/json"]},
        "elapsed_ms": 12.5,
        **fields,
    }
    return Recording(
        method,
        HOST + path,
        text,
        headers,
        body=json.dumps({"id": "v1_a"} if answer is None else answer),
        **outcome,
    )


CALL = {
    "type": "function_call",
    "id": "c1",
    "name": "get_temperature",
    "arguments": {"location": "London"},
}
RESULT = {
    "type": "function_result",
    "call_id": "c1",
    "name": "get_temperature",
    "result": {"temperature": "22"},
}
FIRST = ask(user("How warm is it in London?"))
SECOND = ask(user("How warm is it in London?"), CALL, RESULT)
THIRD = ask(
    user("How warm is it in London?"),
    CALL,
    RESULT,
    model_output("22 degrees"),
    user("And in Paris?"),
)


def add_to_journal(cassette: Path, *lines: str) -> None:
    """Append lines to a cassette's journal, as a process that is killed then."""
    journal = CassetteJournal.open(journal_path(cassette))
    for line in lines:
        journal.append(line)
    journal.close()


def leave_folded_journal(cassette: Path) -> None:
    """Leave a cassette's journal as a process that is killed after it wrote the cassette."""
    add_to_journal(cassette, journal_line(folded=sha256(cassette.read_bytes())))


def conversation() -> list[Recording]:
    return [
        recording(body, {"id": f"v1_{number}", "steps": []})
        for number, body in enumerate((FIRST, SECOND, THIRD), 1)
    ]


# YAML cannot express lone surrogates; all other text must survive.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text(
    " \t\n\r\x85\u2028\ufeff\x00:#-|'\"\\a", max_size=20
)
JSONS: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
JSON_OBJECTS = st.dictionaries(TEXTS, JSONS, max_size=4)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "retry-after", "x-note", "no", "true"]),
    st.lists(
        st.sampled_from(
            [
                "application/json",
                "text/event-stream; charset=utf-8",
                "5",
                "no",
                "1e5",
                "a, b",
                "x: y",
            ]
        )
        | TEXTS,
        min_size=1,
        max_size=2,
    ),
    max_size=2,
)
MILLISECONDS = st.integers(0, 10**9).map(lambda value: value / 1000)
BODIES: st.SearchStrategy[str | bytes] = st.one_of(
    JSON_OBJECTS.map(json.dumps),
    JSON_OBJECTS.map(lambda value: json.dumps(value, ensure_ascii=False, indent=3)),
    TEXTS,
    st.just('event: a\ndata: {"event_type": "x"}\n\nevent: done\ndata: [DONE]\n\n'),
    st.binary(min_size=1, max_size=20).filter(lambda data: _is_binary(data)),
)
RECORDINGS = st.builds(
    Recording,
    method=st.sampled_from(["POST", "GET", "DELETE", "NO"]),
    uri=st.sampled_from(
        [
            HOST + PATH,
            "http://127.0.0.1:8787/v1/interactions/v1_a?stream=true",
            "http://h/a?x=1:",
            "http://[::1]:1/#a",
        ]
    )
    | TEXTS,
    request_body=st.none() | BODIES,
    request_headers=HEADERS,
    status=st.integers(100, 599),
    reason=st.sampled_from(["OK", "Not Found", "No", "", "yes"]) | TEXTS,
    response_headers=HEADERS,
    body=BODIES,
    elapsed_ms=st.none() | MILLISECONDS,
    event_ms=st.lists(MILLISECONDS, max_size=3).map(tuple),
    broken=st.none() | TEXTS,
    extra=st.dictionaries(st.sampled_from(["url", "protocol"]), TEXTS | st.integers(), max_size=1),
)
CASSETTES = st.builds(
    Cassette,
    st.lists(RECORDINGS, max_size=3),
    st.dictionaries(
        st.sampled_from(["evalkit", "recorded", "redactions", "suite"]),
        st.integers(0, 9999) | TEXTS,
        max_size=3,
    ),
)


def _is_binary(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def without_json_space(body: str | bytes | None) -> Any:
    """Return a body without the white space between JSON tokens, which a file may change."""
    if isinstance(body, str) and body.lstrip(" \t\r\n")[:1] in ("{", "["):
        try:
            return json.loads(
                body,
                object_pairs_hook=lambda pairs: ("object", pairs),
                parse_float=str,
                parse_int=str,
            )
        except ValueError:
            pass
    return body


def comparable(cassette: Cassette) -> list[Any]:
    return [
        (
            outcome.method,
            outcome.uri,
            without_json_space(outcome.request_body),
            outcome.request_headers,
            outcome.status,
            outcome.reason,
            outcome.response_headers,
            without_json_space(outcome.body),
            outcome.elapsed_ms,
            outcome.event_ms,
            outcome.broken,
            outcome.extra,
        )
        for outcome in cassette.recordings
    ]
