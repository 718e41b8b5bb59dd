"""The README's suite is twelve lines, and pytest says of it what the README says."""

from __future__ import annotations

import re
from pathlib import Path

from tests.plugin.project import Project

ROOT = Path(__file__).parents[2]


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )


def test_the_suite_and_its_output(project: Project) -> None:
    (suite,) = blocks("yaml")
    assert len(suite.splitlines()) == 12
    (project.root / "suites" / "weather.yaml").unlink()
    project.suite("dogs", suite)
    project.record()
    said = project.run("suites/dogs.yaml").stdout.str().splitlines()
    shown = blocks("console")[1].splitlines()[2:]
    expected = [line for line in shown if line and not line.startswith(("…", "_", "="))]
    assert len(expected) > 6
    assert [line for line in expected if line not in said] == []
    project.suite("dogs", suite.replace('"12"', '"8"'))
    project.run("suites/dogs.yaml").assert_outcomes(passed=2)


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_check_has_its_line() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    from evalkit.plugins import CHECKS

    assert [name for name in CHECKS if f"[`{name}`](docs/checks/{name}.md)" not in text] == []
