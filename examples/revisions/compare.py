"""May we move to the next revision? Two revisions, served by two scripts, answer sixty questions three times each; then they are compared.

    python examples/revisions/compare.py [FOLDER]

The runs, and the comparison, are written below FOLDER (default: reports/revisions). Nothing leaves this machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from evalkit.server import create_app, load_script, serving

HERE = Path(__file__).parent
REVISIONS = {"baseline": "gemini-3.5-flash", "candidate": "gemini-3.6-flash"}


def hold(name: str, model: str, folder: Path) -> None:
    """Ask one revision everything, live."""
    with serving(create_app(load_script(HERE / f"{name}.yaml"))) as url:
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(HERE),
            "-q",
            "--no-header",
            "--tb=no",
            "-r",
            "N",
            "-p",
            "no:cacheprovider",
        ]
        command += [
            "--evalkit-live",
            "--evalkit-base-url",
            url,
            "--evalkit-model",
            model,
            "--evalkit-report",
            str(folder / name),
        ]
        held = subprocess.run(
            command,
            env={**os.environ, "GEMINI_API_KEY": "any"},
            capture_output=True,
            text=True,
            check=False,
        )
    if held.returncode not in (0, 1):  # 1: some answers are wrong, which is what is to be found out
        sys.exit(held.stdout + held.stderr)


def main() -> int:
    """Hold both runs and compare them; the exit code is that of ``evalkit compare``."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "reports/revisions")
    for name, model in REVISIONS.items():
        hold(name, model, folder)
    command = [
        "evalkit",
        "compare",
        str(folder / "baseline"),
        str(folder / "candidate"),
        "--gate",
        "release",
    ]
    sys.stdout.write(f"$ {' '.join(command)}\n")
    sys.stdout.flush()
    return subprocess.run(
        [sys.executable, "-m", *command, "--config", str(HERE / "evalkit.yaml")], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
