"""A user's project with an application that speaks HTTP, and tests that use ``evalkit_tape``."""

from __future__ import annotations

import aiohttp  # noqa: F401 - see below
import httpcore  # noqa: F401
import httpcore2  # noqa: F401
import httpx  # noqa: F401
import httpx2  # noqa: F401
import jinja2  # noqa: F401
import jsonschema  # noqa: F401
import pytest
import requests  # noqa: F401

import evalkit.plugins
import evalkit.pytest_plugin.reporter
import evalkit.pytest_plugin.state
import evalkit.pytest_plugin.tape_fixture
import evalkit.reports.ci.junit
import evalkit.reports.page.run_page
import evalkit.taping
import evalkit.taping.aiohttp_patch
import evalkit.taping.interception
import evalkit.taping.target_runner
import evalkit.transports.cassette_transports
import evalkit.transports.live
from tests.tape.plugin.taped_project import TapedProject

# pytester unloads modules that a run in this process imports. Modules imported here stay
# loaded, so that no library is loaded twice.
for _name in evalkit.plugins.CHECKS:
    evalkit.plugins.CHECKS.get(_name)


@pytest.fixture
def project(
    pytester: pytest.Pytester, guide_url: str, monkeypatch: pytest.MonkeyPatch
) -> TapedProject:
    return TapedProject(pytester, guide_url, monkeypatch)
