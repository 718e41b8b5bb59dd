"""A span of a trace, whatever recorded it, and the call of a model that it is. Pure.

Each format becomes spans whose attributes have the names of OpenTelemetry's conventions for
generative AI, current or older (``results.genai_names``); here they become requests and responses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from evalkit._lib.json import JSON, dumps
from evalkit.importing.traces.attributes import attribute, content_of
from evalkit.importing.traces.choices import read_answer
from evalkit.importing.traces.losses import Lack
from evalkit.importing.traces.messages import MessageReader, mapping, parsed
from evalkit.importing.traces.payloads import first, items, received, sent, tokens
from evalkit.importing.traces.request_body import request_body
from evalkit.protocol.step_reader import RawStep
from evalkit.protocol.step_types import CLIENT_STEPS, STATUSES
from evalkit.results import genai_names as genai

Event = tuple[str, Mapping[str, JSON]]

_OTHER_OPERATIONS = frozenset(
    (
        "invoke_agent",
        "create_agent",
        "invoke_workflow",
        "execute_tool",
        "embeddings",
        "retrieval",
        "judge",
        "simulate",
    )
)
_KINDS = (
    "openinference.span.kind",
    "traceloop.span.kind",
    "langsmith.span.kind",
    "langfuse.observation.type",
)
_DETAILS = "gen_ai.client.inference.operation.details"
_CONTENT_EVENTS = ("gen_ai.content.prompt", "gen_ai.content.completion", _DETAILS)
_CHOICE = "gen_ai.choice"
_BODIES = (
    ("request_data", sent),
    ("gen_ai.prompt", sent),
    ("response_data", received),
    ("gen_ai.completion", received),
    ("langfuse.observation.input", sent),
    ("langfuse.observation.output", received),
    ("langfuse.observation.usage_details", tokens),
)
"""Attributes that have bodies, or parts of them: those of Logfire, LangSmith and Langfuse."""
_TEXT, _TOOL_CALLS = "ai.response.text", "ai.response.toolCalls"
# The SDKs of OpenAI, Anthropic and Google name the status in the messages of their errors.
_STATUS = re.compile(r"\bError code: ([45]\d\d)\b|\b([45]\d\d) [A-Z_]+\. \{")
_FINISHES = {
    "length": "incomplete",
    "max_tokens": "incomplete",
    "content_filter": "incomplete",
    "safety": "incomplete",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One operation. Times are nanoseconds since 1970, 0 where unknown.

    ``attributes`` include those of the resource, ``place`` is where it was read.
    """

    trace: str
    id: str
    attributes: Mapping[str, JSON]
    place: str
    name: str = ""
    start: int = 0
    end: int = 0
    events: tuple[Event, ...] = ()
    error: str = ""

    @property
    def conversation(self) -> str:
        """What the calls of one conversation share: its id, else the trace."""
        named = attribute(self.attributes, genai.CONVERSATION)
        return f"id {named}" if named is not None else f"trace {self.trace or self.place}"

    @property
    def is_named(self) -> bool:
        """Whether the span names its conversation."""
        return self.attributes.get(genai.CONVERSATION) is not None

    @property
    def is_call(self) -> bool:
        """Whether it may be a call of a model, or an event of one."""
        attributes = self.attributes
        if str(attributes.get(genai.OPERATION)) in _OTHER_OPERATIONS:
            return False
        kinds = [str(attributes[kind]).lower() for kind in _KINDS if kind in attributes]
        if any(kind not in ("llm", "unknown", "generation") for kind in kinds):
            return False
        return attribute(attributes, genai.MODEL) is not None or self.has_content

    @property
    def has_content(self) -> bool:
        """Whether it has messages."""
        return (
            genai.INPUT in self.attributes
            or any(key.startswith(_INPUTS) for key in self.attributes)
            or any(name.startswith("gen_ai.") for name, _ in self.events)
        )

    @property
    def has_failed(self) -> bool:
        """Whether it names an error."""
        return bool(self.error or attribute(self.attributes, genai.ERROR_TYPE))

    def merged(self, other: "Span") -> "Span":
        """Return the span with what another record of it has, such as an event in a log."""
        return replace(
            self,
            attributes={**other.attributes, **self.attributes},
            events=(*self.events, *other.events),
            name=self.name or other.name,
            start=min(filter(None, (self.start, other.start)), default=0),
            end=max(self.end, other.end),
            error=self.error or other.error,
        )

    def fields(self) -> dict[str, JSON]:
        """Return what ``--filter`` and ``--by`` may name: the attributes, and these."""
        return {
            **self.attributes,
            "model": attribute(self.attributes, genai.MODEL),
            "conversation": self.conversation.partition(" ")[2],
            "trace": self.trace,
            "name": self.name,
            "duration_ms": (self.end - self.start) / 1e6 if self.end else None,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One call of a model: what was sent and received, as far as the source has it.

    ``request`` is the body without its input, ``response`` the interaction without its steps.
    ``status`` is that of HTTP.
    """

    start: int
    elapsed_ms: float | None
    place: str
    request: dict[str, JSON]
    input: list[RawStep]
    output: list[RawStep]
    response: dict[str, JSON]
    status: int = 200
    is_named: bool = False
    lacks: frozenset[Lack] = field(default_factory=frozenset)

    @property
    def has_answer(self) -> bool:
        """Whether it has an answer, if only an error or the reason why there is none."""
        return bool(self.output) or self.response.get("status") != "completed"


def read_call(span: Span) -> ModelCall | None:
    """Return the call of a span; None if it has no messages or failed without a status."""
    span = _with_bodies(_with_details(span))
    attributes, events = span.attributes, span.events
    reader = MessageReader()
    instructions = attribute(attributes, genai.SYSTEM)
    reader.add([{"role": "system", "content": parsed(instructions)}] if instructions else [], "")
    reader.add(content_of(attributes, genai.INPUT), "user")
    answer = MessageReader(lacks=reader.lacks)
    # Some instrumentations write both, attributes and events.
    choices = [_body(name, body) for name, body in events if name == _CHOICE]
    read_answer(answer, content_of(attributes, genai.OUTPUT) or choices)
    error = attribute(attributes, genai.ERROR_TYPE)
    if not reader.steps:
        for name, body in events:
            if name.startswith("gen_ai.") and name.endswith(".message"):
                reader.add(_body(name, body), "user")
        if not answer.steps and not span.has_failed:
            # Logfire records an answer of OpenAI's Responses as the last of the messages.
            _move_answer(reader.steps, answer.steps)
    status = attribute(attributes, genai.HTTP_STATUS)
    status = int(status) if str(status).isdecimal() and len(str(status)) == 3 else None
    if status is None and (match := _STATUS.search(span.error)):
        status = int(match[1] or match[2])
    has_failed = not answer.steps and span.has_failed
    if not reader.steps or (has_failed and (status is None or status < 400)):
        return None
    lacks, response = reader.lacks, _response(attributes, answer)
    if has_failed:
        message = span.error or "the trace has no message of this error"
        response = {"error": {"code": str(error or status), "message": message}}
    request = request_body(attributes, reader.system)
    calls = any(step["type"] == "function_call" for step in (*reader.steps, *answer.steps))
    for lack, has in (
        (Lack.USAGE, "usage" in response or has_failed),
        (Lack.IDS, "id" in response),
        (Lack.SETTINGS, "generation_config" in request),
        (Lack.TOOLS, "tools" in request or not calls),
        (Lack.SIGNATURES, any(step.get("signature") for step in answer.steps)),
        (Lack.CITATIONS, any("annotations" in dumps(step) for step in answer.steps)),
    ):
        lacks |= set() if has else {lack}
    return ModelCall(
        start=span.start,
        elapsed_ms=(span.end - span.start) / 1e6 if span.end > span.start > 0 else None,
        place=span.place,
        request=request,
        input=reader.steps,
        output=answer.steps,
        response=response,
        status=status if has_failed and status else 200,
        is_named=span.is_named,
        lacks=frozenset(lacks),
    )


def _move_answer(steps: list[RawStep], answer: list[RawStep]) -> None:
    """Move the steps of the model at the end of ``steps`` to ``answer``."""
    count = len(steps)
    while count and steps[count - 1]["type"] not in CLIENT_STEPS:
        count -= 1
    answer[:], steps[count:] = steps[count:], []


def _with_details(span: Span) -> Span:
    """Return a span with the attributes of the events that have messages as attributes."""
    for name, body in span.events:
        if name in _CONTENT_EVENTS:
            span = replace(span, attributes={**body, **span.attributes})
    return span


def _with_bodies(span: Span) -> Span:
    """Return a span with the attributes and events that are in others of its attributes."""
    attributes = span.attributes
    if attributes.get("gen_ai.system") == "anthropic" and "response_data" in attributes:
        attributes = {**attributes, "response_data": _unwrapped(attributes["response_data"])}
    if _TOOL_CALLS in attributes:
        # Vercel's AI SDK has text and calls apart.
        message = {"content": attributes.get(_TEXT), "tool_calls": attributes[_TOOL_CALLS]}
        attributes = {genai.OUTPUT: {"role": "assistant", **message}, **attributes}
    for name, read in _BODIES:
        if isinstance(parsed(attributes.get(name)), dict):
            found = {key: value for key, value in read(attributes[name]).items() if value}
            attributes = {**found, **attributes}
    return replace(
        span, attributes=attributes, events=(*span.events, *events_in(attributes.get("events")))
    )


def _unwrapped(data: JSON) -> JSON:
    """Return a response of Anthropic; Logfire has the arguments of calls as a dump of the block."""
    data = parsed(data)
    for call in items(mapping(mapping(data).get("message")).get("tool_calls")):
        function = call.get("function")
        if isinstance(function, dict):
            arguments = function.get("arguments")
            function["arguments"] = mapping(arguments).get("input", arguments)
    return data


def events_in(value: JSON) -> tuple[Event, ...]:
    """Return events in a list: those of a row, or those that Logfire has in one attribute."""
    return tuple(
        (
            str(first(event, ("event.name", "event_name", "name"))),
            mapping(event.get("attributes")) or event,
        )
        for event in items(parsed(value))
    )


def _body(name: str, body: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return the message of an event: its body, or JSON in an attribute, with the role."""
    message = dict(body)
    for key in ("gen_ai.event.content", "event_body"):
        message |= mapping(body.get(key))
    for key in ("message", "tool_calls", "content"):
        message[key] = parsed(message.get(key))
    role = name.split(".")[1]
    return {"role": role if name != _CHOICE else "assistant", **message}


def _response(attributes: Mapping[str, JSON], answer: MessageReader) -> dict[str, JSON]:
    finish = parsed(attribute(attributes, genai.FINISH)) or answer.finish
    finish = str(finish[0] if isinstance(finish, list) and finish else finish).lower()
    calls = any(step["type"] == "function_call" for step in answer.steps)
    status = finish if finish in STATUSES else _FINISHES.get(finish, "completed")
    usage = {
        name: int(value)
        for attribute_name, name in genai.USAGE.items()
        if str(value := attribute(attributes, attribute_name)).isdecimal() and len(str(value)) < 16
    }
    thoughts = usage.get("total_thought_tokens", 0)
    # A source that counts more thoughts than output counts them apart.
    if 0 < thoughts <= usage.get("total_output_tokens", 0):
        usage["total_output_tokens"] -= thoughts
    identity = attribute(attributes, genai.RESPONSE_ID)
    return {
        "status": "requires_action" if calls and status == "completed" else status,
        **({"id": str(identity)} if identity else {}),
        **({"usage": usage} if usage else {}),
    }


_INPUTS = (genai.INPUT, *genai.OLDER[genai.INPUT], *_CONTENT_EVENTS, "request_data", "events")
