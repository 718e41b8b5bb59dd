"""Asides: requests evalkit makes *about* a conversation, recorded beside it and no part of it. Pure.

A ``judge`` check asks a model what it thinks of a conversation. The exchange lies in the same cassette, so it must be told from the turns by
itself: its request carries the label below (protocol section 2, ``labels``), which the service keeps and otherwise ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.transcript import Request

JUDGE_LABELS = {"evalkit": "judge", "version": "1"}
"""The labels of a judge's request. ``version`` goes up when what is asked of a judge changes its meaning."""


def is_judge_body(body: Any) -> bool:
    """Say whether a request body is a judge's."""
    labels = body.get("labels") if isinstance(body, Mapping) else None
    return isinstance(labels, Mapping) and labels.get("evalkit") == JUDGE_LABELS["evalkit"]


def is_judge_request(request: Request) -> bool:
    """Say whether a request is no part of the conversation it was recorded with."""
    return request.method == "POST" and is_judge_body(request.body)
