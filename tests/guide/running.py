"""Runs programs of the API's users unchanged, each in a separate process.

A program is a snippet of the guide, or one of ours in ``programs/``. It is written into an empty
folder with the files that it opens, and runs there; its environment has only a base URL and a key.
The program itself stays unchanged, except that the host in the guide's curl commands is replaced
(``HOST``: curl does not read it from the environment). Around the program:

* the five seconds between polls are shortened (``launch/``: forge.py, quick.mjs, quick.sh);
* a Python program is forked from a process that imported the SDK (launch/forge.py);
* curl shows no progress and fails for HTTP errors (launch/.curlrc).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.guide.snippets import Language

HERE = Path(__file__).parent
KEY = "a-key-of-the-guide-tests"
"""The key that programs send; it must not be recorded."""

HOST = "https://generativelanguage.googleapis.com"
"""The host in the guide's curl commands."""

SUFFIXES: dict[Language, str] = {"python": ".py", "javascript": ".mjs", "curl": ".sh"}
_LAUNCH = HERE / "launch"
PACKAGES = HERE / "js" / "node_modules"
_SECONDS = 60
_JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcpLDAxNDQ0Hyc5PTgyPC4zNDL/wAALCAABAAEB"
    "AREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AVN//2Q=="
)


@dataclass(frozen=True, slots=True)
class Program:
    """A program; ``files`` are the files it needs, by name; ``name`` also names its folder."""

    name: str
    language: Language
    source: str
    files: dict[str, bytes] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a program: exit code, output, error output, and its folder."""

    code: int
    out: str
    err: str
    folder: Path


def missing(language: Language) -> str:
    """Return why programs of a language cannot run here, empty if they can."""
    needs = {"python": (), "javascript": ("node",), "curl": ("bash", "curl", "jq")}[language]
    absent = [command for command in needs if shutil.which(command) is None]
    if absent:
        return f"{' and '.join(absent)} not installed"
    if language == "python" and find_spec("google") is None:
        return "the Python SDK is not installed: google-genai"
    if language == "javascript" and not PACKAGES.is_dir():
        return "the JavaScript SDK is not installed; make node-packages does"
    return ""


class Runner:
    """Runs programs, and owns the process that Python programs are forked from."""

    def __init__(self) -> None:
        self._forge: subprocess.Popen[str] | None = None

    def run(self, program: Program, url: str, folder: Path) -> Outcome:
        """Run a program against the server at ``url``, in a new folder. Raises TimeoutExpired."""
        folder.mkdir(parents=True)
        (folder / "sample.jpg").write_bytes(base64.b64decode(_JPEG))
        for name, content in program.files.items():
            (folder / name).write_bytes(content)
        path = folder / f"program{SUFFIXES[program.language]}"
        path.write_text(
            program.source.replace(HOST, url) if program.language == "curl" else program.source,
            encoding="utf-8",
        )
        job = _Job(path, folder, {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": KEY})
        starts: dict[Language, Callable[[_Job], int]] = {
            "python": self._python,
            "javascript": _javascript,
            "curl": _curl,
        }
        code = starts[program.language](job)
        return Outcome(
            code, job.out.read_text(encoding="utf-8"), job.err.read_text(encoding="utf-8"), folder
        )

    def close(self) -> None:
        """End the process that Python programs are forked from."""
        if self._forge is not None:
            assert self._forge.stdin is not None
            assert self._forge.stdout is not None
            self._forge.stdin.close()
            self._forge.wait(_SECONDS)
            self._forge.stdout.close()

    def _python(self, job: _Job) -> int:
        if self._forge is None:
            command = [sys.executable, str(_LAUNCH / "forge.py")]
            self._forge = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_environment({}),
                text=True,
            )
        assert self._forge.stdin is not None
        assert self._forge.stdout is not None
        self._forge.stdin.write(json.dumps(job.described()) + "\n")
        self._forge.stdin.flush()
        return int(self._forge.stdout.readline())


@dataclass(frozen=True, slots=True)
class _Job:
    program: Path
    folder: Path
    environment: dict[str, str]

    @property
    def out(self) -> Path:
        return self.folder / ".out"

    @property
    def err(self) -> Path:
        return self.folder / ".err"

    def described(self) -> dict[str, Any]:
        paths = {"program": self.program, "folder": self.folder, "out": self.out, "err": self.err}
        return {
            "environment": self.environment,
            **{name: str(path) for name, path in paths.items()},
        }


def _javascript(job: _Job) -> int:
    (job.folder / "node_modules").symlink_to(PACKAGES)
    return _spawned(
        job, ["node", "--import", (_LAUNCH / "quick.mjs").as_uri(), job.program.name], {}
    )


def _curl(job: _Job) -> int:
    return _spawned(
        job,
        ["bash", job.program.name],
        {"BASH_ENV": str(_LAUNCH / "quick.sh"), "CURL_HOME": str(_LAUNCH)},
    )


def _spawned(job: _Job, command: list[str], more: dict[str, str]) -> int:
    with job.out.open("wb") as out, job.err.open("wb") as err:
        environment = _environment({**job.environment, **more})
        return subprocess.run(
            command,
            cwd=job.folder,
            env=environment,
            stdout=out,
            stderr=err,
            timeout=_SECONDS,
            check=False,
        ).returncode


def _environment(more: dict[str, str]) -> dict[str, str]:
    """Return an environment without variables that change where clients connect to."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONUTF8": "1",
        "NO_PROXY": "*",
        **more,
    }
