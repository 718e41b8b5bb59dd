"""One step of a stream while it comes in.

A draft starts as a copy of the step that ``step.start`` carries and takes what the folds add (``folding``). Text, arguments and audio
gather in lists and are joined once, so that a long answer costs what it weighs; ``finish`` returns the step as a plain answer would hold
it. A draft knows no event and no order: those are ``assemble``'s and ``stream_states``'s.
"""

from __future__ import annotations

import base64
import binascii
import re

from evalkit._lib.json import JSON, loads
from evalkit._lib.json import json_type as json_kind
from evalkit._lib.text import shorten
from evalkit.protocol.step_types import CALL_OF, RESULT_OF

_UNSIGNED = frozenset({*CALL_OF, *RESULT_OF})


class StepDraft:
    """One step of a stream while it comes in: the step of ``step.start`` (copied), and what deltas add to it.

    ``kind`` is the step's type (``""`` where it has none), ``state`` the step machine's, ``seen`` the number of the last event that
    touched the step.
    """

    __slots__ = ("arguments", "audio", "explicit", "kind", "seen", "state", "step", "text")

    def __init__(self, step: dict[str, JSON], seen: int) -> None:
        kind = step.get("type")
        self.kind = kind if isinstance(kind, str) else ""
        self.step = step.copy()
        self.state = "open"
        self.seen = seen
        self.text: list[str] = []
        self.arguments: list[str] | None = None
        self.audio: list[str] = []
        self.explicit = False
        for key in ("content", "summary"):
            if type(items := step.get(key)) is list:
                self.step[key] = [item.copy() if type(item) is dict else item for item in items]

    def content(self) -> list[JSON]:
        """Return the step's ``content``, made if need be."""
        content = self.step.get("content")
        if type(content) is not list:
            content = self.step["content"] = (
                [{"type": "text", "text": content}] if isinstance(content, str) else []
            )
        return content

    def settle(self) -> None:
        """Put gathered text and audio into the last content block."""
        if self.text:
            block = self.step["content"][-1]
            held = block.get("text")
            block["text"] = (held if isinstance(held, str) else "") + _joined(self.text)
            self.text = []
        if self.audio:
            block = self.step["content"][-1]
            block["data"] = _joined_base64(self.audio)
            self.audio = []

    def finish(self) -> tuple[dict[str, JSON], str | None, str]:
        """Return the step, and a problem code with its detail where the arguments are not what they should be.

        Arguments that are not JSON stay the text they came as. An empty ``signature`` of ``step.start`` that no delta
        filled is dropped from calls and results: the same step in a plain answer has none (protocol section 11).
        """
        if self.text or self.audio:
            self.settle()
        step = self.step
        if step.get("signature") == "" and not self.explicit and self.kind in _UNSIGNED:
            del step["signature"]
        if self.arguments is None:
            return step, None, ""
        text = _joined(self.arguments)
        if not text.strip():
            step["arguments"] = {}
            return step, None, ""
        try:
            value = step["arguments"] = loads(text)
        except (ValueError, RecursionError):
            step["arguments"] = text
            return step, "arguments_not_json", shorten(text, 60)
        return (
            (step, None, "")
            if type(value) is dict
            else (step, "arguments_not_object", json_kind(value))
        )


_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def _joined(pieces: list[str]) -> str:
    """Join text that may have been cut inside a surrogate pair, as services that count in UTF-16 do."""
    text = "".join(pieces)
    if text.isascii():
        return text
    return _SPLIT_PAIR.sub(
        lambda pair: pair.group().encode("utf-16-le", "surrogatepass").decode("utf-16-le"), text
    )


def _joined_base64(chunks: list[str]) -> str:
    return base64.b64encode(b"".join(map(binascii.a2b_base64, chunks))).decode("ascii")
