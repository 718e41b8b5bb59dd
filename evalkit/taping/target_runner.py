"""Run variants with a ``target``: an application's function takes the place of the engine.

For each turn the function is called with the user's message and a :class:`TargetContext`. The
recordings that it makes or replays meanwhile are the turn. They go into the variant's cassette, and
the same checks apply as to a conversation of the engine; only the traffic is known of it.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from evalkit._lib.json import JSON
from evalkit.conversation import context
from evalkit.conversation.history import blocks
from evalkit.conversation.reconstruct import TranscriptBuilder, response_of
from evalkit.errors import EvalkitError, TargetError, ToolCrashed
from evalkit.protocol.wire_facts import UNUSED_KEY
from evalkit.session.effects import EndTurn
from evalkit.session.evaluation import Evaluator
from evalkit.session.python_targets import awaited
from evalkit.session.runner import record_hint
from evalkit.session.settings import Settings, application_environment
from evalkit.suite import Variant
from evalkit.taping.interception import intercepted_http
from evalkit.taping.running_tape import only_tape
from evalkit.taping.tape_session import TapePlan, TapeSession
from evalkit.transcript import Request, Response, Transcript, Turn
from evalkit.transports.live import RETRIES, LiveTransport

Message = str | list[dict[str, JSON]]


@dataclass(frozen=True, kw_only=True)
class TargetContext:
    """What a target's function receives beside the message.

    ``turn`` counts from 1, ``previous`` are the turns before it. ``base_url`` and ``api_key`` are
    the session's; in replay the key is arbitrary. ``settings`` are the variant's, ``fields`` the
    scenario's request fields in wire form. ``state`` is for the function to use; it is preserved
    over the turns of a variant.
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
        """Keyword arguments of ``google.genai.Client``."""
        return {"api_key": self.api_key, "http_options": {"base_url": self.base_url}}

    @property
    def model(self) -> str | None:
        """The variant's model."""
        model = self.settings.get("model")
        return model if isinstance(model, str) else None

    @property
    def history(self) -> str:
        """``stateful`` or ``stateless``."""
        return str(self.settings.get("history"))

    @property
    def stream(self) -> bool:
        """Whether the variant streams."""
        return self.settings.get("stream") is True


def run_target(
    variant: Variant,
    settings: Settings,
    *,
    metadata: Mapping[str, Any],
    end_turn: EndTurn,
    evaluator: Evaluator,
) -> tuple[Transcript, list[str]]:
    """Let the function run every turn; return the transcript and the unplayed recordings.

    Requests of checks go over the same tape. Faults during a turn are part of the transcript.
    Raises UsageError where a key is missing or another tape runs; TargetError, CassetteError.
    """
    assert variant.target is not None
    function = settings.python.resolve(variant.target)
    if not callable(function):
        raise TargetError(f"target {variant.target!r} is not callable")
    plan = TapePlan(
        path=settings.cassettes / variant.cassette,
        mode=settings.record_mode,
        label=variant.id,
        hint=record_hint(variant, settings),
        live=settings.live,
        secrets=settings.secrets,
        patterns=settings.patterns,
        metadata=metadata,
    )
    with only_tape(plan.label):
        session = TapeSession(plan)
        complete = False
        try:
            key = settings.live_key() if session.records else settings.key or UNUSED_KEY
            conversation = _TargetConversation(variant, settings, function, key, session)
            with (
                application_environment(settings, os.environ),
                intercepted_http(session, ()),
                evaluator.requests_over(conversation.send_check_request),
            ):
                transcript = conversation.run(end_turn)
                complete = evaluator.run_requesting_checks(transcript)
        finally:
            session.finish(complete)
        return transcript, session.unplayed


class _TargetConversation:
    def __init__(
        self,
        variant: Variant,
        settings: Settings,
        function: Callable[..., Any],
        key: str,
        session: TapeSession,
    ) -> None:
        self._variant = variant
        self._settings = settings
        self._function = function
        self._key = key
        self._session = session
        self._builder = TranscriptBuilder()
        self._state: dict[str, Any] = {}

    def run(self, end_turn: EndTurn) -> Transcript:
        transcript = self._builder.transcript
        stop: str | None = None
        # All turns share one event loop, so that a client created in one works in the next.
        with closing(asyncio.Runner()) as loop:
            for number, source in enumerate(self._variant.turns, 1):
                if stop is not None:
                    transcript.turns.append(Turn(number, [], outcome="not_run", reason=stop))
                    continue
                turn = self._builder.begin([])
                try:
                    message = source.content(context(transcript.turns[:-1]))
                    turn.user = blocks(message)
                    self._run_turn(turn, message, loop)
                except EvalkitError as error:
                    turn.outcome, turn.reason, transcript.crash = "incomplete", str(error), error
                proceed = end_turn(turn)
                if turn.outcome != "completed":
                    stop = f"turn {number} did not complete"
                elif not proceed:
                    stop = f"stopped after turn {number}"
        # What the requests say has precedence over what the suite asks for.
        transcript.settings = {**self._variant.settings, **transcript.settings}
        return transcript

    def send_check_request(self, request: Request) -> Response:
        retries = RETRIES if self._session.records else 0
        transport = LiveTransport(self._settings.base_url, self._key, retries=retries)
        try:
            transport.send(request)
        finally:
            transport.close()
        # The recording has the times and the source of a replay, which the transport cannot know.
        last = self._session.recordings[-1]
        return response_of(last.recording, last.source)

    def _run_turn(self, turn: Turn, message: Message, loop: asyncio.Runner) -> None:
        """Call the function and read its recordings; raise an EvalkitError for its faults."""
        session, target = self._session, self._variant.target
        first = len(session.recordings)
        most = self._variant.scenario.max_requests
        limit = f"the target {target} sent {most} requests in turn {turn.number} (max_requests)"
        target_context = TargetContext(
            turn=turn.number,
            previous=self._builder.transcript.turns[:-1],
            base_url=self._settings.base_url,
            settings=self._variant.settings,
            fields=self._variant.fields,
            state=self._state,
            api_key=self._key,
        )
        crash: Exception | None = None
        try:
            with session.at_most(most, limit):
                value = self._function(message, target_context)
                if hasattr(value, "__await__"):
                    loop.run(awaited(value))
        except Exception as error:  # noqa: BLE001 - anything the application raises is its fault
            crash = error
        for item in session.recordings[first:]:
            self._builder.add(item.recording, begins=False, source=item.source)
        if session.faults:
            raise session.faults[0]
        if crash is not None and turn.outcome != "api_error":
            if isinstance(crash, EvalkitError):
                raise crash
            name = type(crash).__name__
            raise ToolCrashed(f"the target {target} raised {name}: {crash}") from crash
        if not turn.exchanges:
            raise ToolCrashed(
                f"the target {target} sent no request to the interactions resource "
                f"in turn {turn.number}"
            )
