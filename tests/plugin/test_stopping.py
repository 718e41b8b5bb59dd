"""What stops a session early: a budget, an endpoint that is not there, the user."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.pytest_plugin.options import _budget
from evalkit.server import create_app, load_script, serving
from evalkit.server.script_backend import ScriptBackend
from tests.plugin.project import Project

pytestmark = pytest.mark.usefixtures("quick_retries")

SCENARIOS = "".join(
    f"  - {{id: s{number}, turns: [{{user: Hello {number}}}]}}\n" for number in range(8)
)
SUITE = f"suite: many\ndefaults: {{model: gemini-3.5-flash}}\nscenarios:\n{SCENARIOS}"
PRICES = "prices: {gemini-3.5-flash: {input_per_million: 1000000, output_per_million: 1000000}}\n"
CONTINUES = "what is complete is recorded; the same command continues"


@pytest.fixture
def many(project: Project) -> Project:
    (project.root / "suites/weather.yaml").unlink()
    project.suite("many", SUITE)
    return project


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("200000 tokens", (200_000, False)),
        ("200,000 tokens", (200_000, False)),
        ("1 token", (1, False)),
        ("5.00", (5, True)),
        (" 5 ", (5, True)),
    ],
)
def test_budgets(text: str, budget: tuple[float, bool]) -> None:
    assert _budget(text) == budget


@pytest.mark.parametrize(
    "text",
    ["0", "0 tokens", "-1", "nan", "inf", "lots", "", "5 dollars", "$5", "1e3", "1.5 tokens"],
)
def test_what_is_not_a_budget(many: Project, text: str) -> None:
    result = many.record(f"--evalkit-budget={text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*is not a budget (expected a number of tokens*"])


def test_money_needs_prices(many: Project) -> None:
    result = many.record("--evalkit-budget", "5.00")
    result.stdout.fnmatch_lines(["*--evalkit-budget 5.00: evalkit.yaml has no prices*"])
    (many.root / "evalkit.yaml").write_text(PRICES)
    many.record("--evalkit-budget", "50").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("options", "least", "most"),
    [([], 2, 2), (["--evalkit-concurrency", "2"], 2, 4), (["-p", "xdist", "-n", "2"], 2, 4)],
)
def test_nothing_starts_when_the_budget_is_spent(
    many: Project, options: list[str], least: int, most: int
) -> None:
    arguments = ["suites", "--evalkit-record", "once", "--evalkit-base-url", many.url]
    arguments += ["--evalkit-budget", "50 tokens", *options]
    result = many.pytester.runpytest_subprocess(*arguments)
    passed = result.parseoutcomes()["passed"]
    assert least <= passed <= most
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [f"8 variants: {passed} passed, *, {8 - passed} not run", CONTINUES]
    )
    result.stdout.fnmatch_lines(["stopped: the budget of 50 tokens is spent"])
    assert not list(Path(many.root, "cassettes").rglob("*.journal"))
    assert many.manifest()["complete"] is False
    many.record().assert_outcomes(passed=8)
    assert many.results()["many::s0"]["metrics"]["source"] == "replayed"


def test_a_budget_that_suffices_stops_nothing(many: Project) -> None:
    many.record("--evalkit-budget", "8000 tokens").assert_outcomes(passed=8)
    # Nothing is left to start when the last conversation spends the rest.
    many.record("--evalkit-budget", "1 token", "-k", "s7", mode="all").assert_outcomes(
        passed=1, deselected=7
    )


def test_replays_cost_nothing(many: Project) -> None:
    many.record().assert_outcomes(passed=8)
    many.record("--evalkit-budget", "1 token").assert_outcomes(passed=8)


def test_a_budget_ends_between_two_trials(many: Project) -> None:
    many.suite("many", SUITE.replace("id: s0,", "id: s0, repeat: {trials: 5, require: 1},"))
    result = many.record("--evalkit-budget", "50 tokens")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["stopped: the budget of 50 tokens is spent"])
    assert len(many.cassettes()) == 2


def test_live_sessions_have_budgets(many: Project) -> None:
    arguments = ["suites", "--evalkit-live", "--evalkit-base-url", many.url]
    result = many.run(*arguments, "--evalkit-budget", "50 tokens")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["live: 2 requests, *", "*the same command with --evalkit-resume*"])
    many.run(*arguments, "--evalkit-resume").assert_outcomes(passed=8)


@pytest.mark.parametrize(
    ("options", "most"),
    [([], 1), (["--evalkit-concurrency", "4"], 1), (["-p", "xdist", "-n", "2"], 2)],
)
def test_an_endpoint_that_is_not_there_stops_the_session(
    many: Project, options: list[str], most: int
) -> None:
    arguments = ["suites", "--evalkit-record", "once", "--evalkit-base-url", "http://127.0.0.1:9"]
    many.pytester.makeconftest(
        "import evalkit.transports.live\n\nevalkit.transports.live._FIRST_WAIT = 0.01\n"
    )
    result = many.pytester.runpytest_subprocess(*arguments, *options)
    assert result.parseoutcomes().get("errors", 0) <= most
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["stopped: http://127.0.0.1:9 cannot be reached (*", CONTINUES])
    assert many.cassettes() == []


def test_one_variant_is_an_error_and_no_stop(many: Project) -> None:
    arguments = ["suites", "-k", "s0", "--evalkit-base-url", "http://127.0.0.1:9"]
    result = many.run(*arguments, "--evalkit-record", "once")
    result.assert_outcomes(errors=1, deselected=7)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_retries_are_counted(many: Project, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    error = "{status: 503}"
    script.write_text(
        f"script: busy\nrules:\n  - {{when: {{text: {{matches: Hello}}}}, times: 1, error: {error}}}\n"
    )
    with serving(create_app(ScriptBackend(load_script(script)))) as url:
        many.url = url
        result = many.record("-k", "s0")
    result.stdout.fnmatch_lines(["cassettes: 1 written, *; 1 request (1 retry), * tokens"])


INTERRUPTING = """\
import os, signal
def pytest_runtest_setup(item):
    if 's3' in item.name:
        os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_what_ran_ahead_of_an_interruption_has_its_results(many: Project) -> None:
    many.suite("many", SUITE.replace("{id: s6,", "{id: s6, xfail: {reason: later, strict: false},"))
    (many.root / "conftest.py").write_text(INTERRUPTING)
    command = [sys.executable, "-m", "pytest", "suites", "--evalkit-live", "-p", "no:capture"]
    command += ["--evalkit-base-url", many.url, "--evalkit-concurrency", "8"]
    done = subprocess.run(command, cwd=many.root, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert "8 variants: 7 passed" in done.stdout
    # What an expected failure counts as is decided by pytest, which did not come to it.
    assert list(many.results()) == [f"many::s{n}" for n in (0, 1, 2, 3, 4, 5, 7)]
    (many.root / "conftest.py").unlink()
    command += ["--evalkit-resume"]
    done = subprocess.run(command, cwd=many.root, capture_output=True, text=True, check=False)
    assert "live: 1 request, " in done.stdout
    assert "7 passed, 1 xpassed" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
@pytest.mark.parametrize("mode", ["once", "all"])
def test_an_interrupted_session_says_how_to_continue(many: Project, mode: str) -> None:
    (many.root / "conftest.py").write_text(INTERRUPTING)
    command = [sys.executable, "-m", "pytest", "suites", "--evalkit-record", mode]
    command += ["--evalkit-base-url", many.url]
    done = subprocess.run(command, cwd=many.root, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert "stopped: interrupted" in done.stdout
    assert (CONTINUES in done.stdout) is (mode == "once")
    assert ("--evalkit-resume continues" in done.stdout) is (mode == "all")
    (many.root / "conftest.py").unlink()
    before = {name: (many.root / "cassettes" / name).read_bytes() for name in many.cassettes()}
    assert len(before) == 3
    resume = ["--evalkit-resume"] if mode == "all" else []
    many.record(*resume, mode=mode).assert_outcomes(passed=8)
    after = {name: (many.root / "cassettes" / name).read_bytes() for name in before}
    assert after == before
    assert json.loads((many.root / "reports/latest/manifest.json").read_text())["complete"]
