"""A browser for the tests that need one, and runs with everything a report must show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.reports.page import run_page
from tests.reports.browsing import VIEW, Open, Tab, chromium
from tests.reports.sample import make_run, passing
from tests.reports.sample_cases import every_line


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


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
        options = {**VIEW, **options}
        context = contexts.setdefault(str(options), None) or browser.new_context(**options)
        contexts[str(options)] = context
        tab = Tab.of(context)
        pages.append(tab.page)
        tab.page.goto(f"{path.as_uri()}{fragment}")
        if options.get("java_script_enabled", True) and path.read_bytes().find(b'id="rows"') > 0:
            tab.page.locator("html[data-ready]").wait_for(state="attached")
        return tab

    yield open_
    for page in pages:
        page.close()


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_page.write(
        make_run(tmp_path_factory.mktemp("everything"), every_line(long_line=30_000))
    )


@pytest.fixture(scope="module")
def drawn_later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page on which no variant that passed is drawn whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_page, "SMALL", 0)
        patch.setattr(run_page, "OTHERS", 0)
        lines = [passing(index) for index in range(120)] + every_line(long_line=1000)
        return run_page.write(make_run(tmp_path_factory.mktemp("later"), lines))
