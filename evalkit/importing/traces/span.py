"""A span of a trace, whatever recorded it, and the call of a model that it is. Pure.

Each format becomes spans whose attributes have the names of OpenTelemetry's conventions for
generative AI, current or older (``results.genai_names``); here they become requests and responses.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from evalkit._lib.json import JSON, dumps
from evalkit.importing.traces.losses import Lack
from evalkit.importing.traces.messages import MessageReader, mapping, parsed
from evalkit.protocol.step_reader import RawStep
from evalkit.protocol.step_types import STATUSES
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
_KINDS = ("openinference.span.kind", "traceloop.span.kind")
_DETAILS = "gen_ai.client.inference.operation.details"
_CONTENT_EVENTS = ("gen_ai.content.prompt", "gen_ai.content.completion", _DETAILS)
_CHOICE = "gen_ai.choice"
_MAX_PATH = 12
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
        if any(kind not in ("llm", "unknown") for kind in kinds):
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


def attribute(attributes: Mapping[str, JSON], name: str) -> JSON:
    """Return an attribute by its current name or an older one; None where it has no value."""
    for each in (name, *genai.OLDER.get(name, ())):
        value = attributes.get(each)
        if value is not None and value != "":
            return value
    return None


def read_call(span: Span) -> ModelCall | None:
    """Return the call of a span; None if it has no messages or failed without a status."""
    span = _with_details(span)
    attributes, events = span.attributes, span.events
    reader = MessageReader()
    instructions = attribute(attributes, genai.SYSTEM)
    reader.add([{"role": "system", "content": parsed(instructions)}] if instructions else [], "")
    reader.add(_content(attributes, genai.INPUT), "user")
    answer = MessageReader(lacks=reader.lacks)
    answer.add(_content(attributes, genai.OUTPUT), "assistant")
    has_input, has_output = bool(reader.steps), bool(answer.steps)
    for name, body in events:
        # Some instrumentations write both, attributes and events.
        if name == _CHOICE and not has_output:
            answer.add(_body(name, body), "assistant")
        elif name.startswith("gen_ai.") and name.endswith(".message") and not has_input:
            reader.add(_body(name, body), "user")
    error = attribute(attributes, genai.ERROR_TYPE)
    status = attribute(attributes, genai.HTTP_STATUS)
    status = int(status) if str(status).isdecimal() and len(str(status)) == 3 else None
    has_failed = not answer.steps and (error or span.error)
    if not reader.steps or (has_failed and (status is None or status < 400)):
        return None
    lacks, response = reader.lacks, _response(attributes, answer)
    if has_failed:
        message = span.error or "the trace has no message of this error"
        response = {"error": {"code": str(error or status), "message": message}}
    request = _request(attributes, reader)
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


def nested(attributes: Mapping[str, JSON], prefix: str) -> JSON:
    """Return attributes with numbers and dots in their names (``prefix.0.role``) as lists."""
    root: dict[str, JSON] = {}
    for key, value in attributes.items():
        path = key[len(prefix) + 1 :].split(".") if key.startswith(prefix + ".") else []
        # Names of attributes are foreign: a very deep one is not of a message.
        if not path or len(path) > _MAX_PATH:
            continue
        target = root
        for part in path[:-1]:
            below = target.setdefault(part, {})
            target = below if isinstance(below, dict) else {}
        target.setdefault(path[-1], value)
    return _lists(root)


def _lists(value: JSON) -> JSON:
    if not isinstance(value, dict):
        return value
    items = {key: _lists(item) for key, item in value.items()}
    if items and all(key.isdecimal() and len(key) < 7 for key in items):
        return [items[key] for key in sorted(items, key=int)]
    return items


def _content(attributes: Mapping[str, JSON], name: str) -> JSON:
    """Return messages or tools under the first name that has some."""
    for each in (name, *genai.OLDER.get(name, ())):
        value = attributes.get(each)
        found = value if value not in (None, "") else nested(attributes, each)
        if found:
            return found
    return []


def _with_details(span: Span) -> Span:
    """Return a span with the attributes of the events that have messages as attributes."""
    for name, body in span.events:
        if name in _CONTENT_EVENTS:
            span = replace(span, attributes={**body, **span.attributes})
    return span


def _body(name: str, body: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return the message of an event: its body, or JSON in an attribute, with the role."""
    message = {**body, **mapping(body.get("gen_ai.event.content"))}
    for key in ("message", "tool_calls", "content"):
        message[key] = parsed(message.get(key))
    role = name.split(".")[1]
    return {"role": role if name != _CHOICE else "assistant", **message}


def _request(attributes: Mapping[str, JSON], reader: MessageReader) -> dict[str, JSON]:
    parameters = mapping(attributes.get("llm.invocation_parameters"))
    settings = {}
    for name, field_name in genai.SETTINGS.items():
        value = attribute(attributes, name)
        value = parameters.get(name.rpartition(".")[2]) if value is None else value
        if value is not None:
            settings[field_name] = parsed(value)
    body = {
        "model": str(attribute(attributes, genai.MODEL) or "unknown"),
        "system_instruction": "\n\n".join(dict.fromkeys(reader.system)),
        "tools": list(_tools(parsed(_content(attributes, genai.TOOLS)))),
        "generation_config": settings,
    }
    return {key: value for key, value in body.items() if value}


def _tools(value: JSON) -> Iterator[dict[str, JSON]]:
    """Yield declarations of tools in the form of the API."""
    for tool in value if isinstance(value, list) else ():
        tool = parsed(tool)
        for key in ("tool", "json_schema", "function"):
            inner = parsed(tool.get(key)) if isinstance(tool, dict) else None
            tool = {"type": "function", **inner} if isinstance(inner, dict) else tool
        if not isinstance(tool, dict):
            continue
        declared = tool.get("functionDeclarations") or tool.get("function_declarations")
        if isinstance(declared, list):
            yield from _tools(declared)
        elif isinstance(tool.get("name"), str) and tool.get("type", "function") == "function":
            keys = ("parameters", "input_schema", "parameters_json_schema", "inputSchema")
            schema = next((parsed(tool[key]) for key in keys if tool.get(key)), None)
            yield {
                "type": "function",
                "name": tool["name"],
                **({"description": tool["description"]} if tool.get("description") else {}),
                **({"parameters": schema} if isinstance(schema, dict) else {}),
            }
        elif isinstance(tool.get("type"), str):
            yield tool


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
    identity = attribute(attributes, genai.RESPONSE_ID)
    return {
        "status": "requires_action" if calls and status == "completed" else status,
        **({"id": str(identity)} if identity else {}),
        **({"usage": usage} if usage else {}),
    }


_INPUTS = (genai.INPUT, *genai.OLDER[genai.INPUT], *_CONTENT_EVENTS)
