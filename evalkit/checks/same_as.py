"""``same_as``: two variants of one scenario agree, e.g. the stateless conversation with the stateful one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from evalkit._lib.json import JSON, MISSING, differences, equal
from evalkit._lib.text import show
from evalkit.checks.core.automaton import Automaton, align
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import against, excerpt, first_difference, table
from evalkit.checks.core.json_output import parse
from evalkit.checks.core.options import Words, one_or_many
from evalkit.checks.tool_calls.calls import call_name
from evalkit.protocol.step_types import RESULT_OF
from evalkit.transcript import Turn
from evalkit.verdict import Finding, Where

Aspect = Literal["steps", "tool_calls", "json", "text"]
_COMPARED: list[Aspect] = ["steps", "tool_calls", "json"]
Aspects = Annotated[
    list[Aspect],
    one_or_many(str, "one of steps, tool_calls, json, text", Aspect),
    Field(min_length=1),
]


class SameAs(Check):
    """The turn agrees with the same turn of another variant of the scenario, named by the settings that differ; or all turns do.

    The empty case: against itself a variant agrees. Two turns without JSON output agree on ``json``; where only one has it they do not. A
    variant that does not exist, or has no recording, makes the check *errored*.
    """

    name: ClassVar[str] = "same_as"
    rest: ClassVar[str | None] = "settings"

    settings: Annotated[dict[str, Any], Field(min_length=1)] = Field(
        description="Settings of the other variant: {history: stateful}."
    )
    on: Aspects = Field(
        default=_COMPARED,
        description="What must agree: steps, tool_calls, json, text.",
        json_schema_extra={"default": list(_COMPARED)},
    )
    ignore: Words | None = Field(
        None, description="Step types that are left out when steps are compared."
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each way in which a turn differs. Raises LookupError where there is no such variant."""
        other = view.sibling(self.settings)
        if other is None:
            return
        theirs = {turn.number: turn for turn in other.turns}
        mine = {turn.number for turn in view.turns}
        for turn in view.turns:
            if turn.number in theirs:
                yield from self._compare(turn, theirs[turn.number])
            else:
                yield Finding(
                    "turn_missing",
                    f"turn {turn.number} is not in the variant {show(self.settings)}",
                    Where(turn=turn.number),
                )
        if view.turn is None:
            for number in sorted(theirs.keys() - mine):
                yield Finding(
                    "turn_missing",
                    f"turn {number} is only in the variant {show(self.settings)}",
                    Where(turn=number),
                )

    def _compare(self, turn: Turn, other: Turn) -> Iterator[Finding]:
        name = show(self.settings)
        where = Where(turn=turn.number)
        if "steps" in self.on:
            mine, theirs = self._types(turn), self._types(other)
            if mine != theirs:
                message = f"the steps of turn {turn.number} are not those of {name}"
                yield Finding(
                    "steps_differ",
                    message,
                    where,
                    expected=theirs,
                    got=mine,
                    detail=_aligned(theirs, mine),
                )
        if "tool_calls" in self.on:
            mine_calls, their_calls = _calls(turn), _calls(other)
            if not equal(mine_calls, their_calls):
                message = f"the tool calls of turn {turn.number} are not those of {name}"
                yield Finding(
                    "tool_calls_differ",
                    message,
                    where,
                    expected=their_calls,
                    got=mine_calls,
                    detail=_first(their_calls, mine_calls),
                )
        if "json" in self.on:
            expected, got = parse(other.text).value, parse(turn.text).value
            if not equal(expected, got):
                message = f"the JSON output of turn {turn.number} is not that of {name}"
                yield Finding(
                    "json_differs",
                    message,
                    where,
                    expected=excerpt(expected),
                    got=excerpt(got),
                    detail=_first(expected, got),
                )
        if "text" in self.on and turn.text != other.text:
            message = f"the text of turn {turn.number} is not that of {name}"
            yield Finding(
                "text_differs",
                message,
                where,
                expected=excerpt(other.text),
                got=excerpt(turn.text),
                detail=first_difference(other.text, turn.text),
            )

    def _types(self, turn: Turn) -> list[str]:
        ignored = self.ignore or ()
        return [step.type for step in turn.steps if step.type not in ignored]


def _calls(turn: Turn) -> list[dict[str, JSON]]:
    return [
        {"name": call_name(step.raw), "arguments": step.raw.get("arguments")}
        for step in turn.steps
        if step.type in RESULT_OF
    ]


def _first(expected: JSON, got: JSON) -> str:
    if expected is MISSING or got is MISSING:
        return against(excerpt(expected), excerpt(got))
    pointer, left, right = next(differences(expected, got))
    return f"first difference at {pointer or '(whole)'}\n{against(left, right)}"


def _aligned(expected: list[str], got: list[str]) -> str:
    automaton, part = Automaton(), None
    for word in expected:
        atom = automaton.atom(word)
        part = atom if part is None else automaton.then(part, atom)
    if part is None:
        automaton.accepting = 1
    else:
        automaton.finish(part)
    rows = [["expected", "got"]]
    for row in align(automaton, [automaton.mask(word) for word in got]) or ():
        rows.append(
            [
                "-" if row.position is None else expected[row.position - 1],
                "-" if row.step is None else got[row.step],
            ]
        )
        if row.cost:
            rows[-1].append(
                "missing"
                if row.step is None
                else "unexpected"
                if row.position is None
                else "different"
            )
    return table(rows)
