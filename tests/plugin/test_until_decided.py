"""``--evalkit-until-decided``: scenarios start in random order until the gate is decided."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit.cli.main import main
from evalkit.results.records import schema_error
from evalkit.server import create_app, load_script, serving
from evalkit.server.script_backend import ScriptBackend
from tests.plugin.project import Project

NUMBER = 14
NEEDED = 8
"""Scenarios without a difference that show that a drop is below 50 points."""
GATES = """\
currency: EUR
prices: {gemini-3.5-flash: {input_per_million: 10, output_per_million: 20}}
gates:
  release: {non_inferiority: {margin: 0.5}, max_systematic_regressions: 0}
  rate: {min_pass_rate: 0.2}
  strict: {max_regressions: 0, non_inferiority: {margin: 0.5}}
  fine: {non_inferiority: {margin: 0.05}}
"""
UNTIL = ("--evalkit-until-decided", "release", "--evalkit-baseline", "reports/old")


def suite(number: int = NUMBER, **defaults: object) -> str:
    """Return a suite of scenarios without a failure, unless a model says ``zebra``."""
    scenarios = "".join(
        f"  - {{id: s{one}, turns: [{{user: Hello {one}, "
        "expect: [{text: {not_contains: zebra}}]}]}\n"
        for one in range(number)
    )
    settings = json.dumps({"model": "gemini-3.5-flash", **defaults})
    return f"suite: many\ndefaults: {settings}\nscenarios:\n{scenarios}"


class LiveProject:
    """A project with a baseline, and a live session that may stop early."""

    def __init__(self, project: Project) -> None:
        self.project, self.root = project, project.root
        (project.root / "suites/weather.yaml").unlink()
        (project.root / "evalkit.yaml").write_text(GATES)
        project.suite("many", suite())

    def live(self, *arguments: str, url: str = "") -> pytest.RunResult:
        address = url or self.project.url
        return self.project.run(
            "suites", "--evalkit-live", "--evalkit-base-url", address, *arguments
        )

    def baseline(self, *arguments: str) -> None:
        assert self.live("--evalkit-report", "reports/old", *arguments).ret == 0

    def order(self) -> list[str]:
        """The scenarios of the last run, in the order of their results."""
        return list(dict.fromkeys(one["scenario"] for one in self.project.results().values()))

    def record(self) -> dict[str, Any]:
        """How the last run could stop early."""
        manifest = self.project.manifest()
        assert schema_error("evalkit.results", "manifest", manifest) == ""
        record: dict[str, Any] = manifest["sequential"]
        return record


@pytest.fixture
def many(project: Project) -> LiveProject:
    return LiveProject(project)


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service whose model fails every expectation."""
    script = tmp_path_factory.mktemp("worse") / "script.yaml"
    script.write_text("script: worse\nrules:\n  - {when: {text: {matches: Hello}}, reply: zebra}\n")
    with serving(create_app(ScriptBackend(load_script(script)))) as url:
        yield url


def test_a_run_stops_when_its_gate_is_decided(many: LiveProject) -> None:
    many.baseline()
    result = many.live(*UNTIL, "--evalkit-seed", "7")
    result.assert_outcomes(passed=NEEDED)
    assert result.ret == 0
    left_out = NUMBER - NEEDED
    stopped = (
        f"topped early after {NEEDED} of {NUMBER} scenarios: decided (pass); the "
        f"interval is valid under optional stopping; saved {left_out} scenarios, {left_out} results, "
        "about * tokens, cost * EUR (by the results of the baseline)"
    )
    result.stdout.fnmatch_lines(
        [
            f"{NUMBER} scenarios in random order (--evalkit-seed 7), until gate release is decided",
            f"14 variants: {NEEDED} passed, *, {left_out} not run",
            f"gate release: pass: *; s{stopped}",
        ]
    )
    record = many.record()
    assert (record["decision"], record["seed"], record["scenarios"]) == ("pass", 7, NUMBER)
    assert many.project.manifest()["complete"] is True
    assert record["not_run"].keys() == {f"many::s{n}" for n in range(NUMBER)} - {
        f"many::{name}" for name in many.order()
    }
    old = many.project.results("reports/old").values()
    spent = sum(
        one["metrics"]["tokens"]["total_tokens"]
        for one in old
        if f"many::{one['scenario']}" in record["not_run"]
    )
    assert record["saved"]["tokens"] == spent
    latest = many.root / "reports/latest"
    for name in ("index.html", "summary.md"):
        text = (latest / name).read_text()
        assert "Stopped early after 8 of 14 scenarios: decided (pass)" in text
        assert "Not finished" not in text
    # Whoever compares the run later gets the same interval, and the same explanation.
    compared = CliRunner().invoke(
        main,
        ["compare", str(many.root / "reports/old"), str(latest), "--gate", "release",
         "--config", str(many.root / "evalkit.yaml")],
    )  # fmt: skip
    assert compared.exit_code == 0, compared.output
    comparison = json.loads((latest / "comparison/comparison.json").read_text())
    assert comparison["interval_method"] == "confidence sequence"
    assert comparison["interval"][0] < -0.45
    for name in ("index.html", "comment.md", "summary.md"):
        assert "Stopped early after 8 of 14" in (latest / "comparison" / name).read_text()


def test_the_order_follows_from_the_seed(many: LiveProject) -> None:
    many.baseline()
    orders = []
    for seed in ("1", "1", "2"):
        many.live(*UNTIL, "--evalkit-seed", seed)
        orders.append(many.order())
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0], key=lambda name: int(name[1:]))
    # A scenario that is left out moves no other.
    many.live(*UNTIL, "--evalkit-seed", "1", "-k", f"not {orders[0][2]}")
    kept = [name for name in orders[0] if name != orders[0][2]]
    assert many.order()[: len(kept)] == kept
    # Other plugins may order the tests as they like.
    (many.root / "conftest.py").write_text(
        "def pytest_collection_modifyitems(items): items.reverse()\n"
    )
    many.live(*UNTIL, "--evalkit-seed", "1")
    assert many.order() == orders[0]
    # Without a seed there is one, which can be given again.
    many.live(*UNTIL)
    seed, order = str(many.record()["seed"]), many.order()
    many.live(*UNTIL, "--evalkit-seed", seed)
    assert many.order() == order


def test_a_worse_candidate_stops_as_well(many: LiveProject, worse: str) -> None:
    many.baseline()
    result = many.live("--evalkit-until-decided", "fine", *UNTIL[2:], url=worse)
    assert result.ret == 1
    assert many.record()["decision"] == "fail"
    assert len(many.order()) < NUMBER
    result.stdout.fnmatch_lines(["gate fine: fail: inferior: *: decided (fail); *"])


def test_one_systematic_regression_decides(many: LiveProject, worse: str) -> None:
    many.baseline("--evalkit-repeat", "3")
    result = many.live(*UNTIL, "--evalkit-repeat", "3", url=worse)
    assert (result.ret, len(many.order())) == (1, 1)


def test_a_pass_rate_needs_no_baseline(many: LiveProject) -> None:
    result = many.live("--evalkit-until-decided", "rate")
    assert result.ret == 0
    record = many.record()
    assert record["decision"] == "pass"
    assert record["saved"]["source"] == "this run"
    assert record["saved"]["tokens"] > 0


def test_a_scenario_runs_whole(many: LiveProject) -> None:
    many.project.suite("many", suite(history=["stateful", "stateless"], repeat=2))
    many.baseline()
    assert many.live(*UNTIL).ret == 0
    results = many.project.results()
    assert len(results) == 4 * len(many.order())
    record = many.record()
    assert record["largest"] == 4
    assert set(record["not_run"].values()) == {4}
    assert record["saved"]["results"] == 4 * len(record["not_run"])


def test_trials_of_one_test_are_counted_as_one(many: LiveProject) -> None:
    many.project.suite("many", suite(repeat={"trials": 3, "require": 2}))
    many.baseline()
    assert many.live(*UNTIL).ret == 0
    record = many.record()
    assert (record["largest"], set(record["not_run"].values())) == (3, {1})
    assert record["saved"]["results"] == 3 * len(record["not_run"])
    assert many.project.manifest()["complete"] is True


def test_conversations_that_run_already_count(many: LiveProject) -> None:
    # With three threads at most twelve are started ahead.
    number, ahead = 24, 12
    many.project.suite("many", suite(number))
    many.baseline()
    result = many.live(*UNTIL, "--evalkit-concurrency", "3")
    assert result.ret == 0
    record = many.record()
    ended = len(many.order())
    assert NEEDED <= ended <= NEEDED + ahead
    assert ended + len(record["not_run"]) == number
    requests = next(line for line in result.outlines if line.startswith("live: "))
    assert requests.startswith(f"live: {ended} requests,"), "nothing was asked in vain"


def test_a_decision_that_running_conversations_undo(many: LiveProject, tmp_path: Path) -> None:
    """The ninth scenario fails, which has started when eight decide: then others start again."""
    many.project.suite("many", suite(22))
    many.baseline()
    many.live(*UNTIL[:1], "fine", *UNTIL[2:], "--evalkit-seed", "5")
    ninth = many.order()[NEEDED]
    script = tmp_path / "script.yaml"
    when = f"{{text: {{matches: '^Hello {ninth[1:]}$'}}}}"
    script.write_text(f"script: one\nrules:\n  - {{when: {when}, reply: zebra}}\n")
    with serving(create_app(ScriptBackend(load_script(script)))) as url:
        result = many.live(*UNTIL, "--evalkit-seed", "5", "--evalkit-concurrency", "3", url=url)
    assert result.ret == 0
    # Nine are not decisive, so either the ninth did not start or more followed.
    assert len(many.order()) != NEEDED + 1
    assert many.record()["decision"] == "pass"


def test_recordings_stop_as_well(many: LiveProject) -> None:
    many.baseline()
    result = many.project.record(*UNTIL, mode="all")
    assert result.ret == 0
    assert len(many.project.cassettes()) == NEEDED


def test_a_budget_ends_a_run_that_is_not_decided(many: LiveProject) -> None:
    many.baseline()
    result = many.live(*UNTIL, "--evalkit-budget", "50 tokens", "--evalkit-seed", "3")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["gate release: inconclusive: *; not decided when the run ended; *"]
    )
    assert many.project.manifest()["complete"] is False
    assert (many.record()["decision"], many.record()["not_run"]) == (None, {})
    begun = many.order()
    result = many.live(*UNTIL, "--evalkit-resume")
    assert result.ret == 0
    assert many.order()[: len(begun)] == begun
    assert (many.record()["seed"], len(many.order())) == (3, NEEDED)
    # Resumed once more, it is decided already.
    assert many.live(*UNTIL, "--evalkit-resume").ret == 0
    assert len(many.order()) == NEEDED


def test_a_run_that_the_user_ends_is_not_complete(many: LiveProject, worse: str) -> None:
    many.baseline()
    result = many.live(*UNTIL, "-x", url=worse)
    result.assert_outcomes(failed=1)
    assert result.ret == 4
    assert many.record()["decision"] is None
    assert many.project.manifest()["complete"] is False


def test_a_gate_that_so_few_scenarios_cannot_pass(many: LiveProject) -> None:
    many.baseline()
    result = many.live("--evalkit-until-decided", "fine", *UNTIL[2:])
    assert result.ret == 4
    assert len(many.order()) == NUMBER
    result.stdout.fnmatch_lines(
        [
            "warning: even if nothing differs, it takes * scenarios to show that the drop is below 5.0*"
        ]
    )


def test_what_is_missing_is_no_plan(many: LiveProject) -> None:
    """Scenarios that the candidate does not have fail its gate, although it stopped early."""
    many.baseline()
    many.project.suite("many", suite(NUMBER - 1))
    result = many.live(*UNTIL)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["gate release: fail: 1 of 14 variants of the baseline are not in*"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (UNTIL, "release: a replay costs nothing that could be saved; add --evalkit-live, or"),
        (("--evalkit-live", *UNTIL, "-p", "xdist", "-n", "2"), "release: workers of pytest-xdist"),
        (
            ("--evalkit-live", *UNTIL, "--evalkit-gate", "rate"),
            "release and --evalkit-gate rate name two gates; leave --evalkit-gate out",
        ),
        (("--evalkit-live", "--evalkit-seed", "1"), "the order of --evalkit-until-decided; add it"),
        (("--evalkit-live", *UNTIL, "--evalkit-seed", "-1"), "'-1' is not a whole number from 0"),
        (("--evalkit-live", *UNTIL[:2]), "compares (max_systematic_regressions, non_inferiority)"),
        (("--evalkit-live", UNTIL[0], "none"), "unknown gate 'none'; valid: fine, rate, release"),
        (
            ("--evalkit-live", UNTIL[0], "strict", *UNTIL[2:]),
            "strict: the gate cannot pass before every scenario ran, because of max_regressions (it",
        ),
        (("--evalkit-live", *UNTIL[:3], "reports/no"), "no is not a run directory"),
    ],
)
def test_what_is_refused(many: LiveProject, arguments: tuple[str, ...], message: str) -> None:
    many.baseline()
    result = many.project.pytester.runpytest_subprocess(
        "suites", "--evalkit-base-url", many.project.url, *arguments
    )
    assert result.ret in (4, pytest.ExitCode.USAGE_ERROR)
    assert message in result.stdout.str() + result.stderr.str()
    assert not Path(many.root, "reports/latest").exists()


def test_tests_with_tapes_are_refused(many: LiveProject) -> None:
    many.baseline()
    (many.root / "test_app.py").write_text("def test_app(evalkit_tape): pass\n")
    result = many.live("test_app.py", *UNTIL)
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*--evalkit-until-decided is for scenarios of suites (expected no*"]
    )


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ((), UNTIL, "it was not run in random order, as --evalkit-until-decided needs"),
        ((*UNTIL, "--evalkit-seed", "1"), (), "it was run until gate release is decided; add"),
        (
            (*UNTIL, "--evalkit-seed", "1"),
            (*UNTIL, "--evalkit-seed", "2"),
            "its order is that of --evalkit-seed 1, not 2; leave --evalkit-seed out",
        ),
    ],
)
def test_runs_that_cannot_be_resumed(
    many: LiveProject, first: tuple[str, ...], second: tuple[str, ...], message: str
) -> None:
    many.baseline()
    many.live(*first, "--evalkit-budget", "50 tokens")
    result = many.live(*second, "--evalkit-resume")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*cannot resume *{message}*"])


def test_runs_that_decided_for_themselves_are_not_merged(many: LiveProject) -> None:
    many.baseline()
    many.live(*UNTIL)
    runs = [str(many.root / "reports" / name) for name in ("old", "latest")]
    result = CliRunner().invoke(main, ["merge", *runs, "--output", str(many.root / "reports/all")])
    assert result.exit_code == 2
    assert "runs of --evalkit-until-decided cannot be merged" in result.output
    assert "run all suites in one session" in result.output
