"""A project is found from every folder; options mean the same folders from everywhere."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from tests.plugin.project import WEATHER, Project


@pytest.fixture
def moved(recorded: Project, tmp_path: Path) -> Path:
    """The recorded project, without any ini file, in a folder of its own."""
    (recorded.root / "tox.ini").unlink(missing_ok=True)
    folder = tmp_path / "work" / "bot"
    folder.mkdir(parents=True)
    for name in ("suites", "cassettes"):
        (recorded.root / name).rename(folder / name)
    return folder


@pytest.mark.parametrize(
    ("folder", "arguments"),
    [
        (".", "suites"),
        (".", ""),
        ("suites", ""),
        ("suites", "."),
        ("suites", "weather.yaml"),
        ("suites/deep", ".."),
        ("..", "bot/suites"),
        ("..", "bot"),
        ("../..", "work/bot/suites/weather.yaml"),
        ("/", "{root}/suites"),
        ("/", "{root}/suites/weather.yaml::hello"),
        (".", "suites --junitxml /tmp --evalkit-report {root}/../artifacts"),
    ],
)
def test_a_project_without_an_ini_file_runs_from_everywhere(
    recorded: Project,
    moved: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    arguments: str,
) -> None:
    (moved / "suites/deep").mkdir()
    (moved / "../artifacts").mkdir()
    monkeypatch.chdir(moved / folder)
    words = arguments.replace("--junitxml /tmp ", "").format(root=moved).split()
    result = recorded.run(*words)
    result.assert_outcomes(passed=2 if "::" in arguments else 4)
    assert (moved / "../artifacts/manifest.json").exists() is ("artifacts" in arguments)
    assert (moved / "reports/latest/manifest.json").exists() is ("artifacts" not in arguments)


def test_evalkit_yaml_marks_the_root(
    recorded: Project, moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (moved / "evalkit.yaml").write_text("")
    (moved / "suites/suites").mkdir()
    monkeypatch.chdir(moved / "suites")
    recorded.run().assert_outcomes(passed=4)


@pytest.mark.parametrize("folder", [".", "suites", "tests/unit"])
@pytest.mark.parametrize(
    "lines",
    [
        "addopts = --evalkit-cassettes data/tapes --evalkit-report out/run",
        "addopts = --evalkit-cassettes=data/tapes --evalkit-report=out/run",
        "addopts = -q --evalkit-report out/run --evalkit-cassettes '{root}/data/tapes'",
    ],
)
def test_folders_in_the_ini_file_are_relative_to_it(
    recorded: Project, monkeypatch: pytest.MonkeyPatch, folder: str, lines: str
) -> None:
    root = recorded.root
    (root / "tests/unit").mkdir(parents=True)
    (root / "data").mkdir()
    (root / "cassettes").rename(root / "data/tapes")
    recorded.pytester.makeini(f"[pytest]\n{lines.format(root=root)}\n")
    monkeypatch.chdir(root / folder)
    recorded.run(str(root / "suites")).assert_outcomes(passed=4)
    assert (root / "out/run/manifest.json").exists()


def test_typed_folders_are_relative_to_the_current_folder(
    recorded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded.pytester.makeini("[pytest]\naddopts = --evalkit-cassettes nowhere\n")
    monkeypatch.chdir(recorded.root / "suites")
    recorded.run("--evalkit-cassettes", "../cassettes").assert_outcomes(passed=4)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--evalkit-cassettes=../cassettes")
    recorded.run().assert_outcomes(passed=4)


def test_workers_find_the_same_folders(recorded: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (recorded.root / "cassettes").rename(recorded.root / "tapes")
    recorded.pytester.makeini("[pytest]\naddopts = --evalkit-cassettes tapes\n")
    monkeypatch.chdir(recorded.root / "suites")
    result = recorded.pytester.runpytest_subprocess("-p", "xdist.plugin", "-n", "2")
    result.assert_outcomes(passed=4)


@pytest.mark.parametrize("name", ["suitez", "suites/weather.yaml", "suites other"])
def test_a_configured_folder_that_does_not_exist_is_an_error(project: Project, name: str) -> None:
    project.pytester.makepyfile("def test_ok(): pass")
    project.pytester.makeini(f"[pytest]\nevalkit_suites = {name}\n")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    missing = name.split()[-1]
    result.stderr.fnmatch_lines([f"ERROR: *tox.ini: evalkit_suites: *{missing} is not a folder*"])
    assert project.run("--help").ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    "arguments", ["evals", "evals/billing", "evals/billing/one.yaml", "tests evals", "./evals/"]
)
def test_a_folder_named_on_the_command_line_is_collected(project: Project, arguments: str) -> None:
    (project.root / "tests").mkdir()
    (project.root / "tests/test_one.py").write_text("def test_one(): pass")
    (project.root / "evals/billing").mkdir(parents=True)
    (project.root / "evals/billing/one.yaml").write_text(WEATHER)
    (project.root / "evals/billing/data.yaml").write_text("suite: of another tool\ntests: []\n")
    result = project.run("--collect-only", "-q", *arguments.split())
    result.stdout.fnmatch_lines(["evals/billing/one.yaml::london*"])
    assert "data.yaml" not in result.stdout.str()
    assert "evals" not in project.run("--collect-only", "-q").stdout.str()
    assert "evals" not in project.run("--collect-only", "-q", ".").stdout.str()


class TestNodeIds:
    @pytest.fixture
    def trials(self, project: Project) -> Project:
        text = WEATHER.replace("  - id: hello", "  - id: hello\n    repeat: 3")
        project.suite("weather", text)
        return project

    @pytest.mark.parametrize(
        ("name", "selected"),
        [
            ("hello", ["stateful]", "stateful]#2", "stateful]#3"] * 2),
            ("hello[stateful]", ["stateful]", "stateful]#2", "stateful]#3"]),
            ("hello[stateful]#2", ["stateful]#2"]),
            ("hello[stateful]#1", ["stateful]"]),
            ("london", ["stateful]", "stateless]"]),
        ],
    )
    def test_a_name_selects_all_trials_and_a_number_one(
        self, trials: Project, name: str, selected: list[str]
    ) -> None:
        result = trials.run("--collect-only", "-q", f"suites/weather.yaml::{name}")
        names = [line for line in result.outlines if "::" in line]
        assert len(names) == len(selected)
        assert {line.rpartition("[")[2] for line in names} >= set(selected)

    def test_a_number_that_does_not_exist_is_an_error(self, trials: Project) -> None:
        result = trials.run("suites/weather.yaml::hello[stateful]#4")
        assert result.ret == pytest.ExitCode.USAGE_ERROR


class TestCommands:
    """A command in a message repairs the miss when it is pasted where it was printed."""

    @pytest.mark.parametrize(
        ("folder", "options"),
        [
            (".", ""),
            ("suites", "--evalkit-cassettes ../my\\ tapes"),
            ("..", "-c {root}/tox.ini --evalkit-report {root}/out --evalkit-record none"),
            (".", "--rootdir={root} -p no:cacheprovider --evalkit-model gemini-3-pro -k hello"),
            (".", "--evalkit-repeat 2 -x -o evalkit_redact=acct"),
        ],
    )
    def test_the_pasted_command_records_exactly_the_missing_variant(
        self,
        recorded: Project,
        monkeypatch: pytest.MonkeyPatch,
        folder: str,
        options: str,
    ) -> None:
        base_url = ["--evalkit-base-url", recorded.url]
        words = shlex.split(options.format(root=recorded.root))
        monkeypatch.chdir(recorded.root / folder)
        suite = os.path.relpath(recorded.root / "suites/weather.yaml")
        recorded.run(suite, *words, *base_url, "--evalkit-record", "all")
        tapes = recorded.root / ("my tapes" if "tapes" in options else "cassettes")
        model = ".gemini-3-pro" if "gemini-3-pro" in options else ""
        path = tapes / f"weather/hello.stateful{model}.yaml"
        others = {one: one.stat().st_mtime_ns for one in tapes.rglob("*.yaml") if one != path}
        path.unlink()
        result = recorded.run(suite, *words, *base_url)
        (command,) = {line.strip() for line in result.outlines if "--evalkit-record all" in line}
        program, *arguments = shlex.split(command)
        assert program == "pytest"
        recorded.run(*arguments).assert_outcomes(passed=1)
        assert path.exists()
        assert {one: one.stat().st_mtime_ns for one in others} == others
        passed = recorded.run(suite, *words, *base_url).parseoutcomes()
        assert set(passed) <= {"passed", "deselected"}

    def test_credentials_of_an_address_are_not_printed(self, project: Project) -> None:
        result = project.run("suites", "--evalkit-base-url", "http://me:secret@127.0.0.1:9/")
        result.stdout.fnmatch_lines(["*pytest *--evalkit-record changed"])
        assert "secret" not in result.stdout.str()


@pytest.mark.parametrize("arguments", ["", "-p xdist.plugin -n 1"])
def test_the_short_summary_says_why(
    recorded: Project, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (recorded.root / "cassettes/weather/hello.stateful.yaml").unlink()
    recorded.suite("weather", WEATHER.replace('contains: "22"', 'contains: "a\\u202eb\\nc"'))
    recorded.suite("broken", "suite: broken\nscenarios: 7\n")
    options = ["-q", "--tb=no", "--continue-on-collection-errors", *arguments.split()]
    run = recorded.pytester.runpytest_subprocess if arguments else recorded.run
    lines = run("suites", *options).outlines
    reasons = {line.partition(" - ")[0]: line.partition(" - ")[2] for line in lines}
    name = "suites/weather.yaml::"
    assert reasons[f"FAILED {name}london[stateful]"].startswith("text: the text does not contain")
    assert reasons[f"ERROR {name}hello[stateful]"].startswith("not recorded: the cassette")
    assert reasons["ERROR suites/broken.yaml"].startswith("suites/broken.yaml:2:12 'scenarios'")
    assert not any("\u202e" in line for line in lines)
