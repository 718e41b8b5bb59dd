"""Reports that share a reading of the run are those that each of them is alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import UsageError
from evalkit.reports import text_spool
from evalkit.reports.ci import badge, ctrf, junit, markdown
from evalkit.reports.line_reports import write_all
from evalkit.reports.page import run_page
from evalkit.reports.text_spool import Piece, Spool
from evalkit.results import Run
from tests.reports.sample import make_run, passing
from tests.reports.sample_cases import every_line

ALL: list[Callable[..., Path]] = [
    badge.write,
    ctrf.write,
    run_page.write,
    junit.write,
    markdown.write,
]
NAMES = ["badge.json", "ctrf.json", "index.html", "junit.xml", "summary.md"]


class Counted(Run):
    """A run that knows how often it was read."""

    read = 0

    def lines(self) -> Iterator[str]:
        self.read += 1
        return super().lines()


@pytest.fixture
def run(tmp_path: Path) -> Counted:
    make_run(tmp_path / "run", [*every_line(long_line=1000), *map(passing, range(120))])
    return Counted(tmp_path / "run")


def test_reports_in_one_reading_are_those_made_alone(run: Counted) -> None:
    assert [path.name for path in write_all(run, ALL)] == NAMES
    assert run.read == 1
    together = [(run.directory / name).read_bytes() for name in NAMES]
    assert [write(run).read_bytes() for write in ALL] == together
    assert run.read == 1 + len(ALL)


def test_other_reports_come_after_those_made_line_by_line(run: Counted) -> None:
    def names(opened: Run) -> Any:
        return sorted(path.name for path in opened.directory.iterdir())

    assert write_all(run, [names, junit.write])[1] == [
        "junit.xml",
        "manifest.json",
        "results.jsonl",
    ]
    assert write_all(run, [names])[0] == ["junit.xml", "manifest.json", "results.jsonl"]
    assert run.read == 1
    assert write_all(run, []) == []


def test_a_line_that_cannot_be_read_leaves_every_report_as_it_was(run: Counted) -> None:
    write_all(run, ALL)
    before = {path: path.read_bytes() for path in run.directory.iterdir() if path.name in NAMES}
    with (run.directory / "results.jsonl").open("a") as file:
        file.write("not json\n")
    with pytest.raises(UsageError, match=r"results\.jsonl:\d+ cannot be read: "):
        write_all(run, ALL)
    assert {
        path: path.read_bytes() for path in run.directory.iterdir() if path.name in NAMES
    } == before
    assert len(list(run.directory.iterdir())) == len(NAMES) + 2


def test_a_report_says_what_it_is() -> None:
    assert junit.write.__doc__ is not None
    assert "junit.xml" in junit.write.__doc__


def test_neighbours_in_a_spool_are_one_piece_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_spool, "JOINED", 4)
    with Spool() as held:
        one: list[Piece] = []
        other: list[Piece] = []
        for text in ("ab", "cd", "e"):
            held.put_on(one, text)
        held.put_on(other, "x")
        held.put_on(one, "f")
        assert [held.get(piece) for piece in one] == ["abcd", "e", "f"]
        assert [held.get(piece) for piece in other] == ["x"]
