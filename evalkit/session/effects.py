"""Drive a variant's conversation over a transport: deadlines, polls, calls of tools."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from evalkit.conversation import (
    CallTool,
    Plan,
    SimulatedUser,
    ToolResult,
    TurnSource,
    converse,
    drive,
)
from evalkit.errors import TimedOut
from evalkit.session.given_steps import given_steps
from evalkit.session.locked_turns import LockedTurns
from evalkit.session.settings import Settings
from evalkit.transcript import Request, Response, Transcript, Turn

if TYPE_CHECKING:
    from evalkit.suite import Variant
    from evalkit.transports import Transport

EndTurn = Callable[[Turn], bool]
"""Called after each turn; returns whether the conversation continues."""
POLL_LIMIT = 3600
"""Seconds after which the polling of a run ends in a scenario without a ``timeout``."""


def drive_variant(
    variant: Variant,
    transport: Transport,
    settings: Settings,
    end_turn: EndTurn,
    locked: LockedTurns | None,
) -> Transcript:
    """Run the conversation over a transport; faults are part of the transcript.

    With ``locked`` each turn continues the turns of that conversation.
    """
    deadline = time.monotonic() + variant.timeout if variant.timeout else None
    replayed, polled = True, 0.0

    def send(request: Request) -> Response:
        nonlocal replayed, polled
        if request.method == "POST":
            polled = 0.0
        response = transport.send(request)
        replayed = response.source == "replayed"
        return response

    def pause(seconds: float) -> None:
        nonlocal polled
        if replayed:
            return
        polled += seconds
        if deadline is None and polled > POLL_LIMIT:
            raise TimedOut(
                f"the background run was still in progress after {POLL_LIMIT // 60} minutes, where "
                "polling ends by default; give the scenario a 'timeout' in seconds to wait longer"
            )
        if deadline is not None and time.monotonic() + seconds > deadline:
            raise TimedOut(
                f"the background run was still in progress after the scenario's timeout of "
                f"{variant.timeout:g} s"
            )
        time.sleep(seconds)

    def call(effect: CallTool) -> ToolResult:
        tool = variant.tools.get(effect.name)
        if tool is None:
            error = {"error": f"unknown function {effect.name!r}"}
            return ToolResult(error, is_error=True, declared=False)
        answer = tool.run(
            effect.arguments,
            variant.variables,
            lambda target, arguments: settings.python.call(
                target, arguments, tool.schema(variant.variables)
            ),
        )
        return ToolResult(answer.result, answer.is_error)

    plan = Plan(
        fields=variant.fields,
        turns=turn_sources(variant),
        history=variant.settings["history"],
        stream=variant.settings["stream"],
        background=variant.settings["background"],
        max_tool_rounds=variant.max_tool_rounds,
        stop_after=variant.scenario.stop_after,
        given=given_steps(variant),
        locked=locked and locked.turns,
        poll_seconds=settings.poll_seconds,
        api_version=api_version(variant, settings),
        settings=variant.settings,
    )
    transcript = drive(converse(plan), send, call, pause, end_turn)
    transcript.locked = locked and locked.record
    return transcript


def turn_sources(variant: Variant) -> list[TurnSource | SimulatedUser]:
    """Return what makes the turns of a variant: messages, and users played by a model."""
    model = variant.settings.get("model")
    return [
        SimulatedUser(turn.simulated_user, model) if turn.simulate is not None else turn
        for turn in variant.turns
    ]


def api_version(variant: Variant, settings: Settings) -> str:
    """Return the API version of a variant: the session's, or the scenario's."""
    return settings.api_version or variant.scenario.api_version
