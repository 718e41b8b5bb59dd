"""Fixtures of the suite tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suite.project import Project

collect_ignore = ["broken"]  # suites with mistakes, which pytest would collect


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")
