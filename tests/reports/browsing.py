"""Pages in headless Chromium: what a test needs to drive one, and all that the page said and asked for.

Debian's Chromium is driven by playwright. Where it is not installed the tests are skipped and say so; in CI that is a failure.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


def missing() -> str:
    """Say what these tests lack, or nothing."""
    if importlib.util.find_spec("playwright") is None:
        return "the browser tests need playwright (pip install playwright)"
    return "" if shutil.which("chromium") else "the browser tests need chromium (apt-get install chromium)"


MISSING = missing()
SKIP = MISSING if os.environ.get("CI", "").lower() not in ("1", "true") else ""
"""Why browser tests are skipped; in CI they fail instead."""

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Tab:
    """A page in the browser, and all it said and asked for."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def variant(self, id_: str) -> Any:
        """Return the locator of a variant by its anchor."""
        return self.page.locator(f"[id='{id_}']")

    def shown(self) -> list[str]:
        """Return the names of the variants that are not filtered away."""
        return [name.split("[")[0].strip() for name in self.page.locator("#list .variant h3").all_text_contents()]


Open = Callable[..., Tab]
