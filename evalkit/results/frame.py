"""Results as tables: one row per variant, per check or per turn, for polars, pandas and DuckDB.

Needs the extra ``frame`` (polars). The columns are in docs/export.md; names and types of columns
are stable, new ones may be added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evalkit._lib.exact_json import map_leaves
from evalkit._lib.json import JSON, dumps
from evalkit._lib.text import well_formed
from evalkit.checks.core.pricing import counted_exchanges, token_totals
from evalkit.errors import UsageError
from evalkit.protocol.step_reader import content_blocks
from evalkit.protocol.step_types import RESULT_OF
from evalkit.results.records import ResultLine, TurnRecord
from evalkit.results.result_line import outcome_of
from evalkit.results.run_directory import Run
from evalkit.results.stored_transcript import stored_transcript

if TYPE_CHECKING:
    import polars

Rows = Literal["variants", "checks", "turns"]
_TEXT, _INTEGER, _NUMBER, _TEXTS = "String", "Int64", "Float64", "List"
_TOKENS = ("total_tokens", "total_input_tokens", "total_output_tokens", "total_thought_tokens")
_IDENTITY = {
    "run": _TEXT,
    "id": _TEXT,
    "suite": _TEXT,
    "scenario": _TEXT,
    "parts": _TEXTS,
    "trial": _INTEGER,
    "model": _TEXT,
}
COLUMNS: dict[Rows, dict[str, str]] = {
    "variants": {
        **_IDENTITY,
        "kind": _TEXT,
        "title": _TEXT,
        "tags": _TEXTS,
        "settings": _TEXT,
        "path": _TEXT,
        "line": _INTEGER,
        "cassette": _TEXT,
        "verdict": _TEXT,
        "outcome": _TEXT,
        "message": _TEXT,
        "failed_checks": _TEXTS,
        "warnings": _INTEGER,
        "turns": _INTEGER,
        "exchanges": _INTEGER,
        "tool_calls": _INTEGER,
        **dict.fromkeys(_TOKENS, _INTEGER),
        "cost": _NUMBER,
        "elapsed_ms": _NUMBER,
        "source": _TEXT,
    },
    "checks": {
        **_IDENTITY,
        "check": _TEXT,
        "turn": _INTEGER,
        "declared": _TEXT,
        "verdict": _TEXT,
        "findings": _INTEGER,
        "code": _TEXT,
        "severity": _TEXT,
        "message": _TEXT,
        "expected": _TEXT,
        "got": _TEXT,
    },
    "turns": {
        **_IDENTITY,
        "turn": _INTEGER,
        "outcome": _TEXT,
        "status": _TEXT,
        "user": _TEXT,
        "text": _TEXT,
        "calls": _TEXTS,
        "exchanges": _INTEGER,
        "total_tokens": _INTEGER,
        "elapsed_ms": _NUMBER,
        "reason": _TEXT,
    },
}
"""Columns and their types by kind of row: ``List`` is a list of texts."""


def frame(run: Run | Path | str, rows: Rows = "variants") -> polars.DataFrame:
    """Return the results of a run as a polars DataFrame.

    Raises UsageError if the run cannot be read or polars is not installed.
    """
    library = polars_library()
    run = run if isinstance(run, Run) else Run(Path(run))
    columns = COLUMNS[rows]
    values: dict[str, list[JSON]] = {name: [] for name in columns}
    for line in run.results():
        identity = _identity(run, line)
        for row in _ROWS[rows](line):
            for name, column in values.items():
                value = row[name] if name in row else identity[name]
                column.append(map_leaves(value, _storable))
    types = {_TEXTS: library.List(library.String)}
    schema = {name: types.get(kind) or getattr(library, kind) for name, kind in columns.items()}
    table: polars.DataFrame = library.DataFrame(values, schema=schema)
    return table


def _storable(value: JSON) -> JSON:
    """Return a value as a column can store it: valid Unicode, and integers of 64 bits."""
    if isinstance(value, str):
        return well_formed(value)
    return None if isinstance(value, int) and not -(2**63) <= value < 2**63 else value


def polars_library() -> Any:
    """Return the module polars. Raises UsageError where it is not installed."""
    try:
        return import_module("polars")
    except ImportError:
        raise UsageError(
            "tables need polars; install it with: pip install 'pytest-evalkit[frame]'"
        ) from None


def _identity(run: Run, line: ResultLine) -> Mapping[str, JSON]:
    variant = line["variant"]
    return {
        "run": str(run.directory),
        "id": line["id"],
        "suite": line["suite"],
        "scenario": line["scenario"],
        "parts": list(map(str, line["parts"])),
        "trial": line["trial"],
        "model": _text(variant.get("model") or variant.get("agent")),
    }


def _variant_rows(line: ResultLine) -> Iterator[Mapping[str, Any]]:
    metrics: Mapping[str, Any] = line["metrics"]
    tokens: Mapping[str, int] = metrics.get("tokens") or {}
    findings = [finding for check in line["checks"] for finding in check["findings"]]
    yield {
        "kind": line.get("kind", "variant"),
        "title": line["title"],
        "tags": list(line["tags"]),
        "settings": dumps(line["variant"]),
        "path": line["path"],
        "line": line["line"],
        "cassette": line["cassette"],
        "verdict": line["verdict"],
        "outcome": outcome_of(line),
        "message": line["message"] or None,
        "failed_checks": [one["name"] for one in line["checks"] if one["verdict"] == "failed"],
        "warnings": sum(finding["severity"] == "warn" for finding in findings),
        "turns": len(line["turns"]),
        "exchanges": metrics.get("exchanges"),
        "tool_calls": metrics.get("tool_calls"),
        **{name: tokens.get(name) for name in _TOKENS},
        "cost": metrics.get("cost"),
        "elapsed_ms": metrics.get("elapsed_ms"),
        "source": metrics.get("source"),
    }


def _check_rows(line: ResultLine) -> Iterator[Mapping[str, Any]]:
    for check in line["checks"]:
        first: Mapping[str, Any] = check["findings"][0] if check["findings"] else {}
        yield {
            "check": check["name"],
            "turn": check.get("turn"),
            "declared": check.get("declared"),
            "verdict": check["verdict"],
            "findings": len(check["findings"]),
            "code": first.get("code"),
            "severity": first.get("severity"),
            "message": first.get("message"),
            "expected": _text(first.get("expected")),
            "got": _text(first.get("got")),
        }


def _turn_rows(line: ResultLine) -> Iterator[Mapping[str, Any]]:
    for turn, stored in zip(line["turns"], stored_transcript(line).turns, strict=True):
        responses = [one.response for one in stored.exchanges if one.response is not None]
        steps = [one["step"] for one in turn["steps"] if one["origin"] == "model"]
        yield {
            "turn": turn["number"],
            "outcome": turn["outcome"],
            "status": _text(turn["status"]),
            "user": _user_text(turn),
            "text": turn["text"],
            "calls": [_called(step) for step in steps if step.get("type") in RESULT_OF],
            "exchanges": len(turn["exchanges"]),
            "total_tokens": token_totals(counted_exchanges(stored.exchanges)).get("total_tokens"),
            "elapsed_ms": sum(response.elapsed_ms or 0 for response in responses),
            "reason": turn.get("reason"),
        }


_ROWS: dict[Rows, Callable[[ResultLine], Iterator[Mapping[str, Any]]]] = {
    "variants": _variant_rows,
    "checks": _check_rows,
    "turns": _turn_rows,
}


def _user_text(turn: TurnRecord) -> str:
    blocks = content_blocks({"content": turn["user"]})
    texts = [block.get("text") for block in blocks if isinstance(block, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _called(step: Mapping[str, JSON]) -> str:
    name = step.get("name")
    return name if isinstance(name, str) else str(step["type"]).removesuffix("_call")


def _text(value: JSON) -> str | None:
    return value if value is None or isinstance(value, str) else dumps(value)
