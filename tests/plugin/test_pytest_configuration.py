"""Commands without pytest read its configuration as pytest does."""

from __future__ import annotations

import pytest

from evalkit.project import pytest_option
from tests.plugin.project import Project

INI, TABLE = "[pytest]\n", "[tool.pytest.ini_options]\n"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"pytest.ini": INI + "evalkit_python = one 'two three'\n"},
        {"pytest.ini": INI + "evalkit_python =\n    one\n    two\n"},
        {"pytest.ini": INI, "tox.ini": INI + "evalkit_python = one\n"},
        {"pytest.ini": "", "tox.ini": INI + "evalkit_python = one\n"},
        {"pytest.ini": "[other]\nx = 1\n", "tox.ini": INI + "evalkit_python = one\n"},
        {".pytest.ini": INI + "evalkit_python = one\n"},
        {"pyproject.toml": TABLE + "evalkit_python = ['one', 'two']\n"},
        {"pyproject.toml": TABLE + "evalkit_python = 'one two'\n"},
        {"pyproject.toml": TABLE, "setup.cfg": "[tool:pytest]\nevalkit_python = one\n"},
        {"pyproject.toml": "[tool.other]\n", "tox.ini": INI + "evalkit_python = 50%\n"},
        {"tox.ini": "[tox]\n", "setup.cfg": "[tool:pytest]\nevalkit_python = one\n"},
        {"pytest.ini": INI + "evalkit_suites = evals\n"},
    ],
)
def test_the_option_is_what_pytest_reads(pytester: pytest.Pytester, files: dict[str, str]) -> None:
    for name, text in files.items():
        (pytester.path / name).write_text(text)
    config = pytester.parseconfig(f"--rootdir={pytester.path}")
    assert pytest_option(pytester.path, "evalkit_python") == config.getini("evalkit_python")


def test_a_configuration_that_pytest_refuses_has_no_options(project: Project) -> None:
    for name in ("pytest.ini", "pyproject.toml", "setup.cfg"):
        (project.root / name).write_text("[\n")
    assert pytest_option(project.root, "evalkit_python") == []
