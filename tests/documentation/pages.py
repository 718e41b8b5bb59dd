"""Follow a page of the documentation: write its files, run its commands, compare what they print."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.environment import ONLY_EVALKIT

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
NAME_BEFORE = re.compile(r"`([\w./-]+\.\w+)`[^`]*\Z")
NAME_INSIDE = re.compile(r"# ([\w./-]+/[\w.-]+\.\w+)\n")
ELLIPSIS = "…"


@dataclass(frozen=True)
class Reader:
    """Somebody who does in a folder what a page says; servers started with `&` end with the stack.

    `replacements` are for what only a test must change in a command, such as the number of a port.
    """

    folder: Path
    environment: dict[str, str]
    stack: ExitStack
    replacements: Mapping[str, str]

    def follow(self, page: Path) -> int:
        """Return how many commands were run; fail where the output lacks a printed line."""
        text = page.read_text(encoding="utf-8")
        commands = 0
        for block in BLOCK.finditer(text):
            language, content = block.groups()
            if language == "console":
                for command, expected in COMMAND.findall(content):
                    if "venv" not in command:
                        self.run(command, expected)
                        commands += 1
            elif language in ("yaml", "ini", "markdown", "csv"):
                self.write(text[: block.start()], content)
        return commands

    def write(self, before: str, content: str) -> None:
        name = NAME_INSIDE.match(content) or NAME_BEFORE.search(before.rpartition("\n\n")[0][-200:])
        if name:
            path = self.folder / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")

    def run(self, command: str, expected: str) -> None:
        for printed, replacement in self.replacements.items():
            command = command.replace(printed, replacement)
        if command.startswith("export "):
            for word in shlex.split(command)[1:]:
                name, _, value = word.partition("=")
                self.environment[name] = value
            return
        if command.endswith("&"):
            server = subprocess.Popen(
                ["bash", "-c", f"exec {command.removesuffix('&')}"],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.DEVNULL,
            )
            self.stack.callback(server.wait)
            self.stack.callback(server.terminate)
            wait_for(re.search(r"--port (\d+)", command)[1])  # type: ignore[index]
            return
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        for line in expected.splitlines():
            assert line in ("", ELLIPSIS) or line in output, f"{command}\n{output}"


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a user: evalkit on the path, 80 columns, nothing of this session."""
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GEM", "GOOGLE", "PYTEST"))
    }
    return (
        mine
        | ONLY_EVALKIT
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "80",
            "GEMINI_API_KEY": "any",
            "PYTEST_ADDOPTS": "-p no:cacheprovider",
            **more,
        }
    )


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
