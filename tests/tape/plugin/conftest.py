"""A user's project with an application that speaks HTTP, and tests that use ``evalkit_tape``."""

from __future__ import annotations

import aiohttp  # noqa: F401 - see below
import httpcore2  # noqa: F401
import httpx2  # noqa: F401
import pytest
import requests  # noqa: F401

from tests.tape.plugin.taped_project import TapedProject

# Loaded here, so that pytester, which unloads what a test has loaded, does not load them again.


@pytest.fixture
def project(
    pytester: pytest.Pytester, guide_url: str, monkeypatch: pytest.MonkeyPatch
) -> TapedProject:
    return TapedProject(pytester, guide_url, monkeypatch)
