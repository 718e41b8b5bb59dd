"""Results as tables: columns, values, files, and what a user can get wrong."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import polars
import pytest
from click.testing import CliRunner, Result

from evalkit.cli.main import main
from evalkit.errors import UsageError
from evalkit.results.frame import COLUMNS, Rows, frame
from evalkit.verdict import CheckResult, Finding, Severity, Verdict, Where
from tests.reports.sample import line, make_run, passed, passing, weather

DOCS = Path(__file__).parents[2] / "docs" / "export.md"
HOSTILE = '=HYPERLINK("http://evil.example";"click")'


@pytest.fixture
def run(tmp_path: Path) -> Path:
    finding = Finding(
        "text_missing", HOSTILE, Where(turn=1), expected={"contains": "x"}, got="nothing"
    )
    warning = Finding("note", "noted", severity=Severity.WARN)
    lines = [
        passing(1),
        line(
            "failing",
            [weather()],
            [
                passed("status", 1),
                CheckResult("text", Verdict.FAILED, (finding, warning), turn=1),
            ],
            verdict=Verdict.FAILED,
        ),
        line("without a conversation"),
    ]
    make_run(tmp_path / "run", lines)
    return tmp_path / "run"


def export(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["export", *arguments])


def test_variants(run: Path) -> None:
    table = frame(run)
    assert table.height == 3
    failing = table.row(1, named=True)
    assert failing["scenario"] == "failing"
    assert failing["verdict"] == failing["outcome"] == "failed"
    assert failing["failed_checks"] == ["text"]
    assert (failing["warnings"], failing["turns"], failing["exchanges"]) == (1, 1, 2)
    assert failing["tool_calls"] == 1
    assert table.row(2, named=True)["total_tokens"] is None


def test_checks(run: Path) -> None:
    table = frame(str(run), "checks").filter(polars.col("scenario") == "failing")
    assert table["check"].to_list() == ["status", "text"]
    row = table.row(1, named=True)
    assert (row["code"], row["severity"], row["turn"]) == ("text_missing", "error", 1)
    assert (row["findings"], row["expected"], row["got"]) == (2, '{"contains":"x"}', "nothing")


def test_turns(run: Path) -> None:
    table = frame(run, "turns")
    assert table["turn"].to_list() == [1, 2, 1]
    row = table.row(2, named=True)
    assert row["calls"] == ["get_current_temperature"]
    assert row["user"] == "What is the temperature in London?"
    assert row["total_tokens"] > 0


def test_tokens_of_a_turn_count_each_interaction_once(tmp_path: Path) -> None:
    turn = weather()
    first = turn.exchanges[0].interaction
    assert first is not None
    # A model's text is hostile: an id may be anything.
    first["id"], first["usage"] = ["i"], {"total_tokens": 7}
    running = replace(turn.exchanges[0], number=3, interaction={**first, "status": "in_progress"})
    again = replace(turn.exchanges[0], number=4)
    turn.exchanges = [running, *turn.exchanges[:1], again]
    make_run(tmp_path / "run", [line("polled", [turn])])
    assert frame(tmp_path / "run", "turns")["total_tokens"].to_list() == [7]
    assert frame(tmp_path / "run", "variants")["total_tokens"].to_list() == [7]


@pytest.mark.parametrize("rows", get_args(Rows))
def test_the_columns_are_those_of_the_docs(run: Path, rows: Rows) -> None:
    page = DOCS.read_text(encoding="utf-8")
    identity = page.partition("Every table starts with")[2].partition("\n|")[0]
    table = page.partition(f"| `--rows {rows}` | content |")[2].partition("\n\n")[0]
    cells = " ".join(row.split("|")[1] for row in table.splitlines()[2:])
    documented = re.findall(r"`(\w+)`", f"{identity} {cells}")
    assert sorted(set(documented)) == sorted(COLUMNS[rows])
    assert frame(run, rows).columns == list(COLUMNS[rows])


@pytest.mark.parametrize("rows", get_args(Rows))
def test_an_empty_run_has_typed_columns(tmp_path: Path, rows: Rows) -> None:
    make_run(tmp_path / "run", [])
    table = frame(tmp_path / "run", rows)
    assert (table.height, table.columns) == (0, list(COLUMNS[rows]))
    assert table.schema["trial"] == polars.Int64


READERS: dict[str, Any] = {
    ".parquet": polars.read_parquet,
    ".csv": polars.read_csv,
    ".jsonl": polars.read_ndjson,
}


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("rows", get_args(Rows))
def test_files(run: Path, tmp_path: Path, ending: str, rows: str) -> None:
    target = tmp_path / "new" / f"results{ending}"
    result = export(str(run), "--rows", rows, "--to", str(target))
    assert result.exit_code == 0, result.output
    table = READERS[ending](target)
    assert f"{table.height} rows written" in result.output
    assert table.height == frame(run, rows).height  # type: ignore[arg-type]
    assert [one.name for one in target.parent.iterdir()] == [target.name]


def test_no_formula_in_csv(run: Path, tmp_path: Path) -> None:
    export(str(run), "--rows", "checks", "--to", str(tmp_path / "checks.csv"))
    messages = polars.read_csv(tmp_path / "checks.csv")["message"].to_list()
    assert f"'{HOSTILE}" in messages
    export(str(run), "--rows", "checks", "--to", str(tmp_path / "checks.parquet"))
    assert HOSTILE in polars.read_parquet(tmp_path / "checks.parquet")["message"].to_list()


def test_a_file_that_exists_is_replaced_on_demand_only(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "results.csv"
    target.write_text("mine")
    refused = export(str(run), "--to", str(target))
    assert refused.exit_code == 2
    assert "the file exists; name another one, or add --force" in refused.output
    assert target.read_text() == "mine"
    assert export(str(run), "--to", str(target), "--force").exit_code == 0
    assert target.read_text() != "mine"


def test_wrong_usage(run: Path, tmp_path: Path) -> None:
    unknown = export(str(run), "--to", "results.xlsx")
    assert unknown.exit_code == 2
    assert "--to results.xlsx: unknown ending; valid: .parquet, .csv, .jsonl" in unknown.output
    missing = export(str(tmp_path / "nowhere"), "--to", str(tmp_path / "x.csv"))
    assert missing.exit_code == 2
    (tmp_path / "file").write_text("")
    blocked = export(str(run), "--to", str(tmp_path / "file" / "x.csv"))
    assert blocked.exit_code == 2
    assert "x.csv: cannot be written (" in blocked.output


def test_a_folder_in_the_way_is_left_alone(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results.CSV"
    folder.mkdir()
    refused = export(str(run), "--to", str(folder), "--force")
    assert refused.exit_code == 2
    assert "results.CSV: cannot be written (" in refused.output
    assert [*tmp_path.glob("*results*")] == [folder]


def test_without_polars(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(UsageError, match=r"pip install 'pytest-evalkit\[frame\]'"):
        frame(run)


def test_what_no_column_can_hold_does_not_stop_an_export(tmp_path: Path) -> None:
    turn = weather()
    # A model's answer is hostile: half of a surrogate pair. A file may have any number.
    turn.text = turn.text + "\ud83d"
    turn.user = [{"type": "text", "text": "\udc00?"}]
    hostile = line("hostile", [turn])
    make_run(tmp_path / "run", [re.sub(r'(?<="total_tokens":)\d+', f"{10**30}", hostile, count=1)])
    table = frame(tmp_path / "run", "turns")
    assert table["text"].to_list() == [f"{weather().text}\ufffd"]
    assert table["user"].to_list() == ["\ufffd?"]
    variants = frame(tmp_path / "run", "variants")
    assert variants["total_tokens"].to_list() == [None]
    assert variants["total_input_tokens"].to_list()[0] > 0
