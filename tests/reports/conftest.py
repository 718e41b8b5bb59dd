"""A browser for the tests that need one, and runs with everything a report must show."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.reports import html
from tests.reports.browsing import ARGUMENTS, MISSING, Open, Tab
from tests.reports.sample import make_run, passing
from tests.reports.sample_cases import every_line


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if MISSING:
        pytest.fail(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def contexts(browser: Any) -> Iterator[dict[str, Any]]:
    """Return the browser's contexts by their options: making one takes longer than most tests."""
    made: dict[str, Any] = {}
    yield made
    for context in made.values():
        context.close()


@pytest.fixture
def open_page(browser: Any, contexts: dict[str, Any]) -> Iterator[Open]:
    pages = []

    def open_(path: Path, fragment: str = "", **options: Any) -> Tab:
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        context = contexts.setdefault(str(options), None) or browser.new_context(**options)
        contexts[str(options)] = context
        tab = Tab(context.new_page())
        pages.append(tab.page)
        tab.page.set_default_timeout(10_000)
        tab.page.on("console", lambda message: tab.said.append(f"{message.type}: {message.text}"))
        tab.page.on("pageerror", lambda error: tab.said.append(f"error: {error}"))
        tab.page.on("dialog", lambda dialog: tab.said.append(f"dialog: {dialog.message}"))
        tab.page.on("request", lambda request: tab.asked.append(request.url))
        tab.page.goto(f"{path.as_uri()}{fragment}")
        if options.get("java_script_enabled", True) and path.read_bytes().find(b'id="rows"') > 0:
            tab.page.locator("html[data-ready]").wait_for(state="attached")
        return tab

    yield open_
    for page in pages:
        page.close()


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return html.write(make_run(tmp_path_factory.mktemp("everything"), every_line(long_line=30_000)))


@pytest.fixture(scope="module")
def drawn_later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page on which no variant that passed is drawn whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html, "SMALL", 0)
        patch.setattr(html, "OTHERS", 0)
        lines = [passing(index) for index in range(120)] + every_line(long_line=1000)
        return html.write(make_run(tmp_path_factory.mktemp("later"), lines))
