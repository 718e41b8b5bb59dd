"""What a recorded conversation is called, and which of its attempts count. Pure.

The name follows from the first request alone, so that the same conversation, recorded again or elsewhere, is called the same: the first words
of the user, then eight digits of a digest of the request. Key order, nulls and the API version make no other name. Give it what may be
written: a secret in a user's words must be redacted before it is part of a file's name.
"""

from __future__ import annotations

import re

from evalkit._lib.json import JSON
from evalkit.cassette.recording import Recording
from evalkit.conversation.history_digest import input_steps
from evalkit.protocol.step_reader import content_blocks
from evalkit.protocol.wire_facts import is_retryable
from evalkit.server.replay.library import NormalizedRequest

_WORDS, _LONGEST = 6, 48
_WORD = re.compile(r"[a-z0-9]+")


def name_of(asked: NormalizedRequest) -> str:
    """Return the name of the conversation that a request begins, without suffix: ``what-is-the-temperature-in-london-3f2a9c01``."""
    return f"{_slug(asked)}-{asked.key.hex()[:8]}"


def numbered(name: str, number: int) -> str:
    """Return the name of the so-manieth conversation that begins with the same request: ``name``, ``name.2``, ``name.3``."""
    return name if number == 1 else f"{name}.{number}"


def superseded(attempt: Recording, later: Recording) -> bool:
    """Say whether a later recording is the same request asked again, because the service could not answer it for the time being."""
    return is_retryable(attempt.status) and (attempt.method, attempt.uri, attempt.request_body) == (
        later.method,
        later.uri,
        later.request_body,
    )


def _slug(asked: NormalizedRequest) -> str:
    words = _WORD.findall(_said(asked.body).lower()) or _WORD.findall(
        asked.path.lower().split("/v1_")[0]
    )
    slug = "-".join(words[:_WORDS])[:_LONGEST].strip("-")
    return slug or "conversation"


def _said(body: JSON) -> str:
    if not isinstance(body, dict):
        return ""
    for step in input_steps(body.get("input")):
        texts = [block.get("text") for block in content_blocks(step) if isinstance(block, dict)]
        if said := " ".join(text for text in texts if isinstance(text, str)):
            return said
    return ""
