"""Requests of ``judge`` checks: recorded beside a conversation, but about it. Pure.

The exchange of a judge is in the same cassette as the conversation, so it must be recognizable
without the suite. Its request has the labels below (docs/protocol.md section 2, ``labels``), which
the service stores and otherwise ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.transcript import Request

JUDGE_LABELS = {"evalkit": "judge", "version": "1"}
"""The labels of a judge's request. A change of the request's meaning increases ``version``."""


def is_judge_body(body: Any) -> bool:
    """Return whether a request body is that of a judge."""
    labels = body.get("labels") if isinstance(body, Mapping) else None
    return isinstance(labels, Mapping) and labels.get("evalkit") == JUDGE_LABELS["evalkit"]


def is_judge_request(request: Request) -> bool:
    """Return whether a request is about the conversation that it was recorded with."""
    return request.method == "POST" and is_judge_body(request.body)
