"""The tutorials work as printed: files are written, commands run, their output compared."""

from __future__ import annotations

import shutil
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.documentation.pages import DOCS, ROOT, Reader, environment

PORTS = ("8787", "8788")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_the_tutorial_works_as_printed(tmp_path: Path, unused_ports: dict[str, str]) -> None:
    with ExitStack() as stack:
        reader = Reader(tmp_path, environment(), stack, unused_ports)
        assert reader.follow(DOCS / "tutorial.md") > 10


def test_the_everyday_loop_works_as_printed(tmp_path: Path, unused_ports: dict[str, str]) -> None:
    ignored = shutil.ignore_patterns("reports", "__pycache__")
    folder = Path(shutil.copytree(ROOT / "examples/support", tmp_path / "support", ignore=ignored))
    names = {
        f"GIT_{role}_{key}": "ada" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")
    }
    with ExitStack() as stack:
        reader = Reader(folder, environment(**names), stack, unused_ports)
        assert reader.follow(DOCS / "everyday.md") > 10


@pytest.fixture
def unused_ports() -> dict[str, str]:
    ports = {}
    with socket.socket() as one, socket.socket() as two:
        for port, listener in zip(PORTS, (one, two), strict=True):
            listener.bind(("127.0.0.1", 0))
            ports[port] = str(listener.getsockname()[1])
    return ports
