"""``repeat: {trials, require}``: one test of several recorded trials, end to end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.results.records import schema_error
from evalkit.server import create_app, load_script, serving
from evalkit.server.script_backend import ScriptBackend
from tests.plugin.project import Project

SCRIPT = """\
script: flaky
rules:
  - {when: {text: Is it open}, times: 2, reply: I do not know.}
  - {when: {text: Is it open}, reply: It is open.}
  - {reply: Yes.}
"""
SUITE = """\
suite: shop
defaults: {model: gemini-3.5-flash}
scenarios:
  - id: hours
    repeat: {trials: 5, require: REQUIRE}
    turns: [{user: Is it open, expect: [{text: {contains: It is open}}]}]
  - {id: plain, turns: [{user: Hello}]}
"""


@pytest.fixture
def shop(project: Project, tmp_path: Path) -> Iterator[Project]:
    """A project whose first two answers about the hours are wrong."""
    (project.root / "suites/weather.yaml").unlink()
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT)
    with serving(create_app(ScriptBackend(load_script(script)))) as url:
        project.url = url
        yield project


def record(shop: Project, require: int, *options: str, mode: str = "once") -> pytest.RunResult:
    shop.suite("shop", SUITE.replace("REQUIRE", str(require)))
    return shop.record(*options, mode=mode)


def test_enough_trials_pass(shop: Project) -> None:
    result = record(shop, 3)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["2 variants: 2 passed, 0 failed, 0 errored, 0 skipped"])
    result.stdout.fnmatch_lines(["  flaky: suites/shop.yaml::hours: 3 of 5 trials passed*"])
    assert shop.cassettes() == [
        "shop/hours.trial2.yaml",
        "shop/hours.trial3.yaml",
        "shop/hours.trial4.yaml",
        "shop/hours.trial5.yaml",
        "shop/hours.yaml",
        "shop/plain.yaml",
    ]
    results = shop.results()
    assert [one["verdict"] for one in results.values()] == ["failed"] * 2 + ["passed"] * 4
    repeat = {"trials": 5, "require": 3, "passed": 3, "verdict": "passed"}
    for number, one in enumerate(list(results.values())[:5]):
        assert one["repeat"] == {**repeat, "counts": number == 2}
        assert schema_error("evalkit.results", "result", one) == ""
    assert shop.manifest()["totals"]["passed"] == 2
    assert shop.manifest()["totals"]["collected"] == 2
    shop.run("suites").assert_outcomes(passed=2)


def test_too_few_trials_pass(shop: Project) -> None:
    result = record(shop, 4)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED *::hours - 3 of 5 trials passed (4 required)*"])
    result.stdout.fnmatch_lines(["3 of 5 trials passed (4 required): text: *", "shop::hours#2 *"])


@pytest.mark.parametrize("require", [3, 4])
def test_every_output_counts_the_test_once(
    shop: Project, monkeypatch: pytest.MonkeyPatch, require: int
) -> None:
    monkeypatch.setenv("CI", "true")
    record(shop, require)
    folder, passed = shop.root / "reports/latest", 2 if require == 3 else 1
    junit = (folder / "junit.xml").read_text()
    assert f'tests="2" failures="{2 - passed}"' in junit
    ctrf = json.loads((folder / "ctrf.json").read_text())["results"]
    assert (ctrf["summary"]["tests"], ctrf["summary"]["passed"]) == (2, passed)
    assert ctrf["tests"][0]["flaky"] is (require == 3)
    badge = json.loads((folder / "badge.json").read_text())
    assert badge["message"] == f"{passed} of 2 passed"
    summary = (folder / "summary.md").read_text()
    assert "3 of 5 trials passed" in summary
    assert summary.count("shop::hours`") == 1


def test_errored_trials_that_could_decide(shop: Project) -> None:
    record(shop, 3)
    (shop.root / "cassettes/shop/hours.trial5.yaml").unlink()
    result = shop.run("suites")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*2 of 5 trials passed (3 required), 1 errored: *"])
    record(shop, 2, "-k", "plain")
    shop.run("suites").assert_outcomes(passed=2)


def test_one_command_records_every_trial(shop: Project) -> None:
    record(shop, 3)
    for path in (shop.root / "cassettes/shop").glob("hours*"):
        path.unlink()
    result = shop.run("suites", "-k", "hours")
    result.stdout.fnmatch_lines(["*suites/shop.yaml::hours --evalkit-record all"])
    node_id = "suites/shop.yaml::hours"
    shop.run(node_id, "--evalkit-record", "all", "--evalkit-base-url", shop.url).assert_outcomes(
        passed=1
    )
    assert len(list((shop.root / "cassettes/shop").glob("hours*"))) == 5


@pytest.mark.parametrize("options", [["-k", "hours"], ["suites/shop.yaml::hours"]])
def test_selection_takes_all_trials(shop: Project, options: list[str]) -> None:
    record(shop, 3)
    arguments = options if "::" in options[0] else ["suites", *options]
    shop.run(*arguments).assert_outcomes(passed=1, deselected="-k" in options)
    assert len(shop.results()) == 5
    assert shop.manifest()["totals"]["deselected"] == 1


def test_last_failed_runs_all_trials(shop: Project) -> None:
    record(shop, 4)
    shop.run("suites").assert_outcomes(passed=1, failed=1)
    shop.run("suites", "--lf").assert_outcomes(failed=1)
    assert len(shop.results()) == 5


def test_trials_are_recorded_concurrently(shop: Project) -> None:
    record(shop, 3, "--evalkit-concurrency", "5").assert_outcomes(passed=2)
    verdicts = [one["verdict"] for one in shop.results().values()]
    assert sorted(verdicts) == ["failed"] * 2 + ["passed"] * 4


def test_workers_record_trials(shop: Project) -> None:
    shop.suite("shop", SUITE.replace("REQUIRE", "3"))
    options = ["-p", "xdist", "-n", "2", "--evalkit-record", "once", "--evalkit-base-url", shop.url]
    shop.pytester.runpytest_subprocess("suites", *options).assert_outcomes(passed=2)
    assert len(shop.results()) == 6
    assert shop.manifest()["complete"] is True


def test_resume_runs_only_trials_without_a_result(shop: Project) -> None:
    record(shop, 4)
    path = shop.root / "reports/latest/results.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:4]))
    for name in ("hours", "hours.trial2", "hours.trial3", "hours.trial4"):
        (shop.root / f"cassettes/shop/{name}.yaml").unlink()
    shop.run("suites", "--evalkit-resume").assert_outcomes(passed=1, failed=1)
    resumed = path.read_text().splitlines(keepends=True)
    assert (resumed[:4], len(resumed)) == (lines[:4], 6)
    shop.run("suites", "--evalkit-resume").assert_outcomes(passed=1, failed=1)
    assert path.read_text().splitlines(keepends=True) == resumed


def test_option_replaces_the_number_of_trials(shop: Project) -> None:
    record(shop, 3, "--evalkit-repeat", "10").assert_outcomes(passed=11)
    repeat = shop.results()["shop::hours"]["repeat"]
    assert (repeat["trials"], repeat["require"], repeat["passed"]) == (10, 6, 8)


def test_merged_runs_count_the_test_once(shop: Project) -> None:
    record(shop, 3)
    for number, name in enumerate(("hours", "plain")):
        shop.run("suites", "-k", name, "--evalkit-report", f"reports/{number}")
    result = shop.pytester.run(
        sys.executable,
        "-m",
        "evalkit",
        "merge",
        "reports/0",
        "reports/1",
        "--output",
        "reports/all",
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["2 runs, 2 variants: 2 passed, 0 failed, 0 errored, 0 skipped"])


def test_trials_of_another_attempt_replace_those_of_the_first(shop: Project) -> None:
    record(shop, 4)
    options = ["-p", "pytest_rerunfailures", "--reruns", "1"]
    result = shop.pytester.runpytest_subprocess("suites", *options)
    outcomes = result.parseoutcomes()
    assert (outcomes["failed"], outcomes["passed"], outcomes["rerun"]) == (1, 1, 1)
    assert len(shop.results()) == 6


def test_an_xfail_of_several_trials(shop: Project) -> None:
    shop.suite(
        "shop", SUITE.replace("REQUIRE", "4").replace("- id: hours", "- id: hours\n    xfail: slow")
    )
    shop.record().assert_outcomes(passed=1, xfailed=1)
    outcomes = [one.get("pytest", {}).get("outcome") for one in shop.results().values()]
    assert outcomes == ["xfailed", "xfailed", None, None, None, None]


def test_a_skipped_test_has_a_result_for_each_trial(shop: Project) -> None:
    shop.suite(
        "shop", SUITE.replace("REQUIRE", "4").replace("- id: hours", "- id: hours\n    skip: slow")
    )
    result = shop.record("--evalkit-concurrency", "2")
    result.assert_outcomes(passed=1, skipped=1)
    assert [one["verdict"] for one in shop.results().values()] == ["skipped"] * 5 + ["passed"]
    assert shop.cassettes() == ["shop/plain.yaml"]
