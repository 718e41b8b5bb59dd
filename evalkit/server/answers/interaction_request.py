"""What is asked: one create request together with the conversation it continues, as rules and plain answers read it.

Pure and read-only. ``conversation`` holds every step the model sees, this request's own among them. *New* results are the
``function_result``s since the last answer or question: they stand behind the last ``user_input`` and behind (or among) the last answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from evalkit._lib.json import JSON
from evalkit.protocol.step_reader import content_blocks, pair_calls
from evalkit.protocol.step_types import MEDIA_TYPES
from evalkit.server.continuation_tokens import AnswerPart
from evalkit.server.requests.create import declared_functions

RawStep = dict[str, JSON]


@dataclass(frozen=True, slots=True)
class FunctionCallResult:
    """A function's result as the client sent it: ``text`` of it, and ``value`` (the text parsed where it is JSON, else the text)."""

    name: str
    call_id: str
    arguments: dict[str, JSON]
    text: str
    value: JSON
    is_error: bool


@dataclass(frozen=True)
class InteractionRequest:
    """One question to answer. ``seed`` is a hex digest that differs for every create; whatever looks random is made from it.

    ``part`` says which part of an answer is asked for, where one takes several requests.
    """

    body: Mapping[str, JSON]
    conversation: Sequence[RawStep]
    seed: str = ""
    environment_id: str | None = None
    vars: Mapping[str, JSON] = field(default_factory=dict)
    part: AnswerPart = AnswerPart()  # noqa: RUF009 - frozen

    @cached_property
    def texts(self) -> list[str]:
        """Every user message's text, oldest first; a message without text is ``""``."""
        return [_text_of(step) for step in self.conversation if step["type"] == "user_input"]

    @property
    def text(self) -> str:
        """The last user message's text."""
        return self.texts[-1] if self.texts else ""

    @property
    def earlier(self) -> list[str]:
        """The texts before the last one."""
        return self.texts[:-1]

    @property
    def turn(self) -> int:
        """The number of user messages so far."""
        return len(self.texts)

    @cached_property
    def attached(self) -> list[dict[str, JSON]]:
        """The media blocks of the last user message."""
        last = next(
            (step for step in reversed(self.conversation) if step["type"] == "user_input"), None
        )
        return (
            [
                block
                for block in content_blocks(last)
                if isinstance(block, dict) and block.get("type") in MEDIA_TYPES
            ]
            if last
            else []
        )

    @cached_property
    def results(self) -> list[FunctionCallResult]:
        """The new function results, in the order of their calls."""
        start = len(self.conversation)
        while start and self.conversation[start - 1]["type"] not in ("user_input", "thought"):
            start -= 1
        steps = self.conversation
        pairs = [
            pair
            for pair in pair_calls(steps).pairs
            if (pair.result_index or 0) >= start
            and steps[pair.call_index]["type"] == "function_call"
        ]
        return [_result(steps[pair.call_index], steps[pair.result_index or 0]) for pair in pairs]

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
        """The declared functions that may be called now, by ``tool_choice``."""
        declared = declared_functions(self.body)
        choice = self.body.get("generation_config", {}).get("tool_choice", "auto")
        allowed = choice.get("allowed_tools") if isinstance(choice, dict) else None
        if choice == "none" or (isinstance(allowed, dict) and allowed.get("mode") == "none"):
            return []
        if isinstance(allowed, dict) and isinstance(allowed.get("tools"), list):
            return [tool for tool in declared if tool["name"] in allowed["tools"]]
        return declared

    @property
    def tools(self) -> list[str]:
        """The names of declared functions and the types of all other tools."""
        return [
            tool["name"] if tool["type"] == "function" else tool["type"]
            for tool in self.body.get("tools", [])
        ]


def _text_of(step: RawStep) -> str:
    return "\n".join(
        block["text"]
        for block in content_blocks(step)
        if isinstance(block, dict) and block.get("type") == "text"
    )


def _result(call: RawStep, step: RawStep) -> FunctionCallResult:
    given = step.get("result")
    if isinstance(given, list):
        text = "\n".join(
            block["text"]
            for block in given
            if isinstance(block, dict) and isinstance(block.get("text"), str)
        )
        value = _parsed(text)
    elif isinstance(given, str):
        text, value = given, _parsed(given)
    else:
        text, value = json.dumps(given, ensure_ascii=False), given
    arguments = call.get("arguments")
    return FunctionCallResult(
        name=str(step.get("name") or call.get("name") or ""),
        call_id=str(call.get("id") or ""),
        arguments=arguments if isinstance(arguments, dict) else {},
        text=text,
        value=value,
        is_error=step.get("is_error") is True,
    )


def _parsed(text: str) -> JSON:
    try:
        return json.loads(text)
    except ValueError:
        return text
