"""The strength of a run's expectations, stored in its directory as ``strength.json``.

Strength is the share of mutants that were caught (``evalkit probe``). Equivalent and undecided
mutants do not count, nor do survivors that somebody accepted.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypedDict

from evalkit._lib.files import write_atomic
from evalkit._lib.json import JSON
from evalkit.results.run_directory import read_extra_file

NAME = "strength.json"
_COUNTS: Final = ("caught", "survived", "accepted", "equivalent", "undecided")


class StrengthRecord(TypedDict):
    """The content of ``strength.json``. ``strength`` is None where no mutant counts.

    ``checks`` are the mutants that each noticed; ``not_asked`` are those that ask a judge.
    """

    strength: float | None
    caught: int
    survived: int
    accepted: int
    equivalent: int
    undecided: int
    scenarios: int
    left_out: Mapping[str, str]
    operators: Mapping[str, Mapping[str, int]]
    checks: Mapping[str, int]
    not_asked: Sequence[str]
    survivors: Sequence[Mapping[str, JSON]]


def write_strength(directory: Path, record: StrengthRecord) -> Path:
    """Store the totals in a run directory."""
    path = directory / NAME
    write_atomic(path, f"{json.dumps(record, indent=1)}\n")
    return path


def read_strength(directory: Path) -> StrengthRecord | None:
    """Return the stored totals, None where the run was not probed. Raises UsageError."""
    record: StrengthRecord | None = read_extra_file(directory / NAME, "evalkit probe", _is_valid)
    return record


def _is_valid(value: Any) -> bool:
    is_share = value["strength"] is None or 0 <= value["strength"] <= 1
    return is_share and all(isinstance(value[name], int) for name in _COUNTS)


def strength_text(record: StrengthRecord) -> str:
    """Return the strength as a line of text."""
    total = record["caught"] + record["survived"]
    details = f"{record['caught']:,} of {total:,} mutants caught"
    counts = ", ".join(f"{record[key]:,} {key}" for key in _COUNTS[2:] if record[key])
    share = "no mutants" if record["strength"] is None else f"strength {record['strength']:.0%}"
    return f"{share} ({details}{counts and f'; {counts}'})"
