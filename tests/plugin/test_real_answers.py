"""Suites over cassettes of real responses pass, and fail after a response was altered.

The recordings are not part of the project: these tests are skipped where their folder is absent. They are served as they are over HTTP, recorded by
the plugin as a user would, and replayed from the cassettes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.project import Project

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the real answers are not here")

SUITE = """\
suite: real
defaults: {model: gemini-2.5-flash, stream: [false, true]}
tools:
  getWeather:
    description: Gets the weather.
    parameters: {type: object, properties: {location: {type: string}}, required: [location]}
    result: {temperature: 8, unit: celsius}
scenarios:
  - id: plain
    turns:
      - user: Hello, how are you?
        expect:
          - status: completed
          - steps: thought model_output
          - text: {contains: thank you for asking}
    expect:
      - usage: {total_tokens: {max: 200}}
  - id: cities
    history: stateless
    turns:
      - user: What are the three largest cities in Spain?
        expect:
          - steps: thought model_output
          - text: {all_of: [Madrid, Barcelona]}
      - user: What is the most famous landmark in the second one?
        expect:
          - steps: thought model_output
          - text: {contains: Sagrada}
  - id: weather
    history: [stateful, stateless]
    tools: [getWeather]
    turns:
      - user: What is the weather in San Francisco?
        expect:
          - steps: thought function_call function_result thought model_output
          - tool_calls: [{name: getWeather, arguments: {location: San Francisco}}]
          - text: {all_of: [San Francisco, sunny]}
"""


def answer_to(body: dict[str, Any]) -> str:
    """Name the recording that answers a request."""
    input_ = body["input"]
    steps = input_ if isinstance(input_, list) else []
    if body.get("tools"):
        return (
            "tool-call-step2"
            if any(step.get("type") == "function_result" for step in steps)
            else "tool-call-step1"
        )
    if "Spain" in json.dumps(input_):
        return "multi-turn-stateless-turn2" if len(steps) > 1 else "multi-turn-stateless-turn1"
    return "basic"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = answer_to(body)
        if body.get("stream"):
            chunks = (REAL / f"{name}.chunks.txt").read_text(encoding="utf-8").splitlines()
            frames = [
                f"event: {json.loads(chunk)['event_type']}\ndata: {chunk}\n\n"
                for chunk in chunks
                if chunk.strip()
            ]
            kind, payload = "text/event-stream", "".join(frames) + "event: done\ndata: [DONE]\n\n"
        else:
            kind, payload = "application/json", (REAL / f"{name}.json").read_text(encoding="utf-8")
        data = payload.encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Keep the terminal clean."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def real(project: Project, endpoint: str) -> Project:
    (project.root / "suites" / "weather.yaml").unlink()
    project.suite("real", SUITE)
    project.run(
        "suites", "--evalkit-record", "once", "--evalkit-base-url", endpoint
    ).assert_outcomes(passed=8)
    return project


def test_real_answers_pass_plain_and_streamed(real: Project) -> None:
    real.run("suites", "--evalkit-strict").assert_outcomes(passed=8)
    results = real.results()
    assert len(results) == 8
    assert {check["name"] for check in results["real::cities[streamed]"]["checks"]} >= {
        "history",
        "stream",
        "text",
        "steps",
    }


TAMPERED = [
    ("plain.plain", "thank you for asking", "thank you for nothing", "real::plain[plain]", "text"),
    (
        "plain.streamed",
        "thank you for asking",
        "thank you for nothing",
        "real::plain[streamed]",
        "text",
    ),
    (
        "plain.streamed",
        '"event_type":"interaction.completed"',
        '"event_type":"interaction.lost"',
        "real::plain[streamed]",
        "conversation",
    ),
    (
        "weather.stateful.plain",
        '"San Francisco"',
        '"San Fernando"',
        "real::weather[stateful-plain]",
        "tool_calls",
    ),
    (
        "weather.stateful.streamed",
        '{\\"location\\":\\"San Francisco\\"}',
        '{\\"location\\":',
        "real::weather[stateful-streamed]",
        "stream",
    ),
    ("cities.plain", "**Barcelona**", "**Valencia**", "real::cities[plain]", "text"),
    ("plain.plain", '"total_tokens": 58', '"total_tokens": 5800', "real::plain[plain]", "usage"),
]


@pytest.mark.parametrize(("cassette", "old", "new", "identity", "check"), TAMPERED)
def test_altered_response_fails(
    real: Project, cassette: str, old: str, new: str, identity: str, check: str
) -> None:
    path = real.root / "cassettes" / "real" / f"{cassette}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    real.run("suites")
    result = real.results()[identity]
    assert result["verdict"] in ("failed", "errored")
    assert check in [
        item["name"] for item in result["checks"] if item["verdict"] in ("failed", "errored")
    ]
    others = [other for name, other in real.results().items() if name != identity]
    assert {other["verdict"] for other in others} == {"passed"}
