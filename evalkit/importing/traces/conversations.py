"""Calls of models as recorded conversations: exchanges of the Interactions API. Pure.

A client that sends the whole history with every call repeats earlier turns; such calls are one
conversation, and turns that only the history has become exchanges, too. Where calls send only what
is new, those of one conversation follow one another by time. A conversation that another one
begins with is left out.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit._lib.json import JSON, canonical, dumps
from evalkit.cassette.recording import Recording
from evalkit.importing.traces.losses import Lack
from evalkit.importing.traces.messages import parsed
from evalkit.importing.traces.span import ModelCall
from evalkit.protocol.step_reader import RawStep, content_blocks
from evalkit.protocol.step_types import CLIENT_STEPS
from evalkit.protocol.wire_facts import API_BASE_URL, DEFAULT_API_VERSION, interactions_path

_URI = API_BASE_URL + interactions_path(DEFAULT_API_VERSION)
_JSON = "application/json"


@dataclass(slots=True)
class TracedExchange:
    """What a client sent and a model answered; ``call`` is None if only the history has it."""

    sent: list[RawStep]
    received: list[RawStep]
    call: ModelCall | None


@dataclass(slots=True)
class TracedConversation:
    """Exchanges in their order; ``digests`` are those of their steps.

    ``resends`` says that calls repeat the history.
    """

    system: JSON
    exchanges: list[TracedExchange] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    resends: bool = False

    @property
    def first_call(self) -> ModelCall:
        """The first call that was read."""
        return next(one.call for one in self.exchanges if one.call is not None)

    def extend(self, steps: Sequence[RawStep], call: ModelCall) -> None:
        """Add an exchange for each answer in ``steps``, and the one of the call."""
        sent: list[RawStep] = []
        received: list[RawStep] = []
        for step in steps:
            if step["type"] in CLIENT_STEPS and received:
                self._add(sent, received, None)
                sent, received = [], []
            (sent if step["type"] in CLIENT_STEPS else received).append(step)
        if received:
            # The history ends with the model: the call continued an answer.
            self._add(sent, received, None)
            sent = []
        self._add(sent, call.output, call)

    def complete(self, other: "TracedConversation") -> None:
        """Take the calls of a conversation that this one begins with and has as history only."""
        for mine, its in zip(self.exchanges, other.exchanges, strict=False):
            digests = (_digests([*one.sent, *one.received]) for one in (mine, its))
            if mine.call is None and next(digests) == next(digests):
                mine.received, mine.call = its.received, its.call

    def _add(self, sent: list[RawStep], received: list[RawStep], call: ModelCall | None) -> None:
        self.exchanges.append(TracedExchange(sent, received, call))
        self.digests += _digests([*sent, *received])


def join_calls(calls: Iterable[ModelCall]) -> list[TracedConversation]:
    """Return the conversations of calls that share an id or a trace."""
    found: list[TracedConversation] = []
    ordered = [(call, _digests(call.input)) for call in sorted(calls, key=lambda one: one.start)]
    answered = [digests for call, digests in ordered if call.status < 400]
    for call, digests in ordered:
        if call.status >= 400 and digests in answered:
            # It was repeated, and then answered.
            continue
        whole = [*digests, *_digests(call.output)]
        if any(one.digests[: len(whole)] == whole for one in found):
            continue
        known = [one for one in found if digests[: len(one.digests)] == one.digests]
        if known:
            longest = max(known, key=lambda one: len(one.digests))
            longest.resends = True
            longest.extend(_after(call.input, len(longest.digests)), call)
            continue
        has_history = any(step["type"] not in CLIENT_STEPS for step in call.input)
        # The beginning of a conversation that was sent again, and answered otherwise.
        is_fork = any(one.digests[: len(digests)] == digests for one in found)
        is_new = has_history or is_fork
        open_ones = () if is_new else [one for one in found if _continues(call, one)]
        if open_ones:
            open_ones[-1].extend(call.input, call)
        else:
            conversation = TracedConversation(call.request.get("system_instruction"))
            conversation.resends = has_history
            conversation.extend(call.input, call)
            found.append(conversation)
    return found


def join_results(found: Iterable[TracedConversation]) -> list[TracedConversation]:
    """Return conversations; those that begin with results continue the one that made the calls.

    Clients that send only what is new may be traced call by call. An id that several conversations
    have joins none.
    """
    askers: dict[str, list[TracedConversation]] = {}
    joined: list[TracedConversation] = []
    for one in sorted(found, key=lambda one: one.first_call.start):
        first = one.exchanges[0].sent[0] if one.exchanges[0].sent else {"type": ""}
        known = askers.get(str(first.get("call_id")), ())
        if first["type"] == "function_result" and len(known) == 1 and not one.first_call.is_named:
            whole = known[0]
            whole.exchanges += one.exchanges
            whole.digests += one.digests
        else:
            whole = one
            joined.append(one)
        for step in whole.exchanges[-1].received:
            if step["type"] == "function_call" and step.get("id"):
                askers.setdefault(str(step["id"]), []).append(whole)
    return joined


def is_answered(call: ModelCall, found: Iterable[TracedConversation]) -> bool:
    """Return whether a conversation has what a call sent, and an answer to it."""
    sent = _digests(call.input)
    return any(len(one.digests) > len(sent) and one.digests[: len(sent)] == sent for one in found)


def without_repetitions(found: Sequence[TracedConversation]) -> list[TracedConversation]:
    """Return conversations without those that another one begins with, or equals."""
    useful: dict[int, TracedConversation] = {}
    whole = TracedConversation("")
    # In this order a beginning is directly after what it begins.
    for one in sorted(found, key=lambda one: one.digests, reverse=True):
        if whole.digests[: len(one.digests)] == one.digests:
            whole.complete(one)
        else:
            whole = useful[id(one)] = one
    return [one for one in found if id(one) in useful]


def recordings_of(
    conversation: TracedConversation, name: str, taken: set[str]
) -> tuple[list[Recording], set[Lack]]:
    """Return a conversation as exchanges of the API, and what it lacks.

    ``name`` makes invented ids unique; ``taken`` are ids of responses that others have.
    """
    recordings: list[Recording] = []
    history: list[RawStep] = []
    lacks: set[Lack] = set()
    previous = ""
    identities = _CallIds(lacks)
    for number, exchange in enumerate(conversation.exchanges, 1):
        # An answer that only the history has was given to a request like the first one.
        call = exchange.call or conversation.first_call
        lacks |= call.lacks if exchange.call else {Lack.REPEATED}
        sent, received = identities.of(exchange.sent), identities.of(exchange.received)
        body: dict[str, JSON] = {**call.request, "input": [*history, *sent]}
        if conversation.resends:
            body["store"] = False
            history += [*sent, *received]
        elif previous:
            body["previous_interaction_id"] = previous
            lacks.add(Lack.CHAIN)
        known = str(call.response.get("id", "")) if exchange.call else ""
        identity = known if known and known not in taken else f"v1_imported_{name}_{number}"
        taken.add(identity)
        calls_tools = any(step["type"] == "function_call" for step in received)
        response: dict[str, JSON] = {
            "id": identity,
            "object": "interaction",
            "status": "requires_action" if calls_tools else "completed",
            "model": body["model"],
            "steps": received,
        }
        if exchange.call:
            is_error = "error" in call.response
            response = call.response if is_error else response | call.response | {"id": identity}
        recordings.append(
            Recording(
                method="POST",
                uri=_URI,
                request_body=dumps(body),
                status=call.status if exchange.call else 200,
                response_headers={"content-type": [_JSON]},
                body=dumps(response),
                elapsed_ms=call.elapsed_ms if exchange.call else None,
            )
        )
        previous = identity
    if identities.waiting:
        lacks.add(Lack.RESULTS)
    return recordings, lacks


class _CallIds:
    """Gives each call an id, and each result the id and the name of its call."""

    def __init__(self, lacks: set[Lack]) -> None:
        self._lacks = lacks
        self._given: set[str] = set()
        self.waiting: list[tuple[JSON, RawStep]] = []

    def of(self, steps: Iterable[RawStep]) -> list[RawStep]:
        """Return steps with ids."""
        return [self._step(step) for step in steps]

    def _step(self, step: RawStep) -> RawStep:
        if step["type"] == "function_call":
            known = identity = step.get("id")
            if not isinstance(identity, str) or not identity or identity in self._given:
                self._lacks.add(Lack.CALL_IDS)
                identity = f"call_{len(self._given) + 1}"
            self._given.add(identity)
            step = {**step, "id": identity}
            self.waiting.append((known, step))
        elif step["type"] == "function_result":
            by_id = [one for one in self.waiting if one[0] and one[0] == step.get("call_id")]
            by_name = [one for one in self.waiting if one[1].get("name") == step.get("name")]
            found = next(iter(by_id or by_name or self.waiting), None)
            if found is not None:
                self.waiting.remove(found)
                call = found[1]
                step = {**step, "call_id": call["id"], "name": step.get("name") or call.get("name")}
        return step


def _continues(call: ModelCall, conversation: TracedConversation) -> bool:
    """Return whether a call without history follows the last one of a conversation."""
    last = conversation.exchanges[-1]
    asked = {step.get("id") for step in last.received if step["type"] == "function_call"}
    results = [step for step in call.input if step["type"] == "function_result"]
    if results:
        return any(step.get("call_id") in asked for step in results)
    # Without an id of the conversation, a message alone begins another one.
    is_same = call.request.get("system_instruction") == conversation.system
    return call.is_named and is_same and not conversation.resends and not asked


def _after(steps: Sequence[RawStep], count: int) -> list[RawStep]:
    """Return the steps after the first ``count`` that are compared."""
    for index, step in enumerate(steps):
        if count == 0 and step["type"] != "thought":
            return list(steps[index:])
        count -= step["type"] != "thought"
    return []


def _digests(steps: Iterable[RawStep]) -> list[bytes]:
    """Return a digest of what each step says; thoughts and ids are often not sent again."""
    return [
        hashlib.sha256(canonical(_essence(step)).encode("utf-8", "surrogatepass")).digest()[:12]
        for step in steps
        if step["type"] != "thought"
    ]


def _essence(step: RawStep) -> Any:
    if step["type"] == "function_result":
        return ["result", _plain(step.get("result"))]
    if step["type"].endswith("_call"):
        return ["call", step.get("name"), step.get("arguments")]
    if "content" in step:
        texts = [
            block.get("text") if isinstance(block, dict) and block.get("text") else block
            for block in content_blocks(step)
        ]
        return [step["type"] == "user_input", texts]
    return [step["type"], {key: step[key] for key in step if key not in ("id", "signature")}]


def _plain(result: JSON) -> JSON:
    """Return a result as it is compared: the text of its blocks, read where it is JSON."""
    if isinstance(result, list) and all(isinstance(one, dict) and "text" in one for one in result):
        result = "\n".join(str(one["text"]) for one in result)
    return parsed(result)
