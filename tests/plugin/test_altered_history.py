"""``history`` reports altered history in a cassette by code and JSON Pointer.

The engine sends the exact history, which an altered cassette does not contain. So the run is an
error with a miss, and the report has the findings about the recording beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from evalkit.cassette import parse, render
from tests.plugin.project import Project

DOGS = """\
suite: dogs
scenarios:
  - id: paws
    model: gemini-3.5-flash
    history: stateless
    turns:
      - user: I have 2 dogs in my house.
      - user: How many paws are in my house?
        expect: [{text: "8 paws"}]
"""
Steps = list[dict[str, Any]]


def delete_thought(sent: Steps, answered: Steps) -> None:
    del sent[1]


def delete_output(sent: Steps, answered: Steps) -> None:
    del sent[2]


def swap(sent: Steps, answered: Steps) -> None:
    sent[1], sent[2] = sent[2], sent[1]


def alter_signature(sent: Steps, answered: Steps) -> None:
    signature = sent[1]["signature"]
    sent[1]["signature"] = ("B" if signature[0] == "A" else "A") + signature[1:]


def alter_text(sent: Steps, answered: Steps) -> None:
    sent[2]["content"][0]["text"] += "!"


def drop_null(sent: Steps, answered: Steps) -> None:
    answered[1]["content"][0]["annotations"] = None


def add_null(sent: Steps, answered: Steps) -> None:
    sent[2]["content"][0]["annotations"] = None


def duplicate(sent: Steps, answered: Steps) -> None:
    sent.insert(2, dict(sent[1]))


def invent(sent: Steps, answered: Steps) -> None:
    sent.insert(
        3, {"type": "model_output", "content": [{"type": "text", "text": "You have 3 cats."}]}
    )


def rewrite_input(sent: Steps, answered: Steps) -> None:
    sent[0]["content"][0]["text"] = "I have 3 dogs in my house."


def truncate(sent: Steps, answered: Steps) -> None:
    del sent[:3]


CASES: list[tuple[Callable[[Steps, Steps], None], str, str]] = [
    (delete_thought, "step_missing", "/input/1"),
    (delete_output, "step_missing", "/input/2"),
    (swap, "step_reordered", "/input/2"),
    (alter_signature, "signature_altered", "/input/1/signature"),
    (alter_text, "step_altered", "/input/2/content/0/text"),
    (drop_null, "null_dropped", "/input/2/content/0/annotations"),
    (add_null, "null_added", "/input/2/content/0/annotations"),
    (duplicate, "step_duplicated", "/input/2"),
    (invent, "step_invented", "/input/3"),
    (rewrite_input, "input_rewritten", "/input/0/content/0/text"),
    (truncate, "history_truncated", "/input/0"),
]


@pytest.mark.parametrize(
    "declared",
    ["", "    expect: [status: completed, history: exact]\n"],
    ids=["by default", "declared"],
)
@pytest.mark.parametrize(
    ("alter", "code", "pointer"), CASES, ids=lambda value: getattr(value, "__name__", None)
)
def test_history_check_reports_the_alteration(
    project: Project, alter: Callable[[Steps, Steps], None], code: str, pointer: str, declared: str
) -> None:
    (project.root / "suites" / "weather.yaml").unlink()
    project.suite("dogs", DOGS + declared)
    project.record().assert_outcomes(passed=1)
    path = project.root / "cassettes" / "dogs" / "paws.yaml"
    cassette = parse(path.read_text(), str(path))
    answer, request = (
        json.loads(cassette.recordings[0].body),
        json.loads(cassette.recordings[1].request_body or ""),
    )
    alter(request["input"], answer["steps"])
    cassette.recordings[0].body, cassette.recordings[1].request_body = (
        json.dumps(answer),
        json.dumps(request),
    )
    path.write_text(render(cassette))

    result = project.run("suites")
    result.assert_outcomes(errors=1)
    (line,) = project.results().values()
    checks = {check["name"]: check for check in line["checks"]}
    assert checks["conversation"]["findings"][0]["code"] == "cassette_miss"
    assert [check["name"] for check in line["checks"]].count("history") == 1
    if declared:
        assert checks["status"]["verdict"] == "skipped"
    findings = checks["history"]["findings"]
    assert [
        (finding["code"], finding["where"]["exchange"], finding["where"]["pointer"])
        for finding in findings
    ] == [(code, 2, pointer)]
    result.stdout.fnmatch_lines([f"*{code} at *exchange 2, request {pointer}*"])
