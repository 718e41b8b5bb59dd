"""The conversation engine: a generator that runs a plan's turns and returns the transcript.

It is sans-IO, like h11 for HTTP: no network, clock, templates or checks here. It yields one of four
effects, which are values only. The driver carries it out and sends the result in, or throws the
error that occurred.

| effect | the driver sends in |
|---|---|
| ``Send`` | the ``Response`` |
| ``Pause`` | nothing (``None``) |
| ``CallTool`` | a ``ToolResult`` |
| ``EndTurn`` | whether to continue with the next turn |

A turn is a user message and everything until the model needs no more tools. It consists of rounds:
a POST, its continuations (docs/protocol.md section 8.3) and its polls (section 8.1). After each
round the waiting calls are run, and their results are the input of the next round. Without waiting
calls the turn is completed, whatever the status of the response. It is completed too after as many
responses as the plan's ``stop_after`` says; the calls that are open then are answered together with
the next turn's message.

Otherwise a turn, and with it the conversation, ends as follows:

| cause | outcome | ``transcript.crash`` |
|---|---|---|
| an API error, as a response or as an event of a stream | ``api_error`` | – |
| an unusable response, a broken stream, a missing id, a limit of the plan | ``incomplete`` | – |
| an EvalkitError of the driver or the turn's content | ``incomplete`` | the exception |

The timeline contains the steps received until then. With ``plan.locked`` a turn continues the turns
of another conversation, so only an ``incomplete`` one ends the conversation.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from evalkit._lib.json import JSON, json_type
from evalkit.conversation.function_calls import (
    AnsweredCalls,
    ToolResult,
    call_id,
    result_step,
)
from evalkit.conversation.history import HISTORIES, RequestPart, TurnEnded, blocks, continued
from evalkit.conversation.plan import Plan, TurnSource, context
from evalkit.conversation.response_reader import read_response
from evalkit.conversation.simulator import Dialogue, SimulatedUser, SimulatorReply
from evalkit.errors import EvalkitError
from evalkit.protocol.step_reader import is_running, output_text, strip_user_input
from evalkit.protocol.wire_facts import interactions_path
from evalkit.transcript import Exchange, Request, Response, SimulatedTurn, Step, Transcript, Turn

_FIRST_FIELDS = ("model", "agent")
# Of a locked conversation. The cause of an incomplete turn is that of the transcript.
_CONTINUABLE = ("completed", "api_error")
_ENGINE_FIELDS = {*_FIRST_FIELDS, "input", "previous_interaction_id", "continuation_token"}


class Send(NamedTuple):
    """Send this request. An API error is a response too."""

    request: Request


class Pause(NamedTuple):
    """Wait before the next poll of a background run. A replaying driver does not wait."""

    seconds: float


class CallTool(NamedTuple):
    """Run a function that the model called. ``call_id`` is None for a call without an id."""

    name: str
    arguments: dict[str, JSON]
    call_id: str | None


class EndTurn(NamedTuple):
    """A turn that was begun is over, whatever its outcome.

    A turn that did not complete ends the conversation in any case.
    """

    turn: Turn


Effect: TypeAlias = Send | Pause | CallTool | EndTurn
Conversation: TypeAlias = Generator[Effect, Any, Transcript]


def converse(plan: Plan) -> Conversation:
    """Run the conversation: yield effects, receive their results, return the transcript.

    Never raises an EvalkitError.
    """
    return _Engine(plan).run()


def drive(
    conversation: Conversation,
    send: Callable[[Request], Response],
    call_tool: Callable[[CallTool], ToolResult],
    pause: Callable[[float], None],
    end_turn: Callable[[Turn], bool],
) -> Transcript:
    """Run a conversation to its end with these functions and return the transcript.

    Their EvalkitErrors become part of the transcript; any other exception is a bug and propagates.
    """
    resume: Callable[[Any], Effect] = conversation.send
    result: Any = None
    while True:
        try:
            effect = resume(result)
        except StopIteration as end:
            transcript: Transcript = end.value
            return transcript
        resume = conversation.send
        try:
            match effect:
                case Send(request):
                    result = send(request)
                case EndTurn(turn):
                    result = end_turn(turn)
                case CallTool():
                    result = call_tool(effect)
                case Pause(seconds):
                    pause(seconds)
                    result = None
        except EvalkitError as error:
            resume, result = conversation.throw, error


class _Engine:
    def __init__(self, plan: Plan) -> None:
        fields = plan.fields
        self.plan = plan
        modes = {"history": plan.history, "stream": plan.stream, "background": plan.background}
        self.transcript = Transcript({**fields, **modes, **plan.settings})
        self.path = interactions_path(plan.api_version)
        self.history = HISTORIES[plan.history](fields, plan.given)
        self.earlier: Sequence[Turn] | None = None
        self.calls = AnsweredCalls()
        self.first_fields = {key: fields[key] for key in _FIRST_FIELDS if key in fields}
        # A stateless history sets ``store`` itself; else it is a field like any other.
        owned = _ENGINE_FIELDS | ({"store"} if plan.history == "stateless" else set())
        self.last_fields = {key: value for key, value in fields.items() if key not in owned}
        for key in ("stream", "background"):
            if modes[key]:
                self.last_fields.setdefault(key, True)
        self.background = bool(self.last_fields.get("background"))
        # The SDKs continue neither background runs nor agents (docs/protocol.md section 8.3).
        self.continues = not self.background and "agent" not in fields
        self.exchanges = 0
        self.answer_start = 0
        self.open_calls: list[Step] = []
        self.stop: str | None = None

    def run(self) -> Conversation:
        for entry, source in enumerate(self.plan.turns, 1):
            if self.plan.locked is not None:
                self.lock(self.plan.locked, entry)
            if self.stop is not None:
                self.begin(entry, outcome="not_run", reason=self.stop)
            elif self.earlier is not None and len(self.earlier) < entry - 1:
                missing = f"turn {len(self.earlier) + 1} of the baseline is missing or incomplete"
                reason = f"{missing}, so this turn has nothing to continue; run the baseline again"
                self.begin(entry, outcome="incomplete", reason=reason)
            elif isinstance(source, SimulatedUser):
                yield from self.run_dialogue(entry, source)
            else:
                turn = self.begin(entry)
                yield from self.attempt(turn, source)
                yield from self.end(turn)
        return self.transcript

    def lock(self, turns: Sequence[Turn], entry: int) -> None:
        """Continue from the turns of another conversation that are before an entry."""
        self.earlier = turns[: entry - 1]
        steps = [step for turn in self.earlier for step in turn.history]
        fields = self.plan.fields
        self.history = HISTORIES[self.plan.history](fields, [*self.plan.given, *steps])
        self.calls, self.open_calls = AnsweredCalls(), []
        if self.transcript.turns and self.transcript.turns[-1].outcome in _CONTINUABLE:
            self.stop = None

    def begin(self, entry: int, **fields: Any) -> Turn:
        """Append a turn to the transcript."""
        turn = Turn(len(self.transcript.turns) + 1, [], entry=entry, **fields)
        self.transcript.turns.append(turn)
        return turn

    def attempt(self, turn: Turn, source: TurnSource) -> Generator[Effect, Any, None]:
        """Run one turn; what goes wrong becomes its outcome."""
        try:
            yield from self.run_turn(turn, source)
        except TurnEnded as end:
            turn.outcome = "incomplete" if end.error is None else "api_error"
            turn.error, turn.reason = end.error, end.reason
        except EvalkitError as error:
            turn.outcome, turn.reason, self.transcript.crash = "incomplete", str(error), error
            if turn.exchanges and turn.exchanges[-1].response is None:
                turn.exchanges[-1].failure = turn.reason
        turn.text = output_text([step.raw for step in turn.steps[self.answer_start :]])

    def end(self, turn: Turn) -> Generator[Effect, Any, None]:
        """Report that a turn is over, and decide whether the conversation is."""
        try:
            proceed = yield EndTurn(turn)
        except EvalkitError as error:
            self.transcript.crash = self.transcript.crash or error
            proceed = False
        if turn.outcome != "completed":
            self.stop = f"turn {turn.number} did not complete"
        elif not proceed:
            self.stop = f"stopped after turn {turn.number}"

    def run_dialogue(self, entry: int, user: SimulatedUser) -> Generator[Effect, Any, None]:
        """Run the turns of a simulated user until its conversation is over.

        Whether a turn is the last one is known before it ends.
        """
        try:
            earlier = context(self.transcript.turns)
            dialogue = Dialogue(user, earlier, given=self.plan.given, path=self.path, effect=Send)
        except EvalkitError as error:
            failed = SimulatorReply(SimulatedTurn({}, 0), error=error)
            turn = self.begin(entry, simulated=failed.turn)
            yield from self.attempt(turn, failed)
            yield from self.end(turn)
            return
        number = 1
        reply = yield from dialogue.ask(self.transcript, number)
        while reply.turn.end is None and self.stop is None:
            simulated = reply.turn
            turn = self.begin(entry, simulated=simulated)
            yield from self.attempt(turn, reply)
            if turn.outcome == "completed":
                number += 1
                reply = yield from dialogue.ask(self.transcript, number)
                turn.simulated = simulated._replace(end=reply.turn.end, reason=reply.turn.reason)
            yield from self.end(turn)

    def run_turn(self, turn: Turn, source: TurnSource) -> Generator[Effect, Any, None]:
        """Run one turn. Raises TurnEnded or an EvalkitError if it cannot be completed."""
        earlier = self.transcript.turns[:-1] if self.earlier is None else self.earlier
        content = source.content(context(earlier))
        turn.user = blocks(content)
        part = self.history.message(content, (yield from self.answer_open_calls()))
        rounds = 0
        while True:
            start = len(turn.steps)
            received, identity = yield from self.run_round(turn, part)
            waiting = self.calls.waiting([step.raw for step in received], turn.status)
            if not waiting or self.is_stopped(turn):
                self.history.add(identity, [step.raw for step in received])
                self.open_calls = [received[index] for index in waiting]
                if waiting:
                    turn.reason = f"stop_after: {len(turn.exchanges)} left calls open"
                return
            limit = self.plan.max_tool_rounds
            if rounds >= limit:
                raise TurnEnded(
                    f"the model still calls functions after {limit} rounds of results "
                    f"(max_tool_rounds: {limit})"
                )
            rounds += 1
            results = []
            for index in waiting:
                results.append((yield from self.call(received[index].raw)))
            for index, result in reversed(list(zip(waiting, results, strict=True))):
                received.insert(index + 1, Step(result, "client", self.exchanges + 1))
            self.history.add(identity, [step.raw for step in received])
            part = self.history.results(results)
            turn.steps[start:] = _timeline(received)

    def answer_open_calls(self) -> Generator[Effect, Any, list[dict[str, JSON]]]:
        """Run the functions whose calls the turn before left open; return their results."""
        results = []
        for call in self.open_calls:
            results.append((yield from self.call(call.raw)))
            steps = self.transcript.turns[-2].steps
            steps.insert(steps.index(call) + 1, Step(results[-1], "client", self.exchanges + 1))
        self.open_calls = []
        return results

    def is_stopped(self, turn: Turn) -> bool:
        """Return whether a turn has as many responses as the plan lets it have."""
        return len(turn.exchanges) == self.plan.stop_after.get(turn.entry)

    def call(self, call: dict[str, JSON]) -> Generator[Effect, Any, dict[str, JSON]]:
        """Run one function and return its result step."""
        arguments, name = call.get("arguments"), call.get("name")
        if arguments is None or isinstance(arguments, dict):
            name = name if isinstance(name, str) else ""
            result = yield CallTool(name, arguments or {}, call_id(call))
        else:
            kind = json_type(arguments)
            result = ToolResult(f"the arguments are not an object but {kind}", is_error=True)
        self.calls.add(call)
        return result_step(call, result)

    def run_round(
        self, turn: Turn, part: RequestPart
    ) -> Generator[Effect, Any, tuple[list[Step], str]]:
        """Send a POST, continue and poll the response; return all its steps and the last id."""
        start = len(turn.steps)
        received: list[Step] = []
        tokens: set[str] = set()
        while True:
            body = {**self.first_fields, **part, **self.last_fields}
            exchange = yield from self.send(turn, Request("POST", self.path, body))
            identity = _text(exchange, "id") or ""
            if identity and self.runs_on(exchange) and not self.is_stopped(turn):
                exchange = yield from self.poll(turn, exchange, identity)
            interaction = exchange.interaction
            if interaction is not None:
                steps = interaction.get("steps") or []
                if tokens or exchange.request.method == "GET":
                    # Here the steps of the client come first (docs/protocol.md section 1.1).
                    steps = strip_user_input(steps)
                received += [Step(step, "model", exchange.number) for step in steps]
                self.answer_start = start
                turn.steps[start:] = _timeline(received)
                turn.status = _text(exchange, "status")
                environment = _text(exchange, "environment_id")
                if environment and "environment" in self.last_fields:
                    # Another ``remote`` would open a new sandbox without the files of this turn
                    # (docs/protocol.md section 2.5).
                    self.last_fields["environment"] = environment
            if exchange.error is not None:
                raise TurnEnded(error=exchange.error)
            if interaction is None or exchange.failure is not None:
                raise TurnEnded(exchange.failure or "no Interaction was received")
            if self.is_stopped(turn):
                return received, identity
            if is_running(interaction):
                raise TurnEnded(f"the response is still {turn.status} and has no id to poll")
            token = _text(exchange, "continuation_token")
            if turn.status != "requires_continuation" or not self.continues or not token:
                return received, identity
            if token in tokens:
                raise TurnEnded("the response asks to be continued with a token used before")
            if len(tokens) >= self.plan.max_hops:
                raise TurnEnded(f"the response still asks to be continued after {len(tokens)} hops")
            tokens.add(token)
            part = continued(part, self.last_fields.get("store"), identity, token)

    def poll(
        self, turn: Turn, exchange: Exchange, identity: str
    ) -> Generator[Effect, Any, Exchange]:
        """Poll until a run has ended, first without a pause; return the last exchange."""
        path = f"{self.path}/{quote(identity, safe='')}"
        for polls in range(self.plan.max_polls):
            if polls:
                yield Pause(self.plan.poll_seconds)
            exchange = yield from self.send(turn, Request("GET", path))
            if not self.runs_on(exchange) or self.is_stopped(turn):
                return exchange
        raise TurnEnded(f"the run had not ended after {self.plan.max_polls} polls")

    def runs_on(self, exchange: Exchange) -> bool:
        """Return whether the run behind a response continues.

        A broken stream does not stop a background run (docs/protocol.md section 8.1), nor does an
        error in it that is not the run's own.
        """
        if exchange.interaction is None:
            return False
        error = exchange.error
        if error is not None and (exchange.request.method == "GET" or error.advice is None):
            return False
        if error is not None or exchange.failure is not None:
            return self.background
        return is_running(exchange.interaction)

    def send(self, turn: Turn, request: Request) -> Generator[Effect, Any, Exchange]:
        """Send a request; if that fails, its exchange stays without a response."""
        self.exchanges += 1
        exchange = Exchange(self.exchanges, turn.number, request)
        turn.exchanges.append(exchange)
        read_response(exchange, (yield Send(request)))
        return exchange


def _text(exchange: Exchange, field: str) -> str | None:
    value = exchange.interaction.get(field) if exchange.interaction else None
    return value if isinstance(value, str) else None


def _timeline(received: list[Step]) -> list[Step]:
    return [step for step in received if step.raw.get("type") != "user_input"]
