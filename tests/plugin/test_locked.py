"""``--evalkit-locked``: each turn is asked after the baseline's turns, and compared by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit._lib import yaml
from evalkit._lib.json import loads
from evalkit.cli.main import main
from evalkit.server import create_app, load_script, serving
from tests.plugin.project import Project

# The new model words its first answer differently, and is then misled by its own words.
SCRIPT = """\
script: restaurant
rules:
  - name: misled
    when:
      turn: 3
      model: gemini-3.6-flash
      request: {input.2.content.0.text: {contains: number seven}}
    reply: I do not know of any table 7.
  - {name: new words, when: {turn: 1, model: gemini-3.6-flash}, reply: "Done, table number seven is yours."}
  - {name: first, when: {turn: 1}, reply: You have table 7.}
  - {name: rude, when: {text: {contains: shellfish}, model: gemini-3.7-flash}, reply: Eat elsewhere.}
  - {name: second, when: {turn: 2}, reply: No shellfish then.}
  - {name: third, when: {turn: 3}, reply: You have table 7 at eight.}
"""
SUITE = """\
suite: restaurant
defaults: {model: gemini-3.5-flash, history: stateless}
scenarios:
  - id: table
    turns:
      - {user: A table for two please., expect: [{text: {any_of: [table 7, table number seven]}}]}
      - {user: One of us is allergic to shellfish., expect: [{text: {contains: No shellfish}}]}
      - user: Which table do we have?
        expect: [{text: {contains: table 7 at}}, {text: {not_contains: do not know}}]
    expect: [{text: {contains: at eight}}]
"""
OLD, NEW, RUDE = "reports/old", "gemini-3.6-flash", "gemini-3.7-flash"


@pytest.fixture(scope="module")
def restaurant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("script") / "script.yaml"
    path.write_text(SCRIPT)
    with serving(create_app(load_script(path))) as url:
        yield url


@pytest.fixture
def tables(project: Project, restaurant: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a baseline; commands run in its folder."""
    (project.root / "suites" / "weather.yaml").unlink()
    project.suite("restaurant", SUITE)
    (project.root / "evalkit.yaml").write_text("gates: {default: {max_regressions: 0}}\n")
    project.url = restaurant
    monkeypatch.chdir(project.root)
    project.record("--evalkit-report", OLD).assert_outcomes(passed=1)
    return project


def lock(project: Project, model: str, *arguments: str, mode: str = "once") -> pytest.RunResult:
    report = f"reports/{model}-locked"
    options = ("--evalkit-model", model, "--evalkit-report", report, "--evalkit-locked", OLD)
    return project.record(*options, *arguments, mode=mode)


def compare(*arguments: str) -> Any:
    result = CliRunner().invoke(main, ["compare", *arguments, "--json"])
    assert result.exit_code in (0, 1, 4), result.output
    return json.loads(result.stdout)


def refusal(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["compare", *arguments])
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


def bodies(project: Project, cassette: str) -> list[Any]:
    document = yaml.load((project.root / "cassettes" / cassette).read_text())
    return [loads(item["request"]["body"]) for item in document["interactions"]]


def regressed(comparison: Any) -> list[str]:
    return [pair["id"] for pair in comparison["regressions"]]


def test_a_harmless_first_answer_spoils_the_third_turn_only_unlocked(tables: Project) -> None:
    tables.record("--evalkit-model", NEW, "--evalkit-report", "reports/new").assert_outcomes(
        failed=1
    )
    unlocked = compare(OLD, "reports/new")
    (pair,) = unlocked["regressions"]
    assert "do not know" in pair["message"]
    assert "turn 3" in pair["message"]

    lock(tables, NEW).assert_outcomes(passed=1)
    locked = compare(OLD, f"reports/{NEW}-locked", "--locked")
    assert (locked["locked"], regressed(locked), locked["verdict"]) == (True, [], "pass")
    assert [pair["id"] for pair in locked["changed"]] == ["restaurant::table turn 1"]
    assert (locked["pairs"]["both_passed"], locked["counts"]["clusters"]) == (3, 1)


def test_a_wrong_second_answer_is_the_only_turn_that_is_blamed(tables: Project) -> None:
    lock(tables, RUDE).assert_outcomes(failed=1)
    locked = compare(OLD, f"reports/{RUDE}-locked", "--locked")
    assert regressed(locked) == ["restaurant::table turn 2"]
    assert locked["reason"].startswith("locked: 1 of 3 pairs regressed")

    folder = tables.root / f"reports/{RUDE}-locked" / "comparison"
    for name in ("index.html", "summary.md", "comment.md"):
        text = (folder / name).read_text()
        assert "table turn 2" in text
        assert "each turn of the candidate continues the baseline" in text
    assert "No shellfish" in (folder / "index.html").read_text()

    options = ("review", f"reports/{RUDE}-locked", "--baseline", OLD, "--list")
    assert CliRunner().invoke(main, options).output.startswith("regression, text: text_missing")


def test_another_model_gets_the_turns_without_thoughts_and_says_so(tables: Project) -> None:
    result = lock(tables, NEW)
    (line,) = tables.results(f"reports/{NEW}-locked").values()
    assert line["locked"]["model"] == "gemini-3.5-flash"
    assert line["locked"]["history"] == "unsigned"
    result.stdout.fnmatch_lines(
        ["*continues the turns of gemini-3.5-flash without thoughts and signatures*"]
    )

    *_, third = bodies(tables, f"restaurant/table.{NEW}~locked.yaml")
    types = [step["type"] for step in third["input"]]
    assert types == ["user_input", "model_output"] * 2 + ["user_input"]
    assert third["input"][1]["content"][0]["text"] == "You have table 7."
    (note,) = [one for one in compare(OLD, f"reports/{NEW}-locked", "--locked")["warnings"]
               if "without thoughts" in one]  # fmt: skip
    assert note.startswith("in 2 pairs the candidate got the turns of gemini-3.5-flash")


def test_the_same_model_gets_the_turns_exactly_as_they_were_received(tables: Project) -> None:
    lock(tables, "gemini-3.5-flash").assert_outcomes(passed=1)
    (line,) = tables.results("reports/gemini-3.5-flash-locked").values()
    assert line["locked"]["history"] == "exact"
    assert bodies(tables, "restaurant/table~locked.yaml") == bodies(tables, "restaurant/table.yaml")


def test_a_stateful_history_is_sent_as_steps(tables: Project) -> None:
    tables.suite("restaurant", SUITE.replace("stateless", "stateful"))
    shutil.rmtree(tables.root / "cassettes")
    tables.record("--evalkit-report", OLD)
    lock(tables, "gemini-3.5-flash").assert_outcomes(passed=1)
    first, _, third = bodies(tables, "restaurant/table~locked.yaml")
    assert first["input"] == "A table for two please."
    assert [step["type"] for step in third["input"]][-3:] == [
        "thought",
        "model_output",
        "user_input",
    ]
    assert not any("previous_interaction_id" in body for body in (first, third))


def test_a_locked_recording_is_replayed_and_touches_no_other_cassette(tables: Project) -> None:
    before = {name: (tables.root / "cassettes" / name).read_bytes() for name in tables.cassettes()}
    lock(tables, NEW)
    assert set(tables.cassettes()) == {*before, f"restaurant/table.{NEW}~locked.yaml"}
    assert {name: (tables.root / "cassettes" / name).read_bytes() for name in before} == before

    first = tables.results(f"reports/{NEW}-locked")
    tables.url = "http://127.0.0.1:1"
    lock(tables, NEW, "--evalkit-strict", mode="none").assert_outcomes(passed=1)
    again = tables.results(f"reports/{NEW}-locked")
    assert [one["verdict"] for one in again.values()] == [one["verdict"] for one in first.values()]
    tables.run("suites", "--evalkit-strict").assert_outcomes(passed=1)
    lint = CliRunner().invoke(main, ["lint", "cassettes", "--suites", "suites"])
    assert lint.exit_code == 0, lint.output


def test_whole_conversations_are_expected_nothing_of(tables: Project) -> None:
    lock(tables, RUDE)
    (line,) = tables.results(f"reports/{RUDE}-locked").values()
    checks = [(one["name"], one.get("turn"), one["verdict"]) for one in line["checks"]]
    assert checks[4:] == [
        ("text", None, "skipped"),
        ("history", 1, "passed"), ("history", 2, "passed"), ("history", 3, "passed"),
        ("conversation", None, "passed"),
    ]  # fmt: skip


def test_runs_that_do_not_fit_are_refused(tables: Project) -> None:
    tables.record("--evalkit-model", NEW, "--evalkit-report", "reports/new")
    lock(tables, NEW)
    name, new = f"reports/{NEW}-locked", "reports/new"
    choices = ("--baseline", "model=a", "--candidate", "model=b")
    is_locked = f"{name} is locked: each of its turns continues the turns of another run"
    for arguments, message in [
        ((OLD, name), is_locked),
        ((name, OLD), is_locked),
        ((name, OLD, "--locked"), f"{name} is locked itself; name the run that it continues"),
        ((OLD, new, "--locked"), f"{new} is not locked (restaurant::table turn 1)"),
        ((new, name, "--locked"), f"continues other answers than those of {new}"),
        ((OLD, *choices, "--locked"), "--locked compares two runs"),
    ]:
        assert message in refusal(*arguments)


def test_a_gate_of_the_session_compares_with_the_locked_baseline(tables: Project) -> None:
    assert lock(tables, NEW, "--evalkit-gate", "default").ret == 0
    result = lock(tables, RUDE, "--evalkit-gate", "default")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*locked: 1 of 3 pairs regressed*"])


def test_a_baseline_that_stopped_early_leaves_later_turns_errored(tables: Project) -> None:
    path = tables.root / OLD / "results.jsonl"
    line = json.loads(path.read_text())
    line["turns"][1]["outcome"] = "incomplete"
    path.write_text(json.dumps(line) + "\n")
    lock(tables, NEW, "--evalkit-live", mode="none").assert_outcomes(errors=1)
    (result,) = tables.results(f"reports/{NEW}-locked").values()
    assert [turn["outcome"] for turn in result["turns"]] == ["completed", "completed", "incomplete"]
    assert "turn 2 of the baseline is missing or incomplete" in result["message"]


def test_a_variant_that_the_baseline_does_not_have_runs_as_always(tables: Project) -> None:
    tables.suite("restaurant", SUITE.replace("id: table", "id: other"))
    lock(tables, RUDE)
    (line,) = tables.results(f"reports/{RUDE}-locked").values()
    assert "locked" not in line
    locked = compare(OLD, f"reports/{RUDE}-locked", "--locked")
    assert {row["id"] for row in locked["added"]} == {
        f"restaurant::other turn {number}" for number in (1, 2, 3)
    }


def test_a_skipped_variant_is_skipped_in_each_turn_and_not_removed(tables: Project) -> None:
    tables.suite("restaurant", SUITE.replace("    turns:", "    skip: not today\n    turns:"))
    lock(tables, NEW)
    locked = compare(OLD, f"reports/{NEW}-locked", "--locked")
    assert locked["counts"]["removed"] == 0
    assert len(locked["errors"]) == 1


def test_trials_are_locked_one_by_one(tables: Project) -> None:
    shutil.rmtree(tables.root / OLD)
    tables.record("--evalkit-report", OLD, "--evalkit-repeat", "3")
    lock(tables, RUDE, "--evalkit-repeat", "3", "--evalkit-concurrency", "2")
    locked = compare(OLD, f"reports/{RUDE}-locked", "--locked")
    assert locked["systematic_regressions"] == ["restaurant::table turn 2"]
    assert (locked["pairs"]["regressed"], locked["counts"]["clusters"]) == (3, 1)
    assert locked["candidate"]["left_out"] == 0


def test_scenarios_that_cannot_be_locked_are_errored_with_their_place(tables: Project) -> None:
    tables.suite(
        "restaurant",
        "suite: restaurant\ndefaults: {model: m}\nscenarios:\n"
        "  - id: a\n    turns: [{simulate: {persona: a guest, goal: a table}}]\n"
        "  - id: b\n    target: {python: 'app:run'}\n    turns: [{user: hi}]\n"
        "  - id: c\n    environment: remote\n    turns: [{user: hi}, {user: ho}]\n",
    )
    tables.record("--evalkit-live", "--evalkit-report", OLD, mode="none")
    result = lock(tables, NEW)
    result.assert_outcomes(errors=3)
    for place, reason in [
        ("5:13 scenario 'a', turn 1", "its simulated user answers what the model says"),
        ("6:5 scenario 'b'", "the application 'app:run' has a history of its own"),
        ("9:5 scenario 'c'", "its environment has files that earlier turns left there"),
    ]:
        result.stdout.fnmatch_lines(
            [f"*suites/restaurant.yaml:{place}*cannot be locked: {reason};*"]
        )


def test_options_that_do_not_fit_are_refused(tables: Project) -> None:
    result = tables.run("suites", "--evalkit-locked", OLD, "--evalkit-report", OLD)
    result.stdout.fnmatch_lines(
        ["*--evalkit-locked reports/old is the directory that this session*"]
    )
    result = tables.run("suites", "--evalkit-locked", "reports/none")
    result.stdout.fnmatch_lines(["*reports/none is not a run directory: it does not exist*"])
    result = lock(tables, NEW, "--evalkit-until-decided", "default")
    result.stderr.fnmatch_lines(["*a locked session is compared turn by turn when it has ended*"])
    lock(tables, NEW)
    result = lock(
        tables, RUDE, "--evalkit-report", "reports/x", "--evalkit-locked", f"reports/{NEW}-locked"
    )
    result.stdout.fnmatch_lines(["*reports/gemini-3.6-flash-locked: it is locked itself*"])
    again = ("--evalkit-report", f"reports/{NEW}-locked", "--evalkit-resume")
    result = tables.run("suites", *again)
    result.stderr.fnmatch_lines(
        ["*cannot resume*--evalkit-locked was reports/old, and is not given now*"]
    )


def test_a_damaged_baseline_is_named(tables: Project) -> None:
    lock(tables, NEW)
    path = tables.root / OLD / "results.jsonl"
    line = json.loads(path.read_text())
    del line["turns"][0]["text"]
    path.write_text(json.dumps(line) + "\n")
    assert "reports/old: restaurant::table is not a valid result" in refusal(
        OLD, f"reports/{NEW}-locked", "--locked"
    )
    lock(tables, NEW).stdout.fnmatch_lines(["*the result that restaurant::table continues is not*"])
    path.write_text("[]\n")
    lock(tables, NEW).stdout.fnmatch_lines(["*results.jsonl:1: not a result*"])


def test_a_locked_run_is_judged_again_turn_by_turn(tables: Project) -> None:
    lock(tables, RUDE)
    tables.suite("restaurant", SUITE.replace("contains: No shellfish", "contains: elsewhere"))
    name = f"reports/{RUDE}-locked"
    result = CliRunner().invoke(
        main, ["rejudge", name, "--suites-from", ".", "--output", "reports/again"]
    )
    assert result.exit_code == 0, result.output
    assert regressed(compare(OLD, "reports/again", "--locked")) == []
    assert Path("reports/again/index.html").exists()
