"""Where a run directory may be written: not among files of another kind, and not over a run that somebody signed."""

from __future__ import annotations

from pathlib import Path

from evalkit.errors import UsageError

MANIFEST = "manifest.json"
DERIVED = ("index.html", "junit.xml", "summary.md", "ctrf.json", "badge.json")
"""What is made from a run's results, and is stale once they are others."""
SIGNOFFS = "signoffs"


def check_place(folder: Path, option: str) -> None:
    """Raise UsageError where a run must not be written to ``folder``; ``option`` is the one that names another."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder with {option}")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise UsageError(
            f"{folder} holds files and is no run directory; name another one with {option}"
        )
    if any((folder / SIGNOFFS).glob("*")):
        raise UsageError(
            f"{folder} is signed off: a new run would void its records; name another one with {option}"
        )
