"""Interactions: create, get, cancel, delete (protocol sections 1.1, 2, 8). Sans-IO: replies tell their delays, nothing sleeps or sends.

Whatever a request gets wrong is an ErrorResponse. Breaches of the protocol (a history that is not as it was sent, calls without results,
combinations the API refuses) go to ``defend``, which a lenient server lets pass; what cannot be understood is refused by any.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from evalkit._lib.json import JSON, dumps
from evalkit.protocol.stream_writer import events_of, sse_text
from evalkit.server import continuation_tokens
from evalkit.server.answers import default_answers
from evalkit.server.answers.answer import InteractionDraft
from evalkit.server.answers.interaction import build_interaction
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.api.agents import Agents
from evalkit.server.api.environments import Environments
from evalkit.server.api.interaction_store import InteractionStore, StoredInteraction
from evalkit.server.api.webhooks import Webhooks
from evalkit.server.calls import Call, Reply, error_reply
from evalkit.server.continuation_tokens import AnswerPart
from evalkit.server.fault_injection.injector import FaultSelector
from evalkit.server.history_integrity import check_not_repeated, check_pairs, verify_signatures
from evalkit.server.requests.create import KnownNames, read_create
from evalkit.server.requests.error_response import ErrorResponse, OnViolation, bad_request
from evalkit.server.requests.inputs import last_messages, steps_of_input
from evalkit.server.scripting.script import Script

RawStep = dict[str, JSON]


class Interactions:
    """``/interactions``: answered by a script, and where no rule holds by plain answers; keeps what is stored."""

    def __init__(
        self,
        script: Script,
        key: bytes,
        agents: Agents,
        environments: Environments,
        webhooks: Webhooks,
        defend: OnViolation,
        selector: FaultSelector,
    ) -> None:
        self._script = script
        self._key = key
        self._environments = environments
        self._webhooks = webhooks
        self._defend = defend
        self._selector = selector
        self._known = KnownNames(script.known.models, script.known.agents, agents.held)
        self._store = InteractionStore()

    def create(self, call: Call) -> Reply:
        """``POST /interactions``."""
        body = read_create(call.body, self._known, self._defend)
        if call.query.get("alt") == "sse":
            body["stream"] = True
        base, sent, part = self._heard(body)
        conversation = (*base, *sent)
        seed = self._store.seed(body)
        ask = InteractionRequest(
            body,
            conversation,
            seed,
            self._environments.of(body.get("environment"), seed),
            self._script.vars,
            part,
        )
        answer, by = self._answer(ask)
        if answer.fault is not None and (answer.fault_after is None or not body.get("stream")):
            return error_reply(answer.fault, answer.delay)
        faults = self._selector.for_call(answer.faults, call)
        if (failure := faults.replacement()) is not None:
            return replace(failure, delay=failure.delay + answer.delay, by=by)
        if ask.environment_id is not None:
            for path, text in answer.files.items():
                self._environments.put(
                    ask.environment_id, path, str(text).encode(errors="surrogatepass")
                )
        final = build_interaction(ask, answer, self._key if self._script.signatures else None)
        if final["status"] == "requires_continuation":
            final["continuation_token"] = continuation_tokens.issue_token(
                self._key, part, conversation, final["steps"]
            )
        hooks = body.get("webhook_config")
        stored = StoredInteraction(
            final,
            last_messages(sent),
            sent,
            (*conversation, *final["steps"]),
            untold=hooks is not None,
            hooks=hooks,
        )
        if body.get("background"):
            stored.start(answer.polls)
        shown = stored.shown()
        if body.get("store", True):
            self._store.add(stored)
        if body.get("stream") or self._webhooks.heard(final["status"], stored.hooks):
            stored.finish()
        self._tell(stored)
        if body.get("stream"):
            return faults.apply(replace(_stream(final, answer), by=by))
        return faults.apply(Reply(200, dumps(shown), delay=answer.delay, by=by))

    def get(self, call: Call, id: str) -> Reply:  # noqa: A002 - the path's own name
        """``GET /interactions/{id}``; a stream of a running interaction waits for its end, so it ends it."""
        stored = self._store.get(id)
        if _flag(call, "stream") or call.query.get("alt") == "sse":
            stored.finish()
            self._tell(stored)
            return _stream(stored.final, InteractionDraft(), after=call.query.get("last_event_id"))
        shown = dict(stored.shown())
        stored.poll()
        self._tell(stored)
        if "steps" in shown:
            shown["steps"] = [*stored.asked, *shown["steps"]]
        if _flag(call, "include_input"):
            shown["input"] = list(stored.sent)
        return Reply(200, dumps(shown))

    def cancel(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``POST /interactions/{id}/cancel``."""
        stored = self._store.get(id)
        stored.cancel()
        return Reply(200, dumps(stored.shown()))

    def delete(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``DELETE /interactions/{id}``."""
        self._store.delete(id)
        return Reply(200, "{}")

    def check(self, body: dict[str, JSON], where: str) -> None:
        """Refuse what is no create request of an agent, to be sent later; ``where`` is its path. Raises ErrorResponse."""
        try:
            if "agent" not in read_create(dumps(body).encode(), self._known):
                raise bad_request("'agent' is required.")
        except ErrorResponse as fault:
            raise ErrorResponse(
                fault.status, f"'{where}': {fault.message}", code=fault.code
            ) from fault

    def run(self, body: dict[str, JSON]) -> dict[str, JSON]:
        """Answer a create request of this server's own to its end, and return the interaction. Raises ErrorResponse where it is refused."""
        reply = self.create(Call("POST", "/interactions", body=dumps(body).encode()))
        answered = json.loads(reply.body)
        if reply.status != 200:
            raise ErrorResponse(reply.status, answered["error"]["message"])
        stored = self._store.get(answered["id"])
        stored.finish()
        self._tell(stored)
        return stored.final

    def _heard(self, body: dict[str, JSON]) -> tuple[Sequence[RawStep], list[RawStep], AnswerPart]:
        """Return the conversation that is continued, the steps that are sent, and which part of an answer is asked for."""
        previous = body.get("previous_interaction_id")
        held = self._store.previous(previous, self._defend) if previous is not None else None
        base = held.conversation if held else ()
        sent = steps_of_input(body["input"]) if "input" in body else []

        def place(index: int) -> str:
            return (
                f"input[{index - len(base)}]"
                if index >= len(base)
                else f"step {index + 1} of the stored conversation"
            )

        part = AnswerPart()
        if "continuation_token" in body:
            part = (
                self._judged(
                    lambda: continuation_tokens.read_token(
                        self._key, body["continuation_token"], base, sent
                    )
                )
                or part
            )
        self._judged(lambda: check_not_repeated(base, sent, place))
        self._judged(lambda: check_pairs((*base, *sent), place))
        if self._script.signatures:
            self._judged(lambda: verify_signatures(self._key, (*base, *sent), place))
        return base, sent, part

    def _judged(self, check: Callable[[], AnswerPart | None]) -> AnswerPart | None:
        try:
            return check()
        except ErrorResponse as fault:
            self._defend(fault)
            return None

    def _answer(self, ask: InteractionRequest) -> tuple[InteractionDraft, str]:
        found = self._script.find(ask, self._store.used)
        if found is None:
            return default_answers.default_answer(ask), "plain answer"
        self._store.used[found.index] += 1
        return found.answer(ask, default_answers.default_answer), found.rule.where

    def _tell(self, stored: StoredInteraction) -> None:
        """Tell the webhooks of a run in the background that has just ended."""
        if stored.untold and not stored.running:
            stored.untold = False
            self._webhooks.ended(stored.final, stored.hooks)


def _flag(call: Call, name: str) -> bool:
    value = call.query.get(name, "false").lower()
    if value not in ("true", "false", "1", "0", ""):
        raise bad_request(f"'{name}' must be true or false, got '{value}'.")
    return value in ("true", "1")


def _stream(final: dict[str, JSON], answer: InteractionDraft, after: str | None = None) -> Reply:
    events = events_of(final)
    done = True
    if answer.fault is not None:
        events = [*events[: answer.fault_after], {"event_type": "error", **answer.fault.body()}]
    elif answer.cut_after is not None:
        events, done = events[: answer.cut_after], False
    if after is not None:
        known = [event.get("event_id") for event in events]
        if after not in known:
            raise bad_request(f"'last_event_id': there is no event '{after}' in this stream.")
        events = events[known.index(after) + 1 :]
    return Reply(
        200, frames=sse_text(events, done=done), delay=answer.delay, event_delay=answer.event_delay
    )
