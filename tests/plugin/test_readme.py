"""The README's suite prints the documented output, and the suite of AGENTS.md is valid."""

from __future__ import annotations

import re
from pathlib import Path

from tests.plugin.project import Project

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_readme_suite_fails_with_the_printed_output(project: Project) -> None:
    (suite,) = blocks("README.md", "yaml")
    (output,) = [block for block in blocks("README.md", "console") if "FF" in block]
    (project.root / "suites" / "weather.yaml").unlink()
    project.suite("dogs", suite)
    project.record()
    printed = project.run("suites/dogs.yaml").stdout.str().splitlines()
    expected = [
        line for line in output.splitlines()[2:] if line and not line.startswith(("…", "_", "="))
    ]
    assert len(expected) > 6
    assert [line for line in expected if line not in printed] == []
    project.suite("dogs", suite.replace('"12"', '"8"'))
    project.run("suites/dogs.yaml").assert_outcomes(passed=2)


def test_agents_md_suite_is_valid(project: Project) -> None:
    (suite,) = blocks("AGENTS.md", "yaml")
    (project.root / "suites" / "weather.yaml").unlink()
    project.suite("weather", suite)
    project.record()
    project.run("suites/weather.yaml").assert_outcomes(passed=2)
