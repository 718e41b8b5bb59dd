"""The project as a whole: public names, entry points, references, files that others read."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import evalkit

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "llms.txt", *(ROOT / "docs").rglob("*.md")])
SOURCES = sorted((ROOT / "evalkit").rglob("*.py"))


def test_public_names() -> None:
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
    page = (ROOT / "docs/python-api.md").read_text(encoding="utf-8")
    for name in evalkit.__all__:
        assert getattr(evalkit, name).__doc__
        assert re.search(rf"`{name}\b", page), f"docs/python-api.md does not list {name}"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = evalkit.nothing


def test_importing_the_package_imports_no_library() -> None:
    libraries = ("pydantic", "yaml", "httpx", "vcr", "jinja2", "pytest", "click")
    code = f"import sys, evalkit; print([name for name in {libraries} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("group", ["pytest11", "evalkit.checks", "evalkit.reports"])
def test_entry_points_resolve(group: str) -> None:
    for name, target in PROJECT["project"]["entry-points"][group].items():
        module, _, attribute = target.partition(":")
        value = import_module(module)
        if attribute:
            value = getattr(value, attribute)
        if group == "evalkit.checks":
            assert value.name == name


def test_version_is_written_once_and_in_the_changelog() -> None:
    assert PROJECT["project"]["version"] == evalkit.__version__
    assert f"## {evalkit.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_references_to_the_protocol_page_resolve() -> None:
    headings = re.findall(
        r"^#{2,3} (\d+(?:\.\d+)?)\.? ", (ROOT / "docs/protocol.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(headings) > 12
    broken = []
    for path in SOURCES:
        text = re.sub(r"\n\s*(?:#:? )?", " ", path.read_text(encoding="utf-8"))
        for section in re.findall(r"protocol\.md,? sections? (\d+(?:\.\d+)?)", text):
            if section not in headings:
                broken.append(f"{path.relative_to(ROOT)}: section {section}")
        if re.search(r"\bdesign(?:\.md)?,? section|\bprotocol section|\bshared/", text):
            broken.append(f"{path.relative_to(ROOT)}: names a document that is not here")
    assert broken == []


def test_documents_that_the_code_names_exist() -> None:
    broken = []
    for path in SOURCES:
        for name in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text(encoding="utf-8")):
            if not (ROOT / name).exists():
                broken.append(f"{path.relative_to(ROOT)}: {name}")
    assert broken == []


def test_links_between_pages_resolve() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:")) and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_paths_in_the_security_policy_exist() -> None:
    names = re.findall(r"`(tests/\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(names) > 4
    assert [name for name in names if not (ROOT / name).is_dir()] == []


@pytest.mark.parametrize(
    ("page", "first_column"), [("threat-model", "promise"), ("verdict-rules", "rule")]
)
def test_every_test_that_a_page_names_exists(page: str, first_column: str) -> None:
    text = (ROOT / f"docs/explanation/{page}.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 30
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert named - set(re.findall(r"^def (test_\w+)\(", tests, re.MULTILINE)) == set()
    rows = re.findall(rf"^\| (?!{first_column}|---)(.*)\|$", text, re.MULTILINE)
    assert [row for row in rows if "`test_" not in row.rpartition(" | ")[2]] == []


@pytest.mark.parametrize(
    "name",
    [
        ".github/workflows/ci.yml",
        ".github/ISSUE_TEMPLATE/bug.yml",
        ".github/ISSUE_TEMPLATE/feature.yml",
        ".github/ISSUE_TEMPLATE/wrong_verdict.yml",
        ".pre-commit-config.yaml",
        ".pre-commit-hooks.yaml",
        "action.yml",
        "mkdocs.yml",
    ],
)
def test_configuration_files_are_valid_yaml(name: str) -> None:
    assert yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_ci_covers_every_supported_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    versions = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in PROJECT["project"]["classifiers"]
        if re.search(r"Python :: 3\.", line)
    ]
    assert versions == classifiers
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"


def test_every_check_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names = PROJECT["project"]["entry-points"]["evalkit.checks"]
    assert [name for name in names if f"(docs/checks/{name}.md)" not in text] == []
