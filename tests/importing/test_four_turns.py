"""A conversation of four turns with tools, by the official SDK: imported by id, and from spans."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from evalkit._lib.yaml import load
from evalkit.cli.main import main
from tests.importing.stored_conversation import converse
from tests.importing.traffic import pytest_in, run_import, scenarios
from tests.results.collector import collecting


@pytest.mark.parametrize("kind", ["jsonl", "binpb"])
def test_it_replays_by_id_and_from_spans(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    by_id, from_spans = tmp_path / "by-id", tmp_path / "from-spans"
    for folder in (by_id, from_spans):
        folder.mkdir()
        (folder / "pyproject.toml").write_text("")
    monkeypatch.chdir(by_id)
    last = converse(url)[-1]
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
