"""The tutorial works as printed: its files are written, its commands run, its output compared."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(yaml|console)\n(.*?)```", re.DOTALL)
FILE_NAME = re.compile(r"`([\w./-]+\.yaml)`[^`]*\Z")
PORTS = {"8787", "8788"}


@pytest.fixture
def servers() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.terminate()
        process.wait()


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_the_tutorial_works_as_printed(
    tmp_path: Path, servers: list[subprocess.Popen[bytes]], unused_ports: dict[str, str]
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GEM")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "80",
        "GEMINI_API_KEY": "any",
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
    }
    commands = 0
    for block in BLOCK.finditer(PAGE):
        language, text = block.groups()
        if language == "yaml":
            name = FILE_NAME.search(PAGE[: block.start()])
            assert name, text
            path = tmp_path / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            continue
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            if "venv" in command:
                continue
            for port, replacement in unused_ports.items():
                command = command.replace(port, replacement)
            commands += 1
            if command.endswith("&"):
                server = subprocess.Popen(
                    ["bash", "-c", f"exec {command.removesuffix('&')}"],
                    cwd=tmp_path,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                )
                servers.append(server)
                wait_for(re.search(r"--port (\d+)", command)[1])  # type: ignore[index]
                continue
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            output = done.stdout + done.stderr
            for line in expected.splitlines():
                assert line == "…" or line in output, f"{command}\n{output}"
    assert commands > 10


@pytest.fixture
def unused_ports() -> dict[str, str]:
    ports = {}
    with socket.socket() as one, socket.socket() as two:
        for port, listener in zip(sorted(PORTS), (one, two), strict=True):
            listener.bind(("127.0.0.1", 0))
            ports[port] = str(listener.getsockname()[1])
    return ports


def wait_for(port: str) -> None:
    end = time.monotonic() + 20
    with httpx.Client() as client:
        while time.monotonic() < end:
            try:
                client.get(f"http://127.0.0.1:{port}/healthz")
            except httpx.TransportError:
                continue
            return
    raise AssertionError(f"nothing answers on port {port}")
