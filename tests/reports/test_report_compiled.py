"""Compiled templates lie where Python's own bytecode does, and are taken only when they are what compiling would give."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from evalkit.reports.compiled import CompiledTemplates
from evalkit.reports.dressing import environment


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    (tmp_path / "page.html").write_text("{{ 1 + 1 }}{{ word }}")
    return tmp_path


def rendered(folder: Path, *, autoescape: bool = True) -> str:
    environment = Environment(loader=FileSystemLoader(folder), autoescape=autoescape)
    environment.bytecode_cache = CompiledTemplates(environment)
    return environment.get_template("page.html").render(word="<b>")


def compiled(folder: Path) -> list[Path]:
    return sorted((folder / "__pycache__").glob("page.html.*"))


def test_a_template_is_compiled_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rendered(folder) == "2&lt;b&gt;"
    assert len(compiled(folder)) == 1
    monkeypatch.setattr(Environment, "compile", None)
    assert rendered(folder) == "2&lt;b&gt;"


@pytest.mark.parametrize("damage", [b"", b"j2", b"not bytecode at all", b"cut"])
def test_damaged_bytecode_is_made_again(folder: Path, damage: bytes) -> None:
    rendered(folder)
    (file,) = compiled(folder)
    whole = file.read_bytes()
    file.write_bytes(whole[:-20] if damage == b"cut" else damage)
    assert rendered(folder) == "2&lt;b&gt;"
    assert file.read_bytes() == whole


def test_a_changed_template_is_compiled_again(folder: Path) -> None:
    rendered(folder)
    (folder / "page.html").write_text("new {{ word }}")
    assert rendered(folder) == "new &lt;b&gt;"


def test_bytecode_of_other_options_is_not_taken(folder: Path) -> None:
    assert rendered(folder, autoescape=False) == "2<b>"
    assert rendered(folder) == "2&lt;b&gt;"
    assert len(compiled(folder)) == 2


def test_nothing_is_written_where_python_writes_no_bytecode(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    rendered(folder)
    assert not (folder / "__pycache__").exists()


def test_a_folder_that_cannot_be_written_costs_only_time(folder: Path) -> None:
    (folder / "__pycache__").write_text("a file, not a folder")
    assert rendered(folder) == "2&lt;b&gt;"


def test_bytecode_goes_where_python_is_told_to_keep_its_own(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "pycache_prefix", str(elsewhere))
        rendered(folder)
    assert not compiled(folder)
    assert list(elsewhere.rglob("page.html.*"))


def test_the_report_keeps_its_templates_compiled() -> None:
    assert isinstance(environment().bytecode_cache, CompiledTemplates)
