"""The conversation engine: a generator that holds a plan's turns and returns the transcript. Sans-IO, like h11 for HTTP.

A turn is a user message and everything until the model stops needing tools. One lap of a turn is one *answer*: a POST, its continuation
hops (protocol section 8.3) and its polls (section 8.1). After each answer the calls that wait are run and their results go out with the
next lap; without any, the turn is held, whatever the answer's status.

What may end a turn before that, and with it the conversation:

| what | outcome | ``transcript.crash`` |
|---|---|---|
| an API error, as an answer or as an event in a stream | ``api_error`` | – |
| an answer that cannot be used, a broken stream, no id to go on from, tool rounds, polls or hops used up | ``incomplete`` | – |
| an EvalkitError thrown in by the driver or raised by a turn's content (miss, transport, tool, template) | ``incomplete`` | the exception |

Steps that had come by then stay in the timeline. Everything is bounded: tool rounds, hops and polls by the plan. No IO, no clock, no
templates, no judgement here.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from urllib.parse import quote

from evalkit._lib.json import JSON
from evalkit.conversation.effects import CallTool, Conversation, Effect, EndTurn, Pause, Send
from evalkit.conversation.function_calls import Calls, arguments_of, call_id, refusal, result_step
from evalkit.conversation.history import KEEPERS, Keeper, NotHeld, Part, blocks, continued
from evalkit.conversation.plan import Plan, TurnSource, context
from evalkit.conversation.response_reader import read_response
from evalkit.errors import EvalkitError
from evalkit.protocol.step_reader import output_text, strip_user_input
from evalkit.protocol.step_types import RUNNING
from evalkit.protocol.wire_facts import interactions_path
from evalkit.transcript import ApiError, Exchange, Request, Step, Transcript, Turn

_FIRST = ("model", "agent")
_NOT_FIELDS = frozenset({*_FIRST, "input", "previous_interaction_id", "continuation_token"})
# ``store`` is part of what a stateless history decides; else it is a field like any other.
_OWNED = {"stateful": _NOT_FIELDS, "stateless": _NOT_FIELDS | {"store"}}


class _Refused(Exception):
    """The API answered an error."""

    def __init__(self, error: ApiError) -> None:
        self.error = error


def converse(plan: Plan) -> Conversation:
    """Hold the conversation: yield effects, receive their results, return the Transcript. Never raises an EvalkitError."""
    return _Engine(plan).run()


class _Engine:
    def __init__(self, plan: Plan) -> None:
        fields = plan.fields
        self.plan = plan
        self.transcript = Transcript(
            {
                **fields,
                "history": plan.history,
                "stream": plan.stream,
                "background": plan.background,
                **plan.settings,
            }
        )
        self.path = interactions_path(plan.api_version)
        self.keeper: Keeper = KEEPERS[plan.history](fields)
        self.calls = Calls()
        self.head: Part = {key: fields[key] for key in _FIRST if key in fields}
        owned = _OWNED[plan.history]
        self.tail: Part = {key: value for key, value in fields.items() if key not in owned}
        if plan.stream:
            self.tail.setdefault("stream", True)
        if plan.background:
            self.tail.setdefault("background", True)
        self.background = bool(self.tail.get("background"))
        # Neither SDK continues runs in the background or agents by itself (protocol section 8.3).
        self.continues = not self.background and "agent" not in fields
        self.exchanges = 0
        self.answer_start = 0

    def run(self) -> Conversation:
        turns = self.transcript.turns
        stop: str | None = None
        for number, source in enumerate(self.plan.turns, 1):
            if stop is not None:
                turns.append(Turn(number, [], outcome="not_run", reason=stop))
                continue
            turn = Turn(number, [])
            turns.append(turn)
            try:
                yield from self.hold(turn, source)
            except _Refused as refused:
                turn.outcome, turn.error = "api_error", refused.error
            except NotHeld as reason:
                turn.outcome, turn.reason = "incomplete", str(reason)
            except EvalkitError as error:
                turn.outcome, turn.reason, self.transcript.crash = "incomplete", str(error), error
                if turn.exchanges and turn.exchanges[-1].response is None:
                    turn.exchanges[-1].failure = turn.reason
            turn.text = output_text([step.raw for step in turn.steps[self.answer_start :]])
            go_on = True
            try:
                go_on = yield EndTurn(turn)
            except EvalkitError as error:
                self.transcript.crash = self.transcript.crash or error
                go_on = False
            if turn.outcome != "completed":
                stop = f"turn {number} did not complete"
            elif not go_on:
                stop = f"stopped after turn {number}"
        return self.transcript

    def hold(self, turn: Turn, source: TurnSource) -> Generator[Effect, Any, None]:
        """Hold one turn; raises _Refused, NotHeld or an EvalkitError where that cannot be done."""
        content = source.content(context(self.transcript.turns[:-1]))
        turn.user = blocks(content)
        part = self.keeper.ask(content)
        rounds = 0
        while True:
            start = len(turn.steps)
            received, identity = yield from self.answer(turn, part)
            raws = [step.raw for step in received]
            waiting = self.calls.waiting(raws, turn.status)
            if not waiting:
                self.keeper.keep(identity, raws)
                return
            if rounds >= self.plan.max_tool_rounds:
                limit = self.plan.max_tool_rounds
                raise NotHeld(
                    f"the model still calls functions after {limit} rounds of results (max_tool_rounds: {limit})"
                )
            rounds += 1
            results: dict[int, dict[str, JSON]] = {}
            for index in waiting:
                results[index] = yield from self.call(raws[index])
            for index in reversed(waiting):
                received.insert(index + 1, Step(results[index], "client", self.exchanges + 1))
            self.keeper.keep(identity, [step.raw for step in received])
            part = self.keeper.reply(list(results.values()))
            turn.steps[start:] = _timeline(received)

    def call(self, call: dict[str, JSON]) -> Generator[Effect, Any, dict[str, JSON]]:
        """Run one function and return its result step."""
        arguments = arguments_of(call)
        if arguments is None:
            answer = refusal(call)
        else:
            name = call.get("name")
            answer = yield CallTool(name if isinstance(name, str) else "", arguments, call_id(call))
        self.calls.answered(call)
        return result_step(call, answer)

    def answer(self, turn: Turn, part: Part) -> Generator[Effect, Any, tuple[list[Step], str]]:
        """Get one answer: POST, continue while it asks for it, poll while it runs. Return its steps, hops merged, and the last id."""
        start = len(turn.steps)
        received: list[Step] = []
        tokens: set[str] = set()
        while True:
            exchange = self.begin(
                turn, Request("POST", self.path, {**self.head, **part, **self.tail})
            )
            read_response(exchange, (yield Send(exchange.request)))
            interaction = exchange.interaction
            identity = _text_of(interaction, "id") or ""
            if identity and self.running(exchange):
                exchange = yield from self.settle(turn, exchange, identity)
                interaction = exchange.interaction
            if interaction is not None:
                later = bool(tokens) or exchange.request.method == "GET"
                steps = interaction.get("steps") or ()
                # Only an answer to this very POST holds new steps alone: a stored one is led by the client's own (section 1.1).
                fresh = strip_user_input(steps) if later else steps
                number = exchange.number
                received += [Step(step, "model", number) for step in fresh]
                self.answer_start = start
                turn.steps[start:] = _timeline(received)
                turn.status = _text_of(interaction, "status")
                if "environment" in self.tail:
                    self.note_environment(interaction)
            if exchange.error is not None:
                raise _Refused(exchange.error)
            if interaction is None or exchange.failure is not None:
                raise NotHeld(exchange.failure or "no Interaction came")
            if turn.status in RUNNING:
                raise NotHeld(f"the answer is still {turn.status} and has no id to poll")
            if (
                turn.status != "requires_continuation"
                or not self.continues
                or not (token := _text_of(interaction, "continuation_token"))
            ):
                return received, identity
            if token in tokens:
                raise NotHeld("the answer asks to be continued with a token that was used already")
            if len(tokens) >= self.plan.max_hops:
                raise NotHeld(f"the answer still asks to be continued after {len(tokens)} hops")
            tokens.add(token)
            part = continued(part, self.tail.get("store"), identity, token)

    def settle(
        self, turn: Turn, exchange: Exchange, identity: str
    ) -> Generator[Effect, Any, Exchange]:
        """Poll until the run has ended, as the guide's loop does (section 11): at once, then with a pause between. Return its end."""
        polls = 0
        while self.running(exchange):
            if polls >= self.plan.max_polls:
                raise NotHeld(f"the run had not ended after {polls} polls")
            if polls:
                yield Pause(self.plan.poll_seconds)
            polls += 1
            exchange = self.begin(turn, Request("GET", f"{self.path}/{quote(identity, safe='')}"))
            read_response(exchange, (yield Send(exchange.request)))
        return exchange

    def running(self, exchange: Exchange) -> bool:
        """Whether the run behind an answer goes on. A stream that broke off does not stop one in the background (section 8.1)."""
        if exchange.interaction is None or exchange.error is not None:
            return False
        if exchange.failure is not None:
            return self.background
        return _text_of(exchange.interaction, "status") in RUNNING

    def begin(self, turn: Turn, request: Request) -> Exchange:
        """Note a request that is about to be sent; where it cannot be, its exchange stays without a response."""
        self.exchanges += 1
        exchange = Exchange(self.exchanges, turn.number, request)
        turn.exchanges.append(exchange)
        return exchange

    def note_environment(self, interaction: dict[str, JSON]) -> None:
        """Stay in the sandbox that was opened: a second ``remote`` would be a fresh one, without the first turn's files (section 2.5)."""
        environment = _text_of(interaction, "environment_id")
        if environment:
            self.tail["environment"] = environment


def _text_of(interaction: dict[str, JSON] | None, field: str) -> str | None:
    found = interaction.get(field) if interaction else None
    return found if isinstance(found, str) else None


def _timeline(received: list[Step]) -> list[Step]:
    return [step for step in received if step.raw.get("type") != "user_input"]
