"""Steps as messages of OpenTelemetry's conventions for generative AI. Pure.

A message has a role and parts: text, reasoning, calls, results, media. Signatures, citations and
the position of a thought between parts of one role have no place in them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit._lib.json import JSON, dumps
from evalkit.protocol.step_reader import RawStep, content_blocks, type_of
from evalkit.protocol.step_types import CALL_OF, MEDIA_TYPES, RESULT_OF

_ROLES = {"user_input": "user", "function_result": "tool"}


def genai_messages(steps: Sequence[RawStep]) -> list[dict[str, JSON]]:
    """Return steps as messages: neighbours of one role are one message."""
    messages: list[dict[str, Any]] = []
    for step in steps:
        role = _ROLES.get(type_of(step), "assistant")
        if not messages or messages[-1]["role"] != role:
            messages.append({"role": role, "parts": []})
        messages[-1]["parts"] += _parts(step)
    return messages


def _parts(step: RawStep) -> list[dict[str, JSON]]:
    kind = type_of(step)
    if kind in ("user_input", "model_output"):
        return [_part(block) for block in content_blocks(step) if isinstance(block, dict)]
    if kind == "thought":
        summary = content_blocks({"content": step.get("summary")})
        texts = [block.get("text") for block in summary if isinstance(block, dict)]
        return [{"type": "reasoning", "content": text} for text in texts if text]
    name = step.get("name") or kind.removesuffix("_call").removesuffix("_result")
    if kind in RESULT_OF:
        call = {"id": step.get("id"), "name": name, "arguments": step.get("arguments")}
        return [{"type": "tool_call", **call}]
    if kind in CALL_OF:
        return [
            {
                "type": "tool_call_response",
                "id": step.get("call_id"),
                "response": step.get("result"),
            }
        ]
    return [{"type": kind or "unknown", "content": dumps(step)}]


def _part(block: Mapping[str, JSON]) -> dict[str, JSON]:
    kind = type_of(block)
    if kind not in MEDIA_TYPES:
        return {"type": "text", "content": block.get("text")}
    part = {"modality": kind, "mime_type": block.get("mime_type")}
    if uri := block.get("uri"):
        return {"type": "uri", **part, "uri": uri}
    # In a result line data are the name of a file in the run directory.
    return {"type": "file", **part, "file_id": block.get("data")}
