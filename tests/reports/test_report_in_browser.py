"""The page in a real browser: nothing runs but its own script, nothing is fetched, and it serves mouse, keyboard, phone and no script."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evalkit.compare.loading import RunSelection, compare
from evalkit.reports.page import comparison_page, run_page
from evalkit.verdict import Verdict
from tests.reports.browsing import SKIP, Open
from tests.reports.sample import make_run, passing, says
from tests.reports.sample_cases import EURO, HOSTILE, every_line, failed_line, hostile_line

pytestmark = pytest.mark.browser


if SKIP:
    pytest.skip(SKIP, allow_module_level=True)

PARIS = "v.weather-paris-stateless-streamed"

SAME_LOOK = """variant => {
  const told = node => {
    if (node.nodeType === Node.TEXT_NODE) return node.data.trim() || node.parentElement.closest("pre, .text") ? [node.data] : [];
    if (node.localName === "figcaption") return [["figcaption", node.textContent]];
    if (node.matches("figure > img, figure > audio, figure > video, figure > a.again")) return [["media"]];
    if (node.matches(".tree")) return [];
    const attributes = [...node.attributes].map(one => `${one.name}=${one.value}`).sort();
    return [[node.localName, attributes, [...node.childNodes].flatMap(told).reduce((out, child) => {
      if (typeof child === "string" && typeof out.at(-1) === "string") out.push(out.pop() + child); else out.push(child);
      return out;
    }, []).map(child => typeof child === "string" ? child.replace(/\\s+/g, " ").trim() : child)]];
  };
  return JSON.stringify(told(variant.querySelector(":scope > .body")), null, 1);
}"""
"""A body as nested lists of names, attributes and text, white space folded and media reduced to being there."""


DRAW_AGAIN = """variant => {
  const body = variant.querySelector(".body");
  body.classList.add("later");
  body.firstElementChild.dataset.old = "";
}"""
"""Makes the script draw a variant that is drawn already; ``data-old`` is gone when it has."""


@pytest.fixture(scope="module")
def five_million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page whose hostile variant says a line of 5 MB."""
    return run_page.write(make_run(tmp_path_factory.mktemp("five_million"), every_line()))


def test_the_hostile_corpus_executes_nothing_and_nothing_is_fetched(
    five_million: Path, open_page: Open
) -> None:
    tab = open_page(five_million)
    tab.page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    tab.page.wait_for_function("() => !document.querySelector('.exchange details .note')")
    tab.page.evaluate(
        "for (const link of document.querySelectorAll('a[href^=\"#\"]')) link.click()"
    )
    assert tab.page.evaluate("window.hacked") is None
    assert tab.said == []
    assert {url.partition("#")[0] for url in tab.asked if not url.startswith("data:")} == {
        five_million.as_uri()
    }
    assert (
        tab.page.locator(
            "script:not([type]), iframe, svg:not(header svg), a[href^='javascript']"
        ).count()
        == 1
    )


def test_the_hostile_corpus_executes_nothing_when_the_script_draws_it(
    tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_page, "SMALL", 0)
    monkeypatch.setattr(run_page, "OTHERS", 0)
    tab = open_page(run_page.write(make_run(tmp_path, [hostile_line(Verdict.PASSED)])))
    tab.page.locator(".variant > summary").click()
    tab.page.wait_for_selector(".variant .turn")
    tab.page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    tab.page.wait_for_function("() => !document.querySelector('.exchange details .note')")
    assert tab.page.evaluate("window.hacked") is None
    assert (tab.said, [url for url in tab.asked if not url.startswith(("data:", "file:"))]) == (
        [],
        [],
    )
    assert (
        tab.page.locator(
            "script:not([type]), iframe, svg:not(header svg), a[href^='javascript']"
        ).count()
        == 1
    )
    text = tab.page.locator(".variant").inner_text()
    assert "<U+202E>evil" in text
    assert "20,000 of 5,000,000 characters shown" in text
    assert "\u202e" not in text


def test_the_policy_stops_what_is_not_ours(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    script = "const one = document.createElement('script'); one.append('window.hacked = 1'); document.body.append(one)"
    tab.page.evaluate(f"try {{ {script} }} catch {{}}")
    assert tab.page.evaluate("window.hacked") is None
    assert any("TrustedScript" in text or "Content Security Policy" in text for text in tab.said)


@pytest.mark.parametrize(
    "sink",
    [
        "document.body.innerHTML = '<img src=x onerror=\"window.hacked = 1\">'",
        "document.body.insertAdjacentHTML('beforeend', '<b>x</b>')",
        "document.createElement('script').src = 'data:text/javascript,window.hacked = 1'",
        "trustedTypes.createPolicy('evalkit-data', { createHTML: text => text })",
        "document.write('<script>window.hacked = 1</script>')",
    ],
)
def test_no_text_becomes_markup_whatever_a_script_would_do(
    everything: Path, open_page: Open, sink: str
) -> None:
    tab = open_page(everything)
    assert (
        tab.page.evaluate(
            f"(() => {{ try {{ {sink}; return 'done' }} catch (error) {{ return error.name }} }})()"
        )
        == "TypeError"
    )
    assert tab.page.evaluate("window.hacked") is None


def test_the_script_draws_what_the_template_draws(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    for id_ in tab.page.locator(".variant").evaluate_all("all => all.map(one => one.id)"):
        variant = tab.variant(id_)
        by_template = variant.evaluate(SAME_LOOK).splitlines()
        variant.evaluate(
            "one => { const body = one.querySelector('.body'); body.classList.add('later'); body.firstElementChild.dataset.old = ''; }"
        )
        variant.locator("xpath=./summary").click()
        variant.locator("[data-old]").wait_for(state="detached")
        assert variant.evaluate(SAME_LOOK).splitlines() == by_template
        assert len(by_template) > 20
    assert tab.said == []


def test_a_variant_far_down_is_drawn_when_it_is_opened(drawn_later: Path, open_page: Open) -> None:
    tab = open_page(drawn_later)
    variant = tab.variant("v.weather-city77-stateless")
    assert variant.count() == 0
    tab.page.mouse.wheel(0, 3000)
    variant.locator("xpath=./summary").click()
    variant.locator(".turn").nth(1).wait_for()
    assert "What is the temperature in city 77?" in variant.inner_text()
    assert tab.said == []


@pytest.mark.parametrize("how", ["everything", "drawn_later"])
def test_all_media_is_shown_wherever_it_is_stored(
    how: str, request: pytest.FixtureRequest, open_page: Open
) -> None:
    tab = open_page(request.getfixturevalue(how))
    tab.page.fill("#find", "suite:kitchen")
    variant = tab.variant("v.kitchen-media-stateless")
    variant.locator("xpath=./summary").click()
    variant.locator("figure img").nth(2).wait_for()
    tab.page.wait_for_function(
        "() => [...document.querySelectorAll('figure img')].every(one => one.complete)"
    )
    assert variant.locator("figure img").evaluate_all(
        "all => all.map(one => one.naturalWidth)"
    ) == [48, 4, 48]
    assert variant.locator("audio").count() == 1
    assert tab.said == []


def test_filters_by_click(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    assert len(tab.shown()) == 9
    tab.page.get_by_role("button", name="failed 2").click()
    assert tab.shown() == ["paris", "hostile"]
    assert tab.page.inner_text("#shown") == "2 of 9 variants"
    tab.page.get_by_role("button", name="errored 1").click()
    assert tab.shown() == ["paris", "hostile", "limited"]
    tab.page.get_by_role("button", name="smoke").click()
    assert tab.shown() == ["paris"]
    assert tab.page.locator(".suite:visible").count() == 1
    tab.page.get_by_role("button", name="Clear").click()
    assert len(tab.shown()) == 9
    assert tab.page.locator("[aria-pressed=true]").count() == 0
    tab.page.get_by_role("button", name="warned 1").click()
    assert tab.shown() == ["wordy"]
    tab.page.get_by_role("button", name="smoke").click()
    tab.page.get_by_role("button", name="search", exact=True).click()
    assert tab.page.get_by_text("Nothing matches.").is_visible()
    tab.page.get_by_role("button", name="Show all").click()
    assert len(tab.shown()) == 9


def test_filters_by_keyboard(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    press = tab.page.keyboard.press
    press("Tab")
    assert tab.page.evaluate("document.activeElement.textContent") == "Skip to the results"
    for _ in range(7):
        press("Tab")
    assert tab.page.evaluate("document.activeElement.textContent").startswith("failed")
    press("Space")
    assert tab.shown() == ["paris", "hostile"]
    press("Enter")
    assert len(tab.shown()) == 9
    tab.page.get_by_label("Filter").focus()
    tab.page.keyboard.type("EURO 2024")
    assert tab.shown() == ["euro"]
    tab.page.locator("#list .variant > summary").focus()
    press("Enter")
    assert tab.page.locator(".variant[open]").count() == 1
    width = tab.page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert width == "2px"


def test_the_cited_words_are_marked_in_the_browser_too(everything: Path, open_page: Open) -> None:
    tab = open_page(everything, "#v.search-euro-plain.t1.s2")
    part = tab.variant("v.search-euro-plain.t1.s2")
    assert (
        part.locator(".text")
        .text_content()
        .replace("4 7", "")
        .replace("47", "")
        .replace("12", "")
        .replace("titill3", "titill")
        == EURO
    )
    assert part.locator("mark").all_text_contents() == [
        "Spain",
        " won Euro 2024 – ",
        "La Roja beat England 2:1 in Berlin.",
        "fjórði titill",
    ]
    part.locator("sup a").first.click()
    assert tab.page.evaluate("location.hash") == "#v.search-euro-plain.t1.s2.c4"
    assert part.locator(".citations a:not(.via)").all_text_contents() == [
        "uefa.com",
        "bbc.co.uk",
        "ruv.is",
        "past",
        "cut",
    ]


def test_a_raw_exchange_opens_on_demand(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    tab.variant(PARIS).locator("xpath=./summary").click()
    exchange = tab.variant(f"{PARIS}.x2")
    assert exchange.locator(".raw").count() == 0
    exchange.locator("summary").click()
    exchange.locator(".raw").nth(1).wait_for()
    request, response = exchange.locator(".raw").all_text_contents()
    assert '"path": "/v1beta/interactions"' in request
    assert '"call_id": "call_1"' in request
    assert '"source": "replayed"' in response
    exchange.locator("summary").first.click()
    exchange.locator("summary").first.click()
    assert exchange.locator(".raw").count() == 2


def test_numbers_keep_their_spelling_in_a_raw_exchange(tmp_path: Path, open_page: Open) -> None:
    text = failed_line().replace(
        '"elapsed_ms":412.5', '"elapsed_ms":1.0,"seed":12345678901234567890'
    )
    tab = open_page(run_page.write(make_run(tmp_path, [text])), f"#{PARIS}.x1")
    tab.variant(f"{PARIS}.x1").locator("summary").click()
    raw = tab.variant(f"{PARIS}.x1").locator(".raw").nth(1)
    raw.wait_for()
    assert '"elapsed_ms": 1.0,' in raw.text_content()
    assert '"seed": 12345678901234567890' in raw.text_content()


@pytest.mark.parametrize(
    "target",
    [
        "v.weather-city77-stateless",
        "v.weather-city77-stateless.t2",
        "v.weather-city77-stateless.t1.s2",
    ],
)
def test_a_link_leads_to_its_place_even_when_it_is_not_drawn_yet(
    drawn_later: Path, open_page: Open, target: str
) -> None:
    tab = open_page(drawn_later, f"#{target}")
    tab.variant(target).wait_for()
    tab.page.wait_for_function(
        "id => { const box = document.getElementById(id).getBoundingClientRect(); return box.top >= 0 && box.top < innerHeight; }",
        arg=target,
    )
    assert tab.variant("v.weather-city77-stateless").get_attribute("open") is not None


def test_a_check_and_a_scenario_have_addresses(drawn_later: Path, open_page: Open) -> None:
    tab = open_page(drawn_later, "#v.weather-city77-stateless.k3")
    check = tab.variant("v.weather-city77-stateless.k3")
    check.wait_for()
    assert "tool_calls" in check.inner_text()
    tab = open_page(drawn_later, "#v.weather-city88")
    tab.variant("v.weather-city88-stateless.t2").wait_for()


def test_the_script_draws_what_judges_answered_as_the_template_does(
    tmp_path: Path, open_page: Open
) -> None:
    result = json.loads(passing(1))
    result["metrics"]["judge"] = {
        "tokens": {"total_tokens": 1800, "total_output_tokens": 24},
        "exchanges": 3,
    }
    answers: list[dict[str, Any]] = [
        {
            "response": {
                "status": 200,
                "source": "replayed",
                "body": {"steps": [says("not this"), {"type": "user_input"}, says("a" * 3000)]},
            }
        },
        {
            "response": {
                "status": 200,
                "source": "replayed",
                "body": {"steps": [says("one, "), {"type": "thought"}, says(HOSTILE)]},
            }
        },
        {
            "response": {"status": 429, "source": "live", "text": ""},
            "error": {"status": 429, "code": "quota", "message": "too many"},
        },
        {"failure": "no answer"},
    ]
    result["judge_exchanges"] = [
        {"number": number, "request": {}, **answer} for number, answer in enumerate(answers, 1)
    ]
    tab = open_page(run_page.write(make_run(tmp_path, [json.dumps(result)])))
    variant = tab.variant("v.weather-city1-stateless")
    by_template = variant.evaluate(SAME_LOOK).splitlines()
    variant.evaluate(DRAW_AGAIN)
    variant.locator("xpath=./summary").click()
    variant.locator("[data-old]").wait_for(state="detached")
    assert variant.evaluate(SAME_LOOK).splitlines() == by_template
    assert "3 exchanges, 1,800 total, 24 output tokens, in no other sum" in "".join(by_template)


def test_a_link_to_a_variant_that_is_filtered_away_shows_it(
    everything: Path, open_page: Open
) -> None:
    tab = open_page(everything)
    tab.page.get_by_role("button", name="passed").click()
    tab.page.evaluate("id => { location.hash = id; }", f"{PARIS}.f1")
    tab.variant(f"{PARIS}.f1").wait_for()
    assert tab.variant(f"{PARIS}.f1").is_visible()


def test_without_javascript_everything_is_there(everything: Path, open_page: Open) -> None:
    tab = open_page(everything, java_script_enabled=False)
    assert (
        tab.page.locator("h1").inner_text() == "Failed 2 of 7 scored failed; 1 could not be judged"
    )
    assert tab.page.locator(".tiles li").all_inner_texts()[3].split() == [
        "2",
        "failed",
        "of",
        "7",
        "scored",
    ]
    assert tab.page.locator(".filters").is_hidden()
    assert tab.page.get_by_text("JavaScript is off").is_visible()
    assert (
        "location is 'London', not 'Paris'" in tab.variant(PARIS).locator(".message").inner_text()
    )
    tab.variant(PARIS).locator("xpath=./summary").click()
    assert tab.variant(f"{PARIS}.f1").is_visible()
    assert tab.variant(f"{PARIS}.t2").inner_text().startswith("Turn 2")
    assert "It will rain." in tab.variant(PARIS).inner_text()
    exchange = tab.variant(f"{PARIS}.x1")
    exchange.locator("summary").click()
    assert "line 5 of results.jsonl" in exchange.inner_text()


def test_without_javascript_every_variant_of_a_small_run_is_there(
    tmp_path: Path, open_page: Open
) -> None:
    path = run_page.write(make_run(tmp_path, [passing(index) for index in range(68)]))
    tab = open_page(path, java_script_enabled=False)
    assert tab.shown() == [f"city{index}" for index in range(68)]
    last = tab.variant("v.weather-city67-stateless")
    last.locator("xpath=./summary").click()
    assert "city 67 is warm enough" in last.inner_text()
    assert tab.page.locator(".rest").count() == 0


def test_it_reads_in_a_sandbox_that_allows_nothing(everything: Path, open_page: Open) -> None:
    """Jenkins serves archived pages so: no script, no style of the page, no origin."""
    tab = open_page(everything)
    headers = {
        "content-security-policy": "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self'"
    }
    body = everything.read_bytes()
    tab.page.route(
        "http://ci.test/**",
        lambda route: route.fulfill(
            body=body, content_type="text/html; charset=utf-8", headers=headers
        ),
    )
    tab.page.goto("http://ci.test/job/evals/index.html")
    assert (
        tab.page.locator("h1").inner_text() == "Failed 2 of 7 scored failed; 1 could not be judged"
    )
    assert tab.page.get_by_text("JavaScript is off").is_visible()
    assert tab.page.locator("html[data-ready]").count() == 0
    assert tab.variant(f"{PARIS}.f1").is_hidden()
    tab.variant(PARIS).locator("xpath=./summary").click()
    assert tab.variant(f"{PARIS}.f1").is_visible()


def test_colours_that_the_reader_forces_leave_verdicts_told_and_buttons_apart(
    everything: Path, open_page: Open
) -> None:
    tab = open_page(everything, forced_colors="active")
    tab.page.get_by_role("button", name="failed 2").click()
    pressed, other = (
        tab.page.locator(f"[data-token=status][value={name}]").evaluate(
            "one => getComputedStyle(one).backgroundColor"
        )
        for name in ("failed", "passed")
    )
    assert pressed != other
    assert (
        tab.variant(PARIS)
        .locator(".badge")
        .first.evaluate("one => getComputedStyle(one).borderTopWidth")
        == "1px"
    )
    assert tab.variant(PARIS).locator(".badge").first.inner_text() == "failed"


def test_nothing_moves_for_those_who_asked_for_it(everything: Path, open_page: Open) -> None:
    tab = open_page(everything, reduced_motion="reduce")
    assert tab.page.evaluate("document.getAnimations().length") == 0
    assert tab.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_dark_is_dark(everything: Path, open_page: Open) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        tab = open_page(everything, color_scheme=scheme)
        colour = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        grounds[scheme] = sum(
            int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")
        )
    assert grounds["light"] > 600
    assert grounds["dark"] < 150


def test_a_phone_never_scrolls_sideways(everything: Path, open_page: Open) -> None:
    tab = open_page(
        everything, viewport={"width": 320, "height": 640}, is_mobile=True, has_touch=True
    )
    tab.page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    tab.page.wait_for_function("() => !document.querySelector('.exchange details .note')")
    assert tab.page.evaluate(
        "[document.documentElement.scrollWidth, document.body.scrollWidth]"
    ) == [320, 320]


def test_paper_shows_failures_in_full(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    tab.page.emulate_media(media="print")
    assert tab.variant(f"{PARIS}.f1").bounding_box()["height"] > 0
    assert tab.page.locator(".filters").is_hidden()
    assert len(re.findall(rb"/Type /Page\b", tab.page.pdf(format="A4"))) > 2


def test_paper_gets_rows_that_were_not_looked_at(tmp_path: Path, open_page: Open) -> None:
    tab = open_page(run_page.write(make_run(tmp_path, [passing(index) for index in range(300)])))
    assert tab.page.locator(".variant").count() < 300
    tab.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.page.locator(".variant").count() == 300


def test_nothing_moves_while_the_page_comes_up(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    moved = """new Promise(done => {
      let total = 0;
      const watch = new PerformanceObserver(list => { for (const one of list.getEntries()) total += one.value; });
      watch.observe({ type: "layout-shift", buffered: true });
      requestAnimationFrame(() => requestAnimationFrame(() => done(total)));
    })"""
    assert tab.page.evaluate(moved) < 0.01


def test_a_comparison_of_hostile_transcripts_runs_nothing_and_fetches_nothing(
    tmp_path: Path, open_page: Open
) -> None:
    runs = [
        make_run(tmp_path / name, [hostile_line(verdict, 50_000)])
        for name, verdict in (("old", Verdict.PASSED), ("new", Verdict.FAILED))
    ]
    page = comparison_page.write(
        compare(RunSelection(runs[0]), RunSelection(runs[1])), runs[0], runs[1], tmp_path
    )
    tab = open_page(page)
    tab.page.locator("details.variant > summary").click()
    assert tab.page.locator(".turn").first.is_visible()
    assert tab.said == []
    assert tab.asked == [page.as_uri()]
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [320, 1280])
def test_a_comparison_fits_the_window(tmp_path: Path, open_page: Open, width: int) -> None:
    runs = [make_run(tmp_path / name, [passing(1), failed_line()]) for name in ("old", "new")]
    page = comparison_page.write(
        compare(RunSelection(runs[0]), RunSelection(runs[1])), runs[0], runs[1], tmp_path
    )
    tab = open_page(page, viewport={"width": width, "height": 700})
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.page.locator("h1").text_content().startswith("Pass")
