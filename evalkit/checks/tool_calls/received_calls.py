"""The calls that a model made: functions, MCP tools and tools of the service."""

from collections.abc import Mapping
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.text import shorten, show
from evalkit.checks.core.base import View
from evalkit.protocol.step_types import RESULT_OF
from evalkit.verdict import Where


class ReceivedCall(NamedTuple):
    """A call that the model made."""

    name: str
    arguments: JSON
    step_type: str
    where: Where

    def __str__(self) -> str:
        return f"{shorten(self.name)} {show(self.arguments, 60)}"


def received_calls(view: View) -> list[ReceivedCall]:
    """Return all calls in view, in order."""
    return [
        ReceivedCall(
            call_name(each.step.raw), each.step.raw.get("arguments"), each.step.type, each.where()
        )
        for each in view.numbered_steps
        if each.step.type in RESULT_OF
    ]


def call_name(raw: Mapping[str, JSON]) -> str:
    """Return the name of a call: of its function or MCP tool, else its type without ``_call``."""
    name = raw.get("name")
    has_name = isinstance(name, str) and name != ""
    return str(name if has_name else str(raw.get("type", "")).removesuffix("_call"))
