"""Record the shipped suites again, over real HTTP, from the server that ships: ``make record``.

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
    """Serve the shipped script, run pytest over ``suites`` in record mode, return its exit code."""
    root = Path(__file__).resolve().parent.parent
    with serving(port=PORT) as url:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "suites",
            "--evalkit-record",
            "all",
            "--evalkit-base-url",
            url,
            "--evalkit-report",
            "reports/record",
        ]
        return subprocess.run(
            [*command, *sys.argv[1:]], cwd=root, env={**os.environ, "GEMINI_API_KEY": "local-key-of-make-record"}, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
