"""Take the screenshots of the docs from ``reports/demo/index.html``: ``make screenshots`` (needs chromium)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "reports" / "demo" / "index.html"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OPENED = "search::euro_2024"
# name, width, height, colour scheme, scripts on, id of the variant to open
SHOTS = (
    ("report", 1200, 900, "light", True, None),
    ("transcript", 1200, 1100, "light", True, OPENED),
    ("dark", 1200, 900, "dark", True, OPENED),
    ("phone", 320, 800, "light", True, OPENED),
    ("no-javascript", 1200, 900, "light", False, None),
)


def main(folder: Path) -> int:
    """Write one PNG per entry of ``SHOTS`` into ``folder``."""
    executable = shutil.which("chromium")
    if executable is None:
        print("chromium is not installed", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        for name, width, height, scheme, scripts, opened in SHOTS:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts)  # type: ignore[arg-type]
            page = context.new_page()
            page.goto(PAGE.as_uri())
            if opened:
                found = page.locator(f"details:has(summary:has-text('{opened.split('::')[1]}'))").first
                found.locator("summary").first.click()
                found.scroll_into_view_if_needed()
            page.screenshot(path=folder / f"{name}.png")
            print(folder / f"{name}.png")
            context.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"))
