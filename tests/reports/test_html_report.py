"""``index.html`` as written: whole, ordered, safe, the same each time."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.reports.page import run_page
from evalkit.reports.page.templating import resource
from evalkit.verdict import Verdict
from tests.reports.page_reading import Page, source_hash
from tests.reports.sample import line, make_run, passing, turn, weather
from tests.reports.sample_cases import every_line, failed_line, hostile_line, png

TAGS = set(
    "html head meta title link style body header main footer search script section h1 h2 h3 h4 p span small a b i em q code pre "  # noqa: SIM905
    "mark sup ul ol li dl dt dd div details summary label input output button svg rect figure figcaption img audio video "
    "select option dialog form table caption thead tbody tr td th kbd time line".split()
)
"""Every element that a page of ours is made of."""

MEMBERS = re.search(r"ROW = \[(.*)\]", resource("js/data.js"))[1].replace('"', "").split(", ")  # type: ignore[index]
"""A row's members as the page's script names them."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    run = make_run(
        tmp_path_factory.mktemp("run"),
        every_line(long_line=100_000),
        totals={"collected": 10, "orphans": 1},
    )
    return Page(run_page.write(run))


def large(monkeypatch: pytest.MonkeyPatch, *, others: int, attention: int = 200) -> None:
    """Draw the page of any run as that of a large one, of which so many of each kind are drawn whole."""
    monkeypatch.setattr(run_page, "SMALL", 0)
    monkeypatch.setattr(run_page, "ATTENTION", attention)
    monkeypatch.setattr(run_page, "OTHERS", others)


def rows(page: Page) -> list[str]:
    return [one.text for one in page.all("h3")]


def test_the_report_lies_in_the_run_directory(tmp_path: Path) -> None:
    assert (
        run_page.write(make_run(tmp_path / "run", [passing(1)])) == tmp_path / "run" / "index.html"
    )
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "index.html",
        "manifest.json",
        "results.jsonl",
    ]


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
    page = Page(run_page.write(make_run(tmp_path, lines)))
    assert [one.text.split()[0] for one in page.all("h2")] == ["wild", "broken", "calm", "Keys"]
    assert [name.partition("[")[0] for name in rows(page)] == [
        "bad",
        "worse",
        "ok",
        "skip",
        "broken",
        "d",
        "a",
    ]


def test_the_title_and_the_heading_tell_the_verdict(page: Page) -> None:
    [title], [heading] = page.all("title"), page.all("h1")
    assert title.text.startswith("Failed: ")
    assert heading.text == "Failed 2 of 7 scored failed; 1 could not be judged"


def test_what_is_odd_about_the_run_is_said(page: Page) -> None:
    notices = [one.text for one in page.all("p", "notice")]
    assert "1 variant without a result." in notices
    assert "1 cassette on disk that no scenario uses." in notices


def test_the_page_runs_its_own_script_and_nothing_else(page: Page) -> None:
    scripts = [one for one in page.all("script") if "type" not in one.attributes]
    styles = page.all("style")
    assert (len(scripts), len(styles)) == (1, 1)
    script, style = "".join(scripts[0].texts), "".join(styles[0].texts)
    assert page.policy == (
        f"default-src 'none'; script-src {source_hash(script)}; style-src {source_hash(style)}; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    assert {one.attributes["type"] for one in page.all("script") if "type" in one.attributes} == {
        "application/json",
        "text/plain",
    }


def test_no_element_no_attribute_and_no_address_comes_from_a_model(page: Page) -> None:
    assert {one.tag for one in page.elements} <= TAGS
    for one in page.elements:
        for name, value in one.attributes.items():
            assert not name.startswith("on"), one
            assert name not in (
                "style",
                "srcdoc",
                "action",
                "formaction",
                "xlink:href",
                "target",
            ), one
            if name == "src":
                assert re.fullmatch(
                    r"data:(image|audio|video)/[a-z0-9-]+;base64,[A-Za-z0-9+/]+=*", value
                ), one
            if name == "href":
                assert value.startswith(("#", "https://", "data:,")), one
            if name == "href" and value.startswith("https"):
                assert one.attributes["rel"] == "noopener noreferrer nofollow"


def test_hostile_text_is_told_and_made_visible(page: Page) -> None:
    visible = " ".join(page.all("body")[0].texts)
    assert "</script><script>window.hacked = 1</script>" in visible
    for token in (
        "<U+202E>evil",
        "<U+0000>",
        "<U+001B>[31m",
        "<U+D800> lone <U+DFFF>",
        "<U+2028>",
        "<U+FFFE>",
        "{{ 7 * 7 }}",
    ):
        assert token in visible
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufffe\uffff]", page.source
    )


def test_search_suggestions_are_counted_and_never_shown(page: Page) -> None:
    assert "characters of HTML, not shown" in page.source
    assert "euro 2024 winner</div>" not in page.source.replace("&lt;", "<").replace("&gt;", ">")


def test_every_anchor_is_one_and_every_link_has_its_anchor(page: Page) -> None:
    ids = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    links = {
        one.attributes["href"][1:]
        for one in page.all("a")
        if one.attributes["href"].startswith("#")
    }
    assert links <= set(ids)


@pytest.mark.parametrize(
    ("finding", "beside"),
    [
        ("v.weather-paris-stateless-streamed.f1", "v.weather-paris-stateless-streamed.t1.s2"),
        ("v.weather-paris-stateless-streamed.f2", "v.weather-paris-stateless-streamed.x2"),
        ("v.weather-paris-stateless-streamed.f3", "v.weather-paris-stateless-streamed.t1"),
    ],
)
def test_a_finding_stands_beside_what_it_speaks_of(page: Page, finding: str, beside: str) -> None:
    ids = [one.attributes.get("id") for one in page.elements]
    assert ids.index(beside) < ids.index(finding)
    between = [
        id_
        for id_ in ids[ids.index(beside) + 1 : ids.index(finding)]
        if id_ and re.search(r"\.(s|x)\d+$", id_)
    ]
    assert between == [] or beside.endswith(".t1")
    assert f'<a href="#{finding}">' in page.source


def test_a_finding_without_a_place_stands_whole_in_the_list(page: Page) -> None:
    finding = page.by_id("v.weather-paris-stateless-streamed.f4")
    assert "section" in finding.inside
    assert "section section section" not in " ".join(finding.inside)
    assert finding.text == 'usage over_budget 788 tokens, at most 600 expected {"max": 600} got 788'


def test_cited_words_are_marked(page: Page) -> None:
    marks = [one.text for one in page.all("mark")]
    assert marks == [
        "</script>",
        "Spain",
        "won Euro 2024 –",
        "La Roja beat England 2:1 in Berlin.",
        "fjórði titill",
    ]
    assert "javascript:alert(document.domain)" in page.source


def test_a_json_answer_is_indented(page: Page) -> None:
    assert any(
        "".join(one.texts).endswith('"note": "caf\\u00e9 {not, a: brace}"\n}')
        for one in page.all("pre", "json")
    )


def test_long_media_stands_once_in_the_page(page: Page) -> None:
    assert page.source.count(png()) == 1
    [again] = page.all("a", "again")
    assert page.by_id(again.attributes["href"][1:]).tag == "img"


def test_the_raw_result_of_every_row_is_in_the_page(page: Page) -> None:
    variants = page.all("details", "variant")
    results = [page.result(one.attributes["data-at"]) for one in variants]
    assert sorted(result["id"] for result in results) == sorted(
        json.loads(text)["id"] for text in every_line(long_line=1)
    )
    for one, result in zip(variants, results, strict=True):
        assert one.attributes["class"].split()[1] == result["verdict"]
        assert (
            one.attributes.get("data-tags", "").split("\n") == result["tags"] or not result["tags"]
        )


def test_a_variant_that_waits_for_the_script_has_its_row_as_data_and_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(monkeypatch, others=2)
    page = Page(
        run_page.write(
            make_run(
                tmp_path,
                [
                    passing(1),
                    failed_line(),
                    passing(2),
                    passing(3),
                    hostile_line(Verdict.PASSED, 10),
                ],
            )
        )
    )
    assert [one.text for one in page.all("p", "rest")] == [
        "2 more: with JavaScript on they are listed here; without it, they are in results.jsonl."
    ]
    assert len(page.all("details", "variant")) == 3
    assert page.by_id("v.weather-paris-stateless-streamed.t2").tag == "section"
    rows = page.rows()
    assert [row[0] for row in rows] == [
        "city1[stateless]",
        "paris[stateless-streamed]",
        "city2[stateless]",
        "city3[stateless]",
        "hostile[stateless]",
    ]
    assert [page.result(row[10])["id"] for row in rows] == [f"weather::{row[0]}" for row in rows]


def test_a_row_has_what_filters_ask_about(page: Page) -> None:
    [row] = [row for row in page.rows() if row[0].startswith("paris")]
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
        "message": "tool_calls: get_current_temperature: location is 'London', not 'Paris' (and 3 more)",
        "at": row[10],
        "line": 5,
        "anchor": "v.weather-paris-stateless-streamed",
        "variant": {"history": "stateless", "stream": False, "model": "gemini-3.5-flash"},
        "found": [
            ["tool_calls", "arguments_differ"],
            ["history", "signature_altered"],
            ["text", "not_contained"],
            ["usage", "over_budget"],
        ],
        "trial": 1,
    }


@pytest.mark.parametrize("count", [1, 63, 64, 65, 130])
def test_every_row_is_in_the_page_once_and_in_order(tmp_path: Path, count: int) -> None:
    page = Page(run_page.write(make_run(tmp_path, [passing(index) for index in range(count)])))
    assert [row[0] for row in page.rows()] == [f"city{index}[stateless]" for index in range(count)]


@pytest.mark.parametrize(("count", "drawn"), [(1, 1), (68, 68), (100, 100), (101, 20), (130, 20)])
def test_a_run_of_at_most_a_hundred_variants_is_drawn_whole(
    tmp_path: Path, count: int, drawn: int
) -> None:
    page = Page(run_page.write(make_run(tmp_path, [passing(index) for index in range(count)])))
    assert len(page.all("section", "turn")) == 2 * len(page.all("details", "variant")) == 2 * drawn
    assert [one.text.partition(":")[0] for one in page.all("p", "rest")] == (
        [f"{count - drawn} more"] if count > drawn else []
    )


def test_of_a_large_run_the_first_of_each_kind_are_drawn_whole(tmp_path: Path) -> None:
    failed = [line(f"f{number}", verdict=Verdict.FAILED) for number in range(30)]
    passed = [passing(number) for number in range(60)]
    skipped = [line(f"s{number}", verdict=Verdict.SKIPPED) for number in range(25)]
    page = Page(run_page.write(make_run(tmp_path, [*skipped, *passed, *failed])))
    verdicts = [one.attributes["class"].split()[1] for one in page.all("details", "variant")]
    assert verdicts == ["failed"] * 30 + ["passed"] * 20 + ["skipped"] * 20


def test_only_the_first_failures_are_drawn_without_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(monkeypatch, attention=2, others=20)
    lines = [line(f"f{number}", verdict=Verdict.FAILED) for number in range(5)] + [
        line("e", verdict=Verdict.ERRORED)
    ]
    page = Page(run_page.write(make_run(tmp_path, lines)))
    assert [name.partition("[")[0] for name in rows(page)] == ["f0", "f1", "e"]
    assert len(page.rows()) == 6


def test_decisions_stand_above_the_list_and_are_text(tmp_path: Path) -> None:
    decision = {
        "name": "Ada <b>",
        "role": "QA",
        "email": "ada@example.org",
        "decision": "approved-with-deviations",
        "meaning": "review",
    }
    rejected = {
        "name": "Eve",
        "decision": "rejected",
        "void": "results.jsonl changed",
        "comment": "no",
    }
    page = Page(
        run_page.write(
            make_run(tmp_path, [passing(1)]),
            [{**decision, "time": "2026-11-22T13:00:00Z", "more": 1}, rejected],
        )
    )
    [section] = page.all("section", "signoffs")
    assert section.text == (
        "Sign-off approved with deviations review Ada <b>, QA ada@example.org 2026-11-22T13:00:00Z rejected void: results.jsonl changed Eve no"
    )
    assert page.all("section", "signoffs") == [
        one for one in page.all("section") if one.attributes["class"] == "signoffs"
    ]


def test_paper_tells_the_digest_of_the_results_and_the_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, [passing(1)])
    page = Page(run_page.write(run))
    digest = hashlib.sha256((tmp_path / "results.jsonl").read_bytes()).hexdigest()
    assert f'@bottom-left {{ content: "results.jsonl sha256 {digest}"; }}' in page.source
    assert digest in page.all("footer")[0].text


def test_media_of_a_waiting_variant_stands_in_a_block_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(monkeypatch, others=0)
    image = {"type": "image", "data": png(), "mime_type": "image/png"}
    page = Page(
        run_page.write(
            make_run(tmp_path, [line(name, [turn(1, [image], [])]) for name in ("one", "two")])
        )
    )
    assert page.source.count(png()) == 1
    [block] = [one for one in page.all("script") if one.attributes.get("id", "").startswith("m-")]
    assert "".join(block.texts) == png()
    content = page.result("0.1")["turns"][0]["user"][0]
    assert content["data"] == f"evalkit-media:{block.attributes['id'].removeprefix('m-')}"


def test_ids_that_look_alike_get_anchors_of_their_own(tmp_path: Path) -> None:
    page = Page(
        run_page.write(
            make_run(
                tmp_path,
                [line("a", parts=["b c"]), line("a", parts=["b/c"]), line("a", parts=["b c"])],
            )
        )
    )
    assert [one.attributes["id"] for one in page.all("details", "variant")] == [
        "v.weather-a-b-c",
        "v.weather-a-b-c~2",
        "v.weather-a-b-c~3",
    ]


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path, every_line(long_line=1000))
    first = run_page.write(run).read_bytes()
    assert run_page.write(run).read_bytes() == first


@pytest.mark.parametrize(
    ("bad", "number"),
    [("not json", 2), ("[]", 2), ('{"id": "x"}', 2), ('{"verdict": "excellent"}', 2)],
)
def test_a_line_that_cannot_be_read_is_named_and_the_old_page_stays(
    tmp_path: Path, bad: str, number: int
) -> None:
    run_page.write(make_run(tmp_path, [passing(1)]))
    old = (tmp_path / "index.html").read_bytes()
    with pytest.raises(UsageError, match=rf"results\.jsonl:{number} cannot be read: "):
        run_page.write(make_run(tmp_path, [passing(1), bad]))
    assert (tmp_path / "index.html").read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "index.html",
        "manifest.json",
        "results.jsonl",
    ]


def test_a_run_without_results_is_a_page_that_says_so(tmp_path: Path) -> None:
    page = Page(run_page.write(make_run(tmp_path, [], complete=False, totals={"collected": 3})))
    assert page.all("h1")[0].text == "Not finished 0 of 3 have a result; of 0 scored none failed"
    assert "No variant has a result." in page.all("main")[0].text


def test_a_result_too_deep_for_python_is_left_to_the_browser(tmp_path: Path) -> None:
    deep = json.loads(line("deep", [weather()], verdict=Verdict.FAILED))
    deep["turns"][0]["steps"][1]["step"]["arguments"] = "DEEP"
    text = json.dumps(deep, separators=(",", ":")).replace('"DEEP"', "[" * 200_000 + "]" * 200_000)
    page = Page(run_page.write(make_run(tmp_path, [text])))
    assert len(page.all("div", "later")) == 1
    assert len(page.rows()) == 1


def test_the_page_of_many_passing_variants_stays_small(tmp_path: Path) -> None:
    lines = [passing(index) for index in range(400)]
    whole = run_page.write(make_run(tmp_path, lines[:200])).stat().st_size
    more = run_page.write(make_run(tmp_path, lines)).stat().st_size
    assert (more - whole) / 200 < 2_000
