"""Interactions: create, get, cancel, delete (docs/protocol.md sections 1.1, 2, 8). Sans-IO.

Invalid requests raise ErrorResponse. Violations of the protocol (an altered history, calls without
results, combinations that the API refuses) go to ``on_violation``, which a lenient server only
logs; what cannot be interpreted is refused by every server.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from evalkit._lib import clock
from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, canonical, dumps
from evalkit.protocol.step_reader import RawStep
from evalkit.protocol.stream_writer import events_of, sse_text
from evalkit.server.answers.default_answers import default_answer
from evalkit.server.answers.interaction import InteractionDraft, build_interaction
from evalkit.server.answers.interaction_request import InteractionRequest
from evalkit.server.api.collection import ResourceCollection
from evalkit.server.api.environments import Environments
from evalkit.server.api.webhooks import Webhooks, check_page_targets
from evalkit.server.calls import Call, Reply, error_reply
from evalkit.server.continuation_token import AnswerPart, issue_token, read_token
from evalkit.server.fault_injection.plans import FaultSelector
from evalkit.server.history_integrity import check_pairs, find_alterations, find_repeated
from evalkit.server.requests.create import KnownNames, read_create
from evalkit.server.requests.error_response import ErrorResponse, OnViolation, bad_request
from evalkit.server.requests.inputs import last_messages, read_input
from evalkit.server.scripting.script import Script

_RUNNING_FIELDS = (
    "id",
    "object",
    "model",
    "agent",
    "created",
    "updated",
    "environment_id",
    "service_tier",
)
"""The fields of an interaction that is in progress, besides its status."""
_ECHOED = (
    "system_instruction",
    "tools",
    "generation_config",
    "response_format",
    "environment",
    "safety_settings",
    "cached_content",
)
"""Fields of the request that a resource repeats where its input is asked for."""


@dataclass(slots=True, kw_only=True)
class StoredInteraction:
    """One interaction.

    ``final`` is its state when it has ended, ``sent`` the input of its request as steps,
    ``conversation`` every step up to the end of the answer. ``remaining_polls`` still find it
    running; it may be queued until the first of them. ``must_notify``: webhooks are to be notified
    when it ends, as they are of background runs. ``request`` is the body of its request.
    """

    final: dict[str, JSON]
    sent: Sequence[RawStep]
    conversation: tuple[RawStep, ...]
    remaining_polls: int = 0
    is_queued: bool = False
    must_notify: bool = False
    request: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def webhook_config(self) -> Mapping[str, JSON] | None:
        """The webhooks that the request named."""
        return self.request.get("webhook_config")

    @property
    def is_running(self) -> bool:
        """Whether it is still in progress."""
        return self.remaining_polls > 0

    def current(self) -> dict[str, JSON]:
        """Return the interaction in its current state, without its input."""
        if not self.is_running:
            return self.final
        fields = {name: self.final[name] for name in _RUNNING_FIELDS if name in self.final}
        return {"id": "", "status": "queued" if self.is_queued else "in_progress", **fields}

    def poll(self, *, until_end: bool = False) -> None:
        """Count one poll, or all that remain; the last one ends the run."""
        if self.is_running:
            self.is_queued = False
            self.remaining_polls = 0 if until_end else self.remaining_polls - 1
            self.final["updated"] = clock.timestamp()

    def cancel(self) -> None:
        """Cancel the run; one that has ended does not change."""
        if self.is_running:
            for name in ("usage", "errors", "error"):
                self.final.pop(name, None)
            answer_start = len(self.conversation) - len(self.final["steps"])
            self.conversation = self.conversation[:answer_start]
            self.final.update(status="cancelled", steps=[])
            self.poll(until_end=True)


class Interactions(ResourceCollection[StoredInteraction]):
    """``/interactions``, answered by a script, and by default answers where no rule matches."""

    def __init__(
        self,
        script: Script,
        *,
        key: bytes,
        created_agents: Mapping[str, Mapping[str, JSON]],
        environments: Environments,
        webhooks: Webhooks,
        on_violation: OnViolation,
        selector: FaultSelector,
        rule_uses: Counter[str],
    ) -> None:
        super().__init__("interaction", "interactions", StoredInteraction.current)
        self._script = script
        self._key = key
        self._environments = environments
        self._webhooks = webhooks
        self._on_violation = on_violation
        self._selector = selector
        self._known = KnownNames(script.known.models, script.known.agents, created_agents)
        self._rule_uses = rule_uses
        self._requests: Counter[str] = Counter()

    def create(self, call: Call) -> Reply:
        """``POST /interactions``."""
        body = read_create(call.body, self._known, self._on_violation)
        check_page_targets(call, body.get("webhook_config"))
        if call.query.get("alt") == "sse":
            body["stream"] = True
        base = self._previous_steps(body)
        sent = self._read_input(body, base)
        part = self._read_part(body, base, sent)
        seed = self._next_seed(body)
        request = InteractionRequest(
            body=body,
            conversation=(*base, *sent),
            stored=len(base),
            seed=seed,
            environment_id=self._environments.use(body.get("environment"), seed),
            part=part,
        )
        draft, origin = self._answer(request)
        streams = body.get("stream", False)
        if draft.error is not None and (draft.error_after is None or not streams):
            return error_reply(draft.error, draft.delay)
        faults = self._selector.for_call(draft.faults, call)
        if (failure := faults.replacement()) is not None:
            return replace(failure, delay=failure.delay + draft.delay, by=origin)
        stored = self._build(request, draft, sent)
        initial = stored.current()
        if body.get("store", True):
            self.add(stored.final["id"], stored)
        status = stored.final["status"]
        if streams or self._webhooks.has_listener(status, stored.webhook_config):
            stored.poll(until_end=True)
        self._notify(stored)
        if streams:
            return faults.apply(replace(_stream(stored.final, draft), by=origin))
        return faults.apply(Reply(200, dumps(initial), delay=draft.delay, by=origin))

    def get(self, call: Call, resource_id: str) -> Reply:
        """``GET /interactions/{id}``; a stream of a running interaction ends it."""
        stored = self.find(resource_id)
        if _flag(call, "stream") or call.query.get("alt") == "sse":
            stored.poll(until_end=True)
            self._notify(stored)
            after = call.query.get("last_event_id")
            return _stream(stored.final, InteractionDraft(), after=after)
        current = dict(stored.current())
        stored.poll()
        self._notify(stored)
        if "steps" in current:
            current["steps"] = [*last_messages(stored.sent), *current["steps"]]
        if _flag(call, "include_input"):
            current |= {key: stored.request[key] for key in _ECHOED if key in stored.request}
            current["input"] = list(stored.sent)
        return Reply(200, dumps(current))

    def cancel(self, call: Call, resource_id: str) -> Reply:
        """``POST /interactions/{id}/cancel``."""
        self.find(resource_id).cancel()
        return super().get(call, resource_id)

    def check_agent_request(self, body: dict[str, JSON], path: str) -> None:
        """Raise ErrorResponse if ``body`` is not a valid create request of an agent.

        ``path`` is where the request is in another body.
        """
        try:
            if "agent" not in read_create(dumps(body).encode(), self._known, self._on_violation):
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
        stored = self.find(response["id"])
        stored.poll(until_end=True)
        self._notify(stored)
        return stored.final

    def _next_seed(self, body: Mapping[str, JSON]) -> str:
        """Return the hex digest from which the ids of an answer are derived.

        It depends on the request and on how often this request was received, so that ids do not
        change when other conversations are added or removed.
        """
        request = sha256(canonical(dict(body)))
        self._requests[request] += 1
        return sha256(f"{request} {self._requests[request]}")

    def _previous_steps(self, body: Mapping[str, JSON]) -> Sequence[RawStep]:
        """Return the steps of the continued conversation. Raises ErrorResponse (404).

        Continuing one that is still running is a violation; if tolerated, its final state is
        continued.
        """
        if "previous_interaction_id" not in body:
            return ()
        prefix = "'previous_interaction_id': "
        stored = self.find(body["previous_interaction_id"], prefix)
        if stored.is_running:
            status = stored.current()["status"]
            message = f"{prefix}interaction '{stored.final['id']}' is still {status}."
            self._on_violation(bad_request(message, code="failed_precondition"))
        return stored.conversation

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

    def _read_input(self, body: Mapping[str, JSON], base: Sequence[RawStep]) -> list[RawStep]:
        """Return the new steps; report what is wrong with the history to ``on_violation``.

        Some clients send steps of the last answer again beside ``previous_interaction_id``. They
        are left out; thoughts silently, because Google's own agent kit sends them.
        """
        steps: list[RawStep] = []
        positions = [f"step {index + 1} of the stored conversation" for index in range(len(base))]
        items = read_input(body["input"], self._on_violation) if "input" in body else []
        for position, step in items:
            known = find_repeated(step, base)
            if known is None:
                positions.append(position)
                steps.append(step)
            elif step["type"] != "thought":
                message = (
                    f"{position}: this {step['type']} is already {positions[known]}. "
                    "With 'previous_interaction_id' send only what is new; "
                    "to send a history, leave the id out."
                )
                self._on_violation(bad_request(message, is_inferred=True))
        conversation = (*base, *steps)
        try:
            check_pairs(conversation, positions.__getitem__)
        except ErrorResponse as error:
            self._on_violation(error)
        if self._script.signatures:
            for alteration in find_alterations(self._key, conversation, positions.__getitem__):
                self._on_violation(alteration)
        return steps

    def _answer(self, request: InteractionRequest) -> tuple[InteractionDraft, str]:
        """Return the answer, and for the log what produced it."""
        match = self._script.find(request, self._rule_uses)
        if match is None:
            return default_answer(request), "default answer"
        rule, variables = match
        self._rule_uses[rule.location] += 1
        return rule.answer(request, variables), rule.location

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
        return StoredInteraction(
            final=final,
            sent=sent,
            conversation=(*request.conversation, *final["steps"]),
            remaining_polls=draft.polls if runs_in_background else 0,
            is_queued=request.body.get("service_tier") == "deferred",
            must_notify=runs_in_background or "webhook_config" in request.body,
            request=request.body,
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
        error = {"event_type": "error", **draft.error.body()}
        events = [*events[: draft.error_after], error]
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
