"""Details of an open variant: searches, output tree, history diff, stream, copied requests."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from evalkit.verdict import CheckResult, Finding, Verdict, Where
from tests.reports.browsing import EXCHANGES_READ, OPEN_ALL, SKIP, Open, Tab
from tests.reports.sample import line, make_run, says, turn, write_page
from tests.reports.sample_cases import HOSTILE, failed_line, hostile_line
from tests.reports.test_filters import violations

pytestmark = pytest.mark.browser

if SKIP:
    pytest.skip(SKIP, allow_module_level=True)

PARIS = "v.weather-paris-stateless-streamed"


def opened(tab: Tab, exchange: str) -> Any:
    """Open an exchange and return its locator."""
    found = tab.by_id(exchange)
    found.locator("details > summary").first.click()
    found.locator(".raw").first.wait_for()
    return found


def altered(change: Any) -> str:
    """Return the failed result, its exchanges changed by a function of the list."""
    value = json.loads(failed_line())
    change([exchange for one in value["turns"] for exchange in one["exchanges"]])
    return json.dumps(value, separators=(",", ":"))


def test_citation_links_to_its_search(everything: Path, open_page: Open) -> None:
    tab = open_page(everything, "#v.search-euro-plain")
    links = tab.by_id("v.search-euro-plain").locator(".citations .via")
    assert set(links.all_text_contents()) == {"searched in step 3"}
    links.first.click()
    assert tab.page.evaluate("location.hash") == "#v.search-euro-plain.t1.s3"
    assert "Google Search" in tab.by_id("v.search-euro-plain.t1.s3").inner_text()
    assert links.count() == 6
    assert tab.messages == []


def test_output_is_a_tree_with_schema_violations_at_their_nodes(
    tmp_path: Path, open_page: Open
) -> None:
    document = (
        '{"name": "Banana bread", "minutes": 65.0, "steps": ["mash", {"a/b": null}], "none": {}}'
    )
    findings = (
        Finding(
            "schema_violation",
            "/minutes: 65.0 is above 60",
            Where(turn=1, pointer="/minutes", part="output"),
            expected=60,
            got=65.0,
        ),
        Finding(
            "schema_violation",
            "/steps/1/a~1b: null is not a string",
            Where(turn=1, pointer="/steps/1/a~1b", part="output"),
        ),
        Finding(
            "schema_violation",
            "the document: 'author' is missing",
            Where(turn=1, pointer="/author", part="output"),
        ),
    )
    check = CheckResult("json_schema", Verdict.FAILED, findings, turn=1)
    path = write_page(
        make_run(
            tmp_path,
            [
                line(
                    "bread",
                    [turn(1, "A recipe", [says(document)])],
                    [check],
                    verdict=Verdict.FAILED,
                )
            ],
        )
    )
    tab = open_page(path)
    tab.page.locator(".variant > summary").click()
    tree = tab.page.locator(".tree")
    tree.wait_for()
    assert (
        tree.locator("> summary").inner_text() == "Tree, 3 violations marked; close it for the text"
    )
    marked = {
        item.locator(":scope > .key, :scope > details > summary > .key").first.text_content()
        if number
        else "": item.locator(
            ":scope > .violation, :scope > details > summary > .violation"
        ).text_content()
        for number, item in enumerate(tree.locator("li.violated").all())
    }
    assert marked == {
        "": "the document: 'author' is missing",
        "minutes": "/minutes: 65.0 is above 60",
        "a/b": "/steps/1/a~1b: null is not a string",
    }
    assert "minutes: 65.0" in tree.inner_text()
    text = tab.page.locator(".card.model pre.json")
    assert text.is_hidden()
    tree.locator("> summary").click()
    assert text.is_visible()
    assert violations(tab) == []
    assert tab.messages == []


def test_exact_history_says_so(tmp_path: Path, open_page: Open) -> None:
    tab = open_page(write_page(make_run(tmp_path, [failed_line()])), f"#{PARIS}")
    second = opened(tab, f"{PARIS}.x2")
    assert (
        second.locator(".resent > summary").inner_text()
        == "History: all 3 steps re-sent exactly, 1 added"
    )
    assert second.locator(".resent[open]").count() == 0
    first = opened(tab, f"{PARIS}.x1")
    assert first.locator(".resent").count() == 0


def drop(exchanges: list[Any]) -> None:
    del exchanges[1]["request"]["body"]["input"][1]


def alter(exchanges: list[Any]) -> None:
    exchanges[1]["request"]["body"]["input"][1]["signature"] = "forged"


def reword(exchanges: list[Any]) -> None:
    exchanges[1]["request"]["body"]["input"][0]["content"] = "Something else"


@pytest.mark.parametrize(
    ("change", "summary", "sides"),
    [
        (
            drop,
            "History: 2 of 3 steps re-sent exactly, 0 changed, 1 missing, 1 added",
            ["received", "re-sent absent"],
        ),
        (
            alter,
            "History: 2 of 3 steps re-sent exactly, 1 changed, 0 missing, 1 added",
            ["received /signature", 're-sent /signature "forged"'],
        ),
        (
            reword,
            "History: 2 of 3 steps re-sent exactly, 1 changed, 0 missing, 1 added",
            ["received /content/0/text", 're-sent /content/0/text "Som'],
        ),
    ],
)
def test_altered_history_shows_both_sides(
    tmp_path: Path, open_page: Open, change: Any, summary: str, sides: list[str]
) -> None:
    tab = open_page(write_page(make_run(tmp_path, [altered(change)])), f"#{PARIS}")
    second = opened(tab, f"{PARIS}.x2")
    assert second.locator(".resent.wrong[open] > summary").inner_text() == summary
    shown = [
        " ".join(text.split()) for text in second.locator(".resent li .side").all_inner_texts()
    ]
    assert [text[: len(side)] for text, side in zip(shown, sides, strict=True)] == sides
    assert violations(tab) == []


def test_system_instruction_and_tools_are_shown_once(tmp_path: Path, open_page: Open) -> None:
    tool = {"type": "function", "name": "look", "description": "<b>Looks</b>.", "parameters": {}}

    def declare(exchanges: list[Any]) -> None:
        for exchange in exchanges:
            exchange["request"]["body"] |= {
                "system_instruction": f"Be brief.\n{HOSTILE}",
                "tools": [tool, {"type": "google_search"}, "odd"],
            }

    tab = open_page(write_page(make_run(tmp_path, [altered(declare)])), f"#{PARIS}")
    section = tab.by_id(PARIS).locator(".instruction")
    assert section.locator("> details[open] > .text").inner_text().startswith("Be brief.\n")
    assert section.locator("> details > summary").all_inner_texts() == [
        "System instruction",
        "3 tools: look, google_search, ?",
    ]
    section.locator("> details > summary").last.click()
    tools = section.locator(".items > li")
    assert tools.all_inner_texts() == ["look <b>Looks</b>.", "google_search", '"odd"']
    tools.first.locator("summary").click()
    assert tools.first.locator(".json").inner_text() == '{"parameters": {}}'
    assert tab.messages == []
    assert violations(tab) == []


def test_conversations_of_an_application_test_have_headings(
    tmp_path: Path, open_page: Open
) -> None:
    outside = Finding("assertion_failed", f"the test failed outside the conversation: {HOSTILE}")
    checks = [CheckResult("test", Verdict.FAILED, (outside,), declared="tests/test_app.py:7")]
    turns = [turn(number, "Hello", [says("Hi.")], first_exchange=number) for number in (1, 2, 3)]
    value = json.loads(line("hello", turns, checks, verdict=Verdict.FAILED, parts=()))
    settings = [{"model": f"<b>{number}</b>", "history": "stateful"} for number in (1, 2)]
    value = {
        "kind": "test",
        **value,
        "conversations": [
            {"first_turn": 1, "settings": settings[0]},
            {"first_turn": 3, "settings": {**settings[1], "stream": True}},
        ],
    }
    lines = [json.dumps(value, separators=(",", ":")), failed_line()]
    tab = open_page(write_page(make_run(tmp_path, lines)), "#v.weather-hello")
    body = tab.by_id("v.weather-hello")
    headings = body.locator(".body h4").all_inner_texts()
    assert [text for text in headings if text != "Findings"] == [
        "Conversation 1 of 2 <b>1</b>, stateful",
        "Turn 1 completed",
        "Turn 2 completed",
        "Conversation 2 of 2 <b>2</b>, stateful, streamed",
        "Turn 3 completed",
    ]
    assert body.locator("summary .kind").inner_text() == "application test"
    body.locator(".checks > summary").click()
    scope = body.locator(".checks .aside").inner_text()
    assert scope == "outside the conversation, 1 finding, tests/test_app.py:7"
    tab.by_id("find").fill("kind:test")
    assert tab.by_id("shown").inner_text() == "1 of 2 tests"
    assert tab.messages == []
    assert violations(tab) == []


def test_a_request_with_another_instruction_is_named(tmp_path: Path, open_page: Open) -> None:
    def declare(exchanges: list[Any]) -> None:
        bodies = [exchange["request"]["body"] for exchange in exchanges]
        bodies[0]["system_instruction"] = {"parts": [{"text": "Long."}, {"text": "a" * 601}]}
        for body in bodies[1:]:
            body.pop("system_instruction", None)
            body.pop("tools", None)

    tab = open_page(write_page(make_run(tmp_path, [altered(declare)])), f"#{PARIS}")
    section = tab.by_id(PARIS).locator(".instruction")
    assert section.locator("> details").first.get_attribute("open") is None
    assert section.locator("> .aside").all_inner_texts() == [
        "Exchange 2 has no system instruction and no tools"
    ]


def test_stream_has_a_timeline(tmp_path: Path, open_page: Open) -> None:
    def stream(exchanges: list[Any]) -> None:
        events = [
            {"event_type": "interaction.created"},
            {"event_type": "step.delta", "delta": {"type": "thought_signature"}},
            {"event_type": "step.delta", "delta": {"type": "text", "text": "It"}},
            {"event_type": "interaction.completed"},
        ]
        exchanges[0]["response"] = {
            "status": 200,
            "source": "replayed",
            "events": events,
            "elapsed_ms": 2000,
            "event_ms": [200, 400, 1000, 1990],
        }

    tab = open_page(write_page(make_run(tmp_path, [altered(stream)])), f"#{PARIS}")
    strip = opened(tab, f"{PARIS}.x1").locator(".strip")
    assert strip.inner_text() == (
        "Stream: first event after 200 ms, first text after 1.0 s, 4 events in 1.8 s, "
        "longest pause 990 ms"
    )
    assert strip.locator("line.event").evaluate_all(
        "all => all.map(one => one.getAttribute('x1'))"
    ) == ["10", "20", "50", "99.5"]
    assert strip.locator("line.first").get_attribute("x1") == "50"
    assert violations(tab) == []


COPIED = "navigator.clipboard.readText()"


def test_request_is_copied_as_curl_with_the_key_as_a_variable(
    tmp_path: Path, open_page: Open
) -> None:
    def attack(exchanges: list[Any]) -> None:
        body = exchanges[0]["request"]["body"]
        body["input"] = [{"type": "text", "text": f"it's $HOME `id` \\ {HOSTILE}"}]
        exchanges[0]["request"]["path"] = '/v1beta/interactions/"$(id)`'
        exchanges[0]["request"]["query"] = [["alt", "sse"], ["x'", "$(id)"]]

    line_ = altered(attack)
    tab = open_page(
        write_page(make_run(tmp_path, [line_])),
        f"#{PARIS}",
        permissions=["clipboard-read", "clipboard-write"],
    )
    exchange = opened(tab, f"{PARIS}.x1")
    exchange.get_by_role("button", name="Copy as curl").click()
    exchange.get_by_text("copied").wait_for()
    command = tab.page.evaluate(COPIED)
    assert "AIza" not in command
    assert command.startswith(
        "curl -sS -X POST \\\n  "
        '"${GOOGLE_GEMINI_BASE_URL:-https://generativelanguage.googleapis.com}/v1beta/'
    )
    assert re.search("[^\\n -~]", command) is None
    script = f'curl() {{ printf "%s\\0" "$@"; }}\n{command}\n'
    ran = subprocess.run(
        ["sh", "-c", script], capture_output=True, env={"GEMINI_API_KEY": "the-key"}, check=True
    )
    arguments = ran.stdout.decode().split("\0")
    assert "x-goog-api-key: the-key" in arguments
    assert (
        "https://generativelanguage.googleapis.com/v1beta/interactions/%22%24%28id%29%60?alt=sse&x%27=%24%28id%29"
        in arguments
    )
    sent = json.loads(line_)["turns"][0]["exchanges"][0]["request"]["body"]
    assert json.loads(arguments[arguments.index("-d") + 1]) == sent
    exchange.get_by_role("button", name="Copy response").click()
    tab.page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('{')")
    assert json.loads(tab.page.evaluate(COPIED))["status"] == 200


def test_request_is_copied_without_the_clipboard_api(tmp_path: Path, open_page: Open) -> None:
    tab = open_page(write_page(make_run(tmp_path, [failed_line()])), f"#{PARIS}")
    tab.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    tab.page.evaluate(
        "document.addEventListener('copy', () => { window.copied = getSelection().toString() "
        "|| document.activeElement.value; })"
    )
    exchange = opened(tab, f"{PARIS}.x1")
    button = exchange.get_by_role("button", name="Copy as curl")
    button.focus()
    tab.page.keyboard.press("Enter")
    exchange.get_by_text("copied").wait_for()
    assert tab.page.evaluate("window.copied").startswith("curl -sS")
    assert tab.page.evaluate("document.activeElement.textContent") == "Copy as curl"


def test_hostile_exchanges_and_trees_run_nothing(tmp_path: Path, open_page: Open) -> None:
    value = json.loads(hostile_line(long_line=1000))
    [only] = value["turns"]
    only["text"] = json.dumps({HOSTILE: [HOSTILE, {"__proto__": HOSTILE}]})
    only["steps"].append({"origin": "model", "exchange": 1, "step": says(only["text"])})
    value["checks"][0]["findings"][0]["where"] = {
        "turn": 1,
        "part": "output",
        "pointer": f"/{HOSTILE}",
    }
    only["exchanges"][0]["response"].pop("body", None)
    only["exchanges"][0]["response"] |= {
        "events": [HOSTILE, {"event_type": HOSTILE}],
        "event_ms": [1, 2],
    }
    again = json.loads(json.dumps(only["exchanges"][0]))
    again["number"] = 2
    again["request"]["body"]["input"] = [{"type": HOSTILE, HOSTILE: HOSTILE}, HOSTILE, None]
    only["exchanges"].append(again)
    tab = open_page(write_page(make_run(tmp_path, [json.dumps(value)])))
    tab.page.locator(".variant > summary").click()
    tab.page.locator(".tree").wait_for()
    tab.page.evaluate(OPEN_ALL)
    tab.page.wait_for_function(EXCHANGES_READ)
    assert tab.page.locator(".resent.wrong").count() == 1
    assert tab.page.evaluate("window.hacked") is None
    assert tab.messages == []
    assert "\u202e" not in tab.page.locator("body").inner_text()
    assert violations(tab) == []
