"""A server to record from, a user's project, and the same with its cassettes recorded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evalkit.server import serving
from tests.plugin.project import Project


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def project(pytester: pytest.Pytester, service: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(pytester, service, monkeypatch)


@pytest.fixture
def recorded(project: Project) -> Project:
    project.record().assert_outcomes(passed=4)
    return project
