"""``same_as``: two variants of one scenario agree, such as the stateless and the stateful one."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from evalkit._lib.json import JSON, MISSING, differences, equal
from evalkit._lib.text import show
from evalkit.checks.core.arguments import Words, one_or_many
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import against, excerpt, first_difference
from evalkit.checks.core.json_output import parse
from evalkit.checks.core.sequences import Automaton, alignment_table
from evalkit.checks.core.strictness import Strictness
from evalkit.checks.tool_calls.received_calls import call_name
from evalkit.protocol.step_types import RESULT_OF
from evalkit.transcript import Turn
from evalkit.verdict import Finding, Where

Aspect = Literal["steps", "tool_calls", "json", "text"]
Aspects = Annotated[
    list[Aspect],
    one_or_many(str, "one of steps, tool_calls, json, text", Aspect),
    Field(min_length=1),
]
_MESSAGES = {
    "steps": ("steps_differ", "the steps of turn {turn} are not those of {other}"),
    "tool_calls": ("tool_calls_differ", "the tool calls of turn {turn} are not those of {other}"),
    "json": ("json_differs", "the JSON output of turn {turn} is not that of {other}"),
    "text": ("text_differs", "the text of turn {turn} is not that of {other}"),
}


class SameAs(Check):
    """The turn, or every turn, agrees with the same turn of another variant of the scenario.

    The other variant is named by the settings that differ. The empty case: a variant agrees with
    itself. Two turns without JSON output agree on ``json``; where only one has it they do not. A
    variant that does not exist, or has no recording, makes the check *errored*.
    """

    name: ClassVar[str] = "same_as"
    rest: ClassVar[str | None] = "settings"
    strictness: ClassVar[Mapping[str, Strictness]] = {"on": "required", "ignore": "exempt"}

    settings: Annotated[dict[str, Any], Field(min_length=1)] = Field(
        description="Settings of the other variant: {history: stateful}."
    )
    on: Aspects = Field(
        ["steps", "tool_calls", "json"],
        description="What must agree: steps, tool_calls, json, text.",
    )
    ignore: Words | None = Field(
        None, description="Step types that are left out when steps are compared."
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each difference. Raises LookupError where there is no such variant."""
        transcript = view.sibling(self.settings)
        if transcript is None:
            return
        others = {turn.number: turn for turn in transcript.turns}
        for turn in view.turns:
            other = others.pop(turn.number, None)
            if other is not None:
                yield from self._compare(turn, other)
            else:
                yield self._missing(turn.number, "not")
        if view.turn is None:
            for number in sorted(others):
                yield self._missing(number, "only")

    def _missing(self, number: int, word: str) -> Finding:
        return Finding(
            "turn_missing",
            f"turn {number} is {word} in the variant {show(self.settings)}",
            Where(turn=number),
        )

    def _compare(self, turn: Turn, other: Turn) -> Iterator[Finding]:
        for aspect in _MESSAGES:
            expected, got = self._value(aspect, other), self._value(aspect, turn)
            if aspect in self.on and not equal(expected, got):
                code, message = _MESSAGES[aspect]
                yield Finding(
                    code,
                    message.format(turn=turn.number, other=show(self.settings)),
                    Where(turn=turn.number),
                    expected=excerpt(expected),
                    got=excerpt(got),
                    detail=_difference(aspect, expected, got),
                )

    def _value(self, aspect: str, turn: Turn) -> JSON:
        if aspect == "steps":
            return [step.type for step in turn.steps if step.type not in (self.ignore or ())]
        if aspect == "tool_calls":
            calls = [step.raw for step in turn.steps if step.type in RESULT_OF]
            return [{"name": call_name(raw), "arguments": raw.get("arguments")} for raw in calls]
        return parse(turn.text).value if aspect == "json" else turn.text


def _difference(aspect: str, expected: JSON, got: JSON) -> str:
    if aspect == "text":
        return first_difference(expected, got)
    if aspect == "steps":
        automaton = Automaton.of_sequence((step_type, False, False) for step_type in expected)
        fits = [{at for at, word in enumerate(automaton.labels) if word == item} for item in got]
        return alignment_table(automaton.align(fits) or [], automaton.labels, got)
    if expected is MISSING or got is MISSING:
        return against(excerpt(expected), excerpt(got))
    pointer, left, right = next(differences(expected, got))
    return f"first difference at {pointer or '(whole)'}\n{against(left, right)}"
