"""The page of a comparison: figures, groups, transcripts; hostile text stays text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evalkit._lib.json import dumps, loads
from evalkit.compare.gates import Gate
from evalkit.compare.intervals import Interval
from evalkit.compare.runs import compare
from evalkit.reports.page import comparison_page
from evalkit.reports.page.comparison_page import interval_chart
from evalkit.reports.page.side_by_side import compare_turns
from evalkit.verdict import Verdict
from tests.reports.page_reading import Page
from tests.reports.sample import call, cites, line, make_run, passed, says, text, thought, turn
from tests.reports.sample_cases import every_line, hostile_line

GATE = Gate.model_validate({"max_regressions": 0, "non_inferiority": {"margin": 0.1}})


def page_of(folder: Path, old: Sequence[str], new: Sequence[str], gate: Gate = GATE) -> Path:
    runs = [make_run(folder / name, lines) for name, lines in (("old", old), ("new", new))]
    found = compare(runs[0], runs[1], gate_name="release", gate=gate)
    out = folder / "out"
    out.mkdir()
    return comparison_page.write(found, runs[0], runs[1], out)


def one(
    scenario: str, words: str, verdict: Verdict = Verdict.PASSED, location: str = "London"
) -> str:
    steps = [thought("sig-" + words), call(id_="id-" + words, location=location), says(words)]
    return line(
        scenario, [turn(1, "What is the weather?", steps)], [passed("text", 1)], verdict=verdict
    )


def test_verdict_comes_first_then_the_worst_group(tmp_path: Path) -> None:
    old = [
        one("worse", "It is warm."),
        one("better", "?", Verdict.FAILED),
        one("said", "It is warm."),
        one("same", "Hi."),
        one("gone", "x"),
    ]
    new = [
        one("new", "x"),
        one("worse", "It is cold.", Verdict.FAILED),
        one("better", "Fine."),
        one("said", "It is hot."),
        one("same", "Hi."),
    ]
    page = Page(page_of(tmp_path, old, new))
    assert page.all("h1")[0].text.startswith("Fail Do not ship yet: 1 of 4 pairs regressed.")
    titles = [element.text for element in page.all("h2")]
    assert titles == [
        "Regressions 1",
        "Figures",
        "Improvements 1",
        "Same verdict, different answer 1",
        "Removed 1",
        "Added 1",
    ]
    assert [element.text for element in page.all("del")] == ["warm", "?", "warm"]
    assert [element.text for element in page.all("ins")] == ["cold", "Fine.", "hot"]
    square = [
        [cell.text for cell in page.all("td") if cell.attributes.get("class") == word]
        for word in ("failed", "passed")
    ]
    assert square == [["1"], ["1"]]
    assert "Significance was out of reach" in page.source
    assert page.all("svg")[0].attributes["aria-label"].endswith("the margin, -10.0 points.")


def test_page_without_differences(tmp_path: Path) -> None:
    page = Page(page_of(tmp_path, [one("same", "Hi.")], [one("same", "Hi.")], Gate()))
    assert "No pair differs." in page.source
    assert page.all("details", "variant") == []


def test_trials_of_a_variant_are_one_entry(tmp_path: Path) -> None:
    def trials(*verdicts: Verdict) -> list[str]:
        return [
            line("s", [turn(1, "Hi", [says(str(number))])], [], verdict=verdict, trial=number)
            for number, verdict in enumerate(verdicts, 1)
        ]

    yes, no = Verdict.PASSED, Verdict.FAILED
    page = Page(page_of(tmp_path, trials(yes, yes, yes), trials(no, yes, no)))
    (variant,) = page.all("details", "variant")
    assert "2 of 3 trials" in variant.text
    assert "answer: 1" in variant.text
    trial_texts = [one.text for one in page.all("details", "trial")]
    assert [text.partition("Turn")[0] for text in trial_texts] == ["Trial 1", "Trial 3"]
    assert "Regressions 1 (2 trials)" in [element.text for element in page.all("h2")]


def test_group_shows_only_its_first_transcripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison_page, "SHOWN", 2)
    old = [one(f"s{number}", "yes") for number in range(4)]
    new = [one(f"s{number}", "no", Verdict.FAILED) for number in range(4)]
    page = Page(page_of(tmp_path, old, new))
    assert len(page.all("details", "variant")) == 4
    assert len(page.all("section", "turn")) == 2
    assert page.source.count("results.jsonl of both runs") == 2
    assert "The first 2 have their transcripts here." in page.source


def test_hostile_text_is_text(tmp_path: Path) -> None:
    old = [hostile_line(Verdict.PASSED, 2_000), *every_line(long_line=2_000)[1:3]]
    new = [hostile_line(Verdict.FAILED, 2_000), *every_line(long_line=2_000)[1:3]]
    page = Page(page_of(tmp_path, old, new))
    assert {element.tag for element in page.elements} & {
        "script",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "img",
        "a",
    } <= {"a"}
    assert all(element.attributes["href"].startswith("#") for element in page.all("a"))
    assert not [
        name
        for element in page.elements
        for name in element.attributes
        if name.startswith("on") or name in ("style", "src")
    ]
    assert "default-src 'none'" in page.all("meta")[1].attributes["content"]
    assert "\u202e" not in page.source
    assert "<U+202E>" in page.source.replace("&lt;", "<").replace("&gt;", ">")


def changed(before: dict[str, Any], after: dict[str, Any]) -> Any:
    return compare_turns(
        loads(line("x", [turn(1, "?", [before])], [])),
        loads(line("x", [turn(1, "?", [after])], [])),
    )[0]


def test_arguments_are_compared_as_json() -> None:
    (step,) = changed(call(location="London", unit="c"), call(location="Paris", days=2)).steps
    assert step.kind == "changed"
    assert step.name == "get_current_temperature"
    assert [tuple(one) for one in step.differences] == [
        ("/arguments/location", '"London"', '"Paris"'),
        ("/arguments/unit", '"c"', ""),
        ("/arguments/days", "", "2"),
    ]


def test_structured_output_is_compared_as_json() -> None:
    (step,) = changed(says('{"age": 3, "name": "Rex"}'), says('{"age": 4, "name": "Rex"}')).steps
    assert [tuple(one) for one in step.differences] == [("/age", "3", "4")]
    assert step.old == step.new == []


def test_many_differences_are_cut_and_counted() -> None:
    (step,) = changed(says(dumps(list(range(99)))), says(dumps(list(range(1, 100))))).steps
    assert (len(step.differences), step.more) == (40, 59)


def test_gained_and_lost_citations_are_listed() -> None:
    def cited(*sites: str) -> Any:
        whole = "Spain won."
        return says(whole, *(cites(whole, "Spain", site, f"https://{site}/x") for site in sites))

    found = changed(cited("a.org", "b.org"), cited("b.org", "c.org", "c.org"))
    assert found.lost == ["a.org  https://a.org/x"]
    assert found.gained == ["c.org  https://c.org/x"]
    (step,) = found.steps
    assert (step.kind, step.differences) == ("changed", [])


def test_turns_of_one_side_are_shown() -> None:
    old = loads(
        line("x", [turn(1, "?", [says("a")]), turn(2, "More?", [says("b")], first_exchange=2)], [])
    )
    new = loads(line("x", [turn(1, "?", [says("a")])], []))
    first, second = compare_turns(old, new)
    assert first.states == ("completed", "completed")
    assert second.states == ("completed", "no such turn")
    assert [step.kind for step in second.steps] == ["lost"]
    assert [piece.kind for piece in second.user] == ["lost"]


def test_signatures_of_thoughts_are_not_compared() -> None:
    (step,) = changed(thought("one"), thought("two")).steps
    assert (step.kind, step.old, step.new) == ("same", [], [])


def test_content_beside_equal_text_is_compared() -> None:
    before = {
        "type": "model_output",
        "content": [
            text("same words"),
            {"type": "image", "mime_type": "image/png", "data": "AAAA"},
        ],
    }
    after = {
        "type": "model_output",
        "content": [
            text("same words"),
            {"type": "image", "mime_type": "image/png", "data": "BBBB"},
        ],
    }
    (step,) = changed(before, after).steps
    assert step.kind == "changed"
    assert [one.pointer for one in step.differences] == ["/content/1/data"]


@pytest.mark.parametrize(
    ("difference", "interval", "margin", "edges"),
    [
        (0.01, Interval(-0.02, 0.04), 0.05, ("-6", "+6")),
        (0, Interval(0, 0), None, ("-2", "+2")),
        (-0.5, Interval(-1, 1), 0.05, ("-100", "+100")),
    ],
)
def test_axis_contains_interval_and_margin(
    difference: float, interval: Interval, margin: float | None, edges: tuple[str, str]
) -> None:
    chart = interval_chart(difference, interval, margin)
    assert (chart.ticks[0][1], chart.ticks[-1][1]) == edges
    assert (chart.ticks[0][0], chart.ticks[-1][0], chart.zero) == ("0", "100", "50")
    places = [float(place) for place in (chart.low, chart.value, chart.margin or chart.low)]
    assert all(0 <= place <= 100 for place in places)
