"""One cassette per variant and model: a candidate's recordings are beside the suite's own."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from evalkit.cli.main import main
from tests.plugin.project import Project

OTHER = "gemini-3.6-flash"
MATRIX = """\
suite: shop
defaults:
  model: gemini-3.5-flash
  matrix: {prompt: {current: {}, shorter: {system_instruction: Be short.}}}
scenarios:
  - id: hello
    turns: [{user: Hello}]
"""


@pytest.fixture
def both(recorded: Project) -> Project:
    recorded.record("--evalkit-model", OTHER).assert_outcomes(passed=4)
    return recorded


def test_a_candidate_is_recorded_beside_the_baseline(recorded: Project) -> None:
    cassettes = recorded.root / "cassettes"
    before = {name: (cassettes / name).read_bytes() for name in recorded.cassettes()}
    recorded.record("--evalkit-model", OTHER, "--evalkit-report", "reports/other")

    assert {name: (cassettes / name).read_bytes() for name in before} == before
    assert set(recorded.cassettes()) - before.keys() == {
        name.replace(".yaml", f".{OTHER}.yaml") for name in before
    }
    assert recorded.results().keys() == recorded.results("reports/other").keys()


def test_the_command_of_a_miss_records_the_candidate_and_nothing_else(recorded: Project) -> None:
    result = recorded.run("suites", "--evalkit-model", OTHER, "-k", "hello and stateful")
    result.assert_outcomes(errors=1, deselected=3)
    command = f"--evalkit-model {OTHER} 'suites/weather.yaml::hello[stateful]' --evalkit-record all"
    result.stdout.fnmatch_lines([f"*{command.replace('[', '[[]')}"])


def test_both_models_replay_and_none_has_unused_cassettes(both: Project) -> None:
    for model in ([], ["--evalkit-model", OTHER], ["--evalkit-model", "gemini-3.5-flash"]):
        result = both.run("suites", "--evalkit-strict", *model)
        result.assert_outcomes(passed=4)
        assert result.ret == pytest.ExitCode.OK
    result = both.run(
        "suites",
        "--evalkit-strict",
        "--evalkit-model",
        OTHER,
        "--evalkit-model",
        "gemini-3.5-flash",
    )
    result.assert_outcomes(passed=8)


def test_a_candidate_of_a_scenario_that_is_gone_is_unused(both: Project) -> None:
    suite = both.root / "suites" / "weather.yaml"
    suite.write_text(suite.read_text().replace("id: hello", "id: greeting"))
    result = both.run("suites", "--evalkit-strict", "-k", "london")

    unused = [f"  unused weather/hello.{name}.yaml" for name in (f"stateful.{OTHER}", "stateful")]
    result.stdout.fnmatch_lines(["*4 cassettes used by no variant", *unused])


def test_lint_knows_the_cassettes_of_other_models(
    both: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(both.root)
    lint = CliRunner().invoke(main, ["lint", "cassettes", "--suites", "suites"])
    assert "cassette_orphan" not in lint.output

    path = both.root / "cassettes" / "weather" / f"hello.stateful.{OTHER}.yaml"
    path.rename(path.with_name(f"gone.{OTHER}.yaml"))
    lint = CliRunner().invoke(main, ["lint", "cassettes", "--suites", "suites"])
    assert lint.output.count("cassette_orphan") == 1


def test_a_case_that_would_share_a_cassette_with_a_model_is_refused(project: Project) -> None:
    cases = "    cases: [{id: x}, {id: x.other}]\n"
    project.suite("shop", "suite: shop\nscenarios:\n  - id: a\n    model: m\n" + cases
                  + "    turns: [{user: hi}]\n")  # fmt: skip
    result = project.run("suites/shop.yaml", "--evalkit-model", "other")
    result.stdout.fnmatch_lines(
        ["*shop::a[[]x] with the model other would share the cassette shop/a.x.other.yaml with "
         "shop::a[[]x.other]; give the case or choice another name*"]
    )  # fmt: skip


def test_a_choice_is_selected_by_its_name(project: Project) -> None:
    (project.root / "suites" / "weather.yaml").unlink()
    project.suite("shop", MATRIX)
    project.record().assert_outcomes(passed=2)
    project.run("suites", "-k", "shorter", "--evalkit-strict").assert_outcomes(
        passed=1, deselected=1
    )
    (result,) = project.results().values()
    assert (result["id"], result["variant"]["prompt"]) == ("shop::hello[shorter]", "shorter")
    assert project.cassettes() == ["shop/hello.current.yaml", "shop/hello.shorter.yaml"]
