"""A run judged again by its own suites is the same run, whatever its conversations were like."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from tests.plugin.project import Project

RUN, AGAIN = "reports/latest", "reports/again"
JUDGED = """\
suite: all
defaults: {model: gemini-3.5-flash}
scenarios:
  - id: judged
    turns:
      - user: Explain how AI works in a few words
        expect:
          - judge: {rubric: 'It says "patterns".', min: 0.4}
          - judge: {rubric: 'It says "magic" and "data".', samples: 2, min: 0.9}
          - snapshot
"""
MIXED = """\
suite: all
defaults: {model: gemini-3.5-flash}
scenarios:
  - id: pairs
    history: [stateful, stateless]
    stream: [false, true]
    turns:
      - user: Say one
        expect: [{same_as: {stream: false, on: text}}, {usage: {total_tokens: {max: 1}}}]
      - user: Say two
    expect: [{same_as: {history: stateless, on: [text, steps]}}]
  - id: background
    background: true
    turns: [{user: Say three, expect: [{status: completed}, {cost: {max: 0, input_per_million: 1, output_per_million: 1}}]}]
  - id: error
    turns: [{user: Say four, expect: [error: 400]}]
  - id: stops
    stop_on_failure: true
    turns: [{user: Say five, expect: [{text: no such word}]}, {user: Say six, expect: [status: completed]}]
  - id: refused
    request: {no_such_field: 1}
    turns: [{user: Say seven}, {user: Say eight}]
  - id: checked
    turns: [{user: Say nine, expect: [{python: checks:polite}, {latency: 0}]}]
"""
SIMULATED = """\
suite: all
defaults: {model: gemini-3.5-flash}
scenarios:
  - id: dialogue
    history: [stateful, stateless]
    turns:
      - simulate: {goal: 'Say "I have 2 dogs in my house." and "Thanks a lot for that."', model: gemini-3.1-pro-preview}
        expect: [{text: x}, {judge: Be kind.}, {same_as: {history: stateful, on: text}}]
      - user: Bye
        expect: [{text: "{{ turns[0].text }}"}]
  - id: endless
    turns: [{simulate: {goal: Get a dog, until: 'it says "woof"', max_turns: 2}}]
  - id: broken
    turns: [{simulate: {goal: Get a dog, model: no-such-model}}]
"""


def rejudge(source: str = ".") -> Result:
    return CliRunner().invoke(main, ["rejudge", RUN, "--suites-from", source, "--output", AGAIN])


def lines(project: Project, directory: str) -> list[str]:
    return (project.root / directory / "results.jsonl").read_text().splitlines()


def alone(project: Project, text: str) -> Project:
    for path in (project.root / "suites").iterdir():
        path.unlink()
    project.suite("all", text)
    return project


@pytest.mark.parametrize("text", [JUDGED, MIXED, SIMULATED])
def test_the_same_run(project: Project, text: str) -> None:
    (project.root / "checks.py").write_text(
        "def polite(transcript, turn):\n    return 'please' in turn.text\n"
    )
    alone(project, text).record()
    assert len(lines(project, RUN)) > 0
    result = rejudge()
    assert result.exit_code in (1, 4), result.output
    assert "verdict changed" not in result.output
    assert lines(project, AGAIN) == lines(project, RUN)


def test_a_miss_stays_a_miss(project: Project) -> None:
    alone(project, MIXED).record()
    path = next((project.root / "cassettes/all").glob("stops*"))
    path.write_text(path.read_text().replace("Say five", "Say fife"))
    project.run("suites")
    assert project.results()["all::stops"]["verdict"] == "errored"
    assert rejudge().exit_code in (1, 4)
    assert lines(project, AGAIN) == lines(project, RUN)


def results_of(project: Project) -> dict[str, Any]:
    return project.results(AGAIN)["all::judged"]


def test_a_decision_is_judged_again_by_another_limit(project: Project) -> None:
    decision = """judge: {ask: decision, rubric: 'It says "patterns" and "magic".', min: 0.6}"""
    suite = JUDGED.replace("""judge: {rubric: 'It says "patterns".', min: 0.4}""", decision)
    assert decision in suite
    alone(project, suite).record()
    project.suite("all", suite.replace("min: 0.6", "min: 0.5"))
    rejudge()
    check = results_of(project)["checks"][0]
    assert (check["verdict"], check["judgments"][0]["expected"]) == ("passed", {"min": 0.5})


def test_judges_repeat_what_they_said(project: Project) -> None:
    alone(project, JUDGED).record()
    project.suite("all", JUDGED.replace("min: 0.9", "min: 0.5").replace("min: 0.4", "min: 1"))
    rejudge()
    verdicts = [check["verdict"] for check in results_of(project)["checks"]]
    assert verdicts == ["passed", "passed", "failed"], "the threshold is another, the answer not"
    project.suite("all", JUDGED.replace("magic", "logic"))
    result = rejudge()
    assert result.exit_code == 4
    unusable = results_of(project)["checks"][1]
    assert unusable["verdict"] == "errored"
    assert unusable["findings"][0]["message"].startswith(
        "no answer is recorded for what this check asks: its rubric, its model or the conversation"
    )


def test_a_scenario_with_more_turns_than_were_recorded(project: Project) -> None:
    alone(project, JUDGED).record()
    project.suite("all", JUDGED + "      - user: And then?\n")
    result = rejudge()
    assert result.exit_code == 4
    assert "the scenario has 2 turns there, the recorded conversation has 1" in result.output


def test_python_checks_are_those_of_the_project(project: Project) -> None:
    (project.root / "checks.py").write_text("def polite(transcript, turn):\n    return True\n")
    alone(project, MIXED).record()
    (project.root / "checks.py").write_text("def polite(transcript, turn):\n    return ['rude']\n")
    rejudge()
    findings = project.results(AGAIN)["all::checked"]["checks"][0]["findings"]
    assert findings[0]["message"] == "rude"
    project.suite("all", MIXED.replace("checks:polite", "os:getcwd"))
    rejudge()
    findings = project.results(AGAIN)["all::checked"]["checks"][0]["findings"]
    assert findings[0]["message"].startswith("python target 'os:getcwd'")


def test_checks_of_a_trusted_package(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("installed")
    (folder / "trusted_checks.py").write_text("def polite(transcript, turn):\n    return True\n")
    monkeypatch.syspath_prepend(folder)
    (project.root / "pytest.ini").write_text("[pytest]\nevalkit_python = trusted_checks\n")
    text = MIXED[: MIXED.index("  - id: pairs")] + MIXED[MIXED.index("  - id: checked") :]
    text = text.replace("checks:polite", "trusted_checks:polite").replace(", {latency: 0}", "")
    alone(project, text).record().assert_outcomes(passed=1)
    assert rejudge().exit_code == 0
    # Judged by the baseline's expectations, which differ, the candidate needs that package, too.
    project.suite("all", text.replace("turns: [", "expect: [status: completed]\n    turns: ["))
    project.run("suites", "--evalkit-report", "reports/baseline")
    result = CliRunner().invoke(main, ["compare", "reports/baseline", RUN])
    assert "removed: all::checked, conversation, status" in result.output
    assert "annot be judged" not in result.output
