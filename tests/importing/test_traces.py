"""Traces of every format become the same conversation; what each of them lost is reported."""

from __future__ import annotations

import gzip
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from evalkit._lib.limits import set_limits
from evalkit.errors import UsageError
from evalkit.importing.scenario_drafts import draft_scenarios
from evalkit.importing.traces import protobuf
from evalkit.importing.traces.losses import Lack
from evalkit.importing.traces.messages import MessageReader
from evalkit.importing.traces.reader import TraceImport, is_trace_file, read_traces
from evalkit.importing.traces.selection import Selection
from evalkit.protocol.stream_writer import events_of, sse_text
from evalkit.results.genai_messages import genai_messages
from tests.importing.trace_files import FORMATS, SYSTEM, calls, current, otlp, parts
from tests.importing.traffic import exchange, interaction, run_import, scenarios, text


def write(documents: list[Any], name: str = "traces.jsonl") -> Path:
    path = Path(name)
    path.write_text("".join(json.dumps(one) + "\n" for one in documents))
    return path


def read(documents: list[Any]) -> TraceImport:
    return read_traces([write(documents)], Selection())


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_has_the_same_conversation(name: str) -> None:
    write(FORMATS[name])
    result = run_import("traces.jsonl")
    assert result.exit_code == 0, result.output
    assert "traces: 1 conversation" in result.output
    (scenario,) = scenarios()
    turns = scenario["turns"]
    assert [turn["user"] for turn in turns] == ["Where is order A7?", "Thanks!"]
    assert scenario["model"] == "gemini-3.5-flash"
    assert scenario["system_instruction"] == SYSTEM
    assert scenario["generation_config"] == {"temperature": 0.5}
    assert scenario.get("history") == (None if name == "only new" else "stateless")
    assert {"tool_calls": [{"name": "find_order", "arguments": {"number": "A7"}}]} in turns[0][
        "expect"
    ]
    suite = Path("suites/traces.yaml").read_text()
    for line in ("description: Finds an order.", "state: sent", "number: A7"):
        assert line in suite, line


def lost(documents: list[Any]) -> set[Lack]:
    """Return what is lost besides signatures and citations, which no message has."""
    lacks = read(documents).lacks
    assert {Lack.SIGNATURES, Lack.CITATIONS} <= lacks
    return lacks - {Lack.SIGNATURES, Lack.CITATIONS}


def test_what_a_source_lacks_is_found() -> None:
    assert lost(FORMATS["current"]) == set()
    assert lost(FORMATS["only new"]) == {Lack.CHAIN}
    assert lost(FORMATS["last only"]) == {Lack.REPEATED}
    assert lost(FORMATS["OpenLLMetry"]) == {Lack.CONVERSATIONS, Lack.IDS}
    assert lost(FORMATS["Gemini contents"]) == {Lack.CALL_IDS, Lack.IDS}
    (number, (sent, answer)) = next(enumerate(calls()))
    bare = {
        "gen_ai.request.model": "m",
        "gen_ai.input.messages": json.dumps([parts(one) for one in sent]),
        "gen_ai.output.messages": json.dumps([parts(answer)]),
    }
    assert lost([otlp(bare, number)]) == {
        Lack.CONVERSATIONS,
        Lack.IDS,
        Lack.USAGE,
        Lack.SETTINGS,
        Lack.TOOLS,
        Lack.RESULTS,
    }


def test_calls_without_messages_are_left_out_and_named() -> None:
    found = read([otlp({"gen_ai.request.model": "m", "gen_ai.operation.name": "chat"}, 1)])
    assert (found.recordings, found.lacks) == ({}, {Lack.CONVERSATIONS, Lack.CONTENT})
    write([otlp({"gen_ai.request.model": "m", "gen_ai.operation.name": "chat"}, 1)])
    result = run_import("traces.jsonl")
    assert result.exit_code == 2
    assert "messages of some calls" in result.output


def test_failed_calls() -> None:
    number, (sent, _) = 1, next(calls())
    asked = {"gen_ai.input.messages": json.dumps([parts(one) for one in sent])}
    failed = {**asked, "error.type": "resource_exhausted", "gen_ai.request.model": "m"}
    status = {"code": 2, "message": "Quota exceeded."}
    known = otlp({**failed, "http.response.status_code": 429}, number, status=status)
    (recording,) = read([known]).recordings["traces.jsonl"]
    error = {"code": "resource_exhausted", "message": "Quota exceeded."}
    assert (recording.status, json.loads(str(recording.body))) == (429, {"error": error})
    found = read([otlp(failed, number, status=status)])
    assert (found.recordings, Lack.FAILURES in found.lacks) == ({}, True)


def test_other_operations_are_not_calls_of_models() -> None:
    number, call = next(enumerate(calls()))
    attributes = current(number, *call)
    for changed in (
        {"gen_ai.operation.name": "invoke_agent"},
        {"gen_ai.operation.name": "judge"},
        {"openinference.span.kind": "AGENT"},
        {"traceloop.span.kind": "workflow"},
    ):
        assert read([otlp(attributes | changed, 1)]).conversations == 0


def test_a_conversation_is_imported_once() -> None:
    # Each turn is a trace of its own, without an id of the conversation, and one is exported twice.
    documents = []
    for number, call in enumerate(calls(), 1):
        attributes = current(number, *call)
        del attributes["gen_ai.conversation.id"]
        documents.append(otlp(attributes, number, trace=f"{number:032x}"))
    found = read([*documents, documents[1]])
    assert (found.conversations, found.repeated) == (1, 2)
    assert len(found.recordings["traces.jsonl"]) == 3


def test_conversations_of_one_session_are_told_apart() -> None:
    documents: list[Any] = []
    for marker in (" (1)", " (2)"):
        for number, call in enumerate(calls(marker), 1):
            attributes = current(number, *call)
            attributes["session.id"] = attributes.pop("gen_ai.conversation.id")
            documents.append(otlp(attributes, len(documents)))
    found = read(documents)
    assert (found.conversations, found.repeated) == (2, 0)


def many(count: int) -> list[Any]:
    """Conversations of two models, nine of ten of the first, their calls interleaved."""
    documents: list[Any] = []
    for step in range(3):
        for number in range(count):
            attributes = current(step, *list(calls(f" {number}", f"N{number}"))[step])
            model = "rare" if number % 10 == 0 else "usual"
            attributes |= {
                "gen_ai.conversation.id": f"conv-{number}",
                "gen_ai.response.id": f"r{number}-{step}",
                "gen_ai.request.model": model,
                "user.tier": number % 4,
            }
            documents.append(otlp(attributes, 3 * number + step, trace=f"{number:032x}"))
    return documents


def models(found: TraceImport) -> list[str]:
    recordings = [one for each in found.recordings.values() for one in each]
    assert len(recordings) == 3 * found.conversations
    bodies = [json.loads(str(one.request_body)) for one in recordings]
    return sorted(one["model"] for one in bodies if len(one["input"]) == 1)


def test_a_sample_is_spread_over_the_values_of_a_field() -> None:
    documents = many(60)
    path = write(documents)
    found = read_traces([path], Selection(size=8, by="gen_ai.request.model"))
    assert models(found) == ["rare"] * 4 + ["usual"] * 4
    again = read_traces([write(documents[::-1], "b.jsonl")], Selection(8, "gen_ai.request.model"))
    assert again.recordings["b.jsonl"] == found.recordings["traces.jsonl"]
    # There are only six of the rare ones; the rest is for the others.
    assert models(read_traces([path], Selection(20, "model"))) == ["rare"] * 6 + ["usual"] * 14
    assert read_traces([path], Selection(size=7)).conversations == 7
    assert read_traces([path], Selection(size=1000)).conversations == 60
    halves = [write(documents[0::2], "1.jsonl"), write(documents[1::2], "2.jsonl")]
    assert models(read_traces(halves, Selection(8, "model"))) == ["rare"] * 4 + ["usual"] * 4


def test_a_filter_chooses_whole_conversations() -> None:
    path = write(many(20))
    rare = Selection(expression="\"gen_ai.request.model\" == 'rare' && duration_ms > `100`")
    assert models(read_traces([path], rare)) == ["rare", "rare"]
    number = Selection(expression='"user.tier" == `3`', size=3)
    assert read_traces([path], number).conversations == 3
    # An answer of one call, of which the whole conversation is imported.
    last = Selection(expression="contains(\"gen_ai.output.messages\", 'welcome') && trace > 'a'")
    with pytest.raises(UsageError, match="--filter: no call fits"):
        read_traces([path], last)
    last = Selection(expression="contains(\"gen_ai.output.messages\", 'welcome')")
    assert read_traces([path], last).conversations == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: cannot be read (No such file or directory)"),
        (["--by", "model"], "--by spreads a sample over values; add --sample N"),
        (["--sample", "2", "--by", "modell"], "--by: no call has the field 'modell' (did you mean"),
        (["--filter", "a ||"], '--filter: "a ||" is not a JMESPath expression: it ends too early'),
        (["--filter", "model == 'x'"], "--filter: no call fits \"model == 'x'\""),
        (["--sample", "0"], "0 is not in the range x>=1"),
        (["log.jsonl", "--sample", "2"], "log.jsonl: has no traces; --sample and --filter choose"),
        (["--redact", "("], "redaction pattern '(' is not a regular expression"),
        (["--fields", "lables"], "--fields: no request or response has the field 'lables' (did"),
        (
            ["--cluster", "x"],
            "--cluster chooses conversations of traces on workers; name files of traces, and add",
        ),
        (["--cluster", "x", "--sample", "1"], "--cluster x: not the address of a scheduler"),
    ],
)
def test_wrong_options(arguments: list[str], message: str) -> None:
    Path("log.jsonl").write_text(json.dumps(exchange({"input": "Hi"}, interaction(text("Hello")))))
    write(FORMATS["current"])
    result = run_import("traces.jsonl", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not Path("suites").exists()


def everything_written(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "traces.jsonl"]
    return "".join(path.read_text() + path.name for path in files)


def test_personal_data_are_not_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(FORMATS["current"])
    # Temporary files, too, are among what is searched after a process that is not cleaned up.
    monkeypatch.setenv("TMPDIR", str(here))
    result = run_import("traces.jsonl", "--redact", r"[A-Z]\d", "--redact", "Thanks?")
    assert result.exit_code == 0, result.output
    written = everything_written(here)
    assert "order" in written
    for secret in ("A7", "Thank"):
        assert secret not in written
    assert scenarios()


def test_only_allowed_fields_are_written(here: Path) -> None:
    write(FORMATS["current"])
    allowed = "gen_ai.tool.definitions, usage"
    result = run_import("traces.jsonl", "--fields", allowed)
    assert result.exit_code == 0, result.output
    written = everything_written(here)
    assert "Finds an order." in written
    assert "total_input_tokens" in written
    assert SYSTEM not in written
    assert "temperature" not in written
    assert scenarios()


def test_the_fields_of_a_stream_are_allowed_one_by_one(here: Path) -> None:
    body = {"input": "Hi", "labels": {"user": "Ada"}, "system_instruction": "Be brief."}
    answer = interaction(text("Hello"), labels={"user": "Ada"})
    stream = "".join(sse_text(events_of(answer)))
    Path("log.jsonl").write_text(json.dumps(exchange({**body, "stream": True}, stream)))
    result = run_import("log.jsonl", "--fields", "system_instruction")
    assert result.exit_code == 0, result.output
    (scenario,) = scenarios()
    assert scenario["stream"] is True
    assert scenario["system_instruction"] == "Be brief."
    Path("log.jsonl").unlink()
    assert "Ada" not in everything_written(here)


def framed(documents: list[Any], length: Any) -> bytes:
    messages = [ParseDict(one, TracesData()).SerializeToString() for one in documents]
    return b"".join(length(len(one)) + one for one in messages)


def varint(size: int) -> bytes:
    return bytes([size & 0x7F | 0x80, *varint(size >> 7)]) if size > 0x7F else bytes([size])


def hex_ids(documents: list[Any]) -> list[Any]:
    """Return documents whose ids are in Base64, as protobuf's own JSON has them."""
    text = json.dumps(documents)
    for number in range(4):
        text = text.replace(f'"{number:016x}"', json.dumps(f"{number:x}AAAAAAAAAA="))
    documents = json.loads(text.replace("ab" * 16, "q6urq6urq6urq6urq6urqw=="))
    return list(documents)


@pytest.mark.parametrize("kind", ["single", "collector", "delimited", "gzip", "pretty", "array"])
def test_files_of_every_kind(kind: str) -> None:
    documents = FORMATS["current"]
    whole = {"resourceSpans": [group for one in documents for group in one["resourceSpans"]]}
    path = Path("traces.bin" if kind != "gzip" else "traces.jsonl.gz")
    path.write_bytes(
        {
            "single": lambda: framed(hex_ids([whole]), lambda size: b""),
            "collector": lambda: framed(hex_ids(documents), lambda size: size.to_bytes(4, "big")),
            "delimited": lambda: framed(hex_ids(documents), varint),
            "gzip": lambda: gzip.compress(write(documents).read_bytes()),
            "pretty": lambda: json.dumps(documents, indent=2).encode("utf-16"),
            "array": lambda: ("[\n" + ",\n".join(map(json.dumps, documents)) + "\n]").encode(),
        }[kind]()
    )
    assert is_trace_file(path)
    found = read_traces([path], Selection())
    assert found.problems.messages == []
    assert found.conversations == 1
    assert len(found.recordings[path.name]) == 3


def test_logs_in_protobuf() -> None:
    spans_, logs = FORMATS["log events"][0::2], FORMATS["log events"][1::2]
    Path("spans.bin").write_bytes(framed(hex_ids(spans_), varint))
    messages = [ParseDict(one, LogsData()).SerializeToString() for one in hex_ids(logs)]
    Path("logs.bin").write_bytes(b"".join(varint(len(one)) + one for one in messages))
    found = read_traces([Path("spans.bin"), Path("logs.bin")], Selection())
    assert (found.conversations, Lack.SETTINGS in found.lacks) == (1, False)


def test_protobuf_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("traces.bin").write_bytes(framed(hex_ids(FORMATS["current"]), varint))
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.trace.v1.trace_pb2", None)
    protobuf._library.cache_clear()
    result = run_import("traces.bin")
    protobuf._library.cache_clear()
    assert result.exit_code == 2
    assert "pip install 'pytest-evalkit[traces]', or write the traces as JSON" in result.output


def test_one_bad_line_does_not_lose_the_others() -> None:
    good = [json.dumps(one) for one in FORMATS["current"]]
    deep = '{"resourceSpans":' + "[" * 100_000 + "]" * 100_000 + "}"
    value = '{"arrayValue":{"values":[' * 450 + "{}" + "]}}" * 450
    nested = json.dumps(otlp({}, 9)).replace(
        '"attributes": []', f'"attributes": [{{"key": "gen_ai.prompt", "value": {value}}}]', 1
    )
    lines = [good[0], "{", good[1], '{"x": 1}', "5", deep, nested, '"' + "x" * 5000 + '"', good[2]]
    Path("traces.jsonl").write_text("\n".join(lines))
    set_limits(["line=4KB"])
    try:
        found = read_traces([Path("traces.jsonl")], Selection())
    finally:
        set_limits([])
    assert found.conversations == 1
    assert len(found.recordings["traces.jsonl"]) == 3
    assert found.problems.count == 6
    assert [message.partition(" (")[0] for message in found.problems.messages] == [
        "traces.jsonl:2: not JSON",
        "traces.jsonl:4: not a span",
        "traces.jsonl:5: not a span",
        "traces.jsonl:6: the line is too large",
        "traces.jsonl:7: the line is too large",
    ]


def test_deep_values_are_named() -> None:
    value = '{"arrayValue":{"values":[' * 400 + '{"stringValue":"x"}' + "]}}" * 400
    document = json.dumps(otlp({"gen_ai.request.model": "m"}, 9)).replace(
        '{"stringValue": "m"}', value, 1
    )
    Path("traces.jsonl").write_text(document)
    found = read_traces([Path("traces.jsonl")], Selection())
    assert found.conversations == 0
    assert all("nested too deep" in message for message in found.problems.messages)


def test_the_problems_of_an_import_are_counted() -> None:
    good = [json.dumps(one) for one in FORMATS["current"]]
    Path("traces.jsonl").write_text("\n".join([*good, *["{"] * 1200]))
    result = run_import("traces.jsonl")
    assert result.exit_code == 0
    assert "left out: traces.jsonl:4: not JSON (" in result.output
    assert result.output.count("left out: ") == 6
    assert "left out: 1,195 more" in result.output


def test_a_bomb_and_a_damaged_file() -> None:
    good = "".join(json.dumps(one) + "\n" for one in FORMATS["current"]).encode()
    Path("a.jsonl.gz").write_bytes(gzip.compress(good + b" " * 50_000_000))
    found = read_traces([Path("a.jsonl.gz")], Selection())
    assert found.conversations == 1
    assert "it expands more than 200 times" in found.problems.messages[0]
    Path("b.jsonl.gz").write_bytes(gzip.compress(good)[:-20])
    found = read_traces([Path("b.jsonl.gz")], Selection())
    assert "the compressed file is damaged" in found.problems.messages[0]
    Path("c.bin").write_bytes(framed(hex_ids(FORMATS["current"]), varint) + b"\xff\x01\n\x01")
    found = read_traces([Path("c.bin")], Selection())
    assert found.conversations == 1
    assert found.problems.messages == [
        "c.bin message 4: not OTLP (not a message of traces or logs)"
    ]


def test_a_pipe_is_refused(here: Path) -> None:
    os.mkfifo("pipe.jsonl")
    result = run_import("pipe.jsonl")
    assert result.exit_code == 2
    assert "pipe.jsonl: not a regular file (expected one that can be read twice)" in result.output


def test_a_conversation_without_end() -> None:
    number, call = next(enumerate(calls()))
    attributes = current(number, *call)
    found = read([otlp(attributes, one) for one in range(1003)])
    assert found.conversations == 1
    assert found.problems.count == 3
    assert "the conversation has more than 1,000 calls" in found.problems.messages[0]


LEAVES: Any = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "id", "a"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    items: Any = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else items:
        yield from paths(item, (*at, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_wrong_types_never_raise(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FORMATS)))
    documents: Any = FORMATS[name]
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(paths(documents))[1:]))
        documents = replaced(documents, path, data.draw(VALUES))
    found = read(documents)
    for source, recordings in found.recordings.items():
        assert draft_scenarios({source: recordings}) is not None


def test_steps_of_the_api_pass_through() -> None:
    """What an application logs itself at a tracing platform may be the bodies of the API."""
    cited = {"type": "url_citation", "url": "https://example.org", "start_index": 0}
    steps = [
        {"type": "thought", "signature": "c2lnbmVk"},
        {"type": "google_search_call", "id": "s1", "arguments": {"queries": ["x"]}},
        {"type": "google_search_result", "call_id": "s1", "result": []},
        {
            "type": "model_output",
            "content": [{"type": "text", "text": "Hello", "annotations": [cited]}],
        },
    ]
    row = {
        "id": "o",
        "traceId": "t",
        "type": "GENERATION",
        "startTime": "2026-05-29T13:46:01Z",
        "input": {"model": "m", "input": "Hi", "tools": [{"type": "google_search"}]},
        "output": {"id": "v1_a", "status": "incomplete", "steps": steps, "usage": {}},
    }
    found = read([row])
    (recording,) = found.recordings["traces.jsonl"]
    body = json.loads(str(recording.body))
    assert (body["id"], body["status"], body["steps"]) == ("v1_a", "incomplete", steps)
    assert not {Lack.SIGNATURES, Lack.CITATIONS} & found.lacks
    result = run_import("traces.jsonl")
    assert result.exit_code == 0, result.output
    assert "signatures" not in result.output


PARTS: list[tuple[Any, Any]] = [
    (
        {"type": "reasoning", "content": "Hm"},
        {"type": "thought", "summary": [{"type": "text", "text": "Hm"}]},
    ),
    (
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "thought", "summary": [{"type": "text", "text": "Hm"}], "signature": "s"},
    ),
    (
        {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
        {"type": "function_call", "id": "c", "name": "f", "arguments": {"a": 1}},
    ),
    (
        {
            "type": "server_tool_call",
            "id": "c",
            "name": "code_execution",
            "server_tool_call": {"input": {"code": "1"}},
        },
        {"type": "code_execution_call", "id": "c", "arguments": {"code": "1"}},
    ),
    (
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="},
        {
            "type": "model_output",
            "content": [{"type": "image", "mime_type": "image/png", "data": "aGk="}],
        },
    ),
    (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {
            "type": "model_output",
            "content": [{"type": "image", "mime_type": "image/png", "data": "aGk="}],
        },
    ),
    (
        {"type": "uri", "modality": "video", "uri": "https://example.org/v"},
        {"type": "model_output", "content": [{"type": "video", "uri": "https://example.org/v"}]},
    ),
    (
        {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}},
        {
            "type": "model_output",
            "content": [{"type": "document", "mime_type": "application/pdf", "data": "aGk="}],
        },
    ),
    ("Hi", {"type": "model_output", "content": [{"type": "text", "text": "Hi"}]}),
]


@pytest.mark.parametrize(("part", "step"), PARTS)
def test_parts_of_messages(part: Any, step: Any) -> None:
    reader = MessageReader()
    reader.add([{"role": "assistant", "content": [part]}], "user")
    assert reader.steps == [step]


def test_server_tools_of_an_answer_are_told_from_functions() -> None:
    steps: list[Any] = [
        {"type": "google_search_call", "id": "s", "arguments": {"queries": ["x"]}},
        {"type": "google_search_result", "call_id": "s", "result": [{"a": 1}]},
        {"type": "function_call", "id": "c", "name": "f", "arguments": {}},
    ]
    reader = MessageReader()
    reader.add(genai_messages(steps), "user")
    assert reader.steps == steps
    unknown = MessageReader()
    unknown.add([{"role": "assistant", "parts": [{"type": "hologram"}]}], "user")
    assert (unknown.steps, unknown.lacks) == ([], {Lack.PARTS})


def test_traffic_with_ids_of_traces_is_not_a_trace() -> None:
    line = exchange({"input": "Hi"}, interaction(text("Hello")))
    for name, content in (
        ("a.jsonl", json.dumps({"trace_id": "t", "type": "SPAN", **line})),
        ("b.json", json.dumps([{"trace_id": "t", **line}])),
        ("c.yaml", 'interactions:\n- request:\n    body: \'{"traceId": "t"}\'\n'),
        ("d.har", json.dumps({"log": {"entries": [{"traceId": "t", **line}]}}, indent=1)),
        ("e.json", json.dumps({"interactions": [], "version": 1, "traceId": "t"}, indent=1)),
    ):
        Path(name).write_text(content)
        assert not is_trace_file(Path(name)), name


def test_calls_that_were_repeated() -> None:
    (sent, answer), *_ = calls()
    whole = current(1, sent, answer)
    failed = {key: one for key, one in whole.items() if not key.startswith("gen_ai.output")}
    failed |= {"error.type": "overloaded", "http.response.status_code": 503}
    status = {"code": 2, "message": "Overloaded."}
    found = read([otlp(failed, 1, status=status), otlp(whole, 2)])
    assert [one.status for one in found.recordings["traces.jsonl"]] == [200]
    # The same question, answered otherwise: two conversations, not two turns.
    again = current(3, sent, {"role": "assistant", "content": "It was sent."})
    assert read([otlp(whole, 2), otlp(again, 3)]).conversations == 2
