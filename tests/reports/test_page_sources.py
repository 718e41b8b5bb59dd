"""Rules for the files of the page: no way from text to markup, no network, readable colors."""

from __future__ import annotations

import itertools
import re
from importlib.resources import files
from pathlib import Path

import pytest

from evalkit.reports.page import run_page
from evalkit.reports.page.embedded_data import inline_json
from evalkit.reports.page.templating import check_inline

SCRIPTS = [f"js/{name}.js" for name in run_page.SCRIPTS]
TEMPLATES = [
    "templates/page.html",
    "templates/comparison.html",
    "templates/history.html",
    "templates/head.html",
]
STYLE = "css/report.css"
STYLES = [STYLE, "css/comparison.css", "css/history.css"]

FORBIDDEN_IN_SCRIPTS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser"
    r"|createContextualFragment|setHTMLUnsafe|srcdoc|http:"
    r"|\.style\b(?!\.setProperty\(.block-size., height\))"
    r"|\beval\b|new Function|\bFunction\(|setTimeout\([\"']|\.on[a-z]+ ?=|setAttribute\([\"']on"
    r"|\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import\(|\bimport "
    r"|localStorage|document\.cookie"
)


def source(name: str) -> str:
    return files("evalkit.reports.page").joinpath(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_has_no_way_from_text_to_markup_or_to_the_network(name: str) -> None:
    assert FORBIDDEN_IN_SCRIPTS.findall(source(name)) == []


@pytest.mark.parametrize(
    "line",
    [
        "a.innerHTML = b",
        "eval (x)",
        "a.onclick = f",
        'fetch("x")',
        "document.write(x)",
        'import("x")',
        "a.style.color = c",
    ],
)
def test_rule_for_scripts_finds_what_it_forbids(line: str) -> None:
    assert FORBIDDEN_IN_SCRIPTS.search(line)


def test_every_script_is_in_the_page() -> None:
    shipped = {entry.name for entry in files("evalkit.reports.page").joinpath("js").iterdir()}
    assert shipped == {Path(name).name for name in SCRIPTS}


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_has_no_handler_style_or_address(name: str) -> None:
    assert re.findall(r"<[^>]*\s(on[a-z]+|style|target)=|https?:|javascript:", source(name)) == []


def test_only_the_pages_own_data_is_printed_unescaped() -> None:
    unescaped = [
        found for name in TEMPLATES for found in re.findall(r"{{ (\w+)\|safe }}", source(name))
    ]
    assert sorted(unescaped) == ["data", "rows", "script", "style", "tables"]
    assert not re.search(r"autoescape|Markup", "".join(map(source, TEMPLATES)))


@pytest.mark.parametrize("name", STYLES)
def test_style_loads_nothing(name: str) -> None:
    assert re.findall(r"url\(|@import|@font-face|expression\(", source(name)) == []


@pytest.mark.parametrize("text", ["var a = '</script>'", "/* <!-- */", "a</style"])
def test_code_that_could_end_its_element_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="inline code"):
        check_inline(text)


def test_inline_json_cannot_end_its_element() -> None:
    assert (
        inline_json({"a": "</script><!--\u2028\u2029"})
        == '{"a":"\\u003c/script>\\u003c!--\\u2028\\u2029"}'
    )


# Color, background, least contrast: 4.5 for text, 3 for graphics (WCAG 2.2, 1.4.3, 1.4.11).
VERDICTS = ("passed", "failed", "errored", "skipped", "warned")
PAIRS = [
    *(
        ("ink", ground, 4.5)
        for ground in (
            "ground",
            "sheet",
            "soft",
            "user-ground",
            *(f"{verdict}-ground" for verdict in VERDICTS),
        )
    ),
    *(
        ("muted", ground, 4.5)
        for ground in ("ground", "sheet", "soft", "user-ground", "failed-ground")
    ),
    *(("link", ground, 4.5) for ground in ("ground", "sheet", "soft", "user-ground")),
    *(
        (verdict, ground, 4.5)
        for verdict in VERDICTS
        for ground in ("ground", "sheet", "soft", f"{verdict}-ground")
    ),
    ("user", "user-ground", 4.5),
    ("call", "sheet", 4.5),
    ("mark-ink", "mark", 4.5),
    ("link", "mark", 3.0),
    *((f"{verdict}-bar", "ground", 3.0) for verdict in VERDICTS[:4]),
]


def palette(dark: bool) -> dict[str, str]:
    light, rest = source(STYLE).split("@media (prefers-color-scheme: dark)", 1)
    colours = re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", light)
    return (
        dict(colours + re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", rest.split("\n}\n", 1)[0]))
        if dark
        else dict(colours)
    )


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("dark", "pair"), list(itertools.product([False, True], PAIRS)), ids=str)
def test_text_has_enough_contrast(dark: bool, pair: tuple[str, str, float]) -> None:
    text, ground, least = pair
    colours = palette(dark)
    bright, dim = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= least, f"{colours[text]} on {colours[ground]}"
