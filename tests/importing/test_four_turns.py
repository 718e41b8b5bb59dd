"""A conversation of four turns with tools, by the official SDK: imported by id, and from spans."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google import genai
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from evalkit._lib.yaml import load
from evalkit.cli.main import main
from evalkit.server import serving
from tests.importing.traffic import pytest_in, run_import, scenarios
from tests.results.collector import collecting

MODEL = "gemini-3.5-flash"
MESSAGES = (
    "What is the temperature in London?",
    "Explain how AI works in a few words",
    "What is the temperature in Paris?",
    "Thank you, that is all",
)
TOOL: Any = {
    "type": "function",
    "name": "get_current_temperature",
    "description": "Gets the current temperature for a given location.",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address


def converse(url: str) -> str:
    """Run the conversation as an application would; return the id of its last interaction."""
    client = genai.Client(api_key="any", http_options={"base_url": url, "api_version": "v1beta"})
    previous: str | None = None
    for message in MESSAGES:
        sent: Any = message
        while sent:
            extra: Any = {"previous_interaction_id": previous} if previous else {}
            answer: Any = client.interactions.create(
                model=MODEL,
                input=sent,
                tools=[TOOL],
                system_instruction="Be exact.",
                generation_config={"temperature": 0.5},
                **extra,
            )
            previous = answer.id
            sent = [
                {
                    "type": "function_result",
                    "name": step.name,
                    "call_id": step.id,
                    "result": [{"type": "text", "text": json.dumps({"celsius": 21})}],
                }
                for step in answer.steps
                if step.type == "function_call"
            ]
    assert previous is not None
    return previous


@pytest.mark.parametrize("kind", ["jsonl", "binpb"])
def test_it_replays_by_id_and_from_spans(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    by_id, from_spans = tmp_path / "by-id", tmp_path / "from-spans"
    for folder in (by_id, from_spans):
        folder.mkdir()
        (folder / "pyproject.toml").write_text("")
    monkeypatch.chdir(by_id)
    last = converse(url)
    imported = run_import("--interaction", last, "--base-url", url, "--suite", "weather")
    assert imported.exit_code == 0, imported.output
    assert "1 passed" in pytest_in(by_id, "suites", "--evalkit-report", "reports/run")
    (whole,) = scenarios()

    with collecting() as collector:
        arguments = ["export", "reports/run", "--otlp", collector.url]
        sent = CliRunner().invoke(main, arguments)
    assert sent.exit_code == 0, sent.output
    traces = [body for path, body in collector.bodies if path == "/v1/traces"]

    monkeypatch.chdir(from_spans)
    # As the Collector's file exporter writes them: a line, or a message, for each request.
    write[kind](traces)
    imported = run_import(f"spans.{kind}", "--suite", "weather")
    assert imported.exit_code == 0, imported.output
    for lost in ("signatures of thoughts", "the history check cannot judge fidelity"):
        assert lost in imported.output
    assert "settings of requests" not in imported.output
    assert all(len(line) <= 80 for line in imported.output.splitlines()[:-1])
    assert "1 passed" in pytest_in(from_spans, "suites")
    (found,) = scenarios()
    # All that can be checked is: the same turns, tools, settings and expectations.
    assert found.pop("description") == f"From spans.{kind}, conversation 1."
    assert whole.pop("description") == f"From interaction {last}, conversation 1."
    assert found == whole
    expected = [next(iter(one)) for turn in found["turns"] for one in turn["expect"]]
    assert expected.count("tool_calls") >= 2
    assert tools_in(from_spans) == tools_in(by_id)


def tools_in(folder: Path) -> Any:
    return load((folder / "suites" / "weather.yaml").read_text())["tools"]


def write_lines(traces: list[Any]) -> None:
    Path("spans.jsonl").write_text("".join(json.dumps(body) + "\n" for body in traces))


def write_protobuf(traces: list[Any]) -> None:
    text = json.dumps(traces)
    for identity in set(re.findall(r'"(?:traceId|spanId|parentSpanId)": "([0-9a-f]+)"', text)):
        encoded = base64.b64encode(bytes.fromhex(identity)).decode()
        text = text.replace(f'"{identity}"', f'"{encoded}"')
    messages = [ParseDict(one, TracesData()).SerializeToString() for one in json.loads(text)]
    Path("spans.binpb").write_bytes(b"".join(len(one).to_bytes(4, "big") + one for one in messages))


write = {"jsonl": write_lines, "binpb": write_protobuf}
