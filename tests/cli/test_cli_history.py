"""``evalkit history``: output, page, wrong calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from tests.compare.lines import line
from tests.reports.page_reading import Page

pytestmark = pytest.mark.usefixtures("here")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["history", *arguments])


def run(name: str, *lines: dict[str, object], **manifest: object) -> None:
    folder = Path("reports", name)
    folder.mkdir(parents=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    (folder / "manifest.json").write_text(json.dumps({"complete": True, **manifest}))


def test_the_table_and_the_signs() -> None:
    run("one", line("a"), line("b"), line("c", "errored"), started="2026-01-01T10:00:00Z")
    run(
        "two",
        line("a", "failed"),
        line("b"),
        line("b", "failed", trial=2),
        started="2026-01-02T10:00:00Z",
        complete=False,
    )
    run("three", line("a"), line("b"), line("d\x1b[2J"), started="2026-01-03T10:00:00Z")
    actual = call()
    assert actual.exit_code == 0
    lines = [text.rstrip() for text in actual.output.splitlines()]
    assert lines[0].split() == [
        "run",
        "started",
        "model",
        "errored",
        "pass",
        "rate",
        "tokens",
    ]
    assert [text.split()[0] for text in lines[1:4]] == ["one", "two", "three"]
    assert "(did not end)" in lines[2]
    assert "100.0% of 2" in lines[1]
    assert "  ✓✗✓  s::a  2 flips, 100 tokens" in lines
    assert "  ✓±✓  s::b  0 flips, 100 tokens" in lines
    assert "  E··  s::c  0 flips, 100 tokens" in lines
    assert lines[-2:] == [
        "  1 scenario passed in every run (--all lists them).",
        "written: reports/history.html",
    ]
    assert "\x1b" not in actual.output
    assert max(map(len, lines)) <= 80
    assert "  ··✓  s::d<U+001B>[2J  0 flips, 100 tokens" in call("--all").output
    assert call("--last", "1").output.splitlines()[1].startswith("three")


def test_json(here: Path) -> None:
    run("one", line("a"))
    (here / "evalkit.yaml").write_text("prices: {m: {input_per_million: 1, output_per_million: 1}}")
    value = json.loads(call("--json").output)
    assert value["scenarios"][0]["points"][0]["passed"] == 1


def test_models_and_prompts_have_columns(here: Path) -> None:
    texts = {"one": "Be kind.", "two": "Be short."}
    for number, (name, text) in enumerate(texts.items(), 1):
        result = {**line("a", model=f"m{number}"), "settings": {"system_instruction": text}}
        run(name, result, started=f"2026-01-0{number}T10:00:00Z")
    points = json.loads(call("--json").output)["total"]["points"]
    assert [point["models"] for point in points] == [["m1"], ["m2"]]
    (one,), (two,) = (point["prompts"] for point in points)
    assert len(one) == len(two) == 7
    assert one != two
    header, first, *_ = call().output.splitlines()
    assert "prompt" in header
    assert first.split()[2:4] == ["m1", one]
    assert one in (here / "reports/history.html").read_text()


def test_without_runs(here: Path) -> None:
    assert call().output == "evalkit: reports is not a folder of runs\n"
    assert call().exit_code == 2
    (here / "reports").mkdir()
    actual = call()
    assert actual.exit_code == 2
    assert actual.output.startswith(
        "evalkit: reports has no run; make one: pytest suites --evalkit-report reports/"
    )
    assert not (here / "reports/history.html").exists()


def test_skipped_runs_are_reported() -> None:
    run("bad", {"x": 1})
    actual = call()
    assert actual.exit_code == 2
    assert "evalkit: left out reports/bad: not a run of evalkit" in actual.output


def test_the_page(here: Path) -> None:
    run("one", line("a"), line("b", "failed"), started="2026-01-01T10:00:00Z")
    run("two", line("a<script>"), line("b"), started="2026-01-02T10:00:00Z", complete=False)
    assert call("--out", "page.html").exit_code == 0
    page = Page(here / "page.html")
    assert page.all("h1")[0].text == "2 runs, 3 scenarios"
    assert [row.text for row in page.all("th") if row.attributes.get("scope") == "row"][2:] == [
        "s::b",
        "s::a",
        "s::a<script>",
    ]
    cells = [
        cell.attributes["aria-label"]
        for cell in page.all("span", "cell")
        if "aria-label" in cell.attributes
    ]
    assert cells[:2] == ["one: failed, 0.0% of 1", "two: passed, 100.0% of 1"]
    assert page.all("script") == []
    assert len(page.all("line", "dot")) == 2


def test_a_page_that_cannot_be_written(here: Path) -> None:
    run("one", line("a"))
    (here / "none").write_text("")
    actual = call("--out", "none/page.html")
    assert (actual.exit_code, actual.output) == (
        2,
        "evalkit: none/page.html: cannot be written (File exists); choose another file with --out\n",
    )
