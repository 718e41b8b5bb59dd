"""What is answered: steps as a rule or a plain answer gives them, and everything around them. Values only.

``steps`` are raw steps that may lack what only the server knows: ids of calls (a result without ``call_id`` belongs to the last call of its
kind), the leading thought, signatures. ``complete`` supplies ids and the status that follows from the steps, and whatever else a step must
have on the wire lest the official SDKs choke on it (protocol section 9): arguments that are an object, content that is a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from evalkit._lib.json import JSON
from evalkit.protocol.step_types import CALL_OF, REQUIRED_FIELDS, RESULT_OF
from evalkit.server.fault_injection.plans import FaultPlan
from evalkit.server.requests.error_response import ErrorResponse

RawStep = dict[str, JSON]
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_LISTS = frozenset({"google_search_result", "url_context_result", "google_maps_result"})
"""Results whose ``result`` is a list; every other one's may be text."""


@dataclass(slots=True)
class InteractionDraft:
    """An answer before it is an Interaction.

    ``status`` None follows from the steps. ``polls``: how many GETs of a background run find it in progress. ``delay`` and
    ``event_delay`` are seconds. ``fault`` is sent in place of the answer or, with ``fault_after``, inside the stream after so many events;
    ``cut_after`` ends the stream after so many events, without its end. ``files`` are texts by path that the answer leaves in its environment.
    """

    steps: list[RawStep] = field(default_factory=list)
    status: str | None = None
    errors: list[dict[str, JSON]] = field(default_factory=list)
    usage: Mapping[str, JSON] = field(default_factory=dict)
    fields: Mapping[str, JSON] = field(default_factory=dict)
    files: Mapping[str, JSON] = field(default_factory=dict)
    polls: int = 1
    delay: float = 0.0
    event_delay: float = 0.0
    fault: ErrorResponse | None = None
    fault_after: int | None = None
    cut_after: int | None = None
    faults: tuple[FaultPlan, ...] = ()


def ids(seed: str) -> Iterator[str]:
    """Yield short ids as the service's calls have them (8 of ``0-9a-z``), always the same for a seed."""
    number = 0
    while True:
        value = int.from_bytes(sha256(f"{seed} call {number}".encode()).digest()[:8])
        yield "".join(_ALPHABET[value // 36**place % 36] for place in range(8))
        number += 1


def complete(steps: Sequence[RawStep], seed: str, *, thought: bool = True) -> list[RawStep]:
    """Return the steps with a thought in front (where ``thought``), an id on every call, and each result bound to its call."""
    fresh = ids(seed)
    out: list[RawStep] = (
        [{"type": "thought"}] if thought and not (steps and steps[0]["type"] == "thought") else []
    )
    waiting: dict[str, list[str]] = {}
    for step in steps:
        kind = step["type"]
        if kind in RESULT_OF:
            step = {"type": kind, **step, "id": step.get("id") or next(fresh)}
            waiting.setdefault(kind, []).append(step["id"])
        elif kind in CALL_OF:
            calls = waiting.get(CALL_OF[kind], [])
            given = step.get("call_id")
            step = {"type": kind, **step, "call_id": given or (calls[-1] if calls else next(fresh))}
        out.append(_whole(step))
    return out


def _whole(step: RawStep) -> RawStep:
    """Return the step with every field it must have."""
    kind = step["type"]
    missing: RawStep = {}
    for name in REQUIRED_FIELDS.get(kind, ()):
        if step.get(name) is None:
            missing[name] = (
                {} if name == "arguments" else [] if name == "result" and kind in _LISTS else ""
            )
    if kind in ("model_output", "user_input") and isinstance(step.get("content"), str):
        missing["content"] = [{"type": "text", "text": step["content"]}]
    return {**step, **missing} if missing else step


def status_of(steps: Sequence[RawStep]) -> str:
    """Return the status that follows from an answer's steps: ``requires_action`` while a function call waits, else ``completed``."""
    answered = {step.get("call_id") for step in steps if step["type"] == "function_result"}
    waiting = any(
        step["type"] == "function_call" and step.get("id") not in answered for step in steps
    )
    return "requires_action" if waiting else "completed"
