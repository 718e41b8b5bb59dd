"""``--evalkit-record changed``, misses with one cause, and the summary of a recording."""

from __future__ import annotations

import shlex

import pytest

from tests.cassette.samples import leave_folded_journal
from tests.plugin.project import Project

SUITE = """\
suite: help
defaults: {model: gemini-3.5-flash, system_instruction: Be polite., history: stateless}
scenarios:
  - {id: one, turns: [{user: Hello one}, {user: And now}]}
  - {id: two, turns: [{user: Hello two}]}
  - {id: three, turns: [{user: Hello three}]}
  - {id: four, system_instruction: Be brief., turns: [{user: Hello four}]}
  - id: judged
    turns: [{user: Hello, expect: [{judge: {rubric: It is polite, model: gemini-3.5-flash}}]}]
"""
COUNTS = {"passed": 5}


@pytest.fixture
def helped(project: Project) -> Project:
    (project.root / "suites/weather.yaml").unlink()
    project.suite("help", SUITE)
    result = project.record(mode="changed")
    result.assert_outcomes(**COUNTS)
    result.stdout.fnmatch_lines(["cassettes: 5 written, 0 replaced, 0 untouched; 7 requests, *"])
    return project


def files(project: Project) -> dict[str, bytes]:
    return {name: (project.root / "cassettes" / name).read_bytes() for name in project.cassettes()}


def changed(project: Project, old: dict[str, bytes]) -> set[str]:
    new = files(project)
    return {name.removeprefix("help/") for name in {*old, *new} if old.get(name) != new.get(name)}


def test_nothing_changed(helped: Project) -> None:
    before = files(helped)
    result = helped.run("suites", "--evalkit-record", "changed")  # no endpoint is needed
    result.assert_outcomes(**COUNTS)
    result.stdout.fnmatch_lines(["cassettes: 0 written, 0 replaced, 5 untouched; 0 requests, *"])
    assert files(helped) == before


def test_a_folded_journal_is_removed(helped: Project) -> None:
    leave_folded_journal(helped.root / "cassettes/help/one.yaml")
    helped.run("suites").assert_outcomes(**COUNTS)
    assert "help/one.yaml.journal" in helped.cassettes()
    helped.run("suites", "--evalkit-record", "changed").assert_outcomes(**COUNTS)
    assert "help/one.yaml.journal" not in helped.cassettes()


def test_the_same_answers_leave_every_cassette_as_it_was(helped: Project) -> None:
    before = files(helped)
    result = helped.record(mode="all")
    result.assert_outcomes(**COUNTS)
    counts = "0 written, 0 replaced, 5 unchanged, 0 untouched; 7 requests, *"
    result.stdout.fnmatch_lines([f"cassettes: {counts}"])
    assert files(helped) == before


@pytest.mark.parametrize(
    ("old", "new", "cassettes"),
    [
        ("Be polite.", "Be very polite.", {"one.yaml", "two.yaml", "three.yaml", "judged.yaml"}),
        ("And now", "And then", {"one.yaml"}),
        ("It is polite", "It is very polite", {"judged.yaml"}),
        ("id: two", "id: second", {"second.yaml"}),
        ("history: stateless", "history: stateful", {"one.yaml", "two.yaml", "three.yaml", "four.yaml", "judged.yaml"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("options", [[], ["--evalkit-concurrency", "3"]])
def test_only_what_changed_is_recorded(
    helped: Project, old: str, new: str, cassettes: set[str], options: list[str]
) -> None:
    before = files(helped)
    helped.suite("help", SUITE.replace(old, new))
    helped.record(*options, mode="changed").assert_outcomes(**COUNTS)
    assert changed(helped, before) == cassettes
    for name in cassettes & {"one.yaml"}:
        text = (helped.root / "cassettes/help" / name).read_text()
        assert text.count("uri:") == 2  # recorded from its start, nothing of the old one is left
    helped.run("suites").assert_outcomes(**COUNTS)


def test_workers_record_what_changed(helped: Project) -> None:
    before = files(helped)
    helped.suite("help", SUITE.replace("Be polite.", "Be kind."))
    options = ["-p", "xdist", "-n", "2", "--evalkit-record", "changed"]
    result = helped.pytester.runpytest_subprocess(
        "suites", *options, "--evalkit-base-url", helped.url
    )
    result.assert_outcomes(**COUNTS)
    result.stdout.fnmatch_lines(["cassettes: 0 written, 4 replaced, 1 untouched; 6 requests, *"])
    assert len(changed(helped, before)) == 4


def test_an_incomplete_recording_replaces_nothing(helped: Project) -> None:
    before = files(helped)
    helped.suite("help", SUITE.replace("Be polite.", "Be kind."))
    result = helped.run(
        "suites", "--evalkit-record", "changed", "--evalkit-base-url", "http://127.0.0.1:9"
    )
    result.assert_outcomes(errors=1)
    assert files(helped) == before


def test_a_damaged_cassette_is_not_replaced(helped: Project) -> None:
    path = helped.root / "cassettes/help/two.yaml"
    path.write_text(path.read_text()[:300] + "\n  ]broken")
    before = files(helped)
    helped.record(mode="changed").assert_outcomes(passed=4, errors=1)
    assert files(helped) == before


def test_sessions_without_a_key_stop_with_one_message(helped: Project) -> None:
    helped.suite("help", SUITE.replace("Be polite.", "Be kind."))
    result = helped.run("suites", "--evalkit-record", "changed")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["stopped: no API key: *"])
    assert result.parseoutcomes() == {"errors": 1}


def test_misses_with_one_cause_are_reported_once(helped: Project) -> None:
    helped.suite("help", SUITE.replace("Be polite.", "Be very polite."))
    result = helped.run("suites", "-k", "not judged")
    result.assert_outcomes(errors=3, passed=1, deselected=1)
    text = result.stdout.str()
    assert text.count("cause: system instruction changed") == 1
    assert text.count("--evalkit-record") == 1
    result.stdout.fnmatch_lines(
        [
            "3 tests not recorded as they are now, for one reason; the first:",
            "help::one: the cassette cassettes/help/one.yaml has no recording of request 1, *",
            "  also: suites/help.yaml::two, suites/help.yaml::three",
            "ERROR suites/help.yaml::two - not recorded: system instruction changed",
        ]
    )
    (command,) = (line for line in result.outlines if "--evalkit-record" in line)
    words = shlex.split(command)
    assert words[words.index("suites") :] == [
        "suites", "-k", "not judged", "--evalkit-record", "changed",
    ]  # fmt: skip
    assert all("cause: system" in one["message"] for one in list(helped.results().values())[:3])


def test_an_edited_rubric_is_one_cause(helped: Project) -> None:
    turn = (
        "turns: [{user: Hello, expect: [{judge: {rubric: It is polite, model: gemini-3.5-flash}}]}]"
    )
    text = SUITE + f"  - {{id: again, {turn}}}\n"
    helped.suite("help", text)
    helped.record(mode="changed").assert_outcomes(passed=6)
    helped.suite("help", text.replace("It is polite", "It is rude"))
    result = helped.run("suites")
    result.assert_outcomes(errors=2, passed=4)
    assert result.stdout.str().count("has no recording of request") == 1


def test_misses_with_two_causes_are_two_groups(helped: Project) -> None:
    text = SUITE.replace("Be polite.", "Be kind.").replace("Be brief.", "Be short.")
    helped.suite("help", text)
    result = helped.run("suites")
    result.assert_outcomes(errors=5)
    assert result.stdout.str().count("cause: system instruction changed") == 2


@pytest.mark.parametrize("option", ["--tb=no", "-x", "-rN", "--tb=line"])
def test_other_options_of_the_terminal_work(helped: Project, option: str) -> None:
    helped.suite("help", SUITE.replace("Be polite.", "Be kind."))
    result = helped.run("suites", option)
    assert result.ret != 0
    assert "Traceback" not in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()


def test_a_tape_replays_or_records(project: Project) -> None:
    (project.root / "suites/weather.yaml").unlink()
    test = """\
import httpx
def test_one(evalkit_tape):
    url = "%s/v1beta/interactions"
    body = {"model": "gemini-3.5-flash", "input": "%s"}
    assert httpx.post(url, json=body, headers={"x-goog-api-key": "k"}).status_code == 200
"""
    path = project.root / "test_tape.py"
    path.write_text(test % (project.url, "Hello"))
    options = ["--evalkit-record", "changed", "--evalkit-base-url", project.url]
    run = project.pytester.runpytest_subprocess
    run("test_tape.py", *options).assert_outcomes(passed=1)
    run("test_tape.py").assert_outcomes(passed=1)
    path.write_text(test % (project.url, "Bye"))
    run("test_tape.py", *options).assert_outcomes(errors=1)
