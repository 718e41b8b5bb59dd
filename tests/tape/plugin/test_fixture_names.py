"""The path of a test's cassette: ``cassettes/<module>/<test>.yaml``, safe for file systems."""

from __future__ import annotations

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


def test_tests_with_the_same_cassette_path_are_rejected(project: TapedProject) -> None:
    (project.root / "test_app.py").unlink()
    for folder in ("one", "two"):
        project.write(f"{folder}/__init__.py", "")
        project.write(
            f"{folder}/test_app.py",
            "from taped_application import ask\n\ndef test_hello(evalkit_tape):\n    ask('Hello')\n",
        )
    result = project.record()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*two/test_app.py::test_hello and one/test_app.py::test_hello would share the cassette test_app/test_hello.yaml*"
        ]
    )
