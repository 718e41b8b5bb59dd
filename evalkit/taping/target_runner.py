"""``target:``: an application's own function holds a variant's turns, and its traffic is taped into the variant's cassette.

For each turn the function is called with the message and a :class:`TargetContext`; the recordings it made or played meanwhile are the turn. What
is expected of the turn is judged as ever. Only the reading differs from a suite that evalkit holds itself: nothing is known but the traffic.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit._lib.json import JSON
from evalkit.conversation import context
from evalkit.conversation.history import blocks
from evalkit.conversation.reconstruct import TranscriptBuilder, response_of
from evalkit.errors import EvalkitError, TargetError, ToolCrashed
from evalkit.session.python_targets import resolve
from evalkit.session.settings import (
    NO_KEY_NEEDED,
    Settings,
    application_environment,
    rerecord_command,
)
from evalkit.taping.recorder import TapePlan, TapeSession
from evalkit.transcript import Request, Response, Transcript, Turn

if TYPE_CHECKING:
    import asyncio

    from evalkit.session.evaluation import Evaluator
    from evalkit.suite import Variant

Message = str | list[dict[str, JSON]]


@dataclass(frozen=True)
class TargetContext:
    """What a target's function is told beside the message. ``state`` is the function's own, kept over the turns of a variant.

    ``turn`` counts from 1, ``previous`` are the turns before it. ``base_url`` and ``api_key`` are the session's; in replay any key does.
    ``settings`` are the variant's, ``fields`` the scenario's request fields in wire form.
    """

    turn: int
    previous: Sequence[Turn]
    base_url: str
    settings: Mapping[str, JSON]
    fields: Mapping[str, JSON]
    state: dict[str, Any]
    api_key: str = field(repr=False)

    @property
    def client(self) -> dict[str, Any]:
        """Keywords of ``google.genai.Client``."""
        return {"api_key": self.api_key, "http_options": {"base_url": self.base_url}}

    @property
    def model(self) -> str | None:
        """The model the variant names."""
        named = self.settings.get("model")
        return named if isinstance(named, str) else None

    @property
    def history(self) -> str:
        """``stateful`` or ``stateless``."""
        return str(self.settings.get("history"))

    @property
    def stream(self) -> bool:
        """Whether the variant asks for streams."""
        return self.settings.get("stream") is True


def run_target(
    variant: Variant,
    settings: Settings,
    metadata: Mapping[str, JSON],
    end_turn: Callable[[Turn], bool],
    judge: Evaluator,
) -> tuple[Transcript, list[str]]:
    """Let the function hold every turn; return what happened and which recordings were not played. Checks ask over the same tape.

    Raises UsageError where a key is needed and there is none, or another tape runs; TargetError, CassetteError. Faults while a turn is held end up
    in the transcript.
    """
    from evalkit.taping.vcr_patch import only_one, patched

    assert variant.target is not None
    function = resolve(variant.target, settings.root)
    if not callable(function):
        raise TargetError(f"target {variant.target!r} is not callable")
    plan = TapePlan(
        settings.cassettes / variant.cassette,
        settings.mode,
        label=variant.id,
        hint=rerecord_command(variant.suite.label, variant.name),
        live=settings.live,
        secrets=settings.secrets,
        patterns=settings.patterns,
        metadata=metadata,
    )
    with only_one(plan.label):
        taping = TapeSession(plan)
        held = False
        try:
            key = settings.live_key() if taping.records else settings.key or NO_KEY_NEEDED
            with (
                _Caller(function) as call,
                application_environment(settings, os.environ),
                patched(taping, ()),
            ):
                judge.open(_asking(settings, key, taping))
                transcript = _Turns(variant, settings, key, call, taping).hold(end_turn)
                judged = judge.ask(transcript)
            held = judged and all(
                judge.in_order(turn) or turn.outcome == "not_run" for turn in transcript.turns
            )
        finally:
            judge.close()
            taping.finish(held)
        return transcript, taping.unplayed


def _asking(settings: Settings, key: str, taping: TapeSession) -> Callable[[Request], Response]:
    """Return what asks on behalf of checks: a client whose traffic is taped like the application's."""

    def ask(request: Request) -> Response:
        # Few targets are judged by a model.
        from evalkit.transports.live import LiveTransport
        from evalkit.transports.retry import RETRIES

        transport = LiveTransport(settings.base_url, key, retries=RETRIES if taping.records else 0)
        try:
            transport.send(request)
        finally:
            transport.close()
        last = taping.taped[-1]  # as the tape has it: times and source are the recorded ones
        return response_of(last.recording, last.source)

    return ask


class _Turns:
    def __init__(
        self, variant: Variant, settings: Settings, key: str, call: _Caller, taping: TapeSession
    ) -> None:
        self._variant = variant
        self._settings = settings
        self._key = key
        self._call = call
        self._taping = taping
        self._state: dict[str, Any] = {}

    def hold(self, end_turn: Callable[[Turn], bool]) -> Transcript:
        reader = TranscriptBuilder()
        transcript = reader.transcript
        stop: str | None = None
        for number, source in enumerate(self._variant.turns, 1):
            if stop is not None:
                transcript.turns.append(Turn(number, [], outcome="not_run", reason=stop))
                continue
            turn = reader.begin([])
            try:
                message = source.content(context(transcript.turns[:-1]))
                turn.user = blocks(message)
                self._hold(turn, message, transcript, reader)
            except EvalkitError as error:
                turn.outcome, turn.reason, transcript.crash = "incomplete", str(error), error
            go_on = end_turn(turn)
            if turn.outcome != "completed":
                stop = f"turn {number} did not complete"
            elif not go_on:
                stop = f"stopped after turn {number}"
        transcript.settings = {
            **self._variant.settings,
            **transcript.settings,
        }  # what was done wins over what was asked for
        return transcript

    def _hold(
        self, turn: Turn, message: Message, transcript: Transcript, reader: TranscriptBuilder
    ) -> None:
        """Call the function, read what it did, and say what a fault of it means. Raises EvalkitError for a turn that did not complete."""
        taping, first = self._taping, len(self._taping.taped)
        told = TargetContext(
            turn.number,
            transcript.turns[:-1],
            self._settings.base_url,
            self._variant.settings,
            self._variant.fields,
            self._state,
            self._key,
        )
        crash: Exception | None = None
        try:
            self._call(message, told)
        except Exception as error:  # noqa: BLE001 - whatever the application raises is told as its own
            crash = error
        for one in taping.taped[first:]:
            reader.add(one.recording, begins=False, source=one.source)
        if taping.faults:
            raise taping.faults[0]
        if crash is not None and turn.outcome != "api_error":
            if isinstance(crash, EvalkitError):
                raise crash
            raise ToolCrashed(
                f"the target {self._variant.target} raised {type(crash).__name__}: {crash}"
            ) from crash
        if not turn.exchanges:
            raise ToolCrashed(
                f"the target {self._variant.target} sent no request to the interactions resource in turn {turn.number}"
            )


class _Caller:
    """Calls a function that may be a coroutine, all turns of a variant in one event loop: a client made in one is good in the next."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._stack = ExitStack()
        self._runner: asyncio.Runner | None = None

    def __enter__(self) -> _Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, message: Message, told: TargetContext) -> None:
        value = self._function(message, told)
        if hasattr(value, "__await__"):
            import asyncio  # few targets are coroutines

            if self._runner is None:
                self._runner = self._stack.enter_context(asyncio.Runner())
            self._runner.run(_awaited(value))


async def _awaited(value: Any) -> Any:
    return await value
