"""The page in a real browser: only its script runs, nothing is fetched, it works for everybody."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from evalkit._lib.files import sha256
from evalkit.compare.gates import Gate
from evalkit.compare.history import build_history, read_runs
from evalkit.compare.runs import compare
from evalkit.reports.ci import comparison_markdown
from evalkit.reports.page import comparison_page, history_page, media
from evalkit.verdict import Verdict
from tests.compare import lines
from tests.reports.browsing import SKIP, Open
from tests.reports.sample import line, make_run, passing, says, text, turn, write_page
from tests.reports.sample_cases import EURO, HOSTILE, every_line, failed_line, hostile_line, png

pytestmark = pytest.mark.browser

if SKIP:
    pytest.skip(SKIP, allow_module_level=True)

PARIS = "v.weather-paris-stateless-streamed"
CITY_77 = "v.weather-city77-stateless"
SUMMARY = "xpath=./summary"
FOREIGN = "script:not([type]), iframe, svg:not(header svg), a[href^='javascript']"


@pytest.fixture(scope="module")
def five_million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page whose hostile variant has a text of 5 MB."""
    return write_page(make_run(tmp_path_factory.mktemp("five_million"), every_line()))


def error_name(body: str) -> str:
    """Return JavaScript that runs a statement and returns the name of the error it throws."""
    return f"(() => {{ try {{ {body}; return 'done' }} catch (error) {{ return error.name }} }})()"


# Hostile text


def test_hostile_results_run_nothing_and_fetch_nothing(five_million: Path, open_page: Open) -> None:
    tab = open_page(five_million)
    tab.open_everything()
    tab.page.evaluate(
        "for (const link of document.querySelectorAll('a[href^=\"#\"]')) link.click()"
    )
    assert tab.page.evaluate("window.hacked") is None
    assert tab.messages == []
    urls = {url.partition("#")[0] for url in tab.requests if not url.startswith("data:")}
    assert urls == {five_million.as_uri()}
    assert tab.page.locator(FOREIGN).count() == 1
    text = tab.by_id("v.weather-hostile-stateless").inner_text()
    assert "<U+202E>evil" in text
    assert "20,000 of 5,000,000 characters shown" in text
    assert "\u202e" not in text


def test_every_rendered_id_is_unique_and_every_link_has_its_target(
    everything: Path, open_page: Open
) -> None:
    tab = open_page(everything)
    tab.open_everything()
    ids = tab.page.locator("[id]").evaluate_all("all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))
    links = tab.page.locator("a[href^='#']").evaluate_all(
        "all => all.map(one => decodeURIComponent(one.getAttribute('href').slice(1)))"
    )
    assert set(links) <= set(ids)
    addresses = tab.page.locator("a:not([href^='#'])").evaluate_all(
        "all => all.map(one => [one.getAttribute('href'), one.rel])"
    )
    assert len(addresses) > 3
    for href, rel in addresses:
        assert href.startswith("https://")
        assert rel == "noopener noreferrer nofollow"


def test_rendered_elements_have_no_handlers_and_no_foreign_addresses(
    everything: Path, open_page: Open
) -> None:
    tab = open_page(everything)
    tab.open_everything()
    attributes = tab.page.locator("main *").evaluate_all(
        "all => all.flatMap(one => [...one.attributes].map(({ name, value }) => [name, value]))"
    )
    names = {name for name, _ in attributes}
    assert not [name for name in names if name.startswith("on")]
    assert not names & {"srcdoc", "action", "formaction", "target", "xlink:href"}
    sources = [value for name, value in attributes if name == "src"]
    pattern = r"data:(image|audio|video)/[a-z0-9-]+;base64,[A-Za-z0-9+/]+=*"
    assert sources
    assert all(re.fullmatch(pattern, value) for value in sources)


def test_policy_stops_other_scripts(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    script = (
        "const one = document.createElement('script'); "
        "one.append('window.hacked = 1'); document.body.append(one)"
    )
    tab.page.evaluate(f"try {{ {script} }} catch {{}}")
    assert tab.page.evaluate("window.hacked") is None
    assert any(
        "TrustedScript" in text or "Content Security Policy" in text for text in tab.messages
    )


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
def test_no_text_can_become_markup(everything: Path, open_page: Open, sink: str) -> None:
    tab = open_page(everything)
    assert tab.page.evaluate(error_name(sink)) == "TypeError"
    assert tab.page.evaluate("window.hacked") is None


# Open variants


def test_variant_far_down_is_rendered_when_it_is_opened(large_run: Path, open_page: Open) -> None:
    tab = open_page(large_run)
    variant = tab.by_id(CITY_77)
    assert variant.count() == 0
    tab.page.mouse.wheel(0, 3000)
    variant.locator(SUMMARY).click()
    variant.locator(".turn").nth(1).wait_for()
    assert "What is the temperature in city 77?" in variant.inner_text()
    assert tab.messages == []


@pytest.mark.parametrize(("finding", "beside"), [("f1", "t1.s2"), ("f2", "x2"), ("f3", "t1")])
def test_finding_is_beside_what_it_refers_to(
    everything: Path, open_page: Open, finding: str, beside: str
) -> None:
    tab = open_page(everything, f"#{PARIS}")
    variant = tab.by_id(PARIS)
    variant.locator(".facts").wait_for()
    ids = variant.locator("[id]").evaluate_all("all => all.map(one => one.id)")
    first, last = ids.index(f"{PARIS}.{beside}"), ids.index(f"{PARIS}.{finding}")
    assert first < last
    between = [one for one in ids[first + 1 : last] if re.search(r"\.(s|x)\d+$", one)]
    assert between == [] or beside == "t1"
    assert variant.locator(f".findings a[href='#{PARIS}.{finding}']").count() == 1


def test_finding_without_a_place_is_whole_in_the_list(everything: Path, open_page: Open) -> None:
    tab = open_page(everything, f"#{PARIS}")
    finding = tab.by_id(PARIS).locator(".findings > ol > li").nth(3).locator(".finding")
    text = " ".join(finding.inner_text().split())
    expected = 'usage over_budget 788 tokens, at most 600 expected {"max": 600} got 788'
    assert text == expected


def test_body_has_facts_checks_errors_and_outcomes(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    text = " ".join(tab.open_variant("v.errors-limited-stateless").inner_text().split())
    for part in (
        "Declared suites/errors.yaml:12",
        "Turn 1 API error",
        "HTTP 429 rate_limit_exceeded: Too many requests. Try again in 5 s.",
        "no_terminal_event: the stream ends without interaction.completed (event 2)",
        "the response ended early: connection reset",
        "GET /v1beta/interactions/v1_11?include_input=true",
        "no recording for this request",
        "Turn 2 not run",
        "Recordings not played POST /v1beta/interactions (recording 3)",
        "1 check: 1 errored",
    ):
        assert part in text


def test_json_answer_is_indented(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    variant = tab.open_variant("v.kitchen-everything-stateless")
    texts = variant.locator("pre.json").all_text_contents()
    assert any(text.endswith('"note": "caf\\u00e9 {not, a: brace}"\n}') for text in texts)


def test_search_suggestions_are_counted_and_never_shown(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    text = tab.open_variant("v.search-euro-plain").inner_text()
    assert "characters of HTML, not shown" in text
    assert "euro 2024 winner</div>" not in text


def test_all_media_are_shown(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    tab.page.fill("#find", "suite:kitchen")
    variant = tab.open_variant("v.kitchen-media-stateless")
    tab.page.wait_for_function(
        "() => [...document.querySelectorAll('figure img')].every(one => one.complete)"
    )
    images = variant.locator("figure img")
    assert images.evaluate_all("all => all.map(one => one.naturalWidth)") == [48, 4, 48]
    assert images.first.get_attribute("src") == f"data:image/png;base64,{png()}"
    assert variant.locator("audio").count() == 1
    assert tab.messages == []


def test_a_large_picture_is_shown_from_its_file_beside_the_page(
    tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "EMBEDDED", 100)
    picture = base64.b64decode(png())
    name = f"{sha256(picture)}.png"
    block = {
        "type": "image",
        "data": f"evalkit-media:sha256:{name}",
        "mime_type": "image/png",
    }
    lines = [line("look", [turn(1, [text("Look"), block], [says("A picture.")])])]
    run = make_run(tmp_path / "run", lines)
    (run.directory / "media").mkdir()
    (run.directory / "media" / name).write_bytes(picture)
    tab = open_page(write_page(run))
    images = tab.open_variant("v.weather-look-stateless").locator("figure img")
    tab.page.wait_for_function(
        "() => [...document.querySelectorAll('figure img')].every(one => one.complete)"
    )
    assert images.first.get_attribute("src") == f"media/{name}"
    assert images.first.evaluate("one => one.naturalWidth") == 48
    assert tab.messages == []


def test_answers_of_judges_are_shown(tmp_path: Path, open_page: Open) -> None:
    result = json.loads(passing(1))
    result["metrics"]["judge"] = {
        "tokens": {"total_tokens": 1800, "total_output_tokens": 24},
        "exchanges": 3,
    }
    steps = [says("not this"), {"type": "user_input"}, says("a" * 3000)]
    hostile = [says("one, "), {"type": "thought"}, says(HOSTILE)]
    answers: list[dict[str, Any]] = [
        {"response": {"status": 200, "source": "replayed", "body": {"steps": steps}}},
        {"response": {"status": 200, "source": "replayed", "body": {"steps": hostile}}},
        {
            "response": {"status": 429, "source": "live", "text": ""},
            "error": {"status": 429, "code": "quota", "message": "too many"},
        },
        {"failure": "no answer"},
        {"response": {"status": 200, "source": "replayed", "body": {"steps": []}}},
    ]
    result["judge_exchanges"] = [
        {"number": number, "request": {}, **answer} for number, answer in enumerate(answers, 1)
    ]
    tab = open_page(write_page(make_run(tmp_path, [json.dumps(result), passing(2)])))
    variant = tab.open_variant("v.weather-city1-stateless")
    facts = variant.locator(".facts").inner_text()
    assert "3 exchanges, 1,800 total, 24 output tokens, not in the sums above" in facts
    judges = variant.locator("details.checks", has_text="Answers of judges")
    texts = judges.locator("li").all_text_contents()
    assert len(texts[0]) == 1000
    assert set(texts[0]) == {"a", "…"}
    assert texts[1].startswith("one, </script><script>window.hacked")
    assert "<U+202E>evil" in texts[1]
    assert texts[2:] == ["HTTP 429 quota: too many", "no answer", "no answer"]
    other = tab.open_variant("v.weather-city2-stateless")
    assert other.get_by_text("Answers of judges").count() == 0
    assert tab.page.evaluate("window.hacked") is None


def test_judgments_are_shown_with_their_probability(tmp_path: Path, open_page: Open) -> None:
    result = json.loads(passing(1))
    judgment = {
        "kind": "yes_no",
        "rubric": f"It offers a refund. {HOSTILE}",
        "rubric_digest": "a" * 64,
        "model": "gemini-decision-1",
        "model_version": "gemini-decision-1-001",
        "verdict": "passed",
        "expected": {"min": 0.5, "min_confidence": 0.8},
        "question": "refund",
        "score": 0.62,
        "probability": 0.62,
        "confidence": 0.62,
        "uncertain": True,
    }
    written = {**judgment, "kind": "text", "score": 4, "verdict": "failed"}
    for name in ("question", "probability", "confidence", "uncertain"):
        del written[name]
    check = {"name": "judge", "verdict": "passed", "findings": [], "turn": 1}
    result["checks"] = [
        {**check, "judgments": [judgment, {**judgment, "kind": "choice", "choice": "polite"}]},
        {**check, "judgments": [written]},
    ]
    answers = {"evalkit.judge": {"type": "noul", "noul": 0.62}}
    feedback = {"block_reason": "safety"}
    bodies: list[Any] = [{"answers": answers}, {"prompt_feedback": feedback}]
    result["judge_exchanges"] = [
        {"number": 1, "request": {}, "response": {"status": 200, "source": "live", "body": body}}
        for body in bodies
    ]
    tab = open_page(write_page(make_run(tmp_path, [json.dumps(result)])))
    variant = tab.open_variant("v.weather-city1-stateless")
    checks = variant.locator("details.checks", has_text="2 checks")
    first, second, third = checks.locator("li li").all_text_contents()
    assert first.startswith("passed refund: It offers a refund. </script>")
    assert first.endswith(
        "uncertain score 0.62, probability of passing 0.62, confidence 0.62, gemini-decision-1-001"
    )
    assert "chose polite, score 0.62" in second
    assert third.startswith("failed It offers")
    assert third.endswith(" score 4, gemini-decision-1-001")
    judges = variant.locator("details.checks", has_text="Answers of judges")
    texts = judges.locator("li").all_text_contents()
    assert texts == [json.dumps(one, separators=(",", ":")) for one in (answers, feedback)]
    assert tab.page.evaluate("window.hacked") is None


def test_simulated_messages_and_their_exchanges_are_shown(tmp_path: Path, open_page: Open) -> None:
    result = json.loads(passing(1))
    user = {"persona": HOSTILE, "goal": "x", "max_turns": 6}
    result["turns"][0]["simulated"] = {"user": user, "exchange": 1}
    end = {"end": "max_turns", "reason": HOSTILE}
    result["turns"][1]["simulated"] = {"user": user, "exchange": 2, **end}
    reply = {"response": {"status": 200, "source": "replayed", "body": {"steps": [says(HOSTILE)]}}}
    result["simulator_exchanges"] = [
        {"number": number, "request": {}, **reply} for number in (1, 2)
    ]
    result["metrics"]["simulator"] = {"tokens": {"total_tokens": 99}, "exchanges": 2}
    tab = open_page(write_page(make_run(tmp_path, [json.dumps(result), passing(2)])))
    variant = tab.open_variant("v.weather-city1-stateless")
    cards = variant.locator(".card.user")
    assert [card.startswith("Simulated user </script>") for card in cards.all_text_contents()] == [
        True,
        True,
    ]
    assert "simulator's exchange 2" in cards.nth(1).inner_text()
    ending = variant.locator(".dialogue-end").all_text_contents()
    assert len(ending) == 1
    assert ending[0].startswith("The simulated user did not end the conversation within 6 messages")
    assert "2 exchanges, 99 total tokens" in variant.locator(".facts").inner_text()
    answers = variant.locator("details.checks", has_text="Answers of the simulated user")
    assert answers.locator("li").count() == 2
    assert tab.page.evaluate("window.hacked") is None


def test_cited_text_is_marked(everything: Path, open_page: Open) -> None:
    tab = open_page(everything, "#v.search-euro-plain.t1.s2")
    part = tab.by_id("v.search-euro-plain.t1.s2")
    text = part.locator(".text").evaluate(
        "one => [...one.childNodes].filter(node => node.localName !== 'sup')"
        ".map(node => node.textContent).join('')"
    )
    assert text == EURO
    assert part.locator("mark").all_text_contents() == [
        "Spain",
        " won Euro 2024 – ",
        "La Roja beat England 2:1 in Berlin.",
        "fjórði titill",
    ]
    part.locator("sup a").first.click()
    assert tab.page.evaluate("location.hash") == "#v.search-euro-plain.t1.s2.c4"
    links = part.locator(".citations a:not(.via)").all_text_contents()
    assert links == ["uefa.com", "bbc.co.uk", "ruv.is", "past", "cut"]
    assert "javascript:alert(document.domain)" in part.inner_text()


def test_raw_exchange_is_read_when_it_is_opened(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    tab.open_variant(PARIS)
    exchange = tab.by_id(f"{PARIS}.x2")
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
    tab = open_page(write_page(make_run(tmp_path, [text])), f"#{PARIS}.x1")
    tab.by_id(f"{PARIS}.x1").locator("summary").click()
    raw = tab.by_id(f"{PARIS}.x1").locator(".raw").nth(1)
    raw.wait_for()
    assert '"elapsed_ms": 1.0,' in raw.text_content()
    assert '"seed": 12345678901234567890' in raw.text_content()


# Filters and links


def test_filters_by_click(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    assert len(tab.names()) == 9
    tab.page.get_by_role("button", name="failed 2").click()
    assert tab.names() == ["paris", "hostile"]
    assert tab.page.inner_text("#shown") == "2 of 9 variants"
    tab.page.get_by_role("button", name="errored 1").click()
    assert tab.names() == ["paris", "hostile", "limited"]
    tab.page.get_by_role("button", name="smoke").click()
    assert tab.names() == ["paris"]
    assert tab.page.locator(".suite:visible").count() == 1
    tab.page.get_by_role("button", name="Clear").click()
    assert len(tab.names()) == 9
    assert tab.page.locator("[aria-pressed=true]").count() == 0
    tab.page.get_by_role("button", name="warned 1").click()
    assert tab.names() == ["wordy"]
    tab.page.get_by_role("button", name="smoke").click()
    tab.page.get_by_role("button", name="search", exact=True).click()
    assert tab.page.get_by_text("Nothing matches.").is_visible()
    tab.page.get_by_role("button", name="Show all").click()
    assert len(tab.names()) == 9


def test_filters_by_keyboard(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    press = tab.page.keyboard.press
    press("Tab")
    assert tab.page.evaluate("document.activeElement.textContent") == "Skip to the results"
    for _ in range(7):
        press("Tab")
    assert tab.page.evaluate("document.activeElement.textContent").startswith("failed")
    press("Space")
    assert tab.names() == ["paris", "hostile"]
    press("Enter")
    assert len(tab.names()) == 9
    tab.page.get_by_label("Filter").focus()
    tab.page.keyboard.type("EURO 2024")
    assert tab.names() == ["euro"]
    tab.page.locator("#list .variant > summary").focus()
    press("Enter")
    assert tab.page.locator(".variant[open]").count() == 1
    width = tab.page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert width == "2px"


def test_open_variant_stays_open_when_it_was_filtered_away(
    everything: Path, open_page: Open
) -> None:
    tab = open_page(everything)
    tab.open_variant(PARIS)
    tab.page.fill("#find", "status:passed")
    assert tab.by_id(PARIS).count() == 0
    tab.page.fill("#find", "")
    assert tab.by_id(PARIS).locator(".turn").first.is_visible()


@pytest.mark.parametrize("target", [CITY_77, f"{CITY_77}.t2", f"{CITY_77}.t1.s2"])
def test_link_leads_to_what_is_not_rendered_yet(
    large_run: Path, open_page: Open, target: str
) -> None:
    tab = open_page(large_run, f"#{target}")
    tab.by_id(target).wait_for()
    tab.page.wait_for_function(
        "id => { const box = document.getElementById(id).getBoundingClientRect(); "
        "return box.top >= 0 && box.top < innerHeight; }",
        arg=target,
    )
    assert tab.by_id(CITY_77).get_attribute("open") is not None


def test_check_and_scenario_have_addresses(large_run: Path, open_page: Open) -> None:
    tab = open_page(large_run, f"#{CITY_77}.k3")
    check = tab.by_id(f"{CITY_77}.k3")
    check.wait_for()
    assert "tool_calls" in check.inner_text()
    tab = open_page(large_run, "#v.weather-city88")
    tab.by_id("v.weather-city88-stateless.t2").wait_for()


def test_link_to_a_filtered_variant_shows_it(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    tab.page.get_by_role("button", name="passed").click()
    tab.page.evaluate("id => { location.hash = id; }", f"{PARIS}.f1")
    tab.by_id(f"{PARIS}.f1").wait_for()
    assert tab.by_id(f"{PARIS}.f1").is_visible()


# Without JavaScript, and in sandboxes


def test_without_javascript_findings_and_conversations_are_plain_text(
    everything: Path, open_page: Open
) -> None:
    tab = open_page(everything, java_script_enabled=False)
    heading = tab.page.locator("h1").inner_text()
    assert heading == "Failed 2 of 7 scored failed; 1 could not be evaluated"
    tile = tab.page.locator(".tiles li").all_inner_texts()[3]
    assert tile.split() == ["2", "failed", "of", "7", "scored"]
    assert tab.page.locator(".filters").is_hidden()
    assert tab.page.get_by_text("JavaScript is off").is_visible()
    variant = tab.by_id(PARIS)
    assert "location is 'London', not 'Paris'" in variant.locator(".message").inner_text()
    assert variant.locator(".plain-text").is_hidden()
    variant.locator(SUMMARY).click()
    text = variant.locator(".plain-text").inner_text()
    assert "(turn 1, exchange 2, step 2, step /arguments/location)" in text
    assert "It will rain." in text


def test_without_javascript_every_variant_of_a_small_run_is_there(
    tmp_path: Path, open_page: Open
) -> None:
    path = write_page(make_run(tmp_path, [passing(index) for index in range(68)]))
    tab = open_page(path, java_script_enabled=False)
    assert tab.names() == [f"city{index}" for index in range(68)]
    last = tab.by_id("v.weather-city67-stateless")
    last.locator(SUMMARY).click()
    assert "city 67 is warm enough" in last.inner_text()
    assert tab.page.locator(".rest").count() == 0


def test_page_works_in_a_sandbox_that_allows_nothing(everything: Path, open_page: Open) -> None:
    """Jenkins serves archived pages so: no script, no style of the page, no origin."""
    tab = open_page(everything)
    policy = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self'"
    body = everything.read_bytes()
    tab.page.route(
        "http://ci.test/**",
        lambda route: route.fulfill(
            body=body,
            content_type="text/html; charset=utf-8",
            headers={"content-security-policy": policy},
        ),
    )
    tab.page.goto("http://ci.test/job/evals/index.html")
    heading = tab.page.locator("h1").inner_text()
    assert heading == "Failed 2 of 7 scored failed; 1 could not be evaluated"
    assert tab.page.get_by_text("JavaScript is off").is_visible()
    assert tab.page.locator("html[data-ready]").count() == 0
    plain = tab.by_id(PARIS).locator(".plain-text")
    assert plain.is_hidden()
    tab.by_id(PARIS).locator(SUMMARY).click()
    assert plain.is_visible()


def test_plain_text_stays_where_the_data_cannot_be_read(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    tab.page.add_init_script("delete globalThis.DecompressionStream")
    tab.page.goto(everything.as_uri())
    tab.page.get_by_text("This browser cannot read the page's data").wait_for()
    variant = tab.by_id(PARIS)
    variant.locator(SUMMARY).click()
    assert "It will rain." in variant.locator(".plain-text").inner_text()
    assert len(tab.names()) == 9


# Devices, preferences, print


def test_forced_colors_keep_verdicts_and_buttons_apart(everything: Path, open_page: Open) -> None:
    tab = open_page(everything, forced_colors="active")
    tab.page.get_by_role("button", name="failed 2").click()
    pressed, other = (
        tab.page.locator(f"[data-token=status][value={name}]").evaluate(
            "one => getComputedStyle(one).backgroundColor"
        )
        for name in ("failed", "passed")
    )
    assert pressed != other
    badge = tab.by_id(PARIS).locator(".badge").first
    assert badge.evaluate("one => getComputedStyle(one).borderTopWidth") == "1px"
    assert badge.inner_text() == "failed"


def test_nothing_moves_with_reduced_motion(everything: Path, open_page: Open) -> None:
    tab = open_page(everything, reduced_motion="reduce")
    assert tab.page.evaluate("document.getAnimations().length") == 0
    assert tab.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_dark_scheme_is_dark(everything: Path, open_page: Open) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        tab = open_page(everything, color_scheme=scheme)
        color = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness[scheme] = sum(map(int, re.findall(r"\d+", color)))
    assert brightness["light"] > 600
    assert brightness["dark"] < 150


@pytest.mark.parametrize("with_script", [True, False])
def test_phone_never_scrolls_sideways(everything: Path, open_page: Open, with_script: bool) -> None:
    tab = open_page(
        everything,
        viewport={"width": 320, "height": 640},
        is_mobile=True,
        has_touch=True,
        java_script_enabled=with_script,
    )
    if with_script:
        tab.open_everything()
    else:
        for summary in tab.page.locator("summary").all():
            summary.click()
    widths = "[document.documentElement.scrollWidth, document.body.scrollWidth]"
    assert tab.page.evaluate(widths) == [320, 320]


@pytest.mark.parametrize("with_script", [True, False])
def test_print_shows_failures_in_full(everything: Path, open_page: Open, with_script: bool) -> None:
    tab = open_page(everything, java_script_enabled=with_script)
    tab.page.emulate_media(media="print")
    plain = tab.by_id(PARIS).locator(".plain-text")
    assert plain.bounding_box()["height"] > 100
    assert "It will rain." in plain.inner_text()
    assert tab.page.locator(".filters").is_hidden()
    assert len(re.findall(rb"/Type /Page\b", tab.page.pdf(format="A4"))) > 2


def test_print_shows_an_opened_variant_as_it_is(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    tab.open_variant(PARIS)
    tab.page.emulate_media(media="print")
    assert tab.by_id(f"{PARIS}.f1").bounding_box()["height"] > 0


def test_print_has_rows_that_were_not_scrolled_to(tmp_path: Path, open_page: Open) -> None:
    tab = open_page(write_page(make_run(tmp_path, [passing(index) for index in range(300)])))
    assert tab.page.locator(".variant").count() < 300
    tab.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.page.locator(".variant").count() == 300


def test_layout_does_not_shift_while_the_page_loads(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    shift = """new Promise(done => {
      let total = 0;
      const watch = new PerformanceObserver(list => {
        for (const one of list.getEntries()) total += one.value;
      });
      watch.observe({ type: "layout-shift", buffered: true });
      requestAnimationFrame(() => requestAnimationFrame(() => done(total)));
    })"""
    assert tab.page.evaluate(shift) < 0.01


# Comparison


def test_comparison_of_hostile_transcripts_runs_and_fetches_nothing(
    tmp_path: Path, open_page: Open
) -> None:
    old = make_run(tmp_path / "old", [hostile_line(Verdict.PASSED, 50_000)])
    new = make_run(tmp_path / "new", [hostile_line(Verdict.FAILED, 50_000)])
    page = comparison_page.write(compare(old, new), old, new, tmp_path)
    tab = open_page(page)
    tab.page.locator("details.variant > summary").click()
    assert tab.page.locator(".turn").first.is_visible()
    assert tab.messages == []
    assert tab.requests == [page.as_uri()]
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [320, 1280])
def test_comparison_fits_the_window(tmp_path: Path, open_page: Open, width: int) -> None:
    old, new = (make_run(tmp_path / name, [passing(1), failed_line()]) for name in ("old", "new"))
    page = comparison_page.write(compare(old, new), old, new, tmp_path)
    tab = open_page(page, viewport={"width": width, "height": 700})
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.page.locator("h1").text_content().startswith("Pass")


SIDES = ("top", "bottom", "left", "right")
SHEET = """<style>body { font: 10pt/1.35 sans-serif } code { font-size: 85% }
table { border-collapse: collapse; font-size: 9pt } td, th { padding: 1pt 6pt; border: 1px solid }
</style>"""


def test_summary_of_a_large_comparison_is_one_printed_page(tmp_path: Path, open_page: Open) -> None:
    name, code = "a scenario with a long name that says what it is about", "a long code " * 20
    old = [
        lines.line(f"{name} {number}", trial=trial) for number in range(60) for trial in (1, 2, 3)
    ]
    new = [
        lines.line(f"{name} {number}", "failed", trial=trial, checks={"text": code})
        for number in range(58)
        for trial in (1, 2)
    ]
    new += [lines.line(f"{name} {verdict}", verdict) for verdict in ("errored", "skipped")]
    rules = {
        "max_regressions": 0,
        "non_inferiority": {"margin": 0.05},
        "min_pass_rate": {"rate": 0.9, "lower_bound": 0.9},
        "pass_hat": {"k": 3, "min": 0.8},
        "tokens": {"max_mean": 1},
        "required_tags": ["smoke"],
    }
    comparison = replace(
        lines.comparison(old, new, Gate.model_validate(rules)),
        notes=["the suites differ: a changed verdict may be due to the suite, not the model"] * 5,
        configuration=["system_instruction (174 pairs): Be [-brief-]{+kind+}. " * 20] * 20,
    )
    text = comparison_markdown.write_summary(comparison, tmp_path).read_text()
    page = tmp_path / "summary.html"
    page.write_text(f"<meta charset=utf-8>{SHEET}{MarkdownIt().enable('table').render(text)}")
    printed = open_page(page).page.pdf(format="A4", margin=dict.fromkeys(SIDES, "15mm"))
    assert len(re.findall(rb"/Type /Page\b", printed)) == 1


@pytest.mark.parametrize("width", [320, 1280])
def test_history_fits_the_window(tmp_path: Path, open_page: Open, width: int) -> None:
    for number in range(12):
        make_run(tmp_path / "reports" / f"a-run-of-a-night-{number}", [passing(1), failed_line()])
    runs, results, _ = read_runs(tmp_path / "reports", 20)
    page = history_page.write(build_history(runs, results), tmp_path / "history.html")
    tab = open_page(page, viewport={"width": width, "height": 700})
    for selector in ("html", ".scroll", "table"):
        boxes = tab.page.locator(selector).all()
        assert boxes
        for box in boxes:
            assert box.evaluate("box => box.scrollWidth <= Math.max(innerWidth, box.clientWidth)")
            assert box.evaluate("box => box.getBoundingClientRect().right <= innerWidth")
