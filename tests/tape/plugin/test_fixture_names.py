"""The path of a test's cassette: ``cassettes/<module>/<test>.yaml``, safe for file systems."""

from __future__ import annotations

import pytest

from tests.tape.plugin.taped_project import TapedProject

MANY = """
import pytest
from taped_application import ask

@pytest.mark.parametrize("city", ["London", "São Paulo", "a/b", "a b", "x" * 200])
def test_city(evalkit_tape, city):
    ask("Hello " + city[:9])

class TestInside:
    def test_hello(self, evalkit_tape):
        ask("Hello")
"""


def test_names(project: TapedProject) -> None:
    project.write("test_app.py", MANY)
    project.record().assert_outcomes(passed=6)
    names = project.cassettes()
    assert len(names) == 6
    assert names[0] == "test_app/TestInside.test_hello.yaml"
    assert "test_app/test_city.London.yaml" in names
    assert all(len(name) < 120 and " " not in name and name.count("/") == 1 for name in names)
    assert sum(name.startswith("test_app/test_city.a-b-") for name in names) == 2
    project.run().assert_outcomes(passed=6)
    assert project.cassettes() == names


MODULE = """
from taped_application import ask

def test_hello(evalkit_tape):
    ask("Hello from {folder}")
"""
FOLDERS = ("one", "one/deep", "two")


def modules_of_one_name(project: TapedProject) -> None:
    (project.root / "test_app.py").unlink()
    for folder in FOLDERS:
        project.write(f"{folder}/__init__.py", "")
        project.write(f"{folder}/test_app.py", MODULE.format(folder=folder))


@pytest.mark.parametrize(
    "order",
    [[["."]], [["two"], ["."]], [["one/deep"], ["two"], ["one"]], [["two"], ["one"]]],
    ids=["together", "the last first", "one by one", "in two runs"],
)
def test_modules_of_one_name_have_a_cassette_each(
    project: TapedProject, order: list[list[str]]
) -> None:
    modules_of_one_name(project)
    for arguments in order:
        project.record(*arguments).assert_outcomes(passed=sum(map(number_of_modules, arguments)))
    names = project.cassettes()
    assert len(names) == 3
    assert "test_app/test_hello.yaml" in names
    for arguments in ([], *([folder] for folder in FOLDERS), ["two", "one"]):
        result = project.run(*arguments)
        result.assert_outcomes(passed=sum(map(number_of_modules, arguments or ["."])))
    project.record(mode="all").assert_outcomes(passed=3)
    assert project.cassettes() == names


def number_of_modules(argument: str) -> int:
    return {".": 3, "one": 2}.get(argument, 1)


def test_cassette_of_a_moved_module_is_found(project: TapedProject) -> None:
    project.record().assert_outcomes(passed=1)
    project.write("moved/test_app.py", (project.root / "test_app.py").read_text())
    (project.root / "test_app.py").unlink()
    project.run().assert_outcomes(passed=1)


def test_tests_with_the_same_cassette_path_are_rejected(project: TapedProject) -> None:
    project.write(
        "test_app.py",
        """
        from taped_application import ask

        def test_hello(evalkit_tape):
            ask("Hello")

        def test_Hello(evalkit_tape):
            ask("Hello")
        """,
    )
    result = project.record()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*::test_Hello and *::test_hello would share the cassette test_app/test_Hello.yaml*"]
    )
    result.stdout.no_fnmatch_line("*another exception occurred*")
