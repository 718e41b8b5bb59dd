"""Sessions with tests of applications: workers, reruns, shards, resumed runs, budgets, secrets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli.main import main
from evalkit.errors import IntegrityError
from evalkit.results import Run
from evalkit.signoff.digest_manifest import SignedPaths, covered_digests
from tests.tape.plugin.taped_project import TapedProject
from tests.tape.plugin.test_application_results import results_of

FOUR = """
import pytest
from taped_application import ask

@pytest.mark.parametrize("city", ["London", "Oslo", "Paris"])
def test_city(evalkit_tape, city):
    ask(f"Weather in {city}?")
    evalkit_tape.expect(text=city)

def test_hello(evalkit_tape):
    ask("Hello")
    assert "Bonjour" in evalkit_tape.conversation().text
"""
IDS = [*(f"test_app.py::test_city[{city}]" for city in ("London", "Oslo", "Paris"))]
IDS.append("test_app.py::test_hello")
CRASH = """
import os

def pytest_runtest_call(item):
    if item.name == "test_city[Oslo]":
        os._exit(3)
"""
CRASH_OF_ONE = """
import os
from pathlib import Path

def pytest_runtest_call(item):
    done = Path(item.config.rootpath, "done")
    if item.name == "test_hello" and os.environ["PYTEST_XDIST_WORKER"] == "gw0":
        done.touch()
    elif item.name == "test_city[Oslo]" and os.environ["PYTEST_XDIST_WORKER"] == "gw1":
        while not done.exists():
            pass
        os._exit(3)
"""
GROUP = """
import pytest

def pytest_collection_modifyitems(items):
    items[0].add_marker(pytest.mark.xdist_group("one"))
"""
FLAKY = """
from taped_application import ask

attempts = []

def test_hello(evalkit_tape):
    ask("Hello")
    attempts.append(1)
    evalkit_tape.expect(text="Hello" if len(attempts) == 2 else "Bonjour")
"""
CASSETTES: dict[str, bytes] = {}


@pytest.fixture
def recorded(project: TapedProject) -> TapedProject:
    """A project with cassettes, which only the first test records."""
    project.write("test_app.py", FOUR)
    folder = project.root / "cassettes"
    if not CASSETTES:
        project.record().assert_outcomes(passed=3, failed=1)
        shutil.rmtree(project.root / "reports")
        CASSETTES.update({name: (folder / name).read_bytes() for name in project.cassettes()})
    for name, content in CASSETTES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return project


def manifest_of(project: TapedProject, folder: str = "reports/latest") -> dict[str, Any]:
    value: dict[str, Any] = json.loads((project.root / folder / "manifest.json").read_text())
    return value


def ids_of(project: TapedProject, folder: str = "reports/latest") -> list[str]:
    return sorted(str(one["id"]) for one in results_of(project, folder))


def evalkit(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("options", "conftest", "counts", "verdicts"),
    [
        ("-n 2 --dist loadgroup", GROUP, {"passed": 3, "failed": 1}, "fppp"),
        ("-n 1", CRASH, {"passed": 2, "failed": 1, "errors": 1}, "efpp"),
        (
            "-n 2 --dist each",
            CRASH_OF_ONE,
            {"passed": 5, "failed": 2, "errors": 1},
            "effppppp",
        ),
    ],
    ids=["workers by group", "crashed worker", "one of each crashed"],
)
def test_workers(
    recorded: TapedProject, options: str, conftest: str, counts: dict[str, int], verdicts: str
) -> None:
    recorded.pytester.makeconftest(conftest)
    result = recorded.pytester.runpytest_subprocess("-p", "xdist", *options.split())
    result.assert_outcomes(**counts)
    results = results_of(recorded)
    assert "".join(sorted(str(one["verdict"])[0] for one in results)) == verdicts
    ids = ids_of(recorded)
    assert len(set(ids)) == len(results)
    assert ids[: len(IDS)] == IDS or "each" in options
    manifest = manifest_of(recorded)
    assert manifest["complete"]
    assert manifest["totals"]["tests"] == len(results)


def test_the_last_attempt_is_the_result(project: TapedProject) -> None:
    project.write("test_app.py", FLAKY)
    options = ("-p", "pytest_rerunfailures", "--reruns", "2")
    url = ("--evalkit-base-url", project.url)
    result = project.pytester.runpytest_subprocess(*options, "--evalkit-record", "once", *url)
    assert result.parseoutcomes() == {"rerun": 1, "passed": 1}
    (one,) = results_of(project)
    assert (one["verdict"], len(one["turns"])) == ("passed", 1)
    assert manifest_of(project)["totals"]["collected"] == 1


@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="pytest 8 has no subtests")
def test_a_test_fails_with_its_subtests(project: TapedProject) -> None:
    project.write(
        "test_app.py",
        """
        import pytest
        from taped_application import ask

        def fail():
            assert 1 == 2

        def skip():
            pytest.skip("not here")

        @pytest.mark.parametrize("act", [fail, skip, None, open])
        def test_parts(evalkit_tape, subtests, act):
            ask("Hello")
            for number in range(3):
                with subtests.test(number=number):
                    if number == 1 and act is not None:
                        act()
        """,
    )
    result = project.record()
    assert [one["verdict"] for one in results_of(project)] == [
        "failed", "passed", "passed", "errored",
    ]  # fmt: skip
    assert ["pytest" in one for one in results_of(project)] == [False] * 4
    assert result.parseoutcomes() == {"failed": 3, "passed": 2, "errors": 1}
    result.stdout.fnmatch_lines(["4 application tests: 2 passed, 1 failed, 1 errored, 0 skipped"])


def test_deselected_tests_are_counted(recorded: TapedProject) -> None:
    recorded.run("-k", "hello").assert_outcomes(failed=1, deselected=3)
    totals = manifest_of(recorded)["totals"]
    assert (totals["collected"], totals["deselected"], totals["tests"]) == (4, 3, 4)
    recorded.run("-x").assert_outcomes(passed=3, failed=1)
    recorded.pytester.runpytest_inprocess("-p", "cacheprovider")
    last = recorded.pytester.runpytest_inprocess("-p", "cacheprovider", "--last-failed")
    last.assert_outcomes(failed=1)
    assert ids_of(recorded) == ["test_app.py::test_hello"]


def test_a_session_that_stops_is_not_complete(recorded: TapedProject) -> None:
    recorded.write("test_app.py", FOUR.replace("text=city", "text='London'"))
    recorded.run("-x").assert_outcomes(passed=1, failed=1)
    assert not manifest_of(recorded)["complete"]
    result = recorded.run("-x")
    result.stdout.fnmatch_lines(["4 application tests: 1 passed, 1 failed*2 not run"])


def test_shards_are_merged(recorded: TapedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recorded.root)
    recorded.run("-k", "city", "--evalkit-report", "shards/1").assert_outcomes(
        passed=3, deselected=1
    )
    recorded.run("-k", "hello", "--evalkit-report", "shards/2").assert_outcomes(
        failed=1, deselected=3
    )
    code, output = evalkit("merge", "shards/1", "shards/2", "--output", "merged")
    assert code == 0, output
    assert ids_of(recorded, "merged") == IDS
    totals = manifest_of(recorded, "merged")["totals"]
    assert (totals["collected"], totals["tests"], totals["deselected"]) == (4, 4, 0)
    (module,) = manifest_of(recorded, "merged")["modules"]
    assert (module["path"], module["collected"]) == ("test_app.py", 4)
    assert manifest_of(recorded, "merged")["complete"]
    recorded.write("test_app.py", FOUR + "\n")
    recorded.run("-k", "hello", "--evalkit-report", "shards/2")
    code, output = evalkit("merge", "shards/1", "shards/2", "--output", "merged")
    assert (code, "test_app.py: shards/1 and shards/2" in output) == (2, True), output


def test_a_resumed_session_runs_tests_again(recorded: TapedProject) -> None:
    recorded.write("suites/s.yaml", SUITE)
    recorded.record("-k", "a", "suites", "test_app.py")
    recorded.run("-x", "test_app.py", "suites").assert_outcomes(passed=3, failed=1)
    recorded.run("--evalkit-resume", "suites", "test_app.py").assert_outcomes(passed=4, failed=1)
    assert ids_of(recorded) == ["s::a", *IDS]


SUITE = """
suite: s
scenarios:
  - {id: a, model: gemini-3.5-flash, turns: [{user: Hello}]}
"""


def test_tapes_spend_the_budget(project: TapedProject) -> None:
    project.write("test_app.py", FOUR)
    result = project.record("--evalkit-budget", "1 tokens")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "4 application tests: 1 passed*3 not run",
            "cassettes: 1 written*1 request, * tokens",
            "stopped: the budget of 1 tokens is spent",
        ]
    )


def test_no_secret_is_in_a_result(project: TapedProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "planted-key-1a2b3c4d")
    project.write(
        "test_app.py",
        """
        import os
        import httpx
        import pytest

        KEY = "planted-own-key-9z8y7x6w5v"

        def ask():
            url = os.environ["GOOGLE_GEMINI_BASE_URL"] + "/v1beta/interactions"
            body = {"model": "gemini-3.5-flash", "input": "Hello"}
            httpx.post(url, json=body, headers={"x-goog-api-key": KEY}).raise_for_status()

        def test_assertion(evalkit_tape):
            ask()
            assert not f"{'x' * 330}{KEY}{KEY}", f"{'x' * 330} {KEY} {KEY}"

        def test_environment(evalkit_tape):
            ask()
            raise OSError("<script>::error::" + os.environ["GEMINI_API_KEY"] + "\\x1b[31m" + KEY)

        def test_reason(evalkit_tape):
            ask()
            pytest.xfail(f"refuses {KEY}")

        def test_skip(evalkit_tape):
            ask()
            pytest.skip(f"refuses {KEY}")
        """,
    )
    url = ("--evalkit-base-url", project.url)
    project.run("--evalkit-record", "once", *url).assert_outcomes(
        failed=1, errors=1, xfailed=1, skipped=1
    )
    assert [one["verdict"] for one in results_of(project)] == [
        "failed",
        "errored",
        "failed",
        "skipped",
    ]
    for path in (project.root / "reports/latest").rglob("*"):
        text = path.read_text(errors="replace") if path.is_file() else ""
        assert "planted-" not in text, path.name
        assert "\x1b" not in text


def test_conversations_of_a_test_are_numbered_through(project: TapedProject) -> None:
    project.write(
        "test_app.py",
        """
        from taped_application import ask

        def test_two(evalkit_tape):
            one = ask("What is the temperature in London?")
            ask("Hello", system_instruction="Be terse.")
            ask("And in Paris?", previous_interaction_id=one["id"])
            london, hello = evalkit_tape.conversations()
            london.turn(2).expect(text="Paris")
            hello.expect({"text": "Bonjour", "severity": "warn"}, status="completed")
        """,
    )
    project.pytester.makeini("[pytest]\nfilterwarnings = ignore\n")
    project.record().assert_outcomes(passed=1)
    (one,) = results_of(project)
    assert [turn["number"] for turn in one["turns"]] == [1, 2, 3]
    assert [x["number"] for turn in one["turns"] for x in turn["exchanges"]] == [1, 2, 3]
    exchanges = [step["exchange"] for turn in one["turns"] for step in turn["steps"]]
    assert exchanges == [1, 1, 2, 2, 3, 3]
    assert [each["first_turn"] for each in one["conversations"]] == [1, 3]
    assert "system_instruction" not in one["settings"]
    assert one["conversations"][1]["settings"]["system_instruction"] == "Be terse."
    checks = [
        (check["name"], check.get("turn"), check["conversation"], check["declared"])
        for check in one["checks"]
    ]
    assert checks == [
        ("text", 2, 1, "test_app.py:9"),
        ("text", None, 2, "test_app.py:10"),
        ("status", None, 2, "test_app.py:10"),
    ]
    warning = one["checks"][1]["findings"][0]
    assert (warning["severity"], warning["where"]["turn"]) == ("warn", 3)
    assert one["metrics"]["exchanges"] == 3
    page = (project.root / "reports/latest/index.html").read_text()
    assert "conversation 2 of 2" in page
    assert "application test" in page


def test_moved_and_changed_tests_are_compared(
    recorded: TapedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recorded.root)
    recorded.run("--evalkit-report", "reports/old")
    recorded.write("test_app.py", FOUR.replace("text=city", "text='Oslo'"))
    recorded.run("--evalkit-report", "reports/new").assert_outcomes(passed=1, failed=3)
    code, output = evalkit("compare", "reports/old", "reports/new", "--json")
    assert code == 1, output
    assert "the test modules differ (test_app.py)" in output
    recorded.write("moved/test_app.py", FOUR)
    (recorded.root / "test_app.py").unlink()
    recorded.run("--evalkit-report", "reports/moved")
    code, output = evalkit("compare", "reports/old", "reports/moved")
    assert code == 1
    assert "moved/test_app.py" in output


def test_only_suites_can_be_judged_again(
    recorded: TapedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recorded.root)
    recorded.run()
    code, output = evalkit("rejudge", "reports/latest", "--suites-from", ".")
    assert code == 2
    assert "it has only application tests (expected a run of suites)" in output
    recorded.write("suites/s.yaml", SUITE)
    recorded.record("-k", "a", "suites")
    recorded.run("suites", "test_app.py").assert_outcomes(passed=4, failed=1)
    before = results_of(recorded)
    code, output = evalkit("rejudge", "reports/latest", "--suites-from", ".")
    assert code == 1, output
    assert "4 application tests not judged again: what they expect is Python code" in output
    assert results_of(recorded, "reports/latest-rejudged")[1:] == before[1:]


def test_a_signature_covers_modules_and_cassettes(recorded: TapedProject) -> None:
    recorded.run()
    run = Run(recorded.root / "reports/latest")
    paths = SignedPaths(recorded.root, run.directory, "reports/latest")
    digests = covered_digests(run, paths)
    cassettes = [f"cassettes/{name}" for name in recorded.cassettes()]
    assert {"test_app.py", "reports/latest/results.jsonl", *cassettes} <= digests.keys()
    recorded.write("test_app.py", FOUR + "\n")
    with pytest.raises(IntegrityError, match=r"test_app\.py: changed since the run"):
        covered_digests(run, paths)


def test_what_nobody_checked_is_a_warning(project: TapedProject) -> None:
    project.write(
        "test_app.py",
        """
        from taped_application import ask

        def test_unsigned(evalkit_tape):
            question = {"type": "user_input", "content": [{"type": "text", "text": "Hello"}]}
            steps = ask([question], store=False)["steps"]
            for step in steps:
                step.pop("signature", None)
            again = {"type": "user_input", "content": [{"type": "text", "text": "And now?"}]}
            ask([question, *steps, again], store=False)
        """,
    )
    project.pytester.makeini("[pytest]\nfilterwarnings = ignore\n")
    project.record().assert_outcomes(passed=1)
    (one,) = results_of(project)
    assert one["verdict"] == "passed"
    (check,) = [check for check in one["checks"] if check["name"] == "history"]
    assert {finding["severity"] for finding in check["findings"]} == {"warn"}
    assert {finding["code"] for finding in check["findings"]} == {"signature_altered"}
    project.run().stdout.fnmatch_lines(["1 scored by 1 check, 1 warning*"])
