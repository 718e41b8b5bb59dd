"""Pages in headless Chromium: opening them, and recording what they log and request.

Debian's Chromium is driven by playwright. Where it is not installed, browser tests are skipped; in
CI they fail.
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
    """Return what these tests lack, or nothing."""
    if importlib.util.find_spec("playwright") is None:
        return "the browser tests need playwright (pip install playwright)"
    if not shutil.which("chromium"):
        return "the browser tests need chromium (apt-get install chromium)"
    return ""


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
"""Default options of a browser context."""

OPEN_ALL = "for (const box of document.querySelectorAll('details')) box.open = true"
EXCHANGES_READ = "() => !document.querySelector('.exchange details .note')"


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield the browser; fail where it is missing."""
    if MISSING:
        pytest.fail(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Tab:
    """A page in the browser, its console messages and its requests."""

    page: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, context: Any) -> Tab:
        """Open an empty page of a browser context."""
        tab = cls(context.new_page())
        tab.page.set_default_timeout(10_000)
        tab.page.on("console", lambda one: tab.messages.append(f"{one.type}: {one.text}"))
        tab.page.on("pageerror", lambda error: tab.messages.append(f"error: {error}"))
        tab.page.on("dialog", lambda dialog: tab.messages.append(f"dialog: {dialog.message}"))
        tab.page.on("request", lambda request: tab.requests.append(request.url))
        return tab

    def by_id(self, id_: str) -> Any:
        """Return the locator of an element by its id."""
        return self.page.locator(f"[id='{id_}']")

    def open_variant(self, id_: str) -> Any:
        """Open a variant, wait until its body is rendered, and return its locator."""
        variant = self.by_id(id_)
        variant.locator("xpath=./summary").click()
        variant.locator(".facts").wait_for()
        return variant

    def open_everything(self) -> None:
        """Open every variant, and everything inside it."""
        self.page.evaluate(OPEN_ALL)
        self.page.wait_for_function("() => !document.querySelector('.body.later')")
        self.page.wait_for_function(
            "() => document.querySelectorAll('.facts').length"
            " === document.querySelectorAll('#list .variant').length"
        )
        self.page.evaluate(OPEN_ALL)
        self.page.wait_for_function(EXCHANGES_READ)

    def names(self) -> list[str]:
        """Return the names of the variants in the list."""
        headings = self.page.locator("#list .variant h3").all_text_contents()
        return [name.split("[")[0].strip() for name in headings]


Open = Callable[..., Tab]
