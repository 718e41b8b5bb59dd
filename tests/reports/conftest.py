"""A browser for the tests that need one, pages of sample runs, and the script's functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.reports.page.run_page import SCRIPTS
from evalkit.reports.page.templating import resource
from tests.reports.browsing import VIEW, Open, Tab, chromium
from tests.reports.sample import make_run, passing, write_page
from tests.reports.sample_cases import every_line

FUNCTIONS = (
    "bodyElements, byteSize, citedText, citationSources, clip, count, duration, fingerprint, "
    "mediaFigure, placeText, pretty, reindent, split, stepCards, tables, visible, webAddress"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def contexts(browser: Any) -> Iterator[dict[str, Any]]:
    """Return the browser's contexts by their options; creating one takes longer than most tests."""
    contexts: dict[str, Any] = {}
    yield contexts
    for context in contexts.values():
        context.close()


@pytest.fixture
def open_page(browser: Any, contexts: dict[str, Any]) -> Iterator[Open]:
    pages = []

    def open_(path: Path, fragment: str = "", **options: Any) -> Tab:
        options = {**VIEW, **options}
        if str(options) not in contexts:
            contexts[str(options)] = browser.new_context(**options)
        tab = Tab.of(contexts[str(options)])
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
    """Return the page of a run with everything that a report must show."""
    lines = every_line(long_line=30_000)
    return write_page(make_run(tmp_path_factory.mktemp("everything"), lines))


@pytest.fixture(scope="module")
def large_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a run that is too large to have all variants as plain text."""
    lines = [passing(index) for index in range(120)] + every_line(long_line=1000)
    return write_page(make_run(tmp_path_factory.mktemp("large"), lines))


@pytest.fixture(scope="module")
def call_script(
    browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """Return a function that evaluates JavaScript with the page script's functions in scope."""
    page = browser.new_page()
    page.goto(write_page(make_run(tmp_path_factory.mktemp("script"), [passing(1)])).as_uri())
    sources = "\n".join(resource(f"js/{name}.js") for name in SCRIPTS if name != "page")
    page.evaluate(f"() => {{ {sources}\n globalThis.report = {{ {FUNCTIONS} }}; }}")

    def call(body: str, argument: Any = None) -> Any:
        return page.evaluate(
            f"(argument) => {{ const {{ {FUNCTIONS} }} = report; {body} }}", argument
        )

    yield call
    page.close()
