"""What a run left out, or expects less of, makes the default gate fail or inconclusive and says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from tests.plugin.project import WEATHER, Project

OLD, NEW = "reports/old", "reports/new"


@pytest.fixture
def compared(recorded: Project) -> Project:
    """A project whose run OLD is a replay of recorded cassettes."""
    recorded.run("suites", "--evalkit-report", OLD).assert_outcomes(passed=4)
    return recorded


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def compare(project: Project, *arguments: str) -> tuple[int, dict[str, Any], str]:
    result = call("compare", OLD, NEW, *arguments)
    path = project.root / NEW / "comparison/comparison.json"
    return result.exit_code, json.loads(path.read_text()), result.output


def project_folder(project: Project) -> Path:
    return project.root / NEW / "comparison"


def rerun(project: Project, suite: str, *arguments: str) -> None:
    project.suite("weather", suite)
    project.run("suites", "--evalkit-report", NEW, *arguments)


def test_the_same_suites_pass(compared: Project) -> None:
    rerun(compared, WEATHER)
    code, value, _ = compare(compared)
    assert (code, value["verdict"], value["bar"]["changes"]) == (0, "pass", [])


def test_a_deleted_scenario(compared: Project) -> None:
    rerun(compared, WEATHER[: WEATHER.index("  - id: hello")])
    code, value, _ = compare(compared)
    assert code == 1
    assert "2 of 4 variants of the baseline are not in the candidate" in value["reason"]


def test_a_renamed_scenario(compared: Project) -> None:
    rerun(compared, WEATHER.replace("id: hello", "id: hallo"))
    code, value, _ = compare(compared)
    assert code == 1
    assert "variants of the baseline are not in the candidate" in value["reason"]


def test_deselected_variants(compared: Project) -> None:
    rerun(compared, WEATHER, "-k", "london")
    code, value, _ = compare(compared)
    assert code == 4
    assert "2 of 4 variants were deselected in the candidate, none may" in value["reason"]


def test_a_killed_run(compared: Project) -> None:
    rerun(compared, WEATHER)
    manifest = compared.root / NEW / "manifest.json"
    value = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**value, "ended": None, "complete": False}))
    (compared.root / NEW / "bar.json").unlink()
    code, value, _ = compare(compared)
    assert code == 4
    assert "the candidate run did not end" in value["reason"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "          - status: completed\n",
            "",
            '1 of 5 expectations of the baseline were removed or loosened, none may: weather::london, '
            'turn 1, status: is gone ("completed")',
        ),
        (
            '- text: {contains: "22"}',
            '- text: {any_of: ["22", warm]}',
            'weather::london, turn 1, text: contains: "22" → absent',
        ),
        (
            '- text: {contains: "22"}',
            '- {text: {contains: "22"}, severity: warn}',
            "weather::london, turn 1, text: severity: error → warn",
        ),
        (
            "    tags: [slow-one]\n",
            "    tags: [slow-one, skip]\n",
            "weather::hello, tag skip: is new: pytest will skip it",
        ),
        (
            "arguments: {location: London}}]",
            "arguments: {location: London}, optional: true}]",
            "weather::london, turn 1, tool_calls: calls.get_current_temperature.limits: [1, 1] → [0, 1]",
        ),
        (
            "      required: [location]\n",
            "",
            "weather::london, tool get_current_temperature: parameters/required: "
            '["location"] → absent',
        ),
    ],
)  # fmt: skip
def test_less_is_expected(compared: Project, old: str, new: str, sentence: str) -> None:
    assert old in WEATHER
    rerun(compared, WEATHER.replace(old, new))
    code, value, output = compare(compared)
    assert (code, value["verdict"]) == (1, "fail")
    assert sentence.partition(": ")[2] in value["reason"]
    assert sentence.partition("none may: ")[2] in value["reason"]
    assert "Expectations that differ" in output
    assert value["gate"]["rules"]
    assert "Do not ship yet: less is expected of the candidate" in " ".join(output.split())
    folder = project_folder(compared)
    for name in ("comment.md", "index.html"):
        assert "Expectations that differ" in (folder / name).read_text()


def test_a_candidate_that_passes_only_by_a_loosened_check(compared: Project) -> None:
    strict = WEATHER.replace('{contains: "22"}', "{matches: '^It is hot'}")
    compared.suite("weather", strict)
    compared.run("suites", "--evalkit-report", OLD).assert_outcomes(passed=2, failed=2)
    rerun(compared, WEATHER.replace('{contains: "22"}', "{matches: '.'}"))
    code, value, output = compare(compared)
    assert code == 1
    assert (
        "2 of 4 results pass only by the candidate's own expectations and fail by the baseline's: "
        "weather::london[stateful]: text (text_no_match); weather::london[stateless]: text "
        "(text_no_match)"
    ) in value["reason"]
    assert value["bar"]["lenient"] == ["weather::london[stateful]", "weather::london[stateless]"]
    assert [change["kind"] for change in value["bar"]["changes"]] == ["changed"]
    assert "Pass only by the candidate's own expectations (2)" in output


def test_allowed_with_a_reason(compared: Project) -> None:
    rerun(compared, WEATHER.replace("          - status: completed\n", ""))
    (compared.root / "evalkit.yaml").write_text(
        "gates:\n  default:\n    max_regressions: 0\n    allow:\n"
        "      'weather::london': the status is not ours\n"
    )
    code, value, _ = compare(compared)
    assert code == 0
    [rule] = [rule for rule in value["gate"]["rules"] if rule["rule"] == "max_weakened"]
    assert rule["message"].endswith("allowed: weather::london (the status is not ours)")


def test_stricter_expectations_of_the_candidate(compared: Project) -> None:
    rerun(compared, WEATHER.replace('{contains: "22"}', '{contains: "22", max_chars: 3}'))
    code, value, output = compare(compared)
    assert code == 1
    assert "2 of 4 pairs regressed" in value["reason"]
    assert value["bar"]["stricter"] == ["weather::london[stateful]", "weather::london[stateless]"]
    assert "Fail only by the candidate's own expectations (2)" in output


def test_runs_that_do_not_store_what_they_expect(compared: Project) -> None:
    rerun(compared, WEATHER.replace("          - status: completed\n", ""))
    (compared.root / OLD / "bar.json").unlink()
    code, value, _ = compare(compared)
    assert code == 4
    assert "the suites differ (suites/weather.yaml)" in value["reason"]


def test_a_run_judged_again_by_its_own_suites_is_the_same(compared: Project) -> None:
    result = call("rejudge", OLD, "--suites-from", ".", "--output", NEW)
    assert result.exit_code == 0, result.output
    assert (compared.root / NEW / "results.jsonl").read_bytes() == (
        compared.root / OLD / "results.jsonl"
    ).read_bytes()
    assert "4 variants: 4 passed" in result.output
    assert (compared.root / NEW / "index.html").exists()
    assert compared.manifest(NEW)["rejudged"] == {"run": OLD, "suites_from": "."}
    assert compare(compared)[0] == 0


def test_a_new_check_on_an_old_run(compared: Project) -> None:
    compared.suite("weather", WEATHER.replace('{contains: "22"}', '{contains: "22", max_chars: 3}'))
    result = call("rejudge", OLD, "--suites-from", ".", "--output", NEW)
    assert result.exit_code == 1
    assert (
        "verdict changed (2):\n  weather::london[stateful]: passed → failed: text: "
        in result.output
    )
    results = compared.results(NEW)
    assert results["weather::london[stateful]"]["verdict"] == "failed"
    assert results["weather::hello[stateful]"]["verdict"] == "passed"


def test_the_suites_of_a_git_revision(compared: Project, tmp_path: Path) -> None:
    compared.pytester.run("git", "init", "-q")
    compared.pytester.run("git", "add", "suites")
    commit = ("-c", "user.email=a@b.example", "-c", "user.name=A", "commit", "-qm", "Suites")
    assert compared.pytester.run("git", *commit).ret == 0
    strict = WEATHER.replace('{contains: "22"}', "{max_chars: 3}").replace("id: hello", "id: hi")
    compared.suite("weather", strict)
    result = call("rejudge", OLD, "--suites-from", "HEAD", "--output", NEW)
    assert (result.exit_code, "4 passed" in result.output) == (0, True), result.output
    assert compared.manifest(NEW)["rejudged"]["suites_from"].startswith("HEAD (")
    result = call("rejudge", OLD, "--suites-from", ".", "--output", NEW)
    assert "not in ., so not judged (2):\n  weather::hello[stateful]" in result.output
    assert "in . but not in the run (1):\n  weather::hi" in result.output
    assert compared.manifest(NEW)["complete"] is False
    result = call("rejudge", OLD, "--suites-from", "nowhere", "--output", NEW)
    assert (result.exit_code, "git has no ref 'nowhere'" in result.output) == (2, True)


def test_a_result_that_was_changed(compared: Project) -> None:
    path = compared.root / OLD / "results.jsonl"
    path.write_text(path.read_text().replace('"verdict":"passed"', '"verdict":"failed"'))
    result = call("rejudge", OLD, "--suites-from", ".", "--output", NEW)
    assert (result.exit_code, "changed since it was written" in result.output) == (3, True)


REPEATED = WEATHER.replace(
    "  - id: hello\n", "  - id: hello\n    repeat: {trials: 3, require: 2}\n"
)


def test_trials_that_are_one_test_are_judged_together(recorded: Project) -> None:
    recorded.suite("weather", REPEATED)
    recorded.record("--evalkit-report", OLD)
    result = call("rejudge", OLD, "--suites-from", ".", "--output", NEW)
    assert result.exit_code == 0, result.output
    same = [(recorded.root / one / "results.jsonl").read_bytes() for one in (OLD, NEW)]
    assert same[0] == same[1]
    recorded.suite("weather", REPEATED.replace("{text: patterns}", "{text: no such word}"))
    assert call("rejudge", OLD, "--suites-from", ".", "--output", NEW).exit_code == 1
    trials = [one for id_, one in recorded.results(NEW).items() if "hello[stateful]" in id_]
    assert [one["repeat"]["counts"] for one in trials] == [True, False, False]
    assert {(one["repeat"]["passed"], one["repeat"]["verdict"]) for one in trials} == {
        (0, "failed")
    }


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("require: 2", "require: 1", "repeat: 2 of 3 trials → 1 of 3 trials"),
        ("trials: 3, require: 2", "trials: 6, require: 3", "repeat: 2 of 3 trials → 3 of 6 trials"),
        ("    tags: [slow-one]\n", "    xfail: it is late\n", "xfail: is new: it is late"),
        ("    tags: [slow-one]\n", "    skip: it is late\n", "skip: is new: it is late"),
    ],
)
def test_policies_that_excuse_more(recorded: Project, old: str, new: str, text: str) -> None:
    recorded.suite("weather", REPEATED)
    recorded.record("--evalkit-report", OLD)
    assert old in REPEATED
    recorded.suite("weather", REPEATED.replace(old, new))
    recorded.record("--evalkit-report", NEW)
    code, value, _ = compare(recorded)
    assert code == 1
    assert f"weather::hello, {text}" in value["reason"]


CHOICES = """\
suite: prompts
defaults: {model: gemini-3.5-flash}
scenarios:
  - id: explain
    history: [stateful, stateless]
    matrix:
      prompt:
        current: {expect: [{text: {max_chars: 5}}]}
        shorter: {system_instruction: Be brief., expect: [{text: {max_chars: 900}}]}
    turns: [{user: Explain how AI works in a few words}]
  - id: hello
    matrix: {prompt: {current: {}, shorter: {system_instruction: Be brief.}}}
    turns: [{user: Hello, expect: [status: completed]}]
"""


def test_a_choice_that_expects_less(project: Project) -> None:
    project.suite("weather", CHOICES)
    project.record("--evalkit-report", NEW)
    axes = ("--baseline", "prompt=current", "--candidate", "prompt=shorter")
    result = call("compare", NEW, *axes)
    value = json.loads((project.root / NEW / "comparison/comparison.json").read_text())
    assert (result.exit_code, value["verdict"]) == (1, "fail")
    assert (
        "1 of 2 expectations of the baseline were removed or loosened, none may: prompts::explain, "
        "conversation, text: max_chars: 5 → 900"
    ) in value["reason"]
    ids = [f"prompts::explain[{history}-shorter]" for history in ("stateful", "stateless")]
    assert value["bar"]["lenient"] == ids, "judged by the baseline's choice, it fails"
    axes = ("--baseline", "prompt=shorter", "--candidate", "prompt=current")
    result = call("compare", NEW, *axes, "--json")
    value = json.loads(result.output)
    assert [change["kind"] for change in value["bar"]["changes"]] == ["tightened"]
    assert value["bar"]["stricter"] == [one.replace("shorter", "current") for one in ids]


def test_choices_that_expect_the_same(project: Project) -> None:
    project.suite("weather", CHOICES.replace("max_chars: 5}", "max_chars: 900}"))
    project.record("--evalkit-report", NEW)
    axes = ("--baseline", "history=stateful", "--candidate", "history=stateless")
    for choices in (axes, ("--baseline", "prompt=current", "--candidate", "prompt=shorter")):
        value = json.loads(call("compare", NEW, *choices, "--json").output)
        assert (value["bar"]["changes"], value["bar"]["judged"]) == ([], 0)
