"""Suites in a tree of links, as build systems lay out a test's files: nothing is copied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evalkit._lib.files import linked_roots
from evalkit.suite import Suite, load
from evalkit.suite.model.project_files import label
from tests.suite.fake_catalog import FakeCatalog
from tests.suite.project import Project

SUITE = """\
suite: s
scenarios:
  - id: a
    model: m
    cases: {file: ../data/rows.csv}
    turns: [{user: "{{ word }}", attach: {image: photo.png}}]
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    project = Project(tmp_path / "source")
    project.write("suites/s.yaml", SUITE)
    project.write("suites/photo.png", b"png")
    project.write("data/rows.csv", "word\nHello\n")
    return project.root


def link_tree(source: Path, target: Path) -> Path:
    for folder, _, names in os.walk(source):
        below = target / Path(folder).relative_to(source)
        below.mkdir(parents=True)
        for name in names:
            (below / name).symlink_to(Path(folder, name))
    return target


def load_suite(root: Path) -> Suite:
    return load(root / "suites/s.yaml", root=root, checks=FakeCatalog())


def test_files_of_a_tree_of_links_belong_to_the_project(source: Path, tmp_path: Path) -> None:
    plain = load_suite(source)
    runfiles = link_tree(source, tmp_path / "runfiles")
    linked = load_suite(runfiles)
    assert linked.label == "suites/s.yaml"
    assert [name for name, _ in linked.used_files] == ["data/rows.csv", "suites/photo.png"]
    assert linked.digest == plain.digest


def test_a_tree_of_links_to_a_tree_of_links(source: Path, tmp_path: Path) -> None:
    """A generated file is in the middle tree only: its path there is the one that counts."""
    middle = link_tree(source, tmp_path / "middle")
    (middle / "suites/photo.png").unlink()
    (middle / "suites/photo.png").write_bytes(b"made")
    assert load_suite(link_tree(middle, tmp_path / "runfiles")).label == "suites/s.yaml"


def test_a_folder_that_is_a_link(source: Path, tmp_path: Path) -> None:
    (tmp_path / "runfiles").mkdir()
    for name in ("suites", "data"):
        (tmp_path / "runfiles" / name).symlink_to(source / name)
    assert load_suite(tmp_path / "runfiles").digest == load_suite(source).digest


@pytest.mark.parametrize("tail", ["suites/photo.png", "etc/photo.png"])
def test_no_link_of_a_repository_leads_out_of_it(source: Path, tmp_path: Path, tail: str) -> None:
    """Its suite is a file of its own, so the same path elsewhere is not the project."""
    outside = Project(tmp_path / "outside")
    secret = outside.write(tail, b"secret")
    project = Project(tmp_path / "repository")
    project.write("data/rows.csv", "word\nHello\n")
    link = project.root / tail
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(secret)
    (problem,) = project.problems(SUITE.replace("photo.png", tail))
    assert "is outside the project" in problem


def test_a_linked_suite_does_not_open_the_rest_of_the_disk(source: Path, tmp_path: Path) -> None:
    runfiles = link_tree(source, tmp_path / "runfiles")
    (tmp_path / "secret").write_bytes(b"secret")
    (runfiles / "suites/photo.png").unlink()
    (runfiles / "suites/photo.png").symlink_to(tmp_path / "secret")
    with pytest.raises(Exception, match=r"'photo\.png' is outside the project"):
        load_suite(runfiles)


def test_the_roots_of_a_link(tmp_path: Path) -> None:
    plain = tmp_path / "a.yaml"
    plain.write_text("")
    assert linked_roots(tmp_path, plain) == [tmp_path]
    assert linked_roots(tmp_path / "other", plain) == [tmp_path / "other"]
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    assert linked_roots(tmp_path, tmp_path / "b.yaml") == [tmp_path]
    assert label(tmp_path / "b.yaml", tmp_path) == "a.yaml"
