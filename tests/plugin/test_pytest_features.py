"""pytest features: -k, --lf, -x, -n, --junitxml, skips from conftest, markers, exit codes."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.plugin.project import WEATHER, Project

BROKEN = WEATHER.replace('text: {contains: "22"}', 'text: {contains: "thirty"}')


def test_keyword_option_selects_variants(recorded: Project) -> None:
    recorded.run("suites", "-k", "london and stateless").assert_outcomes(passed=1, deselected=3)
    assert list(recorded.results()) == ["weather::london[stateless]"]
    assert recorded.manifest()["totals"]["deselected"] == 3
    assert recorded.manifest()["complete"] is True


def test_last_failed_option_runs_only_failed_variants(recorded: Project) -> None:
    recorded.suite("weather", BROKEN)
    recorded.run("suites").assert_outcomes(failed=2, passed=2)
    recorded.run("suites", "--lf").assert_outcomes(failed=2)
    recorded.suite("weather", WEATHER)
    recorded.run("suites", "--lf").assert_outcomes(passed=2)


def test_exitfirst_option_stops_at_the_first_failure(recorded: Project) -> None:
    recorded.suite("weather", BROKEN)
    result = recorded.run("suites", "-x")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["4 variants: 0 passed, 1 failed, 0 errored, 0 skipped, 3 not run"])
    assert recorded.manifest()["complete"] is False


def test_failure_is_printed_without_a_traceback(recorded: Project) -> None:
    recorded.suite("weather", BROKEN)
    result = recorded.run("suites", "-k", "london and stateless")
    line = WEATHER.splitlines().index('          - text: {contains: "22"}') + 1
    result.stdout.fnmatch_lines(
        [
            "weather::london[[]stateless[]]  (suites/weather.yaml:14)",
            'text: the text does not contain "thirty"',
            f"    text_missing at turn 1  (suites/weather.yaml:{line})",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_xdist_distributes_variants(recorded: Project) -> None:
    recorded.suite("weather", BROKEN)
    alone = recorded.run("suites")
    alone.assert_outcomes(failed=2, passed=2)
    lines = recorded.results()
    result = recorded.pytester.runpytest_subprocess("suites", "-p", "xdist.plugin", "-n", "2")
    result.assert_outcomes(failed=2, passed=2)
    result.stdout.fnmatch_lines(
        [
            "4 variants: 2 passed, 2 failed, 0 errored, 0 skipped",
            "report: reports/latest/index.html",
        ]
    )
    assert recorded.results() == lines
    totals = recorded.manifest()["totals"]
    assert (totals["collected"], totals["scored"]) == (4, 4)
    assert recorded.manifest()["complete"] is True
    assert len(recorded.manifest()["suites"]) == 1


def test_junitxml_option_writes_variants(recorded: Project) -> None:
    recorded.run("suites", "--junitxml=out.xml").assert_outcomes(passed=4)
    cases = ElementTree.parse(recorded.root / "out.xml").findall(".//testcase")
    assert [case.get("name") for case in cases] == [
        "london[stateful]",
        "london[stateless]",
        "hello[stateful]",
        "hello[stateless]",
    ]


@pytest.mark.parametrize(
    ("hook", "verdict", "outcome"),
    [("skip(reason='not today')", "skipped", {"skipped": 2, "passed": 2})],
)
def test_conftest_can_skip_by_tag(
    recorded: Project, hook: str, verdict: str, outcome: dict[str, int]
) -> None:
    recorded.pytester.makeconftest(
        f"""
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                if item.get_closest_marker("smoke"):
                    item.add_marker(pytest.mark.{hook})
        """
    )
    recorded.run("suites").assert_outcomes(**outcome)
    results = [result for result in recorded.results().values() if result["verdict"] == verdict]
    assert len(results) == 2
    assert "not today" in results[0]["checks"][0]["findings"][0]["message"]
    assert recorded.manifest()["totals"]["scored"] == 2


def test_variant_uses_only_the_conftest_hooks_of_its_parent_folders(recorded: Project) -> None:
    hook = "def pytest_runtest_setup(item):\n    print('hook of {}:', item.name)\n"
    beside = recorded.root / "unit"
    beside.mkdir()
    (beside / "conftest.py").write_text(hook.format("unit"))
    (beside / "test_unit.py").write_text("def test_unit():\n    pass\n")
    (recorded.root / "suites" / "conftest.py").write_text(hook.format("suites"))
    result = recorded.run("suites", "unit", "-s", "-q")
    result.assert_outcomes(passed=5)
    hook_lines = [line.lstrip(".") for line in result.outlines if "hook of" in line]
    names = ("london[stateful]", "london[stateless]", "hello[stateful]", "hello[stateless]")
    assert hook_lines == [*(f"hook of suites: {name}" for name in names), "hook of unit: test_unit"]


def test_an_errored_variant_is_an_error_not_a_failure(recorded: Project) -> None:
    recorded.suite("weather", WEATHER.replace("in London?", "in Oslo?"))
    result = recorded.run("suites", "-k", "london", "-v")
    result.assert_outcomes(errors=2, deselected=2)
    result.stdout.fnmatch_lines(
        [
            "*london[[]stateful[]] ERROR*",
            "4 variants: 0 passed, 0 failed, 2 errored, 0 skipped, 2 deselected",
        ]
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_setup_errors_have_a_result(recorded: Project) -> None:
    recorded.pytester.makeconftest(
        "def pytest_runtest_setup(item):\n    raise RuntimeError('no database')\n"
    )
    recorded.run("suites", "-k", "hello and stateful").assert_outcomes(errors=1, deselected=3)
    (result,) = recorded.results().values()
    assert result["verdict"] == "errored"
    assert "no database" in result["message"]


def test_warnings_are_reported_without_failing(recorded: Project) -> None:
    recorded.suite(
        "weather",
        WEATHER.replace("expect: [{text: patterns}]", "expect: [{text: dogs, severity: warn}]"),
    )
    result = recorded.run("suites")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "4 scored by * checks, 2 warnings, *",
            '  suites/weather.yaml::hello[[]stateful[]]: text: *"dogs"*',
        ]
    )
    assert recorded.manifest()["totals"]["warnings"] == 2
