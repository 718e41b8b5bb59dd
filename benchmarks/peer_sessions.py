"""Install the tools that are compared, record their projects, and measure what a session costs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECTS = Path(__file__).parent / "peer_projects"
CITIES = {"London": 22, "Paris": 25, "Madrid": 31, "Oslo": 11, "Rome": 28, "Vienna": 19}
TIMEOUT = 1800  # seconds; a tool that waits for a network must not stop the others
ENVIRONMENT = {
    "COLUMNS": "100",
    "GEMINI_API_KEY": "no-key-is-needed",
    "PYTHONHASHSEED": "0",
    # what the tools send home, and what they look up when they start
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
    "PROMPTFOO_DISABLE_SHARING": "1",
    # promptfoo's debug log is most of what it writes, and crashes some sessions at their end
    "PROMPTFOO_DISABLE_DEBUG_LOG": "1",
    "PROMPTFOO_DISABLE_ERROR_LOG": "1",
}
REMOVED = ("PYTEST_ADDOPTS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Peer:
    """One tool: what to install, what to run, and what its output is if everything passed.

    The first package is the tool, whose version is printed; ``folders`` of ``peer_projects`` are
    copied over each other. ``record`` and ``replay`` are added to the command; without ``record``
    the tool has no recordings. ``passed`` is a regular expression, in which ``<n>`` stands for the
    number of conversations times ``tests_each``.
    """

    name: str
    packages: tuple[str, ...]
    folders: tuple[str, ...]
    command: tuple[str, ...]
    passed: str
    exchanges: str
    checks: str
    record: tuple[str, ...] = ()
    replay: tuple[str, ...] = ()
    tests_each: int = 1


VCRPY = Peer(
    name="vcrpy, google-genai",
    packages=("vcrpy", "pytest", "pytest-recording", "google-genai", "jsonschema"),
    folders=("application", "vcrpy", "vcrpy_genai"),
    command=("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=junit.xml"),
    record=("--record-mode=once",),
    replay=("--record-mode=none",),
    passed=r"^<n> passed in",
    exchanges="HTTP: a cassette for each test",
    checks="steps, call, text, schema; each request against its recording",
)
PROMPTFOO = Peer(
    name="promptfoo, HTTP provider",
    packages=("npm:promptfoo",),
    folders=("promptfoo",),
    command=("promptfoo", "eval", "--no-table", "--no-progress-bar", "--no-share"),
    record=("--no-write",),
    passed=r"✓ <n> passed \(100",
    exchanges="HTTP: a disk cache, warm; a test for each request",
    checks="steps, call, text, schema. A request that differs is sent to the network",
    tests_each=3,
)
PEERS = (
    Peer(
        name="evalkit",
        packages=(str(ROOT),),
        folders=("evalkit",),
        command=("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "suites"),
        record=("--evalkit-record=all", "--evalkit-concurrency=8", "--evalkit-base-url=<url>"),
        passed=r"^<n> passed in",
        exchanges="HTTP: a cassette for each conversation",
        checks="steps, call, text, schema; each request against its recording; status of each "
        "turn; history re-sent unchanged. HTML, JUnit and Markdown reports",
    ),
    VCRPY,
    replace(
        VCRPY,
        name="vcrpy, bare httpx",
        packages=("vcrpy", "pytest", "pytest-recording", "httpx", "jsonschema"),
        folders=("application", "vcrpy", "vcrpy_httpx"),
    ),
    PROMPTFOO,
    replace(
        PROMPTFOO,
        name="promptfoo, own provider",
        folders=("promptfoo_provider",),
        exchanges="HTTP: a disk cache, warm; a program that runs the conversation",
        tests_each=1,
    ),
    Peer(
        name="Inspect",
        packages=("inspect-ai", "jsonschema"),
        folders=("inspect",),
        command=("inspect", "eval", "weather.py", "--display=plain"),
        passed=r"accuracy +1\.000 +accuracy +1\.000 +accuracy +1\.000 +accuracy +1\.000",
        exchanges="none: its mock model",
        checks="roles, call, text, schema. No requests",
    ),
    Peer(
        name="DeepEval",
        packages=("deepeval",),
        folders=("application", "deepeval"),
        command=("deepeval", "test", "run", "test_weather.py"),
        passed=r"Passed: <n> \| Failed: 0",
        exchanges="none: a function",
        checks="steps, call, text, schema (pydantic). No requests",
        tests_each=2,
    ),
    Peer(
        name="pydantic-evals",
        packages=("pydantic-evals", "jsonschema"),
        folders=("application", "pydantic_evals"),
        command=("python", "weather_evals.py"),
        passed=r"^<n> passed of <n>$",
        exchanges="none: a function",
        checks="steps, call, text, schema. No requests",
    ),
)


@dataclass(frozen=True)
class Usage:
    """What one session cost: seconds of CPU and wall time, MiB of memory, MB on the disk."""

    cpu: float
    wall: float
    memory: float
    written: float
    left: float


class Installation:
    """A tool's environment: its programs, version, size and the time that its installation took."""

    def __init__(self, folder: Path, packages: tuple[str, ...]) -> None:
        """Install the packages below ``folder``, unless they are. Raise CalledProcessError."""
        self.folder = folder
        self.package = packages[0].removeprefix("npm:")
        self.is_npm = packages[0].startswith("npm:")
        self.programs = folder / ("node_modules/.bin" if self.is_npm else "bin")
        finished = folder / "finished.json"
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            started = time.monotonic()
            names = [name.removeprefix("npm:") for name in packages]
            empty = 0
            if self.is_npm:
                cache = f"--cache={folder / 'cache'}"
                run(["npm", "install", "--no-audit", "--no-fund", cache, *names], folder)
                shutil.rmtree(folder / "cache")
            else:
                run([sys.executable, "-m", "venv", str(folder)], folder)
                empty = size(self._libraries())
                pip = [str(self.programs / "pip"), "install", "-q", "--no-cache-dir"]
                run([*pip, *names], folder)
            seconds = time.monotonic() - started
            added = size(self._libraries()) - empty
            finished.write_text(json.dumps({"seconds": seconds, "bytes": added}))
        record = json.loads(finished.read_text())
        self.seconds = float(record["seconds"])
        self.bytes = int(record["bytes"])  # beside Python and pip, or beside Node

    def _libraries(self) -> Path:
        pattern = "node_modules" if self.is_npm else "lib/*/site-packages"
        return next(self.folder.glob(pattern))

    def version(self) -> str:
        """Return the installed version of the first package."""
        if self.is_npm:
            package = self._libraries() / self.package / "package.json"
            return str(json.loads(package.read_text("utf-8"))["version"])
        name = "pytest-evalkit" if self.package == str(ROOT) else self.package
        code = f"import importlib.metadata as m; print(m.version({name!r}))"
        return run([str(self.programs / "python"), "-c", code], self.folder).strip()


def run(command: list[str], folder: Path) -> str:
    """Run a command to its end and return its output. Raise CalledProcessError."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, timeout=TIMEOUT
    )
    return done.stdout


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and modification time of every file below ``folder``."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


def size(folder: Path) -> int:
    """Return the bytes of all files below ``folder``, not rounded to blocks."""
    return sum(length for length, _ in files(folder).values())


class Project:
    """A tool's project with a number of conversations, recorded once, then run as often as wanted.

    ``current`` is the checkout that a session runs in (its ``home`` is the user's home folder),
    ``recorded`` the copy from which it is restored.
    """

    def __init__(self, folder: Path, peer: Peer, programs: Path, conversations: int) -> None:
        self.peer = peer
        self.programs = programs
        self.conversations = conversations
        self.recorded = folder / "recorded"
        self.current = folder / "current"

    def write(self) -> None:
        """Write the project's files and the table of its conversations."""
        shutil.rmtree(self.current.parent, ignore_errors=True)
        for name in self.peer.folders:
            shutil.copytree(PROJECTS / name, self.current / "project", dirs_exist_ok=True)
        (self.current / "home").mkdir()
        if self.programs.parent.name == "node_modules":  # where JavaScript looks for packages
            (self.current / "project/node_modules").symlink_to(self.programs.parent)
        cities = list(CITIES.items())
        rows = [("id", "city", "temperature")]
        for number in range(self.conversations):
            city, temperature = cities[number % len(cities)]
            rows.append((f"c{number}", city, str(temperature)))
        text = "".join(",".join(row) + "\n" for row in rows)
        (self.current / "project/cases.csv").write_text(text, encoding="utf-8")

    def record(self, url: str) -> None:
        """Run the tool against the server, if it can record, and store the result."""
        if self.peer.record:
            self._session(self.peer.record, url)
        for cache in [*self.current.rglob("__pycache__"), *self.current.rglob("reports")]:
            shutil.rmtree(cache)
        shutil.copytree(self.current, self.recorded, symlinks=True)

    def replay(self, url: str) -> Usage:
        """Run the tool in a fresh copy of the project; the server is closed."""
        shutil.rmtree(self.current)
        shutil.copytree(self.recorded, self.current, symlinks=True)
        return self._session(self.peer.replay, url)

    def _session(self, arguments: tuple[str, ...], url: str) -> Usage:
        """Run the tool once. Raise RuntimeError if a conversation did not pass."""
        command = [
            part.replace("<url>", url)
            for part in (str(self.programs / self.peer.command[0]), *self.peer.command[1:])
        ]
        command += [part.replace("<url>", url) for part in arguments]
        environment = {
            **{key: value for key, value in os.environ.items() if key not in REMOVED},
            **ENVIRONMENT,
            "HOME": str(self.current / "home"),
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "GOOGLE_GEMINI_BASE_URL": url,
        }
        before = files(self.current)
        output = self.current.parent / "output.txt"
        started = time.monotonic()
        with output.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=self.current / "project",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            limit = threading.Timer(TIMEOUT, os.killpg, (process.pid, signal.SIGKILL))
            limit.start()
            # the process is dead, but its account can still be read
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            wall = time.monotonic() - started
            account = Path(f"/proc/{process.pid}/io").read_text()
            _, status, usage = os.wait4(process.pid, 0)
            limit.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        text = output.read_text(encoding="utf-8", errors="replace")
        tests = self.conversations * self.peer.tests_each
        expected = self.peer.passed.replace("<n>", f"(?:{tests}|{tests:,})")
        if process.returncode != 0 or not re.search(expected, text, re.MULTILINE):
            raise RuntimeError(
                f"{' '.join(command)} ended with {process.returncode}, and its output was to match "
                f"{expected!r}:\n{text[:1000]}\n…\n{text[-2000:]}"
            )
        after = files(self.current)
        new = sum(state[0] for path, state in after.items() if before.get(path) != state)
        written = int(account.partition("wchar: ")[2].partition("\n")[0])
        return Usage(
            cpu=usage.ru_utime + usage.ru_stime,
            wall=wall,
            memory=usage.ru_maxrss / 1024,
            written=written / 1e6,
            left=new / 1e6,
        )


def prepare(
    folder: Path, peer: Peer, conversations: int, url: str
) -> tuple[Installation, list[Project]]:
    """Install a tool and record its projects with one and with all conversations."""
    names = " ".join(Path(package).name for package in peer.packages)
    installation = Installation(folder / "environments" / slug(names), peer.packages)
    projects = []
    for number in (1, conversations):
        place = folder / "projects" / slug(peer.name) / str(number)
        projects.append(Project(place, peer, installation.programs, number))
        projects[-1].write()
        projects[-1].record(url)
    return installation, projects


def slug(name: str) -> str:
    """Return a name for a folder."""
    return re.sub(r"\W+", "-", name)


@contextmanager
def serving(script: Path) -> Iterator[str]:
    """Run the local server as a process of its own and yield its URL.

    In this process it would need memory, and the kernel counts what a parent needs when it forks as
    memory of its child.
    """
    command = [sys.executable, "-m", "evalkit", "serve", "--port=0", "--quiet", "--script"]
    with subprocess.Popen([*command, str(script)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            if address is None:
                raise RuntimeError("'evalkit serve' did not start")
            yield address[0]
        finally:
            process.terminate()
