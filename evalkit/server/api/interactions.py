"""Interactions: create, get, cancel, delete (docs/protocol.md sections 1.1, 2, 8). Sans-IO.

Invalid requests raise ErrorResponse. Violations of the protocol (an altered history, calls without
results, combinations that the API refuses) go to ``on_violation``, which a lenient server only
logs; what cannot be interpreted is refused by every server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from evalkit._lib.json import JSON, dumps
from evalkit.protocol.step_reader import RawStep
from evalkit.protocol.stream_writer import events_of, sse_text
from evalkit.server.answers.default_answers import default_answer
from evalkit.server.answers.interaction import InteractionDraft, build_interaction
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.api.agents import Agents
from evalkit.server.api.environments import Environments
from evalkit.server.api.interaction_store import InteractionStore, StoredInteraction
from evalkit.server.api.webhooks import Webhooks
from evalkit.server.calls import Call, Reply, error_reply
from evalkit.server.continuation_tokens import AnswerPart, issue_token, read_token
from evalkit.server.fault_injection.injector import FaultSelector
from evalkit.server.history_integrity import check_not_repeated, check_pairs, verify_signatures
from evalkit.server.requests.create import KnownNames, read_create
from evalkit.server.requests.error_response import ErrorResponse, OnViolation, bad_request
from evalkit.server.requests.inputs import last_messages, steps_of_input
from evalkit.server.scripting.script import Script


class Interactions:
    """``/interactions``, answered by a script, and by default answers where no rule matches."""

    def __init__(
        self,
        script: Script,
        *,
        key: bytes,
        agents: Agents,
        environments: Environments,
        webhooks: Webhooks,
        on_violation: OnViolation,
        selector: FaultSelector,
    ) -> None:
        self._script = script
        self._key = key
        self._environments = environments
        self._webhooks = webhooks
        self._on_violation = on_violation
        self._selector = selector
        self._known = KnownNames(script.known.models, script.known.agents, agents.by_id)
        self._store = InteractionStore()

    def create(self, call: Call) -> Reply:
        """``POST /interactions``."""
        body = read_create(call.body, self._known, self._on_violation)
        if call.query.get("alt") == "sse":
            body["stream"] = True
        base, sent = self._read_conversation(body)
        part = self._read_part(body, base, sent)
        self._check_history(base, sent)
        seed = self._store.next_seed(body)
        request = InteractionRequest(
            body=body,
            conversation=(*base, *sent),
            seed=seed,
            environment_id=self._environments.use(body.get("environment"), seed),
            part=part,
        )
        draft, origin = self._answer(request)
        streams = body.get("stream", False)
        if draft.error is not None and (draft.error.after is None or not streams):
            return error_reply(draft.error.response, draft.delay)
        faults = self._selector.for_call(draft.faults, call)
        if (failure := faults.replacement()) is not None:
            return replace(failure, delay=failure.delay + draft.delay, by=origin)
        stored = self._build(request, draft, sent)
        initial = stored.current()
        if body.get("store", True):
            self._store.add(stored.final["id"], stored)
        status = stored.final["status"]
        if streams or self._webhooks.has_listener(status, stored.webhook_config):
            stored.finish()
        self._notify(stored)
        if streams:
            return faults.apply(replace(_stream(stored.final, draft), by=origin))
        return faults.apply(Reply(200, dumps(initial), delay=draft.delay, by=origin))

    def get(self, call: Call, resource_id: str) -> Reply:
        """``GET /interactions/{id}``; a stream of a running interaction ends it."""
        stored = self._store.find(resource_id)
        if _flag(call, "stream") or call.query.get("alt") == "sse":
            stored.finish()
            self._notify(stored)
            after = call.query.get("last_event_id")
            return _stream(stored.final, InteractionDraft(), after=after)
        current = dict(stored.current())
        stored.poll()
        self._notify(stored)
        if "steps" in current:
            current["steps"] = [*stored.questions, *current["steps"]]
        if _flag(call, "include_input"):
            current["input"] = list(stored.sent)
        return Reply(200, dumps(current))

    def cancel(self, call: Call, resource_id: str) -> Reply:
        """``POST /interactions/{id}/cancel``."""
        self._store.find(resource_id).cancel()
        return self._store.get(call, resource_id)

    def delete(self, call: Call, resource_id: str) -> Reply:
        """``DELETE /interactions/{id}``; later interactions keep their own conversation."""
        return self._store.delete(call, resource_id)

    def check_agent_request(self, body: dict[str, JSON], path: str) -> None:
        """Raise ErrorResponse if ``body`` is not a valid create request of an agent.

        ``path`` is where the request is in another body.
        """
        try:
            if "agent" not in read_create(dumps(body).encode(), self._known):
                raise bad_request("'agent' is required.")
        except ErrorResponse as error:
            message = f"'{path}': {error.message}"
            raise ErrorResponse(error.status, message, code=error.code) from error

    def run_to_end(self, body: dict[str, JSON]) -> dict[str, JSON]:
        """Answer a stored create request, and return the ended interaction.

        Raises ErrorResponse.
        """
        reply = self.create(Call("POST", "/interactions", body=dumps(body).encode()))
        response = json.loads(reply.body)
        if reply.status != 200:
            raise ErrorResponse(reply.status, response["error"]["message"])
        stored = self._store.find(response["id"])
        stored.finish()
        self._notify(stored)
        return stored.final

    def _read_conversation(
        self, body: dict[str, JSON]
    ) -> tuple[Sequence[RawStep], Sequence[RawStep]]:
        """Return the steps of the continued conversation, and those of the request's input."""
        base: Sequence[RawStep] = ()
        if "previous_interaction_id" in body:
            previous_id = body["previous_interaction_id"]
            base = self._store.find_previous(previous_id, self._on_violation).conversation
        return base, steps_of_input(body["input"]) if "input" in body else []

    def _read_part(
        self, body: dict[str, JSON], base: Sequence[RawStep], sent: Sequence[RawStep]
    ) -> AnswerPart:
        """Return which part of an answer is requested."""
        if "continuation_token" in body:
            try:
                return read_token(self._key, body["continuation_token"], base, sent)
            except ErrorResponse as error:
                self._on_violation(error)
        return AnswerPart()

    def _check_history(self, base: Sequence[RawStep], sent: Sequence[RawStep]) -> None:
        """Report what is wrong with the history to ``on_violation``."""
        conversation = (*base, *sent)

        def describe(index: int) -> str:
            if index >= len(base):
                return f"input[{index - len(base)}]"
            return f"step {index + 1} of the stored conversation"

        checks: list[Callable[[], None]] = [
            lambda: check_not_repeated(base, sent, describe),
            lambda: check_pairs(conversation, describe),
        ]
        if self._script.signatures:
            checks.append(lambda: verify_signatures(self._key, conversation, describe))
        for check in checks:
            try:
                check()
            except ErrorResponse as error:
                self._on_violation(error)

    def _answer(self, request: InteractionRequest) -> tuple[InteractionDraft, str]:
        """Return the answer, and for the log what produced it."""
        matched = self._script.find(request, self._store.rule_uses)
        if matched is None:
            return default_answer(request), "default answer"
        self._store.rule_uses[matched.index] += 1
        return matched.answer(request), matched.rule.location

    def _build(
        self, request: InteractionRequest, draft: InteractionDraft, sent: Sequence[RawStep]
    ) -> StoredInteraction:
        """Return the interaction of an answer, and write the answer's files."""
        if request.environment_id is not None:
            for path, text in draft.files.items():
                data = str(text).encode(errors="surrogatepass")
                self._environments.put_file(request.environment_id, path, data)
        final = build_interaction(request, draft, self._key if self._script.signatures else None)
        if final["status"] == "requires_continuation":
            final["continuation_token"] = issue_token(
                self._key, request.part, request.conversation, final["steps"]
            )
        runs_in_background = bool(request.body.get("background"))
        webhook_config = request.body.get("webhook_config")
        return StoredInteraction(
            final=final,
            questions=last_messages(sent),
            sent=sent,
            conversation=(*request.conversation, *final["steps"]),
            remaining_polls=draft.polls if runs_in_background else 0,
            must_notify=runs_in_background or webhook_config is not None,
            webhook_config=webhook_config,
        )

    def _notify(self, stored: StoredInteraction) -> None:
        """Notify the webhooks of a background run that has just ended."""
        if stored.must_notify and not stored.is_running:
            stored.must_notify = False
            self._webhooks.notify_end(stored.final, stored.webhook_config)


def _flag(call: Call, name: str) -> bool:
    value = call.query.get(name, "false").lower()
    if value not in ("true", "false", "1", "0", ""):
        raise bad_request(f"'{name}' must be true or false, got '{value}'.")
    return value in ("true", "1")


def _stream(final: dict[str, JSON], draft: InteractionDraft, after: str | None = None) -> Reply:
    """Return the interaction as a stream, after the event ``after`` if given."""
    events = events_of(final)
    done = True
    if draft.error is not None:
        error = {"event_type": "error", **draft.error.response.body()}
        events = [*events[: draft.error.after], error]
    elif draft.cut_after is not None:
        events, done = events[: draft.cut_after], False
    if after is not None:
        ids = [event.get("event_id") for event in events]
        if after not in ids:
            raise bad_request(f"'last_event_id': event '{after}' is not in this stream.")
        events = events[ids.index(after) + 1 :]
    return Reply(
        200,
        frames=sse_text(events, done=done),
        delay=draft.delay,
        event_delay=draft.event_delay,
    )
