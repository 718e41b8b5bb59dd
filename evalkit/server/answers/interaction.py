"""Build the Interaction resource (docs/protocol.md section 3) from an answer. Values only.

An answer (``InteractionDraft``) has raw steps that may lack what the server adds: ids of calls, the
leading thought, signatures, and fields that the official SDKs need in a step (section 9). A result
without ``call_id`` belongs to the last call of its type. The resource has these, and the status,
usage, times and echoed fields around them. All but the times follow from the request and its seed.
"""

import base64
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from evalkit._lib import clock
from evalkit._lib.json import JSON, dumps, strings_in
from evalkit.protocol.step_reader import RawStep, content_blocks, text_blocks
from evalkit.protocol.step_types import CALL_OF, MEDIA_TYPES, REQUIRED_FIELDS, RESULT_OF
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.fault_injection.plans import FaultPlan
from evalkit.server.history_seals import sign_answer
from evalkit.server.requests.error_response import ErrorResponse

_ID_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LIST_RESULTS = frozenset({"google_search_result", "url_context_result", "google_maps_result"})
"""Steps whose ``result`` is a list; other results may be text."""
_ECHOED_FIELDS = ("model", "agent", "previous_interaction_id", "labels")
_WORD = re.compile(r"[㐀-鿿぀-ヿ가-힯]|[^\s㐀-鿿぀-ヿ가-힯]+")
_THOUGHT_TOKENS = 16
_MEDIA_TOKENS = {"image": 258, "audio": 64, "video": 516, "document": 258}
"""Tokens of one media block; this server does not read the sizes of media."""


@dataclass(slots=True)
class InteractionDraft:
    """An answer before it is an Interaction.

    Without ``status``, it follows from the steps. ``polls`` is the number of GET requests that find
    a background run in progress. ``delay`` and ``event_delay`` are seconds. ``error`` is sent
    instead of the answer or, in a stream, after ``error_after`` events. ``cut_after`` ends the
    stream early, after a number of events. ``files`` are texts by path, to be written into the
    environment.
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
    error: ErrorResponse | None = None
    error_after: int | None = None
    cut_after: int | None = None
    faults: tuple[FaultPlan, ...] = ()


def build_interaction(
    request: InteractionRequest, draft: InteractionDraft, key: bytes | None
) -> dict[str, JSON]:
    """Return the finished Interaction. Without ``key`` it has no added thought and no signature.

    With ``store: false`` it has no ``id`` (docs/protocol.md section 11). A text longer than
    ``max_output_tokens`` is cut, and the status ``incomplete``.
    """
    body = request.body
    steps = complete_steps(draft.steps, request.seed, add_thought=key is not None)
    limit = body.get("generation_config", {}).get("max_output_tokens") or math.inf
    steps, is_cut = _limit_tokens(steps, limit)
    if key is not None:
        state = request.part.state
        steps = sign_answer(key, () if state else request.conversation, steps, state)
    usage = usage_of(request.conversation, steps, body.get("system_instruction", ""))
    now = clock.timestamp()
    return {
        **({"id": _interaction_id(request.seed)} if body.get("store", True) else {}),
        "status": draft.status or ("incomplete" if is_cut else _status_of(steps)),
        "usage": {**usage, **draft.usage},
        "created": now,
        "updated": now,
        "service_tier": body.get("service_tier", "standard"),
        "steps": steps,
        "object": "interaction",
        **{name: body[name] for name in _ECHOED_FIELDS if name in body},
        **({"environment_id": request.environment_id} if request.environment_id else {}),
        **({"error": draft.errors[0], "errors": draft.errors} if draft.errors else {}),
        **draft.fields,
    }


def complete_steps(
    steps: Sequence[RawStep], seed: str, *, add_thought: bool = True
) -> list[RawStep]:
    """Return the steps with a leading thought, ids of calls, and results bound to calls."""
    ids = _call_ids(seed)
    completed: list[RawStep] = []
    if add_thought and not (steps and steps[0]["type"] == "thought"):
        completed.append({"type": "thought"})
    last_calls: dict[str, str] = {}
    for step in steps:
        kind = step["type"]
        if kind in RESULT_OF:
            step = {"type": kind, **step, "id": step.get("id") or next(ids)}
            last_calls[kind] = step["id"]
        elif kind in CALL_OF:
            call_id = step.get("call_id") or last_calls.get(CALL_OF[kind]) or next(ids)
            step = {"type": kind, **step, "call_id": call_id}
        completed.append(_with_required_fields(step))
    return completed


def _call_ids(seed: str) -> Iterator[str]:
    """Yield ids like those of the service's calls: 8 characters of ``0-9a-z``."""
    for number in itertools.count():
        value = int.from_bytes(sha256(f"{seed} call {number}".encode()).digest()[:8])
        yield "".join(_ID_CHARACTERS[value // 36**place % 36] for place in range(8))


def _with_required_fields(step: RawStep) -> RawStep:
    kind = step["type"]
    step = dict(step)
    empty: dict[str, JSON] = {"arguments": {}, "result": [] if kind in _LIST_RESULTS else ""}
    for name in REQUIRED_FIELDS.get(kind, ()):
        if step.get(name) is None:
            step[name] = empty.get(name, "")
    if kind in ("model_output", "user_input") and isinstance(step.get("content"), str):
        step["content"] = [{"type": "text", "text": step["content"]}]
    return step


def _status_of(steps: Sequence[RawStep]) -> str:
    answered = {step.get("call_id") for step in steps if step["type"] == "function_result"}
    calls = {step.get("id") for step in steps if step["type"] == "function_call"}
    return "completed" if calls <= answered else "requires_action"


def _interaction_id(seed: str) -> str:
    """Return an id like the service's: base64 of two length-prefixed strings, ``v1_Chd…``."""
    word = base64.urlsafe_b64encode(sha256(f"{seed} id".encode()).digest())[:23]
    encoded = base64.urlsafe_b64encode(b"\n\x17" + word + b"\x12\x17" + word)
    return "v1_" + encoded.decode().rstrip("=")


def _limit_tokens(steps: Sequence[RawStep], limit: float) -> tuple[list[RawStep], bool]:
    """Return the steps up to ``limit`` tokens of output text, and whether anything was cut off."""
    for block in text_blocks(steps):
        count = count_tokens(block.text)
        if count > limit:
            step = steps[block.step]
            text = first_tokens(block.text, int(limit))
            rest = [{"type": "text", "text": text}] if limit else []
            content = [*content_blocks(step)[: block.content], *rest]
            return [*steps[: block.step], {**step, "content": content}], True
        limit -= count
    return list(steps), False


def count_tokens(text: str) -> int:
    """Count the words of a text; a Chinese, Japanese or Korean character counts as one."""
    return len(_WORD.findall(text))


def first_tokens(text: str, count: int) -> str:
    """Return the beginning of a text that has at most ``count`` tokens."""
    for number, match in enumerate(_WORD.finditer(text), 1):
        if number == count:
            return text[: match.end()]
    return text


def usage_of(
    conversation: Sequence[Mapping[str, JSON]], answer: Sequence[Mapping[str, JSON]], system: str
) -> dict[str, JSON]:
    """Return the ``usage`` of an Interaction (docs/protocol.md section 3).

    Thoughts count in the total. A thought has no visible text; it counts as many tokens as the
    answer, plus a constant.
    """
    by_modality = _tokens_of(conversation)
    by_modality["text"] += count_tokens(system)
    inputs, outputs = by_modality.total(), _tokens_of(answer).total()
    thoughts = sum(_THOUGHT_TOKENS + outputs for step in answer if step["type"] == "thought")
    return {
        "total_tokens": inputs + outputs + thoughts,
        "total_input_tokens": inputs,
        "input_tokens_by_modality": [
            {"modality": kind, "tokens": count}
            for kind, count in sorted(by_modality.items())
            if count
        ],
        "total_cached_tokens": 0,
        "total_output_tokens": outputs,
        "total_tool_use_tokens": 0,
        "total_thought_tokens": thoughts,
    }


def _tokens_of(steps: Iterable[Mapping[str, JSON]]) -> Counter[str]:
    """Count the tokens of steps by modality."""
    counts: Counter[str] = Counter()
    for step in steps:
        for block in content_blocks(dict(step)):
            kind = block.get("type") if isinstance(block, dict) else None
            if kind == "text":
                counts["text"] += count_tokens(str(block.get("text", "")))
            elif kind in MEDIA_TYPES:
                counts[kind] += _MEDIA_TOKENS[kind]
        for name in ("arguments", "result", "summary"):
            if value := step.get(name):
                counts["text"] += count_tokens(" ".join(strings_in(value)) or dumps(value))
    return counts
