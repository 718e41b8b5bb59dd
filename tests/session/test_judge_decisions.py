"""Decisions of judges in a session: recorded from a server, replayed without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.cassette.files import load_cassette
from evalkit.conversation.cassette_text import cassette_text
from evalkit.conversation.reconstruct import transcript_of
from evalkit.importing.scenario_drafts import draft_scenarios
from evalkit.lint import lint
from evalkit.results.records import schema_error
from tests.session.suite_runs import Results, RunSuite, one
from tests.session.test_judge_requests import check_verdicts, finding

pytestmark = pytest.mark.usefixtures("quick_retries")

SCRIPT = """\
script: decisions
rules:
  - {when: {question: {contains: unsure}}, decide: 0.55}
  - {when: {question: {contains: how polite}}, decide: {rude: 0.2, neutral: 0.5, polite: 0.3}}
  - {when: {question: {contains: how clear}}, decide: 2}
  - {when: {question: {contains: forbidden}}, blocked: safety}
  - {when: {judge: true, text: {contains: quota}}, times: 1, error: {status: 429}}
  - {when: {text: hello}, reply: Hello there}
  - {when: {text: tell}, reply: 'This is the key: sk-a-key-that-nobody-may-see-0123.'}
"""


SUITE = """\
scenarios:
  - id: a
    turns:
      - user: hello
        expect:
          - judge: {ask: decision, rubric: 'It says "hello".'}
          - judge: {ask: decision, rubric: 'It says "goodbye" and "hello".', min: 0.6}
          - judge:
              ask: decision
              min_confidence: 0.6
              questions:
                sure: {rubric: I am unsure.}
                tone: {rubric: How polite?, choice: {options: [rude, neutral, polite], accept: [neutral, polite], ordered: true}}
                clear: {rubric: How clear?, score: {levels: [useless, vague, clear], min: 1.5}}
          - judge: It is kind.
    expect: [{judge: {ask: decision, rubric: It ends well., model: gemini-decision-2}}]
"""


def judgments(result: dict[str, Any]) -> list[tuple[Any, ...]]:
    names = ("kind", "verdict", "score", "probability", "uncertain")
    return [
        tuple(judgment.get(name) for name in names)
        for check in result["checks"]
        for judgment in check.get("judgments", ())
    ]


def test_decisions_are_recorded_and_replayed_without_server(
    run_suite: RunSuite, tmp_path: Path
) -> None:
    recorded, replayed = one(run_suite(SUITE, "once")), one(run_suite(SUITE))
    assert check_verdicts(replayed) == [
        ("judge", "passed", 1),
        ("judge", "failed", 1),
        ("judge", "passed", 1),
        ("judge", "passed", 1),
        ("judge", "passed", None),
    ]
    assert judgments(replayed) == [
        ("yes_no", "passed", 1, 1, None),
        ("yes_no", "failed", 0.5, 0.5, None),
        ("yes_no", "passed", 0.55, 0.55, True),
        ("choice", "passed", 1, 0.8, None),
        ("score", "passed", 2, 1, None),
        ("text", "passed", 1, None, None),
        ("yes_no", "passed", 1, 1, None),
    ]
    assert replayed["checks"] == recorded["checks"]
    assert replayed["unplayed"] == []
    assert {one["response"]["source"] for one in replayed["judge_exchanges"]} == {"replayed"}
    assert schema_error("evalkit.results", "result", {**replayed, "digest": "0" * 64}) == ""
    cassette = load_cassette(tmp_path / "cassettes" / "s" / "a.yaml")
    assert cassette is not None
    assert len(cassette.recordings) == 6, "one for the conversation, one for each check"


def test_tokens_of_decisions_are_those_of_a_judge(run_suite: RunSuite) -> None:
    result = one(run_suite(SUITE, "once"))
    counts = [
        exchange["response"]["body"]["usage"]["total_tokens"]
        for exchange in result["judge_exchanges"]
    ]
    assert min(counts) > 0
    metrics = result["metrics"]
    assert metrics["judge"]["tokens"]["total_tokens"] == sum(counts)
    assert metrics["judge"]["exchanges"] == len(counts) == 5
    assert metrics["exchanges"] == 1


def test_other_readers_of_the_cassette_leave_decisions_out(
    run_suite: RunSuite, tmp_path: Path
) -> None:
    run_suite(SUITE, "once")
    cassette = load_cassette(tmp_path / "cassettes" / "s" / "a.yaml")
    assert cassette is not None
    assert [turn.text for turn in transcript_of(cassette).turns] == ["Hello there"]
    assert [finding.code for finding in lint([tmp_path / "cassettes"]).findings] == []
    text = "\n".join(cassette_text(cassette).lines)
    assert "judge gemini-decision-1\n  answers:" in text
    assert "evalkit.judge.sure:" in text, text
    assert "Answer each question" not in text, "the request quotes the conversation"
    drafts = draft_scenarios({"a": cassette.recordings})
    assert len(drafts) == 1


def test_a_blocked_decision_is_an_error(run_suite: RunSuite) -> None:
    suite = "scenarios: [{id: a, turns: [{user: hello, expect: [{judge: {ask: decision, rubric: forbidden}}]}]}]"
    for mode in ("once", "none"):
        result = one(run_suite(suite, mode))
        assert check_verdicts(result) == [("judge", "errored", 1)]
        assert finding(result)["message"] == 'the judge\'s input was blocked: "safety"'


def test_a_refused_decision_is_asked_again_by_the_next_recording(
    run_suite: RunSuite, tmp_path: Path
) -> None:
    suite = "scenarios: [{id: a, turns: [{user: quota, expect: [{judge: {ask: decision, rubric: x}}]}]}]"
    result = one(run_suite(suite, "once"))
    assert check_verdicts(result) == [("judge", "errored", 1)]
    assert "429" in finding(result)["message"]
    assert not (tmp_path / "cassettes" / "s" / "a.yaml").exists()
    assert one(run_suite(suite, "once"))["verdict"] == "passed"
    assert one(run_suite(suite))["verdict"] == "passed"


def test_an_unrecorded_decision_is_a_miss(run_suite: RunSuite) -> None:
    suite = "scenarios: [{id: a, turns: [{user: hello, expect: [{judge: {ask: decision, rubric: Be kind.}}]}]}]"
    run_suite(suite, "once")
    result = one(run_suite(suite.replace("kind", "kinder")))
    assert check_verdicts(result) == [("judge", "errored", 1)]
    text = finding(result)["message"] + finding(result)["detail"]
    assert "/decisions" in text
    assert "kinder" in text


def test_a_redacted_decision_is_replayed_with_and_without_the_key(
    run_suite: RunSuite, tmp_path: Path
) -> None:
    key = "sk-a-key-that-nobody-may-see-0123"
    suite = "scenarios: [{id: a, turns: [{user: tell, expect: [{judge: {ask: decision, rubric: 'Says \"the key\".'}}]}]}]"
    assert one(run_suite(suite, "once", secrets=(key,)))["verdict"] == "passed"
    assert key not in (tmp_path / "cassettes" / "s" / "a.yaml").read_text()
    for secrets in ((key,), ()):
        result: Results = run_suite(suite, secrets=secrets)
        assert (one(result)["verdict"], one(result)["unplayed"]) == ("passed", [])
        assert key not in json.dumps(result)
