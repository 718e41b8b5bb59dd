"""Variants beside other plugins and conftest hooks that expect test functions."""

from __future__ import annotations

import json

import pytest

from tests.plugin.project import WEATHER, Project

BROKEN = WEATHER.replace('text: {contains: "22"}', 'text: {contains: "thirty"}')


@pytest.mark.parametrize(
    ("hook", "statement"),
    [
        ("collection_modifyitems(items)", "items[0].fixturenames.append('database')"),
        ("collection_modifyitems(items)", "assert not iscoroutinefunction(items[0].function)"),
        ("collection_modifyitems(items)", "items.sort(key=lambda item: item.module.__name__)"),
        ("itemcollected(item)", "item.cls and item.cls.__name__"),
        ("runtest_setup(item)", "'browser' in item.fixturenames and item.funcargs['browser']"),
        ("runtest_setup(item)", "assert item.originalname in ('london', 'hello')"),
        ("runtest_makereport(item, call)", "str(item.function.__doc__)"),
    ],
)
def test_hooks_read_variants_like_functions(recorded: Project, hook: str, statement: str) -> None:
    recorded.pytester.makeconftest(
        f"from inspect import iscoroutinefunction\ndef pytest_{hook}:\n    {statement}\n"
    )
    recorded.run("suites").assert_outcomes(passed=4)


def test_the_function_has_the_title_as_its_docstring(project: Project) -> None:
    items, _ = project.pytester.inline_genitems("suites")
    functions = [vars(type(item))["function"].fget(item) for item in items]
    assert [(one.__name__, one.__doc__) for one in functions[1:3]] == [
        ("london", "One call, one answer"),
        ("hello", ""),
    ]


MARKERS = """\
def pytest_configure(config):
    config.addinivalue_line("markers", "freeze(date, zone=None): set the date of the test")
    config.addinivalue_line("markers", "slow(*reasons): this takes long")

def pytest_runtest_setup(item):
    for name in ("freeze", "slow"):
        for mark in item.iter_markers(name):
            print(name, mark.args[0] if name == "freeze" else mark.args)
"""


@pytest.mark.parametrize(
    ("tag", "prints"), [("freeze", None), ("slow", "slow ()"), ("timeout", None)]
)
def test_a_tag_that_is_a_mark_with_arguments_is_only_a_label(
    recorded: Project, tag: str, prints: str | None
) -> None:
    recorded.suite("weather", WEATHER.replace("[smoke]", f"[smoke, {tag}]"))
    recorded.pytester.makeconftest(MARKERS)
    result = recorded.pytester.runpytest_subprocess("-p", "pytest_timeout", "-s", "-m", tag)
    result.assert_outcomes(passed=2, deselected=2)
    assert (
        any(prints in line for line in result.outlines)
        if prints
        else "INTERNAL" not in str(result.stdout)
    )


def test_marks_with_arguments_apply_beside_a_label_of_the_same_name(recorded: Project) -> None:
    recorded.suite("weather", WEATHER.replace("[smoke]", "[smoke, freeze]"))
    recorded.pytester.makeconftest(
        MARKERS
        + "\nimport pytest\ndef pytest_itemcollected(item):\n"
        + "    item.add_marker(pytest.mark.freeze('2026-01-01'))\n"
    )
    result = recorded.run("suites", "-s")
    result.assert_outcomes(passed=4)
    assert sum("freeze 2026-01-01" in line for line in result.outlines) == 4


def test_allure_has_a_history_for_each_variant_and_calls_failures_failed(
    recorded: Project,
) -> None:
    suite = BROKEN.replace("history: [", "repeat: 2\n  history: [")
    recorded.suite("weather", suite.replace("[smoke]", "[smoke, xfail]"))
    recorded.suite("other", suite.replace("suite: weather", "suite: other"))
    recorded.record()
    (recorded.root / "cassettes/other/hello.stateful.yaml").unlink()
    recorded.pytester.makeconftest(
        "import pytest\ndef pytest_runtest_setup(item):\n"
        "    if item.name == 'hello[stateless]':\n        pytest.skip('not today')\n"
    )
    recorded.pytester.runpytest_subprocess(
        "suites", "-p", "allure_pytest.plugin", "--alluredir", "allure"
    )
    tests = [json.loads(path.read_text()) for path in recorded.root.glob("allure/*-result.json")]
    assert len({test["historyId"] for test in tests}) == len(tests) == 16
    statuses = {
        (test["fullName"], test["parameters"][0]["value"].strip("'")): test["status"]
        for test in tests
    }
    assert statuses["suites.other#london", "london[stateful]"] == "failed"
    assert statuses["suites.other#hello", "hello[stateful]"] == "broken"
    assert statuses["suites.other#hello", "hello[stateful]#2"] == "passed"
    assert statuses["suites.other#hello", "hello[stateless]#2"] == "skipped"
    assert statuses["suites.weather#london", "london[stateless]"] == "skipped"
