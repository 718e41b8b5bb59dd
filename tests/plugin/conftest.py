"""A server to record from, a user's project, and the same with its cassettes recorded."""

from __future__ import annotations

from collections.abc import Iterator

import httpcore  # noqa: F401 - see below
import httpx  # noqa: F401
import jinja2  # noqa: F401
import jsonschema  # noqa: F401
import pytest

import evalkit.plugins
import evalkit.pytest_plugin.reporter
import evalkit.pytest_plugin.state
import evalkit.reports.ci.junit
import evalkit.reports.page.run_page
import evalkit.transports.cassette_transports
import evalkit.transports.live
from evalkit.server import serving
from tests.plugin.project import Project

# pytester unloads modules that a run in this process imports. Modules imported here stay
# loaded, so that runs start quickly.
for _name in evalkit.plugins.CHECKS:
    evalkit.plugins.CHECKS.get(_name)


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
