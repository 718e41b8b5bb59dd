"""Run the newest versions of real clients against the local server: ``tools/clients/run.py [NAME…]``.

Each client is installed into an environment of its own outside the repository, and goes through the
stages of ``stages.py``. Prints a table, row by row, and the problems after it; the exit code is 1
if a stage of a client failed.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stages import (
    KEY,
    PROGRAMS,
    STAGES,
    Client,
    ClientRun,
    Outcomes,
    StageError,
    node_programs,
    program_client,
    run_stages,
)

NODE = 22
"""The lowest version of Node that the newest JavaScript clients accept."""


@dataclass(frozen=True, slots=True)
class ClientPackage:
    """A client: what is installed, which program runs, and where."""

    packages: tuple[str, ...]
    program: str
    more_packages: tuple[str, ...] = ()
    """What only the program needs."""


CLIENTS = {
    "google-genai": ClientPackage(("google-genai",), "google_genai.py"),
    "google-adk": ClientPackage(("google-adk",), "google_adk.py"),
    "litellm": ClientPackage(("litellm",), "litellm_client.py"),
    "agno": ClientPackage(("agno", "google-genai"), "agno_client.py"),
    "@google/genai": ClientPackage(("@google/genai",), "google_genai.mjs", ("zod",)),
    "@google/genai/web": ClientPackage(
        ("@google/genai",), "google_genai_web.mjs", ("zod", "esbuild")
    ),
    "@google/adk": ClientPackage(("@google/adk",), "google_adk.mjs", ("zod",)),
    "vercel-ai": ClientPackage(("ai", "@ai-sdk/google"), "vercel_ai.mjs", ("zod",)),
    "tanstack-ai": ClientPackage(
        ("@tanstack/ai", "@tanstack/ai-gemini"), "tanstack_ai.mjs", ("zod",)
    ),
}
ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "AGNO_TELEMETRY": "false"}
"""What keeps clients from calling other servers."""


def main() -> int:
    """Run the clients named on the command line, or all; return 1 if a stage failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=[[], *CLIENTS], metavar="NAME")
    parser.add_argument("--folder", type=Path, help="keep environments and files in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evalkit-clients-") as temporary:
        root = (arguments.folder or Path(temporary)).resolve()
        print(
            line_of(["client", "versions", *STAGES]), line_of(["---"] * (len(STAGES) + 2)), sep="\n"
        )
        problems = {}
        for name in arguments.names or CLIENTS:
            folder = root / re.sub(r"\W+", "-", name).strip("-")
            version, run = run_client(CLIENTS[name], folder)
            cells = [run.notes.get(stage, "FAILED") for stage in STAGES]
            print(line_of([name, version, *cells]), flush=True)
            problems |= {f"{name}, {stage}": text for stage, text in run.problems.items()}
    for place, problem in problems.items():
        print(f"\n{place}:\n{problem}")
    return int(bool(problems))


def run_client(client: ClientPackage, folder: Path) -> tuple[str, ClientRun]:
    """Install a client and run it through all stages; return its versions and what it did."""
    runs = folder / "run"
    shutil.rmtree(runs, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if client.program.endswith(".py"):
            version, started = install_python(client, folder)
        else:
            version, started = install_node(client, folder)
    except (StageError, subprocess.CalledProcessError) as error:
        return "", ClientRun(problems={"direct": f"{error}\n{getattr(error, 'stderr', '')}"})
    if client.program != "google_genai_web.mjs":
        return version, run_stages(started, runs)
    with chromium_client(folder) as browser:
        return version, run_stages(browser, runs, ("--cors",))


def install_python(client: ClientPackage, folder: Path) -> tuple[str, Client]:
    """Install a Python client into a virtual environment."""
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        command([sys.executable, "-m", "venv", str(folder / "venv")])
    packages = [*client.packages, *client.more_packages]
    command([str(python), "-m", "pip", "install", "--quiet", "--upgrade", *packages])
    show = "import importlib.metadata, sys; print(*map(importlib.metadata.version, sys.argv[1:]))"
    versions = command([str(python), "-c", show, *client.packages]).split()
    program = [str(python), str(PROGRAMS / client.program)]
    return _versions(client, versions), program_client(program, folder, ENVIRONMENT)


def install_node(client: ClientPackage, folder: Path) -> tuple[str, Client]:
    """Install a JavaScript client, and Node where the machine's own is too old."""
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    packages = [f"{package}@latest" for package in (*client.packages, *client.more_packages)]
    node = shutil.which("node")
    if node is None or int(command([node, "--version"]).strip("v").partition(".")[0]) < NODE:
        packages.append(f"node@{NODE}")
        node = str(folder / "node_modules" / ".bin" / "node")
    command(["npm", "install", "--no-audit", "--no-fund", "--silent", *packages], folder)
    versions = [
        json.loads((folder / "node_modules" / package / "package.json").read_text())["version"]
        for package in client.packages
    ]
    programs = node_programs(folder / "node_modules", folder / "programs")
    return _versions(client, versions), program_client([node, client.program], programs, {})


@contextmanager
def chromium_client(folder: Path) -> Iterator[Client]:
    """Yield the program in headless Chromium, on a page of another origin than the server."""
    from playwright.sync_api import sync_playwright

    esbuild = folder / "node_modules" / ".bin" / "esbuild"
    page = folder / "page"
    page.mkdir(exist_ok=True)
    (page / "index.html").write_text('<!doctype html><script type="module" src="web.js"></script>')
    entry = str(folder / "programs" / "google_genai_web.mjs")
    command([str(esbuild), entry, "--bundle", "--format=esm", f"--outfile={page / 'web.js'}"])
    handler = partial(QuietHandler, directory=str(page))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as pages,
        sync_playwright() as driver,
    ):
        threading.Thread(target=pages.serve_forever, args=(0.01,), daemon=True).start()
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )

        def client(url: str) -> Outcomes:
            tab = browser.new_page()
            tab.goto(f"http://127.0.0.1:{pages.server_port}/?url={url}&key={KEY}")
            outcomes: Outcomes = tab.evaluate("() => window.outcome")
            tab.close()
            return outcomes

        yield client
        browser.close()
        pages.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
        """Print nothing."""


def line_of(cells: list[str]) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def command(arguments: list[str], folder: Path | None = None) -> str:
    """Run a command; return its output. Raises CalledProcessError."""
    done = subprocess.run(
        arguments, cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    return done.stdout


def _versions(client: ClientPackage, versions: list[str]) -> str:
    return ", ".join(
        f"{package} {version}" for package, version in zip(client.packages, versions, strict=True)
    )


if __name__ == "__main__":
    sys.exit(main())
