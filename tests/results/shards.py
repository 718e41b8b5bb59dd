"""Minimal runs of parts of suites: result lines with digests, and their manifests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit._lib.files import sha256
from evalkit.results import Totals, tally_of

DIGEST = "sha256:" + "0" * 64
ENDED = "2026-01-01T10:00:09Z"


def line(
    name: str, verdict: str = "passed", *, suite: str = "s", without: str = "", **more: Any
) -> str:
    """Return a result line with its digest; ``without`` names a member to leave out."""
    value = {
        "schema_version": 1,
        "id": f"{suite}::{name}",
        "suite": suite,
        "scenario": name,
        "title": "",
        "variant": {"model": "m"},
        "parts": [],
        "trial": 1,
        "tags": [],
        "path": f"suites/{suite}.yaml",
        "line": 3,
        "verdict": verdict,
        "message": "",
        "checks": [{"name": "text", "verdict": verdict, "findings": []}],
        "metrics": {"tokens": {"total_tokens": 10}},
        "unplayed": [],
        "cassette": None,
        "settings": {},
        "turns": [],
        **more,
    }
    value.pop(without, None)
    text = json.dumps(value, separators=(",", ":"))
    return f'{text[:-1]},"digest":"{sha256(text)}"}}'


def manifest(
    lines: Sequence[str],
    *,
    collected: int | None = None,
    suites: Sequence[str] = ("s",),
    **more: Any,
) -> dict[str, Any]:
    """Return the manifest of a session that ended.

    ``collected`` counts the variants of each suite; those without a line were deselected.
    """
    totals = Totals()
    for one in lines:
        totals.add(tally_of(json.loads(one)))
    each = len(lines) if collected is None else collected
    totals.collected = each * len(suites)
    totals.deselected = totals.collected - totals.run
    return {
        "schema_version": 1,
        "evalkit": "0.1.0",
        "python": "3.12.1",
        "pytest": "9.0.0",
        "platform": "Linux x86_64",
        "started": "2026-01-01T10:00:00Z",
        "ended": ENDED,
        "complete": True,
        "options": {"record": "none", "cassettes": "cassettes", "model": [], "repeat": None},
        "environment": {},
        "suites": [
            {
                "suite": name,
                "path": f"suites/{name}.yaml",
                "digest": DIGEST,
                "collected": each,
                "files": [],
            }
            for name in suites
        ],
        "cassettes": [],
        "totals": totals.to_json(),
        **more,
    }


def write(folder: Path, lines: Sequence[str], **more: Any) -> Path:
    """Write a run directory and return it."""
    folder.mkdir(parents=True)
    (folder / "results.jsonl").write_text("".join(f"{one}\n" for one in lines))
    (folder / "manifest.json").write_text(json.dumps(manifest(lines, **more)))
    return folder
