"""Build result lines with the keys that a comparison reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from evalkit.compare.compared_run import ComparedRun
from evalkit.compare.comparison import Comparison
from evalkit.compare.gates import Gate
from evalkit.compare.rows import ResultRow, result_row
from evalkit.compare.selection import without_axes


def line(
    scenario: str,
    verdict: str = "passed",
    *,
    suite: str = "s",
    parts: Sequence[str] = (),
    model: str = "m",
    trial: int = 1,
    tags: Sequence[str] = (),
    checks: dict[str, Any] | None = None,
    text: str = "hello",
    tokens: int | None = 100,
    elapsed_ms: float | None = 10.0,
    source: str | None = "replayed",
    case: str | None = None,
) -> dict[str, Any]:
    """Return a line. ``checks`` maps names to a verdict, or to the code of the finding that failed it."""
    if checks is None:
        checks = {"text": verdict if verdict != "failed" else "text_missing"}
    name = scenario + (f"[{'-'.join(parts)}]" if parts else "") + (f"#{trial}" if trial > 1 else "")
    metrics: dict[str, Any] = {} if tokens is None else {"tokens": {"total_tokens": tokens}}
    if elapsed_ms is not None:
        metrics["elapsed_ms"] = elapsed_ms
    metrics["source"] = source
    return {
        "id": f"{suite}::{name}",
        "suite": suite,
        "scenario": scenario,
        "variant": {"model": model, "history": "stateful"} | ({"case": case} if case else {}),
        "parts": list(parts),
        "trial": trial,
        "tags": list(tags),
        "path": f"suites/{suite}.yaml",
        "line": 3,
        "verdict": verdict,
        "message": "" if verdict == "passed" else f"{scenario} {verdict}",
        "checks": [_check(name, outcome) for name, outcome in checks.items()],
        "metrics": metrics,
        "turns": [
            {
                "number": 1,
                "outcome": "completed",
                "status": "completed",
                "text": text,
                "user": [{"type": "text", "text": "?"}],
                "steps": [
                    {
                        "origin": "model",
                        "step": {"type": "thought", "signature": f"{scenario}{trial}{model}"},
                    }
                ],
            }
        ],
    }


def _check(name: str, outcome: str) -> dict[str, Any]:
    if outcome in ("passed", "errored", "skipped"):
        return {"name": name, "verdict": outcome, "findings": []}
    return {
        "name": name,
        "verdict": "failed",
        "findings": [{"code": outcome, "severity": "error", "message": outcome, "where": {}}],
    }


def rows(lines: Iterable[dict[str, Any]], *, drop_model: bool = False) -> list[ResultRow]:
    """Return lines as rows."""
    built = [result_row(one) for one in lines]
    return [without_axes(row, ["model"]) for row in built] if drop_model else built


def comparison(
    baseline: Iterable[dict[str, Any]],
    candidate: Iterable[dict[str, Any]],
    gate: Gate | None = None,
) -> Comparison:
    """Compare lines."""
    return Comparison(
        baseline=ComparedRun(name="old", rows=rows(baseline)),
        candidate=ComparedRun(name="new", rows=rows(candidate)),
        gate_name="test",
        named_gate=gate,
    )


def split(
    both: int = 0, neither: int = 0, regressed: int = 0, improved: int = 0
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the lines of two runs with so many pairs of each kind, each a scenario of its own."""
    verdicts = [("passed", "passed")] * both + [("failed", "failed")] * neither
    verdicts += [("passed", "failed")] * regressed + [("failed", "passed")] * improved
    old = [line(f"c{number}", before) for number, (before, _) in enumerate(verdicts)]
    new = [line(f"c{number}", after) for number, (_, after) in enumerate(verdicts)]
    return old, new
