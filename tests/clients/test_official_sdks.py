"""The official SDKs through every stage that ``tools/clients/run.py`` runs all clients through."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guide.conftest import skip_without
from tests.guide.running import PACKAGES
from tools.clients.stages import (
    PROGRAMS,
    Client,
    node_programs,
    program_client,
    run_stages,
)


def python_client(folder: Path) -> Client:
    skip_without("python")
    return program_client([sys.executable, str(PROGRAMS / "google_genai.py")], folder, {})


def javascript_client(folder: Path) -> Client:
    skip_without("javascript")
    programs = node_programs(PACKAGES, folder / "programs")
    return program_client(["node", "google_genai.mjs"], programs, {})


@pytest.mark.parametrize("client", [python_client, javascript_client])
def test_every_method_of_five_resources(client: Callable[[Path], Client], tmp_path: Path) -> None:
    run = run_stages(client(tmp_path), tmp_path / "run")
    assert run.problems == {}
