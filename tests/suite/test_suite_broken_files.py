"""Nine suites with typical mistakes.

``broken/NAME.yaml`` is the suite, ``broken/NAME.txt`` the whole message.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suite.project import Project

BROKEN = Path(__file__).parent / "broken"
NAMES = [
    "checks",
    "duplicates",
    "empty",
    "files",
    "indentation",
    "keys",
    "tab",
    "types",
    "variables",
]


def message(project: Project, name: str) -> str:
    project.write("suites/cat.png", b"png")
    project.write("suites/images/cat.png", b"png")
    project.write("suites/notes.xyz", "notes")
    project.write("suites/cats.csv", "id,question\ntom,Who?\nkit\n")
    return (
        str(project.refused((BROKEN / f"{name}.yaml").read_bytes())).replace(
            "suites/weather.yaml", f"suites/{name}.yaml"
        )
        + "\n"
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_of_a_broken_suite_is_reported(project: Project, name: str) -> None:
    assert message(project, name) == (BROKEN / f"{name}.txt").read_text(encoding="utf-8")


def test_every_broken_file_is_tested() -> None:
    assert sorted(path.stem for path in BROKEN.glob("*.yaml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_caret_is_under_the_reported_column(project: Project, name: str) -> None:
    lines = (BROKEN / f"{name}.yaml").read_text(encoding="utf-8").split("\n")
    for problem in project.refused((BROKEN / f"{name}.yaml").read_bytes()).problems:
        if problem.path.endswith("weather.yaml"):
            assert problem.source == lines[problem.line - 1]
            assert 1 <= problem.column <= len(problem.source) + 1
            line, caret = str(problem).split("\n")[1:3]
            assert caret.index("^") == 4 + problem.column - 1
            assert line[4:] == problem.source.replace("\t", " ")
