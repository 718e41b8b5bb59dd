"""Reports written in one reading of the run are the same as each written alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import UsageError
from evalkit.reports import text_spool
from evalkit.reports.ci.badge import Badge
from evalkit.reports.ci.ctrf import Ctrf
from evalkit.reports.ci.junit import JUnit
from evalkit.reports.ci.markdown import MarkdownSummary
from evalkit.reports.line_reports import write_all
from evalkit.reports.page.run_page import RunPage
from evalkit.reports.text_spool import TextSpool
from evalkit.results import Run
from tests.reports.sample import make_run, passing
from tests.reports.sample_cases import every_line

ALL: list[Callable[[Run], Any]] = [Badge, Ctrf, RunPage, JUnit, MarkdownSummary]
NAMES = ["badge.json", "ctrf.json", "index.html", "junit.xml", "summary.md"]


class CountedRun(Run):
    """A run that counts how often it was read."""

    reads = 0

    def lines(self) -> Iterator[str]:
        self.reads += 1
        return super().lines()


@pytest.fixture
def run(tmp_path: Path) -> CountedRun:
    make_run(tmp_path / "run", [*every_line(long_line=1000), *map(passing, range(120))])
    return CountedRun(tmp_path / "run")


def test_reports_of_one_reading_are_those_written_alone(run: CountedRun) -> None:
    assert [path.name for path in write_all(run, ALL)] == NAMES
    assert run.reads == 1
    together = [(run.directory / name).read_bytes() for name in NAMES]
    alone = [write_all(run, [report])[0].read_bytes() for report in ALL]
    assert alone == together
    assert run.reads == 1 + len(ALL)


def test_other_reports_follow_the_line_reports(run: CountedRun) -> None:
    def names(opened: Run) -> list[str]:
        return sorted(path.name for path in opened.directory.iterdir())

    expected = ["junit.xml", "manifest.json", "results.jsonl"]
    assert write_all(run, [names, JUnit])[1] == expected
    assert write_all(run, [names]) == [expected]
    assert run.reads == 1
    assert write_all(run, []) == []


def test_unreadable_line_leaves_every_report_as_it_was(run: CountedRun) -> None:
    write_all(run, ALL)
    before = {path: path.read_bytes() for path in run.directory.iterdir() if path.name in NAMES}
    with (run.directory / "results.jsonl").open("a") as file:
        file.write("not json\n")
    with pytest.raises(UsageError, match=r"results\.jsonl:\d+ cannot be read: "):
        write_all(run, ALL)
    after = {path: path.read_bytes() for path in run.directory.iterdir() if path.name in NAMES}
    assert after == before
    assert len(list(run.directory.iterdir())) == len(NAMES) + 2


@pytest.mark.parametrize("number", ["9" * 400, "1e400", "-5", "true", '"45"'])
@pytest.mark.parametrize("member", ["total_tokens", "elapsed_ms"])
def test_number_that_no_run_has_is_reported_with_its_line(
    tmp_path: Path, member: str, number: str
) -> None:
    line = re.sub(rf'"{member}":[0-9.]+', f'"{member}":{number}', passing(1))
    run = make_run(tmp_path / "run", [passing(0), line])
    with pytest.raises(UsageError, match=r"results\.jsonl:2 cannot be read: .* is not a number"):
        write_all(run, ALL)


def test_deep_head_is_reported_with_its_line(tmp_path: Path) -> None:
    deep = "[" * 50_000 + "]" * 50_000
    line = passing(1).replace('"variant":{', f'"variant":{{"deep":{deep},')
    run = make_run(tmp_path / "run", [line])
    with pytest.raises(UsageError, match=r"results\.jsonl:1 cannot be read: .* too deeply"):
        write_all(run, ALL)
    with pytest.raises(UsageError, match=r"results\.jsonl:1 is not JSON: .* too deeply"):
        list(run.results())


def test_folder_in_place_of_a_report_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [passing(1)])
    (run.directory / "index.html").mkdir()
    with pytest.raises(UsageError, match=r"cannot be written \(index\.html is a folder\)"):
        write_all(run, ALL)
    assert list((run.directory / "index.html").iterdir()) == []


@pytest.mark.parametrize("in_memory", [1, 1 << 20])
def test_spool_returns_texts_in_any_order(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr(text_spool, "IN_MEMORY", in_memory)
    spool = TextSpool()
    first, second = spool.put("ab"), spool.put("é")
    assert spool.get(second) == "é"
    third = spool.put("c")
    assert [spool.get(span) for span in (third, first)] == ["c", "ab"]
    spool.close()
