"""Filters, sorting, groups, keyboard, large reports, and accessibility by axe."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from evalkit.compare.runs import compare
from evalkit.reports.page import comparison_page, run_page, split_output
from evalkit.verdict import CheckResult, Finding, Verdict
from tests.reports.browsing import SKIP, Open, Tab
from tests.reports.sample import line, make_run, passing, turn, weather, write_page
from tests.reports.sample_cases import errored_line, every_line, failed_line, hostile_line, png

pytestmark = pytest.mark.browser

if SKIP:
    pytest.skip(SKIP, allow_module_level=True)


def filtered(tab: Tab, text: str) -> list[str]:
    """Type into the filter and return the remaining rows."""
    tab.page.fill("#find", text)
    return tab.names()


ALL = ["paris", "hostile", "wordy", "city1", "later", "limited", "everything", "media", "euro"]

QUERIES = [
    ("", ALL),
    ("status:failed", ["paris", "hostile"]),
    ("status:failed,errored", ["paris", "hostile", "limited"]),
    ("-status:passed", ["paris", "hostile", "later", "limited"]),
    ("status:warned", ["wordy"]),
    ("tag:smoke", ["paris", "wordy", "city1", "everything", "euro"]),
    ("tag:SMOKE -tag:tools status:passed", ["wordy", "city1", "everything", "euro"]),
    ('tag:"\\"><b>"', ["hostile"]),
    ("suite:search", ["euro"]),
    ("suite:*e*r* -suite:weather", ["limited", "euro"]),
    ("check:history", ["paris"]),
    ("code:over_budget", ["paris"]),
    ("model:gemini-3.5-flash tag:nightly", ["later"]),
    ("model:gemini* stream:false tag:nightly", ["later"]),
    ("model:flash", []),
    ("tokens:>400", ["paris", "city1"]),
    ("tokens:394", ["wordy"]),
    ("tokens:300..500", ["wordy"]),
    ("time:>1s", ["paris", "city1"]),
    ("time:<=413ms suite:search", ["euro"]),
    ("exchanges:>=3", ["paris", "city1"]),
    ("euro 2024", ["euro"]),
    ('"the euro 2024"', ["euro"]),
    ('"2024 euro"', []),
    ("-stateless", ["later", "euro"]),
    ("weather::paris", ["paris"]),
    ("id:weather::city*", ["city1"]),
    ("tag:", ALL),
    ("-", ALL),
]


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page with three identical failures, two of another kind, and a single one."""

    def failing(name: str, check: str, code: str, message: str) -> str:
        result = CheckResult(check, Verdict.FAILED, (Finding(code, message),))
        return line(name, [weather()], [result], verdict=Verdict.FAILED, suite=f"suite-{name[0]}")

    lines = [
        failing(
            f"a{number}",
            "text",
            "not_contained",
            f"answer {number} does not contain 'city {number}'",
        )
        for number in range(3)
    ]
    lines += [
        failing(f"b{number}", "usage", "over_budget", f"{number}00 tokens, at most 7")
        for number in (1, 2)
    ]
    lines += [failing("c", "text", "too_long", "the text is too long"), passing(1)]
    return write_page(make_run(tmp_path_factory.mktemp("groups"), lines))


@pytest.fixture
def tab(everything: Path, open_page: Open) -> Iterator[Tab]:
    opened = open_page(everything)
    yield opened
    assert opened.messages == []


def test_filter_finds_variants(tab: Tab) -> None:
    found = {text: filtered(tab, text) for text, _ in QUERIES}
    assert found == dict(QUERIES)
    assert tab.page.inner_text("#problem") == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "statsu:failed",
            "Unknown filter statsu: (did you mean status:?); valid: status, tag,",
        ),
        ("modl:x", "(did you mean model:?)"),
        ("http://example.org", "Unknown filter http:; valid:"),
        ("status:fialed", "Unknown status fialed (did you mean failed?); valid:"),
        (
            "tokens:many",
            "tokens: must be a number, as in tokens:>500, tokens:<=1000 or tokens:100..500.",
        ),
    ],
)
def test_invalid_part_is_reported_and_filters_nothing(tab: Tab, text: str, message: str) -> None:
    assert filtered(tab, f"{text} suite:search") == ["euro"]
    assert message in tab.page.inner_text("#problem")


def test_address_keeps_filter_order_and_groups(everything: Path, open_page: Open) -> None:
    first = open_page(everything)
    filtered(first, "status:failed,errored -tag:slow")
    first.page.select_option("#order", "tokens")
    first.page.click("#group")
    fragment = first.page.evaluate("location.hash")
    assert fragment == "#?q=status:failed,errored+-tag:slow&sort=tokens&group=1"
    again = open_page(everything, fragment)
    assert again.page.input_value("#find") == "status:failed,errored -tag:slow"
    assert again.page.input_value("#order") == "tokens"
    assert again.page.get_attribute("#group", "aria-pressed") == "true"
    assert again.names() == first.names()
    assert again.page.locator("[data-token=status][aria-pressed=true]").all_inner_texts() == [
        "failed 2",
        "errored 1",
    ]


def test_link_keeps_the_filter_and_may_set_one(everything: Path, open_page: Open) -> None:
    tab = open_page(everything, "#v.weather-paris-stateless-streamed.f1?q=status:failed")
    finding = tab.by_id("v.weather-paris-stateless-streamed.f1")
    finding.wait_for()
    assert tab.names() == ["paris", "hostile"]
    tab.by_id("v.weather-paris-stateless-streamed").locator(".findings a").nth(1).click()
    assert (
        tab.page.evaluate("location.hash")
        == "#v.weather-paris-stateless-streamed.f2?q=status:failed"
    )


@pytest.mark.parametrize(
    ("order", "first"),
    [
        ("page", "paris"),
        ("status", "limited"),
        ("name", "limited"),
        ("tokens", "paris"),
        ("time", "paris"),
    ],
)
def test_order_sorts_the_list(tab: Tab, order: str, first: str) -> None:
    tab.page.select_option("#order", order)
    names = [name.split("::")[-1] for name in tab.names()]
    assert sorted(names) == sorted(ALL)
    filtered(tab, "-suite:weather" if order in ("name", "status") else "")
    assert tab.names()[0].split("::")[-1] == first


def test_identical_failures_are_one_group(groups: Path, open_page: Open) -> None:
    tab = open_page(groups)
    tab.page.get_by_role("button", name="Group failures").click()
    headings = [" ".join(text.split()) for text in tab.page.locator("#list h2").all_inner_texts()]
    assert headings == [
        "not_contained text: answer # does not contain '…' 3 variants",
        "over_budget usage: # tokens, at most # 2 variants",
        "too_long text: the text is too long 1 variant",
        "Without failures 1 variant",
    ]
    assert [name.split("[")[0] for name in tab.names()][:4] == [
        "suite-a::a0",
        "suite-a::a1",
        "suite-a::a2",
        "suite-b::b1",
    ]
    tab.page.get_by_role("button", name="Group failures").click()
    assert tab.page.locator("#list h2").count() == 4
    assert tab.names()[0] == "a0"


def test_everything_works_by_keyboard_alone(everything: Path, open_page: Open) -> None:
    tab = open_page(everything)
    press = tab.page.keyboard.press

    def focus() -> Any:
        return tab.page.evaluate(
            "document.activeElement.closest('.variant')?.id ?? document.activeElement.id"
        )

    press("?")
    assert tab.page.locator("dialog[open] tr").count() > 8
    press("Escape")
    assert tab.page.locator("dialog[open]").count() == 0
    press("j")
    assert focus() == "v.weather-paris-stateless-streamed"
    press("ArrowDown")
    press("j")
    assert focus() == "v.weather-wordy-stateless"
    press("k")
    press("ArrowUp")
    assert focus() == "v.weather-paris-stateless-streamed"
    press("n")
    assert focus() == "v.weather-hostile-stateless"
    press("n")
    assert focus() == "v.errors-limited-stateless"
    press("p")
    press("p")
    press("Enter")
    opened = tab.by_id("v.weather-paris-stateless-streamed")
    opened.locator(".facts").wait_for()
    assert opened.get_attribute("open") is not None
    press("Tab")
    press("Escape")
    assert opened.get_attribute("open") is None
    assert focus() == "v.weather-paris-stateless-streamed"
    press("/")
    assert focus() == "find"
    tab.page.keyboard.type("status:errored j?")
    assert tab.page.input_value("#find") == "status:errored j?"
    for _ in range(3):
        press("Backspace")
    press("ArrowDown")
    assert focus() == "v.errors-limited-stateless"
    press("/")
    press("Escape")
    assert focus() != "find"
    press("c")
    assert tab.page.input_value("#find") == ""
    press("g")
    assert tab.page.locator("#list h2").last.inner_text().startswith("Without failures")
    press("g")
    press("s")
    assert tab.page.input_value("#order") == "status"
    assert tab.messages == []


def test_list_of_thousands_has_few_elements_and_scrolls_to_its_end(
    tmp_path: Path, open_page: Open
) -> None:
    lines = [line(f"n{number:04}", suite="many") for number in range(3000)]
    tab = open_page(write_page(make_run(tmp_path, lines)))
    assert tab.page.locator(".variant").count() < 300
    tab.page.keyboard.press("End")
    tab.page.wait_for_function("() => document.getElementById('v.many-n2999-stateless') !== null")
    assert tab.page.locator(".variant").count() < 500
    tab.page.fill("#find", "n2998")
    assert tab.names() == ["n2998"]


def test_large_report_reads_its_data_from_files(
    tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_page, "LARGE", 1000)
    monkeypatch.setattr(split_output, "FILE", 1000)
    run = make_run(tmp_path, [passing(index) for index in range(90)])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0123456789ab-7.js").write_text("stale")
    (tmp_path / "data" / "mine.js").write_text("not ours")
    path = write_page(run)
    names = sorted(one.name for one in (tmp_path / "data").iterdir())
    assert len(names) == 3
    assert "0123456789ab-7.js" not in names
    assert "mine.js" in names
    tab = open_page(path, "#v.weather-city77-stateless.t2")
    tab.by_id("v.weather-city77-stateless.t2").wait_for()
    assert "city 77 is warm enough" in tab.by_id("v.weather-city77-stateless").inner_text()
    assert sum(url.endswith(".js") for url in tab.requests) == 1
    assert tab.messages == []
    assert write_page(run).read_bytes() == path.read_bytes()
    policy = "trustedTypes.createPolicy('evalkit-data', { createScriptURL: text => text })"
    assert (
        tab.page.evaluate(
            f"(() => {{ try {{ {policy}; return 'done' }} "
            "catch (error) { return error.name } })()"
        )
        == "TypeError"
    )
    for one in (tmp_path / "data").glob("*-*.js"):
        one.unlink()
    lost = open_page(path, "#v.weather-city77-stateless.t2")
    lost.page.get_by_text("line 78 of results.jsonl").wait_for()


def test_large_report_reads_its_media_from_files(
    tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_page, "LARGE", 100_000)
    monkeypatch.setattr(split_output, "FILE", 8_000)
    images = [
        {"type": "image", "data": png(48, seed), "mime_type": "image/png"} for seed in range(20)
    ]
    path = write_page(
        make_run(
            tmp_path,
            [line(f"n{seed}", [turn(1, [image], [])]) for seed, image in enumerate(images)],
        )
    )
    assert (
        path.stat().st_size
        < 130_000
        < sum(one.stat().st_size for one in (tmp_path / "data").iterdir())
    )
    tab = open_page(path, "#v.weather-n7-stateless")
    image = tab.by_id("v.weather-n7-stateless").locator("img")
    image.wait_for()
    tab.page.wait_for_function("() => document.querySelector('[open] img').naturalWidth === 48")
    assert image.get_attribute("src") == f"data:image/png;base64,{images[7]['data']}"
    assert sum(url.endswith(".js") for url in tab.requests) == 2
    assert tab.messages == []


AXE = files("axe_playwright_python").joinpath("axe.min.js")


def violations(tab: Tab) -> list[Any]:
    """Return the violations that axe finds (WCAG 2.2 A and AA, best practices)."""
    tab.page.evaluate("window.hacked = 0")
    tab.page.evaluate(AXE.read_text(encoding="utf-8") + ";0")
    found = tab.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        (one["id"], one["help"], [node["html"][:200] for node in one["nodes"]][:5])
        for one in found["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_is_accessible(everything: Path, open_page: Open, scheme: str) -> None:
    tab = open_page(everything, color_scheme=scheme)
    assert violations(tab) == []
    tab.open_everything()
    assert violations(tab) == []
    tab.page.keyboard.press("?")
    assert violations(tab) == []


def test_groups_and_comparison_are_accessible(
    tmp_path: Path, groups: Path, open_page: Open
) -> None:
    tab = open_page(groups, "#?group=1")
    assert violations(tab) == []
    old = make_run(
        tmp_path / "old", [passing(1), hostile_line(Verdict.PASSED, 100), errored_line()]
    )
    new = make_run(tmp_path / "new", [passing(1), hostile_line(Verdict.FAILED, 100), failed_line()])
    tab = open_page(comparison_page.write(compare(old, new), old, new, tmp_path))
    tab.page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    assert violations(tab) == []


def test_every_result_has_a_row(tmp_path: Path, open_page: Open) -> None:
    tab = open_page(write_page(make_run(tmp_path, every_line(long_line=100))))
    assert sorted(tab.names()) == sorted(ALL)
