"""Numbers that JSON does not have, through a whole session: an error or the exact value, never more.

Every file of the run is read as strictly as other programs read JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

import pytest

from evalkit.protocol.stream_writer import events_of
from tests.plugin.project import Project
from tests.transports.loopback import Reply, SeenRequest, serving

SPELLINGS = ("NaN", "Infinity", "-Infinity", "1e400", "-1e999", "12345678901234567890.10")
PLAIN = (
    '{"id": "v1_a", "status": "completed", "usage": {"total_tokens": 3, "x": NUMBER}, "steps": '
    '[{"type": "model_output", "content": [{"type": "text", "text": "Hi", "score": NUMBER}]}]}'
)
CALL = (
    '{"id": "v1_c", "status": "requires_action", "steps": [{"type": "function_call", "id": "c", '
    '"name": "pay", "arguments": {"amount": NUMBER}}]}'
)
SUITE = """\
suite: numbers
defaults: {model: m}
tools:
  pay: {parameters: {type: object, properties: {amount: {type: number}}}, result: "{{ arguments }}"}
scenarios:
"""


def answer(received: SeenRequest) -> Reply:
    """Answer with the number that the last message names, in the place that it names."""
    text = str(received.json["input"])
    if "function_result" in text:
        return Reply([PLAIN.replace("NUMBER", "1").encode()])
    place, _, number = text.rpartition(": ")
    if place == "stream":
        events = [
            json.dumps(event) for event in events_of(json.loads(PLAIN.replace("NUMBER", "7")))
        ]
        body = "".join(f"data: {event.replace('7', number)}\n\n" for event in events)
        return Reply([body.encode()], headers={"content-type": "text/event-stream"})
    body = {"call": CALL, "plain": PLAIN}[place]
    return Reply([body.replace("NUMBER", number).encode()])


def refuse(word: str) -> NoReturn:
    raise AssertionError(f"{word} is not JSON")


def strict(text: str) -> Any:
    return json.loads(text, parse_constant=refuse)


def verdicts(folder: Path) -> dict[str, str]:
    """Return the verdicts of a run whose files were all read strictly."""
    lines = list(map(strict, (folder / "results.jsonl").read_text().splitlines()))
    for path in folder.glob("*.json"):
        strict(path.read_text())
    ElementTree.parse(folder / "junit.xml")
    assert len((folder / "index.html").read_bytes()) > 10_000
    return {line["scenario"]: line["verdict"] for line in lines}


def test_numbers_that_json_does_not_have_end_in_errors_and_valid_files(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.root / "suites/weather.yaml").unlink()
    monkeypatch.setenv("GEMINI_API_KEY", "k" * 20)
    scenarios = "".join(
        f"  - {{id: {place}-{number}, stream: {str(place == 'stream').lower()}, tools: [pay], "
        f'turns: [{{user: "{place}: {spelling}"}}]}}\n'
        for place in ("plain", "call", "stream")
        for number, spelling in enumerate(SPELLINGS)
    )
    project.suite("numbers", SUITE + scenarios)
    with serving() as service:
        service.answer = answer
        record = ("--evalkit-record", "once", "--evalkit-base-url", service.base_url)
        result = project.run("suites", *record)
    recorded = verdicts(project.root / "reports/latest")
    output = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    for place in ("plain", "call", "stream"):
        for number, spelling in enumerate(SPELLINGS):
            is_json = spelling.lstrip("-")[0].isdigit()
            assert recorded[f"{place}-{number}"] == ("passed" if is_json else "errored"), spelling
    stored = (project.root / "reports/latest/results.jsonl").read_text()
    cassettes = "".join(path.read_text() for path in project.root.glob("cassettes/**/*.yaml"))
    for spelling in SPELLINGS[3:]:
        assert f":{spelling}" in stored
        assert f": {spelling}" in cassettes
    project.run("suites")
    again = verdicts(project.root / "reports/latest")
    assert {name for name in again if again[name] == "passed"} == {
        name for name in recorded if recorded[name] == "passed"
    }
