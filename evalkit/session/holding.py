"""Holding one variant's conversation: the engine's effects carried out over a transport, with tools and pauses.

The engine decides everything; here its wishes are fulfilled. Replay never pauses: a recorded answer has done its waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.conversation import CallTool, Plan, ToolResult, converse, drive
from evalkit.errors import TimedOut
from evalkit.session.python_targets import call_tool
from evalkit.transcript import Request, Response, Transcript, Turn

if TYPE_CHECKING:
    from evalkit.suite import Variant
    from evalkit.transports import Transport


def plan_of(variant: Variant, poll_seconds: float) -> Plan:
    """Return what the engine needs to know of a variant."""
    settings = variant.settings
    return Plan(
        fields=variant.fields,
        turns=variant.turns,
        history=settings["history"],
        stream=settings["stream"],
        background=settings["background"],
        max_tool_rounds=variant.max_tool_rounds,
        poll_seconds=poll_seconds,
        settings=settings,
    )


def hold(
    variant: Variant,
    transport: Transport,
    root: Path,
    poll_seconds: float,
    end_turn: Callable[[Turn], bool],
) -> Transcript:
    """Hold the conversation to its end and return what happened. Faults end up in the transcript; none is raised."""
    deadline = time.monotonic() + variant.timeout if variant.timeout else None
    waited = False

    def send(request: Request) -> Response:
        nonlocal waited
        response = transport.send(request)
        waited = response.source != "replayed"
        return response

    def pause(seconds: float) -> None:
        if not waited:
            return
        if deadline is not None and time.monotonic() + seconds > deadline:
            raise TimedOut(
                f"the scenario's timeout of {variant.timeout:g} s ran out while a background run was still in progress"
            )
        time.sleep(seconds)

    def call(effect: CallTool) -> ToolResult:
        tool = variant.tools.get(effect.name)
        if tool is None:
            return ToolResult(
                {"error": f"unknown function {effect.name!r}"}, is_error=True, declared=False
            )
        outcome = tool.answer(
            effect.arguments,
            variant.variables,
            lambda target, arguments: call_tool(target, arguments, root),
        )
        return ToolResult(outcome.result, outcome.is_error)

    return drive(converse(plan_of(variant, poll_seconds)), send, call, pause, end_turn)


def never_stop(_: Turn) -> bool:
    """Go on after every turn."""
    return True


def describe(error: Any) -> str:
    """Say what an exception says, by its kind where it says nothing."""
    return str(error) or type(error).__name__
