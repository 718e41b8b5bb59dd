"""Messages of a trace as steps, whichever convention they follow. Pure.

Read are the messages of OpenTelemetry (``parts``), of OpenAI's and Anthropic's APIs (``content``,
``tool_calls``), items of OpenAI's Responses, messages of LangChain (also serialized), Gemini's
``contents``, and steps of the Interactions API, which pass through. What a message has no place for
is named in ``lacks``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit._lib.json import JSON, loads_or
from evalkit.importing.traces.losses import Lack
from evalkit.protocol.step_reader import RawStep
from evalkit.protocol.step_types import MEDIA_TYPES, SERVER_CALLS, STEP_TYPES

_ROLES = {
    "system": "system",
    "developer": "system",
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "aimessagechunk": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
_CONTENTS = ("parts", "content", "contents", "text")
_TEXTS = frozenset(("text", "input_text", "output_text", "refusal"))
_THOUGHTS = frozenset(("reasoning", "thinking"))
_CALLS = frozenset(("tool_call", "tool_use", "function_call", "functionCall", "custom_tool_call"))
_CALLS |= {"tool-call"}
_RESULTS = frozenset(("tool_call_response", "tool_result", "function_response", "functionResponse"))
_RESULTS |= {"function_call_output", "custom_tool_call_output", "tool-result"}
_SERVER_CALLS = frozenset(("server_tool_call", "server_tool_use"))
_SERVER_RESULTS = frozenset(("server_tool_call_response", "web_search_tool_result"))
_BARE = (
    "functionCall",
    "functionResponse",
    "function_call",
    "function_response",
    "inlineData",
    "inline_data",
    "fileData",
    "file_data",
    "text",
)
_RESULT_KEYS = ("response", "result", "content", "output", "server_tool_call_response")
_CALL_KEYS = ("tool_use_id", "tool_call_id", "toolCallId", "call_id", "id")
_DATA_URL = "data:"
_STORED_ELSEWHERE = "@@@langfuseMedia:"
_MEDIA = MEDIA_TYPES | {"blob", "binary", "uri", "file", "media", "image_url"}
_MEDIA |= {f"{name}-url" for name in MEDIA_TYPES}
_SOURCES = (
    "image_url",
    "inlineData",
    "inline_data",
    "fileData",
    "file_data",
    "input_audio",
    "file",
)
_URIS = ("uri", "url", "fileUri", "file_uri", "file_id")
_SIGNATURES = ("signature", "thoughtSignature", "thought_signature")
_NOT_CAPTURED = "<elided>"


@dataclass(slots=True)
class MessageReader:
    """Reads messages one after the other into ``steps``; ``system`` has the instructions."""

    steps: list[RawStep] = field(default_factory=list)
    system: list[str] = field(default_factory=list)
    finish: str = ""
    lacks: set[Lack] = field(default_factory=set)
    _start: int = 0

    def add(self, value: JSON, role: str) -> None:
        """Read one message, a list of them, or the JSON text of either."""
        value = parsed(value)
        if isinstance(value, list):
            for item in value:
                self.add(item, role)
        elif isinstance(value, str):
            self._message(role, [{"type": "text", "text": value}], {})
        elif isinstance(value, dict):
            self._object(value, role)

    def _object(self, value: Mapping[str, JSON], default: str) -> None:
        for key in ("message", "kwargs", "data"):
            # OpenInference and choices wrap a message, LangChain serializes it.
            if isinstance(value.get(key), dict):
                names = value.get("id")
                name = str(names[-1]) if isinstance(names, list) and names else ""
                kind = name.removesuffix("Chunk").removesuffix("Message").lower()
                outer = ("finish_reason", "tool_calls")
                known = {name: value[name] for name in outer if value.get(name)}
                known |= {"type": kind} if kind in _ROLES else {}
                self._object({"type": value.get("type"), **value[key], **known}, default)
                return
        is_item = value.get("type") == "function_call" and "call_id" in value
        if value.get("type") in STEP_TYPES and not is_item:
            self.steps.append(dict(value))
            return
        names = (str(value.get(name)).lower() for name in ("role", "type"))
        known_role = next((_ROLES[name] for name in names if name in _ROLES), "")
        role = known_role or default
        self.finish = str(value.get("finish_reason") or self.finish)
        content = next((value[key] for key in _CONTENTS if value.get(key) is not None), None)
        if isinstance(content, dict) and "parts" in content:
            # An event of google-genai has Gemini's content, which names the role.
            self._object(content, role)
        elif is_item or (content is None and not known_role and _kind(value)):
            self._message(role, [value], {})
        elif content != _NOT_CAPTURED:
            self._message(role, content, value)

    def _message(self, role: str, content: JSON, message: Mapping[str, JSON]) -> None:
        self._start = len(self.steps)
        if role == "system":
            self.system += filter(
                None, map(_text, content if isinstance(content, list) else [content])
            )
            return
        parts = content if isinstance(content, list) else [] if content is None else [content]
        if role == "tool" and not any(_kind(part) in _RESULTS for part in parts):
            identity = message.get("tool_call_id") or message.get("id")
            result = content if content is not None else ""
            self._result({"id": identity, "name": message.get("name"), "result": result}, role)
            return
        for name in ("reasoning_content", "reasoning", "thinking"):
            if isinstance(message.get(name), str) and message[name]:
                self._thought({"content": message[name]})
        blocks: list[JSON] = []
        for part in parts:
            block = self._part(part, role, blocks)
            if block is not None:
                blocks.append(block)
        self._flush(role, blocks)
        calls = parsed(message.get("tool_calls"))
        legacy = message.get("function_call") if "parts" not in message else None
        for call in [*(calls if isinstance(calls, list) else ()), *([legacy] if legacy else ())]:
            if isinstance(call, dict):
                # LangChain repeats an Anthropic call of the content among its own.
                self._call(call.get("tool_call") or call)

    def _part(self, part: JSON, role: str, blocks: list[JSON]) -> JSON:
        """Return a part as content; add what is not content as a step, after the content so far."""
        if isinstance(part, str):
            return {"type": "text", "text": part} if part else None
        if not isinstance(part, dict):
            return None
        if isinstance(part.get("message_content"), dict):
            part = part["message_content"]
        kind = _kind(part)
        inner = part.get(kind)
        if kind in _TEXTS and not part.get("thought"):
            text = _text(part)
            return {"type": "text", "text": text} if text else None
        if (block := self._media(part, kind)) is not None:
            return block
        self._flush(role, blocks)
        body = inner if isinstance(inner, dict) else part
        if kind in _THOUGHTS or part.get("thought"):
            self._thought(part)
        elif kind in _SERVER_CALLS:
            self._server({**body, "name": part.get("name"), "id": part.get("id")}, "_call")
        elif kind in _SERVER_RESULTS or (kind in _RESULTS and role == "assistant"):
            self._server(part, "_result")
        elif kind in _CALLS:
            self._call(body)
        elif kind in _RESULTS:
            self._result(body, role)
        elif kind in STEP_TYPES and isinstance(step := parsed(part.get("content")), dict):
            self.steps.append(step)
        else:
            self.lacks.add(Lack.PARTS)
        return None

    def _flush(self, role: str, blocks: list[JSON]) -> None:
        if blocks:
            kind = "model_output" if role == "assistant" else "user_input"
            self.steps.append({"type": kind, "content": blocks.copy()})
            blocks.clear()

    def _thought(self, part: Mapping[str, JSON]) -> None:
        keys = ("content", "thinking", "text", "reasoning", "summary")
        text = next((text for key in keys if (text := _joined_text(parsed(part.get(key))))), "")
        signature = next((part[name] for name in _SIGNATURES if part.get(name)), None)
        known: RawStep = {"summary": [{"type": "text", "text": text}]} if text else {}
        known |= {"signature": signature} if signature else {}
        if known:
            self.steps.append({"type": "thought", **known})

    def _call(self, call: Mapping[str, JSON]) -> None:
        function = call.get("function")
        body = function if isinstance(function, dict) else call
        arguments: JSON = next(
            (body[key] for key in ("arguments", "input", "args") if body.get(key) is not None), {}
        )
        identity = str(next((call[key] for key in _CALL_KEYS if call.get(key)), ""))
        name = str(body.get("name") or body.get("toolName") or "")
        # Of the same message only: some instrumentations number the calls of each message.
        if identity and any(step.get("id") == identity for step in self.steps[self._start :]):
            return
        self.steps.append(
            {"type": "function_call", "id": identity, "name": name, "arguments": parsed(arguments)}
        )

    def _result(self, part: Mapping[str, JSON], role: str) -> None:
        result = next((part[key] for key in _RESULT_KEYS if part.get(key) is not None), "")
        if isinstance(result, dict) and result.keys() == {"type", "value"}:
            result = result["value"]
        identity = str(next((part[key] for key in _CALL_KEYS if part.get(key)), ""))
        step = {"type": "function_result", "call_id": identity, "result": result}
        name = part.get("name") or part.get("toolName")
        step |= {"name": name} if name else {}
        self.steps.append(step | ({"is_error": True} if part.get("is_error") else {}))

    def _server(self, part: Mapping[str, JSON], suffix: str) -> None:
        """Add a call of a tool that the service runs, or its result, which names the call."""
        if suffix == "_call":
            self._call(part)
            call, self.steps[-1:] = self.steps[-1], []
            self.steps.append(_served(call, str(call["name"])))
            return
        self._result(part, "assistant")
        result = self.steps.pop()
        for index, step in enumerate(self.steps):
            if step.get("id") == result["call_id"] and step["type"] == "function_call":
                self.steps[index] = _served(step, str(step["name"]))
        kinds = (step["type"] for step in self.steps if step.get("id") == result["call_id"])
        call_kind = next(kinds, "mcp_server_tool_call")
        self.steps.append({**result, "type": call_kind.removesuffix("_call") + suffix})

    def _media(self, part: Mapping[str, JSON], kind: str) -> JSON:
        """Return an image, audio, video or document; None if the part is something else."""
        source = next(
            (part[key] for key in _SOURCES if part.get(key)),
            part.get("source") or part.get("image") or part,
        )
        source = {"url": source} if isinstance(source, str) else source
        if isinstance(source, dict) and isinstance(source.get("image"), dict):
            source = source["image"]
        if not isinstance(source, dict) or (source is part and kind not in _MEDIA):
            return None
        names = ("mime_type", "mimeType", "media_type")
        mime = next((source[name] for name in names if isinstance(source.get(name), str)), "")
        uri = next((source[key] for key in _URIS if isinstance(source.get(key), str)), "")
        data = source.get("data") or source.get("base64")
        data = source.get("content") if kind in ("blob", "binary") else data
        mime = mime or (f"audio/{source['format']}" if kind == "input_audio" else "")
        if uri.startswith(_DATA_URL):
            mime, _, data = uri.removeprefix(_DATA_URL).partition(";base64,")
            uri = ""
        if not (uri or data) or (kind == "file" and uri) or _STORED_ELSEWHERE in f"{uri}{data}":
            self.lacks.add(Lack.MEDIA)
        family = str(part.get("modality") or mime.partition("/")[0] or kind.partition("-")[0])
        if family not in MEDIA_TYPES:
            family = "image" if kind.endswith(("image", "image_url")) else "document"
        block = {"type": family, "mime_type": mime} if mime else {"type": family}
        return block | ({"uri": uri} if uri else {"data": data} if data else {})


def parsed(value: JSON) -> JSON:
    """Return a value with its JSON text read; a text that is not JSON of an object stays."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return loads_or(value, value)
    return value


def mapping(value: JSON) -> Mapping[str, JSON]:
    """Return an object, also from its JSON text; an empty one for any other value."""
    value = parsed(value)
    return value if isinstance(value, dict) else {}


def _served(step: RawStep, name: str) -> RawStep:
    kind = f"{name}_call"
    if kind in SERVER_CALLS:
        return {key: value for key, value in step.items() if key != "name"} | {"type": kind}
    return {**step, "type": "mcp_server_tool_call", "server_name": ""}


def _kind(part: JSON) -> str:
    if not isinstance(part, dict):
        return ""
    return str(part.get("type") or next((key for key in _BARE if part.get(key) is not None), ""))


def _text(part: JSON) -> str:
    if isinstance(part, dict):
        part = part.get("text") if part.get("text") is not None else part.get("content")
    return part if isinstance(part, str) else ""


def _joined_text(value: JSON) -> str:
    texts = map(_text, value) if isinstance(value, list) else [_text(value)]
    return "\n\n".join(filter(None, texts))
