"""Record the shipped suites and examples again from the local server: ``make record``.

Real HTTP over loopback; needs no key and no other network. The cassettes' metadata name the server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from evalkit.server import serving

PORT = 8787


def main() -> int:
    """Record ``suites`` and ``examples/agents``; return the worse exit code."""
    root = Path(__file__).resolve().parent.parent
    with serving(port=PORT) as url:
        return max(_record(root, url, folder) for folder in ("suites", "examples/agents"))


def _record(root: Path, url: str, folder: str) -> int:
    command = [sys.executable, "-m", "pytest", folder, "--evalkit-record", "all"]
    command += ["--evalkit-base-url", url, "--evalkit-report", "reports/record", *sys.argv[1:]]
    environment = {**os.environ, "GEMINI_API_KEY": "local-key-of-make-record"}
    return subprocess.run(command, cwd=root, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
