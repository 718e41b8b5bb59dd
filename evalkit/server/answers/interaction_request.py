"""One create request with the conversation it continues, as rules and default answers read it.

Pure and read-only. ``conversation`` contains every step the model sees, this request's included.
*New* results are the ``function_result`` steps since the last question or answer: they come after
the last ``user_input``, and after or among the steps of the last answer.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from evalkit._lib.json import JSON
from evalkit.protocol.step_reader import RawStep, content_blocks, pair_calls, texts_of
from evalkit.protocol.step_types import MEDIA_TYPES
from evalkit.server.continuation_token import AnswerPart
from evalkit.server.requests.create import declared_functions


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCallResult:
    """The result of a function call as the client sent it.

    ``value`` is its text parsed as JSON, or the text itself if it is not JSON.
    """

    name: str
    call_id: str
    arguments: dict[str, JSON]
    text: str
    value: JSON
    is_error: bool


@dataclass(frozen=True, kw_only=True)
class InteractionRequest:
    """One request to answer.

    ``seed`` is a hex digest that differs for every create; everything that looks random is derived
    from it. ``part`` is the requested part of an answer that takes several requests. The first
    ``stored`` steps of the conversation were not sent with this request.
    """

    body: Mapping[str, JSON]
    conversation: Sequence[RawStep]
    stored: int = 0
    seed: str = ""
    environment_id: str | None = None
    part: AnswerPart = AnswerPart()  # noqa: RUF009 - frozen

    @cached_property
    def texts(self) -> list[str]:
        """The text of every user message, oldest first; a message without text is ``""``."""
        return ["\n".join(texts_of(blocks)) for blocks in self._user_messages]

    @cached_property
    def _user_messages(self) -> list[list[JSON]]:
        """The content of every user message; some clients send each part as its own step."""
        earlier, new = self.conversation[: self.stored], self.conversation[self.stored :]
        return [
            [block for step in steps for block in content_blocks(step)]
            for part in (earlier, new)
            for kind, steps in groupby(part, lambda step: step["type"])
            if kind == "user_input"
        ]

    @property
    def text(self) -> str:
        """The text of the last user message."""
        return self.texts[-1] if self.texts else ""

    @cached_property
    def attached(self) -> list[dict[str, JSON]]:
        """The media blocks of the last user message."""
        blocks = self._user_messages[-1] if self._user_messages else []
        return [
            block
            for block in blocks
            if isinstance(block, dict) and block.get("type") in MEDIA_TYPES
        ]

    @cached_property
    def results(self) -> list[FunctionCallResult]:
        """The new function results, in the order of their calls."""
        steps = self.conversation
        start = len(steps)
        while start and steps[start - 1]["type"] not in ("user_input", "thought"):
            start -= 1
        return [
            _read_result(steps[call], steps[result])
            for call, result in pair_calls(steps).pairs
            if result is not None and result >= start and steps[call]["type"] == "function_call"
        ]

    @property
    def model(self) -> str:
        """The model's name, ``""`` for an agent."""
        return str(self.body.get("model", ""))

    @property
    def agent(self) -> str:
        """The agent's name, ``""`` for a model."""
        return str(self.body.get("agent", ""))

    @property
    def functions(self) -> list[dict[str, JSON]]:
        """The declared functions that ``tool_choice`` allows."""
        declared = declared_functions(self.body)
        choice = self.body.get("generation_config", {}).get("tool_choice", "auto")
        allowed = choice.get("allowed_tools") if isinstance(choice, dict) else None
        if not isinstance(allowed, dict):
            return [] if choice == "none" else declared
        if allowed.get("mode") == "none":
            return []
        names = allowed.get("tools")
        if isinstance(names, list):
            return [tool for tool in declared if tool["name"] in names]
        return declared

    @property
    def tools(self) -> list[str]:
        """The names of declared functions and the types of other tools."""
        tools = self.body.get("tools", [])
        return [tool["name"] if tool["type"] == "function" else tool["type"] for tool in tools]


def _read_result(call: RawStep, step: RawStep) -> FunctionCallResult:
    value = step.get("result")
    if isinstance(value, list):
        value = "\n".join(texts_of(value))
    if isinstance(value, str):
        text = value
        with suppress(ValueError):
            value = json.loads(text)
    else:
        text = json.dumps(value, ensure_ascii=False)
    arguments = call.get("arguments")
    return FunctionCallResult(
        name=str(step.get("name") or call.get("name") or ""),
        call_id=str(call.get("id") or ""),
        arguments=arguments if isinstance(arguments, dict) else {},
        text=text,
        value=value,
        is_error=step.get("is_error") is True,
    )
