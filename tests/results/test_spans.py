"""Spans of a run: what a real collector over HTTP would receive, and what can go wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli.main import main
from evalkit.errors import ConnectFailed, UsageError
from evalkit.reports.otlp import send_run
from evalkit.results import Run
from evalkit.results.genai_messages import genai_messages
from evalkit.results.spans import telemetry
from evalkit.transports.address import collector_headers
from evalkit.transports.otlp import send_otlp
from evalkit.verdict import CheckResult, Finding, Verdict, Where
from tests.reports.sample import line, make_run, passed, passing, weather
from tests.results.collector import collecting

SECRET = "s3cret-of-a-collector"


def attributes(item: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in item["attributes"]}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    finding = Finding("text_missing", "the text does not contain 9", Where(turn=1))
    failing = line(
        "failing",
        [weather()],
        [passed("status", 1), CheckResult("text", Verdict.FAILED, (finding,), turn=1)],
        verdict=Verdict.FAILED,
        message="failing: the text does not contain 9",
    )
    make_run(tmp_path / "run", [passing(1), failing, line("without a conversation")])
    return tmp_path / "run"


def test_a_collector_receives_a_trace_for_each_result(run: Path) -> None:
    with collecting() as collector:
        assert send_run(Run(run), collector.url, {}) == (3, [])
    spans = collector.items("/v1/traces")
    roots = [span for span in spans if "parentSpanId" not in span]
    assert [attributes(root)["evalkit.verdict"] for root in roots] == ["passed", "failed", "passed"]
    assert len({span["traceId"] for span in spans}) == 3
    assert len({span["spanId"] for span in spans}) == len(spans)
    failing = [span for span in spans if span["traceId"] == roots[1]["traceId"]]
    root, first, tool, second = failing
    assert root["status"] == {"code": 2, "message": "failing: the text does not contain 9"}
    assert attributes(root)["test.case.result.status"] == "fail"
    assert {span["parentSpanId"] for span in (first, tool, second)} == {root["spanId"]}
    assert [span["name"].partition(" ")[0] for span in failing[1:]] == [
        "chat",
        "execute_tool",
        "chat",
    ]
    asked, answered = attributes(first), attributes(second)
    assert asked["gen_ai.operation.name"] == "chat"
    assert [one["role"] for one in json.loads(asked["gen_ai.input.messages"])] == ["user"]
    call = json.loads(asked["gen_ai.output.messages"])[-1]["parts"][-1]
    assert call["type"] == "tool_call"
    assert attributes(tool)["gen_ai.tool.call.id"] == call["id"]
    assert json.loads(answered["gen_ai.output.messages"])[-1]["finish_reason"] == "completed"
    assert int(answered["gen_ai.usage.input_tokens"]) > 0
    thoughts = int(answered["gen_ai.usage.reasoning.output_tokens"])
    assert int(answered["gen_ai.usage.output_tokens"]) > thoughts > 0
    assert int(root["endTimeUnixNano"]) == int(second["endTimeUnixNano"])
    assert int(root["startTimeUnixNano"]) <= int(first["startTimeUnixNano"])


def test_checks_are_events_of_the_answer_they_are_about(run: Path) -> None:
    with collecting() as collector:
        send_run(Run(run), collector.url, {})
    spans = {span["spanId"]: span for span in collector.items("/v1/traces")}
    events = collector.items("/v1/logs")
    assert {event["eventName"] for event in events} == {"gen_ai.evaluation.result"}
    failed = [one for one in events if attributes(one)["gen_ai.evaluation.score.label"] == "fail"]
    (event,) = failed
    assert attributes(event)["gen_ai.evaluation.name"] == "text"
    assert attributes(event)["gen_ai.evaluation.explanation"] == "the text does not contain 9"
    assert spans[event["spanId"]]["name"].startswith("chat")


def test_sending_a_run_twice_has_the_same_ids(run: Path) -> None:
    one, two = (telemetry(Run(run).manifest, Run(run).results()) for _ in range(2))
    assert one == two


def test_headers_of_the_environment_are_sent_and_nothing_else_of_it(run: Path) -> None:
    environment = {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b, x-other = c ", "GEMINI_API_KEY": "k"}
    with collecting() as collector:
        send_run(Run(run), collector.url, environment)
    assert all(one["x-key"] == "a b" and one["x-other"] == "c" for one in collector.headers)


def test_a_busy_collector_is_asked_again(run: Path) -> None:
    with collecting() as collector:
        collector.statuses = [503, 429]
        assert send_run(Run(run), collector.url, {})[0] == 3
        assert len(collector.bodies) == 2


def test_what_a_collector_rejects_is_reported(run: Path) -> None:
    with collecting() as collector:
        collector.rejects = "3 spans are too old"
        result = CliRunner().invoke(main, ["export", str(run), "--otlp", collector.url])
    assert result.exit_code == 0
    assert "3 results sent to " in result.output
    assert "the collector rejected a part: 3 spans are too old" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name either a file (--to results.parquet) or a collector (--otlp)"),
        (["--to", "a.csv", "--otlp", "http://h"], "name either a file"),
        (["--otlp", "localhost:4318"], "collector 'localhost:4318': no scheme; it must start with"),
        (["--otlp", "http://"], "collector 'http://': no host"),
        (["--otlp", "http://h:port"], "collector 'http://h:port': Port could not be cast"),
        (["--otlp", "ftp://h"], "collector 'ftp://h': unknown scheme 'ftp'"),
        (["--otlp", f"http://me:{SECRET}@h"], "set headers in OTEL_EXPORTER_OTLP_HEADERS"),
        (
            ["--otlp", f"http://h?api-key={SECRET}"],
            "it must not contain a query or a fragment; set",
        ),
        (["--otlp", "http://127.0.0.1:1"], "cannot connect"),
    ],
)
def test_wrong_use(run: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["export", str(run), *arguments])
    assert result.exit_code == 2
    assert result.output.startswith("evalkit: ")
    assert message in result.output
    assert SECRET not in result.output


def test_a_refusal_names_host_path_and_status() -> None:
    with collecting() as collector:
        collector.statuses = [404]
        with pytest.raises(
            UsageError, match=r"127\.0\.0\.1:\d+/v1/traces: the collector returned 404"
        ):
            send_otlp(collector.url, [("/v1/traces", {})], {})
    with pytest.raises(ConnectFailed):
        send_otlp("http://127.0.0.1:1", [("/v1/traces", {})], {})


@pytest.mark.parametrize("text", ["key", "key=\N{SNOWMAN}", "key=%E2%98%83"])
def test_invalid_headers_are_refused_without_their_value(text: str) -> None:
    with pytest.raises(UsageError, match="expected name=value,name=value") as refusal:
        collector_headers({"OTEL_EXPORTER_OTLP_HEADERS": text})
    assert "=" not in text or text.partition("=")[2] not in str(refusal.value)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            {"type": "thought", "signature": "x", "summary": [{"type": "text", "text": "Hm."}]},
            {"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."}]},
        ),
        (
            {"type": "google_search_call", "id": "c", "arguments": {"queries": ["a"]}},
            {
                "role": "assistant",
                "parts": [
                    {
                        "type": "tool_call",
                        "id": "c",
                        "name": "google_search",
                        "arguments": {"queries": ["a"]},
                    }
                ],
            },
        ),
        (
            {"type": "function_result", "call_id": "c", "name": "f", "result": {"a": 1}},
            {
                "role": "tool",
                "parts": [{"type": "tool_call_response", "id": "c", "response": {"a": 1}}],
            },
        ),
        (
            {
                "type": "user_input",
                "content": [{"type": "image", "mime_type": "image/png", "data": "ab.png"}],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "type": "file",
                        "modality": "image",
                        "mime_type": "image/png",
                        "file_id": "ab.png",
                    }
                ],
            },
        ),
        (
            {"type": "of_next_year", "x": 1},
            {
                "role": "assistant",
                "parts": [{"type": "of_next_year", "content": '{"type":"of_next_year","x":1}'}],
            },
        ),
    ],
)
def test_steps_as_messages(step: dict[str, Any], message: dict[str, Any]) -> None:
    assert genai_messages([step]) == [message]


def test_neighbours_of_one_role_are_one_message() -> None:
    steps: list[dict[str, Any]] = [
        {"type": "user_input", "content": "Hi"},
        {"type": "thought", "summary": [{"type": "text", "text": "Hm."}]},
        {"type": "model_output", "content": [{"type": "text", "text": "Hello"}]},
    ]
    assert [(one["role"], len(one["parts"])) for one in genai_messages(steps)] == [
        ("user", 1),
        ("assistant", 2),
    ]
