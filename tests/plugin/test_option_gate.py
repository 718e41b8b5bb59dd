"""``--evalkit-gate``: the session's exit status is the gate's verdict."""

from __future__ import annotations

import pytest

from tests.plugin.project import WEATHER, Project

FAILING = WEATHER.replace("expect: [{text: patterns}]", "expect: [{text: no such word}]")
GATES = """\
gates:
  half: {min_pass_rate: 0.1}
  all: {min_pass_rate: 1}
  release: {max_regressions: 0, tokens: {max_increase: 0.1}}
"""


@pytest.fixture
def gated(recorded: Project) -> Project:
    (recorded.root / "evalkit.yaml").write_text(GATES)
    return recorded


def test_single_failures_are_expected(gated: Project) -> None:
    gated.suite("weather", FAILING)
    assert gated.run("suites").ret == 1
    result = gated.run("suites", "--evalkit-gate", "half")
    result.assert_outcomes(passed=2, failed=2)
    assert result.ret == 4, "two of four show little"
    result.stdout.fnmatch_lines(["gate half: inconclusive: 2 of 4 scored results passed *"])
    result = gated.run("suites", "--evalkit-gate", "all")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["gate all: fail: 2 of 4 scored results passed *"])
    gated.suite("weather", WEATHER)
    assert gated.run("suites", "--evalkit-gate", "all").ret == 0


def test_what_is_missing_is_not_a_pass(gated: Project) -> None:
    result = gated.run("suites", "-k", "london", "--evalkit-gate", "all")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*2 of 4 variants were deselected*"])


def test_with_a_baseline(gated: Project) -> None:
    gated.run("suites", "--evalkit-report", "reports/old")
    options = ("--evalkit-gate", "release", "--evalkit-baseline", "reports/old")
    assert gated.run("suites", *options).ret == 0
    gated.suite("weather", FAILING)
    result = gated.run("suites", *options)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["gate release: fail: 2 of 4 pairs regressed, none may*"])


def test_another_failing_test_fails_the_session(gated: Project) -> None:
    (gated.root / "test_other.py").write_text("def test_other(): assert False\n")
    result = gated.run("suites", "test_other.py", "--evalkit-gate", "all")
    result.assert_outcomes(passed=4, failed=1)
    assert result.ret == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--evalkit-gate", "none"], "*unknown gate 'none'*valid: all, half, release*"),
        (["--evalkit-gate", "release"], "*compares (max_regressions, tokens.max_increase)*"),
        (["--evalkit-gate", "all", "--evalkit-baseline", "no"], "*no is not a run directory*"),
    ],
)
def test_a_gate_that_cannot_be_used(gated: Project, arguments: list[str], message: str) -> None:
    result = gated.run("suites", *arguments)
    assert result.ret == 4
    result.stderr.fnmatch_lines([message])
