"""``simulator``: whether the model that plays the user played its part.

It is on by default in conversations with a simulated user. A simulator that left its role says
nothing about the model under test, so the check is *errored* then. The rules are patterns of
English text: they find what models write when they fall out of a role, not everything.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from evalkit._lib.text import plural, show
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.similarity import similarity
from evalkit.checks.core.strictness import Strictness
from evalkit.conversation.simulator import INSTRUCTION
from evalkit.protocol.step_reader import output_text
from evalkit.transcript import Turn
from evalkit.verdict import Finding, Severity, Where

REPEATED = 0.9
"""From this similarity on, a message repeats an earlier one."""
_FEWEST_WORDS = 4
"""Shorter messages ("Yes, please.") may occur again."""
_QUOTED_WORDS = 6
"""Words of the instruction that nobody writes by chance one after the other."""

_WORDS = re.compile(r"\w+")
_MACHINE = r"(?:AI|A\.I\.|language model|large language model|artificial intelligence|chatbot|bot)"
_LEFT_ROLE: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(pattern, re.IGNORECASE))
    for what, pattern in (
        ("it says that it is a machine", rf"\bas an? {_MACHINE}\b(?! (?:who|that|which))"),
        (
            "it says that it is a machine",
            rf"\bI(?:'m|’m| am) (?:just |only |actually |really )?an? {_MACHINE}\b",
        ),
        (
            "it says that it plays a part",
            r"\bI(?:'m|’m| am|'ll|’ll| will| was| have been| should)"
            r" (?:just |only |still |now )?(?:be )?"
            r"(?:simulat|role-?play|playing the (?:role|part|user)|pretending to be"
            r"|acting as (?:the|a) (?:user|customer))",
        ),
        (
            "it says that it plays a part",
            r"\b(?:end|stop|leave) (?:this|our) simulation\b|\b(?:this|our) role-?play\b"
            r"|\bsimulated user\b|\bmy persona\b|\bmy instructions (?:say|are to|tell me)\b"
            r"|\b(?:stay(?:ing)?|remain(?:ing)?) in character\b|\bbreak(?:ing)? character\b",
        ),
        (
            "it speaks as the assistant",
            r"\bhow (?:can|may) I (?:help|assist) you\b"
            r"|\bI(?:'m|’m| am) (?:here|happy|glad) to (?:help|assist) you\b"
            r"|\bis there anything else (?:that )?I can (?:help|assist|do for) you\b"
            r"|\bas your (?:AI |virtual )?assistant\b",
        ),
        ("it shows its instructions", r"-----\s*(?:end of )?conversation \d+\s*-----"),
    )
)


class Simulator(Check):
    """The simulated user plays its part, and ends the conversation.

    The empty case: a conversation without a simulated user passes.
    """

    name: ClassVar[str] = "simulator"
    strictness: ClassVar[Mapping[str, Strictness]] = {"never_ended": {"warn": ["error"]}}
    fault_codes: ClassVar[frozenset[str]] = frozenset(("simulator_left_role",))

    never_ended: Literal["error", "warn"] = Field(
        "error",
        description="What it means that the user has sent max_turns messages, and the conversation "
        "is not over: the model failed (error), or nothing (warn).",
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each message that is out of role or repeated, and a dialogue without an end."""
        dialogues: dict[int, list[Turn]] = {}
        for turn in view.turns:
            if turn.simulated is not None:
                dialogues.setdefault(turn.entry, []).append(turn)
        for turns in dialogues.values():
            yield from _left_role(turns)
            yield from _repeated(turns)
            yield from self._never_ended(turns[-1])

    def _never_ended(self, turn: Turn) -> Iterator[Finding]:
        simulated = turn.simulated
        if simulated is None or simulated.end != "max_turns":
            return
        count = plural(int(simulated.user["max_turns"]), "message")
        until = simulated.user.get("until")
        condition = f"; until: {show(until, 200)}" if until else ""
        yield Finding(
            "simulator_never_ended",
            f"the conversation was not over after {count} of the simulated user{condition}",
            Where(turn=turn.number),
            severity=Severity(self.never_ended),
            detail=f"simulated user  {show(simulated.reason, 300)}" if simulated.reason else "",
        )


def _left_role(turns: Sequence[Turn]) -> Iterator[Finding]:
    for turn in turns:
        message = _message(turn)
        found = [(what, pattern.search(message)) for what, pattern in _LEFT_ROLE]
        hits = [(what, match[0]) for what, match in found if match]
        if not hits and (quote := _quoted_instruction(message)):
            hits = [("it quotes its instructions", quote)]
        for what, text in hits[:1]:
            yield Finding(
                "simulator_left_role",
                f"the simulated user left its role: {what} ({show(text)}); record it again, or "
                "describe the persona more closely",
                Where(turn=turn.number),
                got=message,
            )


def _quoted_instruction(message: str) -> str:
    """Return words of the simulator's instruction in a message, ``""`` without any."""
    text = " ".join(_WORDS.findall(INSTRUCTION.lower()))
    words = _WORDS.findall(message.lower())
    runs = (words[at : at + _QUOTED_WORDS] for at in range(len(words) - _QUOTED_WORDS + 1))
    return next((quote for run in runs if (quote := " ".join(run)) in text), "")


def _repeated(turns: Sequence[Turn]) -> Iterator[Finding]:
    earlier: list[tuple[int, str]] = []
    for turn in turns:
        message = " ".join(_WORDS.findall(_message(turn).lower()))
        if message.count(" ") + 1 < _FEWEST_WORDS:
            continue
        for number, other in earlier:
            value = similarity(message, other, REPEATED).value
            if value >= REPEATED:
                yield Finding(
                    "simulator_repeated",
                    f"the simulated user repeats its message of turn {number} "
                    f"(similarity {value:.2f})",
                    Where(turn=turn.number),
                    severity=Severity.WARN,
                )
                break
        earlier.append((turn.number, message))


def _message(turn: Turn) -> str:
    return output_text([{"type": "model_output", "content": turn.user}])
