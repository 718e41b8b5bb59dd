"""Take the screenshots of the documentation: ``make screenshots`` (needs chromium).

``reports/demo`` is the run of the shipped suites; ``reports/revisions`` compares two revisions of a
model, and some of its answers fail. ``reports/agents`` is the run of the example agents.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "reports" / "demo" / "index.html"
REVISIONS = ROOT / "reports" / "revisions" / "candidate" / "index.html"
AGENTS = ROOT / "reports" / "agents" / "index.html"
COMPARISON = REVISIONS.parent / "comparison" / "index.html"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CITED = "#v.search-euro_2024-plain"
A4 = 794
"""The width of a sheet in CSS pixels."""


@dataclass(frozen=True)
class Screenshot:
    """One picture: a page, its address fragment, elements to click, the window and the media."""

    name: str
    page: Path
    fragment: str = ""
    clicks: tuple[str, ...] = ()
    width: int = 1200
    height: int = 900
    scheme: str = "light"
    media: str = "screen"
    scripts: bool = True


SCREENSHOTS = (
    Screenshot("report", DEMO),
    Screenshot("figures", REVISIONS, clicks=(".charts > summary",), height=1000),
    Screenshot("failures", REVISIONS, "#?q=status:failed,errored&group=1", height=1000),
    Screenshot("transcript", DEMO, CITED, height=1100),
    Screenshot(
        "exchange",
        DEMO,
        "#v.stateless-paws-streamed",
        ("[id='v.stateless-paws-streamed.x2'] > details > summary",),
        height=1100,
    ),
    Screenshot("tree", DEMO, "#v.structured_output-banana_bread-stateless", height=1100),
    Screenshot("keys", DEMO, clicks=("#help",), height=700),
    Screenshot("dark", DEMO, CITED, scheme="dark"),
    Screenshot("phone", DEMO, CITED, width=320, height=800),
    Screenshot("no-javascript", DEMO, scripts=False),
    Screenshot("print", REVISIONS, width=A4, height=1123, media="print"),
    Screenshot(
        "application-test",
        AGENTS,
        "#v.test_stateful_agent.py-test_two_agents_do_not_mix",
        height=1100,
    ),
    Screenshot("comparison", COMPARISON, clicks=(".variant > summary",), height=1300),
)


def take(browser: Any, shot: Screenshot, folder: Path) -> Path:
    """Open the page of a screenshot and write its PNG."""
    size = {"width": shot.width, "height": shot.height}
    context = browser.new_context(
        viewport=size, color_scheme=shot.scheme, java_script_enabled=shot.scripts
    )
    page = context.new_page()
    page.emulate_media(media=shot.media)
    page.goto(shot.page.as_uri() + shot.fragment)
    if shot.scripts and shot.page != COMPARISON:
        page.locator("html[data-ready]").wait_for(state="attached")
    for selector in shot.clicks:
        page.locator(selector).first.click()
    if shot.fragment.startswith("#v."):
        page.locator(f"[id='{shot.fragment[1:].split('?')[0]}']").evaluate(
            "element => element.scrollIntoView({ block: 'start' })"
        )
    page.wait_for_timeout(300)
    path = folder / f"{shot.name}.png"
    page.screenshot(path=path)
    context.close()
    return path


def main(folder: Path) -> int:
    """Write one PNG per screenshot into ``folder``."""
    executable = shutil.which("chromium")
    if executable is None:
        print("chromium is not installed", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        for shot in SCREENSHOTS:
            print(take(browser, shot, folder))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"))
