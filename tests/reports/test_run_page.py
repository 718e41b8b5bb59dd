"""``index.html`` as written: complete, ordered, safe, and the same each time."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import UsageError
from evalkit.reports.page import run_page
from evalkit.reports.page.templating import resource
from evalkit.signoff import records
from evalkit.verdict import Verdict
from tests.reports.page_reading import Page, source_hash
from tests.reports.sample import line, make_run, passing, turn, weather, write_page
from tests.reports.sample_cases import every_line, failed_line, hostile_line, png

NAMES = """
    html head meta title link style body header main footer search script section h1 h2 h3 h4 p
    span small a b i em code pre ul ol li dl dt dd div details summary label input output button
    svg rect line select option dialog form table caption thead tbody tr td th kbd time
"""
TAGS = set(NAMES.split())
"""Every element of the page."""

_ROW = re.search(r"ROW = \[([^\]]*)\]", resource("js/embedded_data.js"))
MEMBERS = re.findall(r'"(\w+)"', _ROW[1] if _ROW else "")
"""The members of a row as the page's script names them."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    run = make_run(
        tmp_path_factory.mktemp("run"),
        every_line(long_line=100_000),
        totals={"collected": 10, "orphans": 1},
    )
    return Page(write_page(run))


def names(page: Page) -> list[str]:
    return [one.text.partition("[")[0].split()[0] for one in page.all("h3")]


def test_report_is_in_the_run_directory(tmp_path: Path) -> None:
    path = write_page(make_run(tmp_path / "run", [passing(1)]))
    assert path == tmp_path / "run" / "index.html"
    files = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert files == ["index.html", "manifest.json", "results.jsonl"]


def test_failures_come_first_in_the_page_and_in_a_suite(tmp_path: Path) -> None:
    lines = [
        line("d", suite="calm"),
        line("skip", suite="wild", verdict=Verdict.SKIPPED),
        line("ok", suite="wild"),
        line("bad", suite="wild", verdict=Verdict.FAILED),
        line("broken", suite="broken", verdict=Verdict.ERRORED),
        line("worse", suite="wild", verdict=Verdict.ERRORED),
        line("a", suite="calm"),
    ]
    page = Page(write_page(make_run(tmp_path, lines)))
    headings = [one.text.split()[0] for one in page.all("h2")]
    assert headings == ["wild", "broken", "calm", "Keyboard"]
    assert names(page) == ["bad", "worse", "ok", "skip", "broken", "d", "a"]


def test_title_and_heading_have_the_verdict(page: Page) -> None:
    [title], [heading] = page.all("title"), page.all("h1")
    assert title.text.startswith("Failed: ")
    assert heading.text == "Failed 2 of 7 scored failed; 1 could not be evaluated"


def test_notices_report_missing_results_and_orphans(page: Page) -> None:
    notices = [one.text for one in page.all("p", "notice")]
    assert "1 variant without a result." in notices
    assert "1 cassette on disk that no scenario uses." in notices


def test_page_runs_its_own_script_and_nothing_else(page: Page) -> None:
    scripts = [one for one in page.all("script") if "type" not in one.attributes]
    styles = page.all("style")
    assert (len(scripts), len(styles)) == (1, 1)
    script, style = "".join(scripts[0].texts), "".join(styles[0].texts)
    assert page.policy == (
        f"default-src 'none'; script-src {source_hash(script)}; style-src {source_hash(style)}; "
        "img-src data:; media-src data:; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    types = {one.attributes["type"] for one in page.all("script") if "type" in one.attributes}
    assert types == {"application/json", "text/plain"}


def test_no_element_attribute_or_address_comes_from_a_model(page: Page) -> None:
    assert {one.tag for one in page.elements} <= TAGS
    for one in page.elements:
        for name, value in one.attributes.items():
            assert not name.startswith("on"), one
            assert name not in ("style", "src", "srcdoc", "action", "formaction", "target"), one
            assert name != "xlink:href", one
            if name == "href":
                assert value.startswith(("#", "data:,")), one


def test_hostile_text_is_shown_and_made_visible(page: Page) -> None:
    text = " ".join(page.all("main")[0].texts)
    assert "</script><script>window.hacked = 1</script>" in text
    for token in (
        "<U+202E>evil",
        "<U+0000>",
        "<U+001B>[31m",
        "<U+D800> lone <U+DFFF>",
        "<U+2028>",
        "<U+FFFE>",
        "{{ 7 * 7 }}",
    ):
        assert token in text
    hostile = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufffe\uffff]"
    assert not re.search(hostile, page.source)


def test_every_id_is_unique_and_every_link_has_its_target(page: Page) -> None:
    ids = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    links = {one.attributes["href"][1:] for one in page.all("a")}
    assert links <= set(ids)


def test_plain_text_has_findings_and_conversation(page: Page) -> None:
    variant = page.by_id("v.weather-paris-stateless-streamed")
    text = "".join(variant.texts)
    assert "tool_calls: get_current_temperature: location is 'London', not 'Paris' (turn 1" in text
    assert "\nturn 1 (completed)\n  user\n    What is the temperature in London?\n" in text
    assert "\n    It will rain.</pre>" not in text
    assert text.rstrip().endswith("\n  2. answer\n    It will rain.")


def test_long_media_is_in_the_page_once(page: Page) -> None:
    assert page.source.count(png()) == 1
    [block] = [one for one in page.all("script") if "".join(one.texts) == png()]
    [row] = [row for row in page.rows() if row[0] == "media[stateless]"]
    content = page.result(row[10])["turns"][0]["user"][1]
    assert content["data"] == f"evalkit-media:{block.attributes['id'].removeprefix('m-')}"


def test_every_row_names_its_result(page: Page) -> None:
    rows = page.rows()
    results = [page.result(row[10]) for row in rows]
    expected = [json.loads(text)["id"] for text in every_line(long_line=1)]
    assert [result["id"] for result in results] == expected
    assert [f"{row[3]}::{row[0]}" for row in rows] == expected


def test_row_has_what_filters_need(page: Page) -> None:
    [row] = [row for row in page.rows() if row[0].startswith("paris")]
    message = "get_current_temperature: location is 'London', not 'Paris'"
    assert dict(zip(MEMBERS, row, strict=True)) == {
        "name": "paris[stateless-streamed]",
        "verdict": "failed",
        "warned": 0,
        "suite": "weather",
        "title": "The wrong city",
        "tags": ["smoke", "tools"],
        "tokens": 591,
        "exchanges": 3,
        "time": 1237.5,
        "message": f"tool_calls: {message} (and 3 more)",
        "at": row[10],
        "line": 5,
        "anchor": "v.weather-paris-stateless-streamed",
        "variant": {"history": "stateless", "stream": False, "model": "gemini-3.5-flash"},
        "codes": [
            ["tool_calls", "arguments_differ"],
            ["history", "signature_altered"],
            ["text", "not_contained"],
            ["usage", "over_budget"],
        ],
        "trial": 1,
        "kind": "",
    }


@pytest.mark.parametrize("count", [1, 63, 64, 65, 130])
def test_every_row_is_in_the_page_once_and_in_order(tmp_path: Path, count: int) -> None:
    page = Page(write_page(make_run(tmp_path, [passing(index) for index in range(count)])))
    assert [row[0] for row in page.rows()] == [f"city{index}[stateless]" for index in range(count)]


@pytest.mark.parametrize(("count", "plain"), [(1, 1), (68, 68), (100, 100), (101, 0), (130, 0)])
def test_run_of_at_most_a_hundred_variants_is_in_plain_text(
    tmp_path: Path, count: int, plain: int
) -> None:
    page = Page(write_page(make_run(tmp_path, [passing(index) for index in range(count)])))
    assert len(page.all("pre", "plain-text")) == plain
    rest = [one.text for one in page.all("p", "rest")]
    text = f"{count - plain} more are listed with JavaScript, and in results.jsonl."
    assert rest == ([text] if count > plain else [])


def test_failures_of_a_large_run_are_in_plain_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_page, "FAILURES", 2)
    lines = [line(f"f{number}", verdict=Verdict.FAILED) for number in range(5)]
    lines += [line("e", verdict=Verdict.ERRORED), line("s", verdict=Verdict.SKIPPED)]
    lines += [passing(number) for number in range(100)]
    page = Page(write_page(make_run(tmp_path, lines)))
    assert names(page) == ["f0", "f1", "e"]
    assert len(page.rows()) == 107
    [notice] = [one.text for one in page.all("p", "nojs")]
    assert "conversations of the first 2 failed and 2 errored variants are shown" in notice


def test_signoffs_are_above_the_list_and_are_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approved = {
        "name": "Ada <b>",
        "role": "QA",
        "email": "ada@example.org",
        "decision": "approved-with-deviations",
        "meaning": "review",
        "time": "2026-11-22T13:00:00Z",
        "details": ["override: rarely <asked>", "deviation until 2099-12-24: x; y"],
        "void": "",
    }
    rejected = dict.fromkeys(approved, "") | {
        "name": "Eve",
        "decision": "rejected",
        "void": "results.jsonl changed",
        "details": [],
    }
    run = make_run(tmp_path, [passing(1)])
    (tmp_path / "signoffs").mkdir()
    monkeypatch.setattr(records, "printable_signoffs", lambda _: [approved, rejected])
    [section] = Page(write_page(run)).all("section", "signoffs")
    assert section.text == (
        "Sign-off approved with deviations review Ada <b>, QA ada@example.org "
        "2026-11-22T13:00:00Z override: rarely <asked> deviation until 2099-12-24: x; y "
        "rejected void: results.jsonl changed Eve Times are those of the signers' own clocks; "
        "no time stamp proves them. evalkit verify checks the signatures."
    )


def test_printed_page_has_the_digest_of_the_results(tmp_path: Path) -> None:
    page = Page(write_page(make_run(tmp_path, [passing(1)])))
    digest = hashlib.sha256((tmp_path / "results.jsonl").read_bytes()).hexdigest()
    assert f'@bottom-left {{ content: "results.jsonl sha256 {digest}"; }}' in page.source
    assert digest in page.all("footer")[0].text


def test_media_of_several_variants_are_in_the_page_once(tmp_path: Path) -> None:
    image = {"type": "image", "data": png(), "mime_type": "image/png"}
    lines = [line(name, [turn(1, [image], [])]) for name in ("one", "two")]
    assert Page(write_page(make_run(tmp_path, lines))).source.count(png()) == 1


def test_similar_ids_get_different_anchors(tmp_path: Path) -> None:
    lines = [line("a", parts=["b c"]), line("a", parts=["b/c"]), line("a", parts=["b c"])]
    page = Page(write_page(make_run(tmp_path, lines)))
    anchors = [one.attributes["id"] for one in page.all("details", "variant")]
    assert anchors == ["v.weather-a-b-c", "v.weather-a-b-c~2", "v.weather-a-b-c~3"]


def test_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path, every_line(long_line=1000))
    first = write_page(run).read_bytes()
    assert write_page(run).read_bytes() == first


@pytest.mark.parametrize("bad", ["not json", "[]", '{"id": "x"}', '{"verdict": "excellent"}'])
def test_unreadable_line_is_named_and_the_old_page_stays(tmp_path: Path, bad: str) -> None:
    write_page(make_run(tmp_path, [passing(1)]))
    old = (tmp_path / "index.html").read_bytes()
    with pytest.raises(UsageError, match=r"results\.jsonl:2 cannot be read: "):
        write_page(make_run(tmp_path, [passing(1), bad]))
    assert (tmp_path / "index.html").read_bytes() == old
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["index.html", "manifest.json", "results.jsonl"]


def test_run_without_results_says_so(tmp_path: Path) -> None:
    page = Page(write_page(make_run(tmp_path, [], complete=False, totals={"collected": 3})))
    assert page.all("h1")[0].text == "Not finished 0 of 3 have a result; of 0 scored none failed"
    assert "No variant has a result." in page.all("main")[0].text


def test_result_too_deep_for_python_is_left_to_the_browser(tmp_path: Path) -> None:
    deep: Any = json.loads(line("deep", [weather()], verdict=Verdict.FAILED))
    deep["turns"][0]["steps"][1]["step"]["arguments"] = "DEEP"
    text = json.dumps(deep, separators=(",", ":")).replace('"DEEP"', "[" * 200_000 + "]" * 200_000)
    page = Page(write_page(make_run(tmp_path, [text])))
    assert (
        page.all("pre", "plain-text")[0].text == "The conversation is in line 1 of results.jsonl."
    )
    assert len(page.rows()) == 1


def test_page_of_many_passing_variants_stays_small(tmp_path: Path) -> None:
    lines = [passing(index) for index in range(400)]
    half = write_page(make_run(tmp_path, lines[:200])).stat().st_size
    whole = write_page(make_run(tmp_path, lines)).stat().st_size
    assert (whole - half) / 200 < 2_000


def test_hostile_result_that_passed_is_in_the_page_as_data(tmp_path: Path) -> None:
    page = Page(write_page(make_run(tmp_path, [failed_line(), hostile_line(Verdict.PASSED, 10)])))
    assert [page.result(row[10])["verdict"] for row in page.rows()] == ["failed", "passed"]
