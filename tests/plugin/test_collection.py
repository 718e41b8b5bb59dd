"""Collection: which files are suites, and the ids and locations of their items."""

from __future__ import annotations

import pytest

from tests.plugin.project import WEATHER, Project


def test_item_ids_are_derived_from_the_variants(project: Project) -> None:
    result = project.run("--collect-only", "-q")
    result.stdout.fnmatch_lines(
        [
            "suites/weather.yaml::london[[]stateful[]]",
            "suites/weather.yaml::london[[]stateless[]]",
            "suites/weather.yaml::hello[[]stateful[]]",
            "suites/weather.yaml::hello[[]stateless[]]",
        ],
        consecutive=True,
    )


def test_collecting_writes_nothing(project: Project) -> None:
    project.run("--collect-only", "-q")
    assert not (project.root / "reports").exists()
    assert not (project.root / "cassettes").exists()


def test_other_yaml_files_are_ignored(project: Project) -> None:
    (project.root / "config").mkdir()
    (project.root / "config" / "app.yaml").write_text("a: [")
    (project.root / "docker-compose.yml").write_text("services: {}")
    result = project.run("--collect-only", "-q", ".")
    result.assert_outcomes(errors=0)
    result.stdout.no_fnmatch_line("*app.yaml*")
    result.stdout.no_fnmatch_line("*docker-compose*")


def test_eval_yaml_is_a_suite_in_any_folder(project: Project) -> None:
    (project.root / "pkg").mkdir()
    (project.root / "pkg" / "chat.eval.yaml").write_text(
        WEATHER.replace("suite: weather", "suite: chat")
    )
    project.run("--collect-only", "-q", "pkg").stdout.fnmatch_lines(["pkg/chat.eval.yaml::london*"])


def test_ini_option_names_the_folders(project: Project) -> None:
    project.pytester.makeini("[pytest]\nevalkit_suites = checks more\n")
    (project.root / "more").mkdir()
    (project.root / "checks").mkdir()
    (project.root / "checks" / "one.yaml").write_text(WEATHER)
    result = project.run("--collect-only", "-q", ".")
    result.stdout.fnmatch_lines(["checks/one.yaml::london*"])
    result.stdout.no_fnmatch_line("suites/weather.yaml*")


def test_single_suite_file_can_be_selected(recorded: Project) -> None:
    recorded.run("suites/weather.yaml::london[stateless]").assert_outcomes(passed=1)


def test_reported_line_is_that_of_the_scenario(project: Project) -> None:
    result = project.run("suites", "-rf", "--tb=line")
    line = WEATHER.splitlines().index("  - id: london") + 1
    assert (
        next(item["line"] for item in project.results().values() if item["scenario"] == "london")
        == line
    )
    items, _ = project.pytester.inline_genitems("suites")
    locations = {item.name: item.reportinfo() for item in items}
    assert locations["london[stateful]"] == (
        project.root / "suites" / "weather.yaml",
        line - 1,
        "london[stateful]",
    )
    assert [item.location for item in items] == [
        ("suites/weather.yaml", item.reportinfo()[1], item.name) for item in items
    ]
    result.stdout.fnmatch_lines(["*::london[[]stateful[]]*"])


def test_every_problem_of_a_suite_is_shown_once_and_without_a_traceback(project: Project) -> None:
    text = WEATHER.replace("title:", "titel:").replace("tags: [smoke]", "tagz: [smoke]")
    project.suite("weather", text)
    result = project.run("suites")
    result.assert_outcomes(errors=1)
    output = result.stdout.str()
    for word in ("titel", "tagz"):
        line = next(number for number, source in enumerate(text.splitlines(), 1) if word in source)
        column = text.splitlines()[line - 1].index(word) + 1
        assert f"suites/weather.yaml:{line}:{column} " in output
    assert "did you mean 'tags'" in output
    assert "did you mean 'title'" in output
    assert "Traceback" not in output
    assert ".py:" not in output


def test_tags_become_markers_even_with_strict_markers(recorded: Project) -> None:
    recorded.pytester.makeini("[pytest]\naddopts = --strict-markers\n")
    recorded.run("suites", "-m", "smoke").assert_outcomes(passed=2, deselected=2)
    recorded.run("suites", "-m", "slow-one").assert_outcomes(passed=2, deselected=2)


_TAKES_BOTH = pytest.mark.skipif(
    pytest.version_tuple < (9,),
    reason="pytest 8 leaves a folder out where a file in it is named too",
)


@pytest.mark.parametrize("name", ["suites/weather.yaml", pytest.param("suites", marks=_TAKES_BOTH)])
def test_python_test_file_in_a_suite_folder_still_runs(recorded: Project, name: str) -> None:
    (recorded.root / "suites" / "test_plain.py").write_text("def test_plain():\n    pass\n")
    recorded.run(name, "suites/test_plain.py").assert_outcomes(passed=5)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("suites/a/talk.yaml", "suites/b/talk.yaml", "talk"),
        ("suites/talk.yaml", "suites/upper.yaml", "Talk"),
        ("suites/talk.yaml", "pkg/talk.eval.yaml", "talk"),
    ],
    ids=["one file name", "another case", "another folder"],
)
def test_suite_name_that_another_suite_has_is_an_error(
    project: Project, first: str, second: str, name: str
) -> None:
    for path, suite in ((first, "talk"), (second, name)):
        (project.root / path).parent.mkdir(parents=True, exist_ok=True)
        text = WEATHER.replace("suite: weather", f"# Talks.\nsuite: {suite}")
        (project.root / path).write_text(text)
    result = project.record(first, second, mode="all")
    result.assert_outcomes(errors=1)
    other = f"the suite name {name!r} is that of {first} (names must differ*); rename one of them"
    result.stdout.fnmatch_lines([f"{second}:2:1 {other}"])
    assert not project.cassettes()
    # Naming one suite in two ways is not a second suite.
    project.run(first, f"{first}::london[stateful]", "--collect-only").assert_outcomes(errors=0)


def test_a_fragment_is_not_collected_wherever_it_is(project: Project) -> None:
    (project.root / "suites" / "weather.yaml").unlink()
    project.suite("shared", "# shared\nfragment: shared\ndefaults: {model: m}\n")
    project.suite("parts.eval", "fragment: parts\n")
    project.suite(
        "a", "suite: a\nuse: [shared.yaml]\nscenarios: [{id: one, turns: [{user: hi}]}]\n"
    )
    result = project.run("suites", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["suites/a.yaml::one", "", "1 test collected*"])
    assert result.ret == pytest.ExitCode.OK
