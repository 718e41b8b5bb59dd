"""A result line in short: what a comparison needs of one variant and trial, in about a kilobyte. Pure; a line is a mapping as it was parsed.

What was said is kept as a digest of everything that does not differ between two recordings of the same answer: status, text, step types,
calls with their arguments. Ids, signatures and times are left out of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, canonical
from evalkit.verdict import Verdict, worst

Key = tuple[str, str, tuple[str, ...], int]
"""What two results are paired by: suite, scenario, parts of the variant's name, trial."""


class Row(NamedTuple):
    """One result.

    ``checks`` is the gravest verdict of each check over all turns, ``codes`` the codes of the findings that failed it, ``message`` why it
    did not pass. ``tokens``, ``elapsed_ms`` and ``cost`` are None where they are not known. ``asked`` is what the request held, each part as
    canonical JSON: the settings sent with every turn, and ``prompts``, the user's messages. ``place`` is ``file:line`` of the scenario.
    """

    id: str
    key: Key
    model: str
    tags: tuple[str, ...]
    verdict: Verdict
    checks: Mapping[str, Verdict]
    codes: frozenset[tuple[str, str]]
    message: str
    tokens: int | None
    elapsed_ms: float | None
    cost: float | None
    said: str
    asked: Mapping[str, str]
    place: str

    @property
    def scored(self) -> bool:
        """Whether it tells how good the model is: passed or failed."""
        return self.verdict in (Verdict.PASSED, Verdict.FAILED)

    @property
    def passed(self) -> bool:
        """Whether it passed."""
        return self.verdict is Verdict.PASSED

    @property
    def family(self) -> str:
        """The scenario it is a variant of: ``suite::scenario``. Variants and trials of one share its fate."""
        return f"{self.key[0]}::{self.key[1]}"

    @property
    def variant(self) -> tuple[str, str, tuple[str, ...]]:
        """The variant all trials of which belong together."""
        return self.key[:3]


def row_of(line: Mapping[str, JSON]) -> Row:
    """Return a result line in short.

    Raises KeyError, TypeError, ValueError or AttributeError for what is no result line.
    """
    settings, metrics = line["variant"], line["metrics"]
    model = str(settings.get("model") or settings.get("agent") or "")
    verdicts: dict[str, Verdict] = {}
    codes = set()
    for check in line["checks"]:
        name, verdict = check["name"], Verdict(check["verdict"])
        verdicts[name] = worst((verdicts[name], verdict)) if name in verdicts else verdict
        codes |= {
            (name, finding["code"])
            for finding in check["findings"]
            if finding["severity"] == "error"
        }
    return Row(
        line["id"],
        (line["suite"], line["scenario"], tuple(map(str, line["parts"])), line["trial"]),
        model,
        tuple(line["tags"]),
        Verdict(line["verdict"]),
        verdicts,
        frozenset(codes),
        line["message"],
        metrics.get("tokens", {}).get("total_tokens"),
        metrics.get("elapsed_ms"),
        metrics.get("cost"),
        _said(line["turns"]),
        _asked(line),
        f"{line['path']}:{line['line']}",
    )


def without_model(row: Row) -> Row:
    """Return the row with the model's part left out of what it is paired by: where the model is what differs."""
    suite, scenario, parts, trial = row.key
    if row.model not in parts:
        return row
    at = parts.index(row.model)
    return row._replace(key=(suite, scenario, (*parts[:at], *parts[at + 1 :]), trial))


def _asked(line: Mapping[str, JSON]) -> dict[str, str]:
    # Most results ask the same: kept once, ten thousand of them are no more than one.
    prompts = [turn.get("user") for turn in line["turns"]]
    return {
        sys.intern(key): sys.intern(canonical(value))
        for key, value in {**line.get("settings", {}), "prompts": prompts}.items()
    }


def _said(turns: Iterable[Mapping[str, JSON]]) -> str:
    told = [
        [
            turn["outcome"],
            turn["status"],
            turn["text"],
            [_in_short(step["step"]) for step in turn["steps"] if step["origin"] == "model"],
        ]
        for turn in turns
    ]
    return sha256(canonical(told))[:16]


def _in_short(step: Mapping[str, JSON]) -> JSON:
    kind = step.get("type")
    return (
        [kind, step.get("name"), step.get("arguments")]
        if isinstance(kind, str) and kind.endswith("_call")
        else kind
    )
