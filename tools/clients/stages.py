"""What one client goes through: direct, proxy, cassettes, lint, import, and its drafted suite.

A client is a function that runs a program against a base URL, and returns what each capability of
the program returned. Servers are processes of their own, as a user starts them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
KEY = "the-key-of-the-client-runs"
"""The key that clients send; it must not be recorded."""

STAGES = ("direct", "proxy", "cassettes", "lint", "import", "offline")
EXPECTED = {
    "plain": "AI learns patterns from data",
    "stream": "AI works by learning from examples",
    "tools": "The temperature in ",
    "second turn": "2 dogs × 4 paws = 8 paws.",
    "structured": "Classic Banana Bread",
    "media": "1 image file",
    "search": "Spain won Euro 2024",
    "agent": "610, 987, 1597",
    "background": "Artificial intelligence has transformed",
    "interactions": "in_progress",
    "auth tokens": "True",
    "agents": "antigravity-preview-05-2026",
    "environments": "data/numbers.txt",
    "webhooks": "yours",
    "triggers": "completed",
}
"""By the first words of a capability: text that its result must contain."""

REQUIRED = ("plain", "stream", "tools", "second turn", "structured")
_SECONDS = 300

Outcomes = dict[str, str]
Client = Callable[[str], Outcomes]


class StageError(Exception):
    """A stage did not end as it should; the message is for people."""


@dataclass(frozen=True, slots=True)
class ClientRun:
    """What a client did, by stage: the problem of a stage that failed, or a note."""

    problems: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def run_stages(client: Client, folder: Path, serve_options: tuple[str, ...] = ()) -> ClientRun:
    """Run a client through all stages; ``folder`` is created and keeps every file."""
    stages = _Stages(client, folder, serve_options)
    problems, notes = {}, {}
    for name in STAGES:
        try:
            notes[name] = getattr(stages, f"run_{name}")()
        except StageError as error:
            problems[name] = str(error)
    return ClientRun(problems, notes)


def program_client(command: list[str], folder: Path, environment: dict[str, str]) -> Client:
    """Return the client that is a program; it runs in ``folder``."""

    def client(url: str) -> Outcomes:
        done = _run(command, folder, {**_addresses(url), **environment})
        lines = done.stdout.strip().splitlines()
        try:
            outcomes: Outcomes = json.loads(lines[-1])
        except (IndexError, ValueError):
            raise StageError(f"exit code {done.returncode}\n{_end(done)}") from None
        return outcomes

    return client


def node_programs(packages: Path, folder: Path) -> Path:
    """Copy the JavaScript programs beside a link to ``node_modules``; return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in PROGRAMS.glob("*.mjs"):
        shutil.copy(path, folder)
    link = folder / "node_modules"
    if not link.exists():
        link.symlink_to(packages)
    return folder


class _Stages:
    """The stages of one client, in order; each returns a note, or raises StageError."""

    def __init__(self, client: Client, folder: Path, serve_options: tuple[str, ...]) -> None:
        self.outcomes: Outcomes = {}
        self._client = client
        self._folder = folder
        self._options = serve_options
        self._urls: list[str] = []
        self._warnings: list[str] = []
        folder.mkdir(parents=True)

    def run_direct(self) -> str:
        with self._serving() as url:
            self.outcomes = self._client(url)
        _check_expected(self.outcomes)
        warnings = f", warnings: {len(self._warnings)}" if self._warnings else ""
        return f"{len(self.outcomes)} capabilities{warnings}"

    def run_proxy(self) -> str:
        with self._serving() as url, self._serving("--upstream", url, "--record", "tapes") as proxy:
            self._urls = [url, proxy]
            outcomes = self._client(proxy)
        self._check_same(outcomes)
        recorded = [path for path in (self._folder / "tapes").rglob("*") if path.is_file()]
        if journals := [path.name for path in recorded if path.suffix == ".journal"]:
            raise StageError(f"journals were not written as cassettes: {journals}")
        if leaks := [path.name for path in recorded if KEY.encode() in path.read_bytes()]:
            raise StageError(f"the key is in {leaks}")
        return f"{sum(path.suffix == '.yaml' for path in recorded)} cassettes"

    def run_cassettes(self) -> str:
        for url in self._urls:
            _check_gone(url)
        with self._serving("--cassettes", "tapes") as url:
            outcomes = self._client(url)
        self._check_same(outcomes)
        return "same output"

    def run_lint(self) -> str:
        return _last_line(self._evalkit("lint", "tapes", "--fail-on", "warn"))

    def run_import(self) -> str:
        done = self._evalkit("import", "tapes", "--suite", "client")
        scenarios = re.search(r"\d+ scenarios?", done.stdout)
        return scenarios[0] if scenarios else done.stdout

    def run_offline(self) -> str:
        command = ["pytest", "suites", "-q", "-p", "no:cacheprovider", "--evalkit-strict"]
        return re.sub(r" in [\d.]+s.*", "", _last_line(self._python(*command))).strip("= ")

    def _check_same(self, outcomes: Outcomes) -> None:
        names = [*self.outcomes, *outcomes]
        different = [name for name in names if outcomes.get(name) != self.outcomes.get(name)]
        if different:
            lines = [f"{name}: {outcomes.get(name)}" for name in dict.fromkeys(different)]
            raise StageError("\n".join(["another output than direct:", *lines]))

    def _evalkit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._python("evalkit", *arguments)

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = _run([sys.executable, "-m", *arguments], self._folder, {})
        if done.returncode:
            raise StageError(_end(done))
        return done

    @contextmanager
    def _serving(self, *arguments: str) -> Iterator[str]:
        """Run ``evalkit serve``; raise StageError if it reports a problem."""
        command = [sys.executable, "-m", "evalkit", "serve", "--port", "0", "--quiet"]
        with subprocess.Popen(
            [*command, *self._options, *arguments],
            cwd=self._folder,
            env=_environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as server:
            assert server.stdout is not None
            ready = server.stdout.readline()
            url = re.search(r" at (http://\S+)", ready)
            try:
                if url is None:
                    raise StageError(f"{ready}{server.stdout.read()}")
                yield url[1]
            finally:
                server.terminate()
                log = server.communicate()[0]
        lines = [line for line in log.splitlines() if not line.startswith("  ")]
        self._warnings += [line for line in lines if line.startswith("warning: tolerated")]
        if problems := [line for line in lines if line not in self._warnings]:
            raise StageError("\n".join([f"serve {' '.join(arguments)}:", *problems]))


def _check_expected(outcomes: Outcomes) -> None:
    wrong = [f"{name}: no result" for name in REQUIRED if name not in outcomes]
    for name, result in outcomes.items():
        kinds = [kind for kind in EXPECTED if name == kind or name.startswith(f"{kind} ")]
        if not kinds or EXPECTED[kinds[0]] not in result:
            wrong.append(f"{name}: {result}")
    if wrong:
        raise StageError("\n".join(wrong))


def _check_gone(url: str) -> None:
    with suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))).close()
        raise StageError(f"the server at {url} still answers")


def _addresses(url: str) -> dict[str, str]:
    """Return the variables from which clients read a base URL and a key."""
    urls = dict.fromkeys(("GOOGLE_GEMINI_BASE_URL", "GEMINI_API_BASE"), url)
    return {**urls, "GEMINI_API_KEY": KEY}


def _run(
    command: list[str], folder: Path, more: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=_environment(more),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def _environment(more: dict[str, str]) -> dict[str, str]:
    """Return an environment without keys, and without variables that change where clients connect."""
    copied = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")
    return {
        **{name: os.environ[name] for name in copied if name in os.environ},
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "*",
        **more,
    }


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stdout.strip().splitlines() or [""])[-1]


def _end(done: subprocess.CompletedProcess[str]) -> str:
    return "\n".join(f"{done.stdout}\n{done.stderr}".strip().splitlines()[-60:])
