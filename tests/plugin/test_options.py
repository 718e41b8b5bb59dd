"""Options for cassettes, report, base URL, model, repeat, strict and live; invalid values."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from fnmatch import fnmatch

import pytest

from evalkit.results.run_directory import read_lines
from tests.environment import environment_without_coverage
from tests.plugin.project import WEATHER, Project


class TestCassettes:
    def test_another_folder(self, project: Project) -> None:
        project.record("--evalkit-cassettes", "tapes", "-k", "hello").assert_outcomes(
            passed=2, deselected=2
        )
        assert (project.root / "tapes" / "weather" / "hello.stateful.yaml").exists()
        assert not (project.root / "cassettes").exists()
        project.run("suites", "--evalkit-cassettes", "tapes", "-k", "hello").assert_outcomes(
            passed=2, deselected=2
        )


class TestReport:
    def test_another_directory(self, recorded: Project) -> None:
        result = recorded.run("suites", "--evalkit-report", "reports/mine")
        result.stdout.fnmatch_lines(["report: reports/mine/index.html"])
        names = {path.name for path in (recorded.root / "reports" / "mine").iterdir()}
        assert names >= {"results.jsonl", "manifest.json", "index.html", "junit.xml"}

    def test_signed_off_run_is_not_overwritten(self, recorded: Project) -> None:
        recorded.run("suites")
        folder = recorded.root / "reports/latest"
        (folder / "signoffs").mkdir()
        (folder / "signoffs/0001.intoto.jsonl").write_text("{}")
        before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        result = recorded.run("suites")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            [
                "*latest is signed off, and a new run would void its records; name another one with --evalkit-report"
            ]
        )
        assert {
            path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()
        } == before

    def test_directory_with_unrelated_files_is_rejected(self, recorded: Project) -> None:
        (recorded.root / "src").mkdir()
        (recorded.root / "src" / "index.html").write_text("mine")
        result = recorded.run("suites", "--evalkit-report", "src")
        assert result.ret != pytest.ExitCode.OK
        assert "is not a run directory" in result.stdout.str() + result.stderr.str()
        assert "INTERNALERROR" not in result.stdout.str()
        assert (recorded.root / "src" / "index.html").read_text() == "mine"
        assert len(list((recorded.root / "src").iterdir())) == 1

    @pytest.mark.parametrize(
        ("blocks", "message"),
        [
            (4, "*results.jsonl: results cannot be written"),
            (24, "cannot write all reports: *evalkit report"),
        ],
    )
    def test_full_disk_is_reported_in_one_line_and_complete_results_are_preserved(
        self, recorded: Project, blocks: int, message: str
    ) -> None:
        """Simulate a full disk by a limit on file sizes: writing beyond it fails the same way."""
        command = f"ulimit -f {blocks}; exec {sys.executable} -m pytest suites -p no:cacheprovider"
        # Under such a limit Python would truncate compiled modules, which later tests import.
        environment = {**environment_without_coverage(), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=recorded.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode != 0
        assert fnmatch(output, f"*{message}*"), output
        assert "Traceback" not in output
        assert "INTERNALERROR" not in output
        lines = list(read_lines(recorded.root / "reports" / "latest" / "results.jsonl"))
        assert [json.loads(line)["verdict"] for line in lines] == ["passed"] * len(lines)
        assert len(lines) == (4 if blocks > 4 else 0)

    def test_the_same_inputs_give_the_same_bytes(
        self, recorded: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        recorded.run("suites")
        first = {
            path.name: path.read_bytes() for path in (recorded.root / "reports/latest").iterdir()
        }
        recorded.run("suites")
        again = {
            path.name: path.read_bytes() for path in (recorded.root / "reports/latest").iterdir()
        }
        assert first == again
        assert len(first) >= 4


class TestBaseUrl:
    def test_base_url_is_read_from_the_environment(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", project.url + "/")
        project.run("suites", "--evalkit-record", "once").assert_outcomes(passed=4)

    def test_invalid_base_url_is_rejected(self, project: Project) -> None:
        result = project.run(
            "suites",
            "-k",
            "hello and stateful",
            "--evalkit-record",
            "once",
            "--evalkit-base-url",
            "localhost:80x",
        )
        assert result.ret != pytest.ExitCode.OK
        assert "base" in result.stdout.str() + result.stderr.str()
        assert "Traceback" not in result.stdout.str() + result.stderr.str()


class TestModel:
    def test_replaces_the_suites_model(self, project: Project) -> None:
        project.record("--evalkit-model", "gemini-3.1-pro", "-k", "hello").assert_outcomes(
            passed=2, deselected=2
        )
        assert {result["variant"]["model"] for result in project.results().values()} == {
            "gemini-3.1-pro"
        }

    def test_several_models_create_variants(self, project: Project) -> None:
        project.record(
            "--evalkit-model",
            "gemini-3.5-flash",
            "--evalkit-model",
            "gemini-3.1-pro",
            "-k",
            "hello and stateful",
        )
        assert list(project.results()) == [
            "weather::hello[gemini-3.5-flash-stateful]",
            "weather::hello[gemini-3.1-pro-stateful]",
        ]
        assert project.cassettes() == [
            "weather/hello.stateful.gemini-3.1-pro.yaml",
            "weather/hello.stateful.yaml",
        ]


class TestRepeat:
    def test_each_trial_has_its_own_cassette(self, project: Project) -> None:
        project.record("--evalkit-repeat", "2", "-k", "hello and stateful").assert_outcomes(
            passed=2, deselected=6
        )
        assert list(project.results()) == ["weather::hello[stateful]", "weather::hello[stateful]#2"]
        assert project.cassettes() == [
            "weather/hello.stateful.trial2.yaml",
            "weather/hello.stateful.yaml",
        ]

    @pytest.mark.parametrize("number", ["0", "-1", "x"])
    def test_value_must_be_a_positive_integer(self, project: Project, number: str) -> None:
        result = project.run("suites", f"--evalkit-repeat={number}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR


class TestStrict:
    def test_passes_when_all_recordings_are_played(self, recorded: Project) -> None:
        assert recorded.run("suites", "--evalkit-strict").ret == pytest.ExitCode.OK

    def test_unplayed_recordings_fail(self, recorded: Project) -> None:
        path = recorded.root / "cassettes" / "weather" / "hello.stateful.yaml"
        text = path.read_text()
        first = text.index("- request:")
        last = text.index("version: 1")
        path.write_text(text[:last] + text[first:last] + text[last:])
        relaxed = recorded.run("suites")
        assert relaxed.ret == pytest.ExitCode.OK
        relaxed.stdout.fnmatch_lines(
            ["1 recording left unplayed*", "  unplayed in suites/weather.yaml::hello[[]stateful[]]"]
        )
        result = recorded.run("suites", "--evalkit-strict")
        result.assert_outcomes(passed=4)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["1 recording left unplayed*", "*failed by --evalkit-strict*"])

    def test_unused_cassettes_fail(self, recorded: Project) -> None:
        (recorded.root / "cassettes" / "weather" / "gone.yaml").write_text(
            "version: 1\ninteractions: []\n"
        )
        assert recorded.run("suites").ret == pytest.ExitCode.OK
        result = recorded.run("suites", "--evalkit-strict")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            ["*1 cassette used by no variant", "  unused weather/gone.yaml"]
        )


class TestLive:
    def test_reads_and_writes_no_cassette(self, project: Project) -> None:
        project.run("suites", "--evalkit-live", "--evalkit-base-url", project.url).assert_outcomes(
            passed=4
        )
        assert not (project.root / "cassettes").exists()
        results = project.results().values()
        assert {result["metrics"]["source"] for result in results} == {"live"}
        assert {result["cassette"] for result in results} == {None}

    def test_live_and_record_are_mutually_exclusive(self, project: Project) -> None:
        result = project.run("suites", "--evalkit-live", "--evalkit-record", "all")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*--evalkit-live writes no cassettes*"])


class TestRedact:
    def test_text_matching_configured_patterns_is_in_no_file(self, project: Project) -> None:
        project.pytester.makeini("[pytest]\nevalkit_redact =\n    patt[a-z]+\n")
        project.record("-k", "hello").assert_outcomes(failed=2, deselected=2)
        files = [*project.root.rglob("*.jsonl"), *project.root.glob("cassettes/**/*.yaml")]
        assert len(files) >= 3
        assert [path for path in files if b"patterns" in path.read_bytes()] == []
        project.run("suites", "-k", "hello").assert_outcomes(failed=2, deselected=2)

    @pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
    def test_a_prompt_with_a_key_is_a_located_error(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv(name, "AIzaSyD-planted_key")
        suite = WEATHER.replace("in a few words", "in AIzaSyD-planted_key words")
        project.suite("weather", suite)
        result = project.record("-k", "hello")
        result.assert_outcomes(errors=2, deselected=2)
        result.stdout.fnmatch_lines(["*suites/weather.yaml:28:* the user's message contains the *"])
        assert not (project.root / "cassettes").exists()

    def test_a_prompt_that_a_pattern_matches_is_recorded_with_a_warning(
        self, project: Project
    ) -> None:
        project.pytester.makeini("[pytest]\nevalkit_redact =\n    acct-[0-9]+\n")
        suite = """\
            suite: accounts
            scenarios:
              - id: balance
                model: gemini-3.5-flash
                system_instruction: Never mention acct-1234.
                turns:
                  - user: Is acct-4711 open?
                    expect: [{text: {contains: open}}]
            """
        project.suite("weather", textwrap.dedent(suite))
        result = project.record()
        result.assert_outcomes(passed=1)
        (checks,) = (line["checks"] for line in project.results().values())
        warnings = [finding for check in checks for finding in check["findings"]]
        assert [finding["code"] for finding in warnings] == ["prompt_redacted"] * 2
        assert [finding["where"].get("turn") for finding in warnings] == [None, 1]
        result.stdout.fnmatch_lines(["*matches the redaction pattern 'acct-[[]0-9[]]+'*"])
        for path in (project.root / "cassettes").rglob("*.yaml"):
            assert not re.search("acct-[0-9]", path.read_text())
        project.run("suites").assert_outcomes(passed=1)

    @pytest.mark.parametrize(("key", "warned"), [("anything", 1), ("AIzaSyD-planted_key", 0)])
    def test_a_weak_key_is_a_warning_before_recording(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, key: str, warned: int
    ) -> None:
        monkeypatch.setenv("GEMINI_API_KEY", key)
        lines = project.record("-k", "hello").outlines
        warnings = [line for line in lines if "the key is an ordinary word or shorter" in line]
        assert len(warnings) == warned
        assert "the key is an ordinary" not in project.run("suites", "-k", "hello").stdout.str()

    def test_a_weak_key_is_one_warning_for_all_workers(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GEMINI_API_KEY", "anything")
        url = ("--evalkit-base-url", project.url)
        result = project.pytester.runpytest_subprocess(
            "suites", "-p", "xdist", "-n", "2", "--evalkit-record", "once", *url
        )
        assert result.stdout.str().count("warning: GEMINI_API_KEY or") == 1
        assert result.ret == pytest.ExitCode.OK

    def test_an_invalid_pattern_is_refused(self, project: Project) -> None:
        project.pytester.makeini("[pytest]\nevalkit_redact =\n    acct-[\n")
        result = project.record()
        assert "acct-[" in result.stdout.str() + result.stderr.str()
        assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


def test_help_names_every_option(project: Project) -> None:
    text = project.run("--help").stdout.str()
    for option in (
        "record",
        "cassettes",
        "report",
        "base-url",
        "model",
        "repeat",
        "strict",
        "live",
    ):
        assert f"--evalkit-{option}" in text
    assert "evalkit_suites" in text


def test_results_and_manifest_follow_their_schemas(recorded: Project) -> None:
    from importlib.resources import files

    import jsonschema

    schemas = files("evalkit.results") / "schemas"
    recorded.run("suites")
    for result in recorded.results().values():
        jsonschema.validate(result, json.loads((schemas / "result.schema.json").read_text()))
    manifest = recorded.manifest()
    jsonschema.validate(manifest, json.loads((schemas / "manifest.schema.json").read_text()))
    assert len(manifest["cassettes"]) == 4
    assert all(entry["digest"] for entry in manifest["cassettes"])
