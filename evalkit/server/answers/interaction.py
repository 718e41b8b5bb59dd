"""An answer as the Interaction resource (protocol section 3): ids, thought and signatures, status, usage, times, echoes.

Everything but the times follows from the request and the seed. The times are ``_lib.clock``'s.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import sha256

from evalkit._lib import clock
from evalkit._lib.json import JSON
from evalkit.protocol.step_reader import content_blocks
from evalkit.server.answers.answer import InteractionDraft, complete, status_of
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.answers.text_analysis import first_tokens, tokens, usage
from evalkit.server.history_integrity import sign_answer

RawStep = dict[str, JSON]
_ECHOED = ("model", "agent", "previous_interaction_id", "labels")


def build_interaction(
    ask: InteractionRequest, answer: InteractionDraft, key: bytes | None
) -> dict[str, JSON]:
    """Return the finished Interaction. Without ``key`` no thought is put in front and nothing is signed.

    ``store: false`` gives no ``id`` (protocol section 11). A text longer than ``max_output_tokens`` words is cut: ``incomplete``.
    """
    body = ask.body
    steps, cut = _limited(
        complete(answer.steps, ask.seed, thought=key is not None),
        body.get("generation_config", {}).get("max_output_tokens"),
    )
    if key is not None:
        steps = sign_answer(key, () if ask.part.state else ask.conversation, steps, ask.part.state)
    now = clock.timestamp()
    made: dict[str, JSON] = {"id": _id(ask.seed)} if body.get("store", True) else {}
    made |= {
        "status": answer.status or ("incomplete" if cut else status_of(steps)),
        "usage": {
            **usage(ask.conversation, steps, body.get("system_instruction", "")),
            **answer.usage,
        },
        "created": now,
        "updated": now,
        "service_tier": body.get("service_tier", "standard"),
        "steps": steps,
        "object": "interaction",
    }
    made |= {name: body[name] for name in _ECHOED if name in body}
    if ask.environment_id is not None:
        made["environment_id"] = ask.environment_id
    if answer.errors:
        made |= {"error": answer.errors[0], "errors": answer.errors}
    return {**made, **answer.fields}


def _id(seed: str) -> str:
    """Return an id that looks like the service's: base64 of two length-prefixed strings, ``v1_Chd…``."""
    word = base64.urlsafe_b64encode(sha256(f"{seed} id".encode()).digest())[:23]
    return "v1_" + base64.urlsafe_b64encode(b"\n\x17" + word + b"\x12\x17" + word).decode().rstrip(
        "="
    )


def _limited(steps: Sequence[RawStep], limit: JSON) -> tuple[list[RawStep], bool]:
    """Return the steps with at most ``limit`` words of output text, and whether any were cut off; what stands behind the cut goes too."""
    out: list[RawStep] = []
    left = int(limit) if limit is not None else None
    for step in steps:
        out.append(step)
        if left is None or step["type"] != "model_output":
            continue
        for index, block in enumerate(content_blocks(step)):
            text = (
                block.get("text")
                if isinstance(block, dict) and block.get("type") == "text"
                else None
            )
            count = tokens(text) if isinstance(text, str) else 0
            if isinstance(text, str) and count > left:
                kept = [{"type": "text", "text": first_tokens(text, left)}] if left else []
                out[-1] = {**step, "content": [*content_blocks(step)[:index], *kept]}
                return out, True
            left -= count
    return out, False
