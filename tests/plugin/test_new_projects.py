"""A project of ``evalkit init`` runs from every folder, however the repository is laid out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli.main import main

LAYOUTS: dict[str, tuple[dict[str, str], str]] = {
    "empty": ({}, "."),
    "pytest.ini": ({"pytest.ini": "[pytest]\ntestpaths = tests\n", "tests/a.txt": ""}, "."),
    "pyproject": ({"pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-ra"\n'}, "."),
    "own settings": (
        {"pytest.ini": "[pytest]\n", "services/bot/pyproject.toml": "[tool.pytest.ini_options]\n"},
        "services/bot",
    ),
    "settings above": ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "services/bot"),
    "no settings": ({"README.md": ""}, "services/bot"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_new_project_runs_from_every_folder(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    files, name = LAYOUTS[layout]
    top = pytester.path / "top"
    for path, text in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)
    folder = top / name
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(main, ["init"])
    assert done.exit_code == 0, done.output
    for start, argument in (
        (folder, "suites"),
        (folder / "suites", "."),
        (folder, "suites/hello.yaml::asks_a_tool"),
        (top, f"{name}/suites"),
        (top.parent, f"top/{name}/suites/hello.yaml"),
        # From above, pytest collects what its own settings there name.
        *[(top, ".")] * (layout not in ("own settings", "no settings")),
    ):
        monkeypatch.chdir(start)
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider", argument)
        result.assert_outcomes(passed=1 if "::" in argument else 3)
        written = [path.relative_to(top) for path in top.rglob("index.html")]
        root = Path(os.path.relpath(top if layout == "settings above" else folder, top))
        assert written == [root / "reports/latest/index.html"], (start, argument)
