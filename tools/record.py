"""Record the shipped suites and examples again, over real HTTP, from the server that ships: ``make record``.

Works in any clone with no key and no network but loopback. What it writes says where it came from (cassette metadata).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from evalkit.server import serving

PORT = 8787


def main() -> int:
    """Serve the shipped script, run pytest over ``suites`` and ``examples`` in record mode, return the worse exit code."""
    root = Path(__file__).resolve().parent.parent
    with serving(port=PORT) as url:
        return max(_record(root, url, folder) for folder in ("suites", "examples/agents"))


def _record(root: Path, url: str, folder: str) -> int:
    command = [
        sys.executable,
        "-m",
        "pytest",
        folder,
        "--evalkit-record",
        "all",
        "--evalkit-base-url",
        url,
    ]
    report = ["--evalkit-report", "reports/record"]
    environment = {**os.environ, "GEMINI_API_KEY": "local-key-of-make-record"}
    return subprocess.run(
        [*command, *report, *sys.argv[1:]], cwd=root, env=environment, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
