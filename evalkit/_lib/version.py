"""The version, where every room can read it without importing the package's front door; and that of another distribution, cheaply."""

from __future__ import annotations

from functools import cache

VERSION = "0.1.0"


@cache
def version_of(name: str) -> str:
    """Return the version of an installed distribution. Raises PackageNotFoundError.

    ``importlib.metadata.version`` reads the whole README that stands below the version as an e-mail, which takes up to 5 ms.
    """
    from importlib.metadata import distribution, version

    head = (distribution(name).read_text("METADATA") or "").partition("\n\n")[0]
    found = next((line for line in head.splitlines() if line.startswith("Version: ")), None)
    return found.removeprefix("Version: ").strip() if found else version(name)
