"""The review's page in a browser: hostile text, keyboard, other origins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from evalkit.server.run import serving
from tests.reports.browsing import SKIP, VIEW, Tab, chromium
from tests.reports.sample_cases import errored_line, failed_line, hostile_line
from tests.review.runs_to_review import (
    BOB,
    decide,
    fails,
    file_of,
    passes,
    project,
    session,
    snapshot,
)
from tests.review.test_review_web import Site, review_of

pytestmark = pytest.mark.browser
if SKIP:
    pytest.skip(SKIP, allow_module_level=True)

HOSTILE_JSON = {
    "</script><script>window.hacked=1</script>": "<img src=//evil.example/x onerror=window.hacked=1>\u202e",
    "k": ["\x00", "\x1b[31m"],
}
Enter = Callable[..., Tab]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def enter(browser: Any) -> Iterator[Enter]:
    """Return a function that opens a review by its printed address, in a profile of its own."""
    with ExitStack() as stack:

        def open_(site: Site, **options: Any) -> Tab:
            context = browser.new_context(**{**VIEW, **options})
            stack.callback(context.close)
            tab = Tab.of(context)
            tab.page.goto(site.session_secrets.url(site.url))
            return tab

        yield open_


def lines(long_line: int = 1_000) -> list[str]:
    """Return a run with one of everything."""
    changed = snapshot(
        "d",
        "It is 23 degrees in London.\nBring a coat.",
        "It is 22 degrees in London.\nBring a hat.",
    )
    return [
        failed_line(),
        fails("a"),
        fails("b"),
        snapshot("c", HOSTILE_JSON, {"k": 1}, "json"),
        changed,
        hostile_line(long_line=long_line),
        errored_line(),
    ]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    baseline = project(tmp_path, [passes("a"), passes("b")], "main")
    with review_of(session(tmp_path, lines(), baseline=baseline)) as built:
        yield built


def test_the_hostile_corpus_executes_nothing_and_nothing_is_fetched(
    tmp_path: Path, enter: Enter
) -> None:
    with review_of(session(tmp_path, lines(long_line=5_000_000))) as site:
        tab = enter(site)
        decide(
            site.session,
            [site.session.state().statuses[0].item.key],
            "reject",
            BOB,
            "<script>window.hacked=1</script>",
        )
        for one in site.session.state().statuses:
            tab.page.goto(f"{site.url}/item/{one.item.key}")
            tab.page.evaluate(
                "for (const box of document.querySelectorAll('details')) box.open = true"
            )
            assert (
                tab.page.locator("script, iframe, img, svg, object, a[href^='javascript']").count()
                == 0
            )
            assert tab.page.evaluate("window.hacked") is None
            assert "\u202e" not in tab.page.content()
        assert tab.messages == []
        assert {url.startswith((f"{site.url}/", "data:")) for url in tab.requests} == {True}


def test_the_policy_lets_the_style_in_and_no_script(site: Site, enter: Enter) -> None:
    tab = enter(site)
    assert (
        tab.page.evaluate(
            "getComputedStyle(document.querySelector('.entries')).borderTopLeftRadius"
        )
        == "8px"
    )
    tab.page.evaluate(
        "const one = document.createElement('script'); one.textContent = 'window.hacked = 1'; document.body.append(one)"
    )
    assert tab.page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in text for text in tab.messages)


def access(page: Any, key: str) -> None:
    """Press an access key: playwright's own keys carry no letter with Alt, as real ones do."""
    session = page.context.new_cdp_session(page)
    for kind in ("keyDown", "keyUp"):
        session.send(
            "Input.dispatchKeyEvent",
            {
                "type": kind,
                "modifiers": 1,
                "key": key,
                "unmodifiedText": key,
                "windowsVirtualKeyCode": ord(key.upper()),
                "code": f"Key{key.upper()}",
            },
        )
    session.detach()


def test_everything_is_decided_by_keyboard_alone_and_without_javascript(
    site: Site, tmp_path: Path, enter: Enter
) -> None:
    path = tmp_path / file_of("d")
    path.parent.mkdir(parents=True)
    path.write_text("It is 22 degrees in London.\nBring a hat.\n")
    tab = enter(site, java_script_enabled=False)
    page, press = tab.page, tab.page.keyboard.press
    press("Tab")
    press("Tab")
    press("Enter")
    page.wait_for_url("**/item/*")
    assert page.locator("h1").inner_text() == "Regression weather::a[stateless]"
    access(page, "a")
    assert "accepting a regression needs a comment" in page.locator("[role=alert]").inner_text()
    access(page, "c")
    page.keyboard.type("the old test was wrong")
    press("Tab")
    press("Space")
    press("Tab")
    press("Enter")
    page.get_by_role("heading", name="weather::paris").wait_for()
    for remaining in reversed(range(site.session.state().summary["undecided"])):
        access(
            page, "a" if "Changed snapshot weather::d" in page.locator("h1").inner_text() else "r"
        )
        page.locator(f"text={remaining} left").first.wait_for()
    assert (
        page.locator("h1").inner_text()
        == f"0 left of {site.session.state().summary['items']} to decide"
    )
    assert [one for one in site.entries() if one[1] == "accept"] == [
        ("a", "accept"),
        ("b", "accept"),
        ("d", "accept"),
    ]
    assert path.read_text() == "It is 23 degrees in London.\nBring a coat.\n"
    assert [text for text in tab.messages if "422" not in text] == []


def test_a_page_of_another_origin_cannot_decide(site: Site, enter: Enter) -> None:
    tab = enter(site)
    one = site.session.state().statuses[0]
    tab.page.goto(f"{site.url}/item/{one.item.key}")
    form = {
        name: tab.page.locator(f"[name={name}]").first.get_attribute("value")
        for name in ("form", "item", "item_seen")
    }
    fields = "".join(f'<input name="{name}" value="{value}">' for name, value in form.items())

    def evil(_: Any) -> HTMLResponse:
        frame = f'<iframe src="{site.url}/"></iframe>'
        return HTMLResponse(
            f'<form method="post" action="{site.url}/decide">{fields}<button name="decision" value="reject">go</button></form>{frame}'
        )

    with serving(Starlette(routes=[Route("/", evil)])) as other:
        tab.page.goto(other)
        assert not any("weather" in frame.content() for frame in tab.page.frames[1:])
        tab.page.get_by_role("button", name="go").click()
        tab.page.wait_for_url(f"{site.url}/decide")
        assert "This form is not from this page." in tab.page.content()
    assert site.entries() == []


def test_differing_words_are_marked(site: Site, enter: Enter) -> None:
    tab = enter(site)
    tab.page.get_by_role("link", name="weather::d[stateless]").click()
    assert tab.page.locator("del").all_text_contents() == ["22", "hat"]
    assert tab.page.locator("ins").all_text_contents() == ["23", "coat"]
    tab.page.locator("summary", has_text="The conversation").click()
    assert "What is the temperature in London?" in tab.page.locator(".conversation").inner_text()


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 320, "height": 640}},
        {"color_scheme": "dark"},
        {"forced_colors": "active"},
    ],
    ids=str,
)
def test_it_fits_and_axe_finds_nothing(site: Site, enter: Enter, options: dict[str, Any]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    tab = enter(site, **options)
    decide(site.session, [site.session.state().statuses[3].item.key], "reject", BOB, "no")
    looked_at = {
        one.item.result: one for one in site.session.state().statuses
    }  # one item of each result
    for one in (None, *looked_at.values()):
        tab.page.goto(f"{site.url}/item/{one.item.key}" if one is not None else site.url)
        tab.page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        actual = axe.Axe().run(tab.page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in actual] == []


def test_a_stale_tab_is_refused(site: Site, enter: Enter) -> None:
    first, second = enter(site), enter(site)
    one = next(
        one for one in site.session.state().statuses if one.item.result.startswith("weather::d")
    )
    for tab in (first, second):
        tab.page.goto(f"{site.url}/item/{one.item.key}")
    first.page.get_by_role("button", name="Reject").click()
    first.page.wait_for_url("**/item/*")
    second.page.get_by_label("Comment").fill("but I like it")
    second.page.get_by_role("button", name="Skip").click()
    assert "somebody else has decided" in second.page.locator("[role=alert]").inner_text()
    assert second.page.get_by_label("Comment").input_value() == "but I like it"
    second.page.get_by_role("button", name="Reject").click()
    second.page.wait_for_url("**/item/*")
    assert site.entries() == [("d", "reject"), ("d", "reject")]
