"""The house stays livable: sizes, what an ``__init__`` may hold, the public names, what the wheel promises."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import evalkit

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "evalkit").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.name == "__init__.py"],
    ids=lambda path: path.parent.name,
)
def test_a_door_holds_no_logic(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    lazy = {"__getattr__"}
    for node in tree.body:
        known = isinstance(
            node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.Expr | ast.If
        )
        assert known or (isinstance(node, ast.FunctionDef) and node.name in lazy), ast.unparse(
            node
        )[:80]


def test_the_public_names() -> None:
    assert evalkit.__all__ == [
        "Check",
        "EvalkitError",
        "ExpectationFailed",
        "Finding",
        "Severity",
        "Transcript",
        "Turn",
        "Verdict",
        "View",
        "Where",
        "check",
        "tape",
    ]
    for name in evalkit.__all__:
        assert getattr(evalkit, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = evalkit.nothing


def test_importing_the_package_imports_no_library() -> None:
    code = "import sys, evalkit; print([n for n in ('pydantic', 'yaml', 'httpx', 'vcr', 'jinja2', 'pytest', 'click') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("group", ["pytest11", "evalkit.checks", "evalkit.reports"])
def test_every_entry_point_leads_somewhere(group: str) -> None:
    points = PROJECT["project"]["entry-points"][group]
    for name, target in points.items():
        module, _, attribute = target.partition(":")
        found = import_module(module)
        if attribute:
            found = getattr(found, attribute)
        if group == "evalkit.checks":
            assert found.name == name


def test_the_version_is_one() -> None:
    assert PROJECT["project"]["version"] == evalkit.__version__
    assert f"## {evalkit.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_public_name_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    named = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    overloads = {
        node.name for node in named if isinstance(node, ast.FunctionDef) and node.decorator_list
    }
    assert [
        node.name for node in named if not ast.get_docstring(node) and node.name not in overloads
    ] == []
