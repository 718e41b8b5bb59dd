"""Compare two revisions of a model: may we move to the next one?

    python examples/revisions/compare.py [FOLDER]

Two scripts of the local server play the revisions. Each answers sixty questions three times. The
runs and the comparison are written below FOLDER (default: reports/revisions). Nothing leaves this
machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from evalkit.server import create_app, load_script, serving

HERE = Path(__file__).parent
REVISIONS = {"baseline": "gemini-3.5-flash", "candidate": "gemini-3.6-flash"}


def run_revision(name: str, model: str, folder: Path) -> None:
    """Ask one revision all questions, live."""
    with serving(create_app(load_script(HERE / f"{name}.yaml"))) as url:
        command = [sys.executable, "-m", "pytest", str(HERE), "-p", "no:cacheprovider"]
        command += ["-q", "--no-header", "--tb=no", "-r", "N"]
        command += ["--evalkit-live", "--evalkit-base-url", url, "--evalkit-model", model]
        command += ["--evalkit-report", str(folder / name)]
        done = subprocess.run(
            command,
            env={**os.environ, "GEMINI_API_KEY": "any"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):  # 1: some answers are wrong, as intended
        sys.exit(done.stdout + done.stderr)


def main() -> int:
    """Run both revisions and compare them; return the exit code of ``evalkit compare``."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "reports/revisions")
    for name, model in REVISIONS.items():
        run_revision(name, model, folder)
    runs = [str(folder / name) for name in REVISIONS]
    config = os.path.relpath(HERE / "evalkit.yaml")
    command = ["evalkit", "compare", *runs, "--gate", "release", "--config", config]
    sys.stdout.write(f"$ {' '.join(command)}\n")
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", *command], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
