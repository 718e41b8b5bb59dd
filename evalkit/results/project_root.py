"""Find the project root that a run's paths start from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit._lib.files import display_path
from evalkit.errors import UsageError


def find_project_root(
    run: Path, manifest: Mapping[str, Any], signed_run: str | None = None
) -> Path:
    """Return the folder that the run's suites are named from.

    Searched are the parents of the run directory, then the working directory and its parents.
    ``signed_run`` is the run directory's path from the root as it was signed; a folder where it
    fits is taken first. Raises UsageError if no suite of the run is found.
    """
    folders = [*run.absolute().parents, Path.cwd(), *Path.cwd().parents]
    if signed_run is not None:
        for folder in folders:
            if Path(os.path.normpath(folder / signed_run)) == run.absolute():
                return folder
    suites = [str(suite["path"]) for suite in manifest.get("suites", [])]
    if not suites:
        return Path.cwd()
    best = max(folders, key=lambda folder: sum((folder / suite).is_file() for suite in suites))
    if not any((best / suite).is_file() for suite in suites):
        raise UsageError(
            f"the suites of {display_path(run)} ({suites[0]}, …) are neither above it nor "
            "above the "
            "working directory; name the project with --root"
        )
    return best
