"""Pages in headless Chromium: what a test needs to drive one, and all that the page said and asked for.

Debian's Chromium is driven by playwright. Where it is not installed the tests are skipped and say so; in CI that is a failure.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest


def missing() -> str:
    """Say what these tests lack, or nothing."""
    if importlib.util.find_spec("playwright") is None:
        return "the browser tests need playwright (pip install playwright)"
    return (
        ""
        if shutil.which("chromium")
        else "the browser tests need chromium (apt-get install chromium)"
    )


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


VIEW = {"viewport": {"width": 1280, "height": 900}}
"""What a context has where a test says nothing else."""


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield the browser. Fails where there is none: a test that may be skipped was skipped before."""
    if MISSING:
        pytest.fail(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield opened
        opened.close()


@dataclass
class Tab:
    """A page in the browser, and all it said and asked for."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, context: Any) -> Tab:
        """Open an empty page of a browser's context, and listen to it."""
        tab = cls(context.new_page())
        tab.page.set_default_timeout(10_000)
        tab.page.on("console", lambda message: tab.said.append(f"{message.type}: {message.text}"))
        tab.page.on("pageerror", lambda error: tab.said.append(f"error: {error}"))
        tab.page.on("dialog", lambda dialog: tab.said.append(f"dialog: {dialog.message}"))
        tab.page.on("request", lambda request: tab.asked.append(request.url))
        return tab

    def variant(self, id_: str) -> Any:
        """Return the locator of a variant by its anchor."""
        return self.page.locator(f"[id='{id_}']")

    def shown(self) -> list[str]:
        """Return the names of the variants that are not filtered away."""
        return [
            name.split("[")[0].strip()
            for name in self.page.locator("#list .variant h3").all_text_contents()
        ]


Open = Callable[..., Tab]
