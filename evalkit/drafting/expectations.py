"""First expectations of a conversation that was held: what it did, so that the next one can be seen to do otherwise. Pure.

They are drafts: they say what was, not what is right. Texts are not expected, for no two answers have the same words; thoughts are left out of
step sequences, for where a model thinks is its own affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evalkit._lib.json import JSON, loads
from evalkit.compare.alignment import cited_sources
from evalkit.protocol.step_reader import steps_of
from evalkit.transcript import Turn


def expectations(turn: Turn, fields: Mapping[str, JSON]) -> list[JSON]:
    """Return what stands under a turn's ``expect``; ``fields`` are what was sent with every request."""
    if turn.error is not None:
        return [{"error": {"status": turn.error.status, "code": turn.error.code}}]
    return list(_drafts(turn, fields))


def _drafts(turn: Turn, fields: Mapping[str, JSON]) -> Iterator[JSON]:
    if turn.status is not None:
        yield {"status": turn.status}
    steps = [step.raw for step in turn.steps]
    kinds = [str(step.get("type")) for step in steps if step.get("type") != "thought"]
    if kinds:
        yield {"steps": {"steps": kinds, "ignore": ["thought"]}}
    calls = [
        {"name": step["name"], "arguments": step.get("arguments") or {}}
        for step in steps
        if step.get("type") == "function_call" and isinstance(step.get("name"), str)
    ]
    if calls:
        yield {"tool_calls": calls}
    if _has_schema(fields.get("response_format")) and _is_json(turn.text):
        yield {"json_schema": "response_format"}
    if cited_sources(steps_of({"steps": steps})):
        yield {"citations": {"min": 1, "spans": "valid"}}


def _has_schema(given: JSON) -> bool:
    return any(
        isinstance(one, Mapping) and "schema" in one
        for one in (given if isinstance(given, list) else [given])
    )


def _is_json(text: str) -> bool:
    try:
        loads(text)
    except (ValueError, RecursionError):
        return False
    return True
