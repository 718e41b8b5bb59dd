"""The public names of the package, and what it must not import."""

from __future__ import annotations

import subprocess
import sys

import evalkit.conversation
from tests.environment import environment_without_coverage


def test_public_names() -> None:
    assert sorted(evalkit.conversation.__all__) == [
        "CallTool",
        "Conversation",
        "Effect",
        "EndTurn",
        "Pause",
        "Plan",
        "Send",
        "SimulatedUser",
        "ToolResult",
        "TurnSource",
        "TurnView",
        "context",
        "converse",
        "drive",
    ]
    assert all(hasattr(evalkit.conversation, name) for name in evalkit.conversation.__all__)


def test_importing_the_engine_imports_no_network_asyncio_or_test_modules() -> None:
    program = "import sys, evalkit.conversation; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        env=environment_without_coverage(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "evalkit" in loaded
    assert not {
        "httpx",
        "asyncio",
        "socket",
        "ssl",
        "pytest",
        "hypothesis",
        "pydantic",
        "jinja2",
    } & set(loaded)
