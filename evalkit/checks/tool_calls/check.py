"""``tool_calls``: which tools were called, with which arguments, and that every call has its result.

Expected calls and those that came are paired by the best one-to-one assignment (``assignment``), so the verdict never depends on the
order in which the expected ones are written; with ``order: in_order`` by the same automaton that compares steps. What a call is, and
when arguments fit, is ``calls``'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from evalkit._lib.json import JSON, differences
from evalkit._lib.text import did_you_mean, shorten, show
from evalkit.checks.core.automaton import Automaton, Part, align
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import excerpt, table
from evalkit.checks.core.matching import assign
from evalkit.checks.tool_calls.calls import MOST_COPIES, Call, Calls, Made, call_name
from evalkit.protocol.step_reader import pair_calls
from evalkit.protocol.step_types import RESULT_OF
from evalkit.transcript import Turn
from evalkit.verdict import Finding, Where


class ToolCalls(Check):
    """The calls made are the expected ones, each has its result, and every function called was declared.

    The empty case: ``tool_calls: []`` expects no call at all. Bare ``tool_calls`` expects some call, whichever. A turn without calls fails
    unless every expected call is optional.
    """

    name: ClassVar[str] = "tool_calls"
    shorthand: ClassVar[str | None] = "calls"

    calls: Calls | None = Field(
        None, description="The expected calls: names, or {name: …, arguments: …}."
    )
    order: Literal["in_order", "any_order"] = Field(
        "any_order", description="Whether the calls must come in the order written."
    )
    allow_extra: bool = Field(False, description="Let other calls be made besides.")

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each call that is missing, not expected, out of order, with other arguments, unanswered or undeclared."""
        made: list[Made] = []
        for turn in view.turns:
            yield from _pairs(turn)
            for number, step in enumerate(turn.steps, 1):
                if step.type in RESULT_OF:
                    made.append(
                        Made(
                            call_name(step.raw),
                            step.raw.get("arguments"),
                            step,
                            turn.number,
                            number,
                        )
                    )
        if made:
            yield from _undeclared(view, made)
        if self.calls is None:
            if not made:
                yield Finding(
                    "call_missing",
                    "expected some tool call, got none",
                    Where(turn=view.turn.number if view.turn is not None else None),
                )
        elif self.order == "any_order":
            yield from self._any_order(self.calls, made, view)
        else:
            yield from self._in_order(self.calls, made, view)

    def _any_order(
        self, calls: Sequence[Call], made: Sequence[Made], view: View
    ) -> Iterator[Finding]:
        if len(calls) == len(made) and all(
            call.admits_one and call.fits(item.name, item.arguments)
            for call, item in zip(calls, made, strict=True)
        ):
            return
        accepts = [
            [index for index, item in enumerate(made) if call.fits(item.name, item.arguments)]
            for call in calls
        ]
        result = assign(accepts, [call.limits for call in calls], len(made))
        left = result.left
        lacking = [
            place
            for place, count in enumerate(result.lacking)
            for _ in range(min(count, MOST_COPIES))
        ]
        if not lacking and (self.allow_extra or not left):
            return
        rows = [
            [str(calls[entry]), str(made[item])]
            for item, entry in enumerate(result.entry_of)
            if entry is not None
        ]
        findings = []
        # A call of the same name that fits nothing else is most likely the one that was meant, with other arguments.
        for place in lacking:
            call = calls[place]
            near = [item for item in left if made[item].name == call.name]
            if near:
                meant = min(
                    near,
                    key=lambda item: sum(
                        1 for _ in differences(call.arguments, made[item].arguments)
                    ),
                )
                left.remove(meant)
                findings.append(_other_arguments(call, made[meant]))
                rows.append([str(call), str(made[meant]), "other arguments"])
            else:
                findings.append(_missing(call, made, view))
                rows.append([str(call), "-", "missing"])
        for item in left if not self.allow_extra else ():
            findings.append(_unexpected(calls, made[item]))
            rows.append(["-", str(made[item]), "unexpected"])
        detail = table([["expected", "got"], *rows])
        for number, finding in enumerate(findings):
            # One table shows all of them.
            yield finding if number else replace(finding, detail=detail)

    def _in_order(
        self, calls: Sequence[Call], made: Sequence[Made], view: View
    ) -> Iterator[Finding]:
        automaton, entries = _sequence(calls)
        masks = [
            sum(
                1 << place
                for place, call in enumerate(entries)
                if place and call.fits(item.name, item.arguments)
            )
            for item in made
        ]
        if not self.allow_extra and automaton.accepts(masks):
            return
        rows = align(automaton, masks, extra=0 if self.allow_extra else 2)
        if rows is None:
            where = Where(turn=view.turn.number if view.turn is not None else None)
            yield Finding(
                "calls_out_of_order",
                f"the {len(made)} calls are not those expected, in order",
                where,
            )
            return
        if not any(row.cost for row in rows):
            return
        lines = [["expected", "got"]]
        for row in rows:
            expected = str(entries[row.position]) if row.position is not None else "-"
            lines.append([expected, str(made[row.step]) if row.step is not None else "-"])
            if row.cost:
                lines[-1].append(
                    "missing"
                    if row.step is None
                    else "unexpected"
                    if row.position is None
                    else "different"
                )
        detail = table(lines)
        unordered = assign(
            [
                [index for index, item in enumerate(made) if call.fits(item.name, item.arguments)]
                for call in calls
            ],
            [call.limits for call in calls],
            len(made),
        )
        if not any(unordered.lacking) and (self.allow_extra or not unordered.left):
            parts = next(row for row in rows if row.cost)
            wanted = entries[parts.position or 0]
            first = (
                made[parts.step]
                if parts.step is not None
                else next(item for item in made if wanted.fits(item.name, item.arguments))
            )
            message = f"the expected calls were made, but in another order: {shorten(first.name)} at step {first.number}"
            yield Finding(
                "calls_out_of_order",
                message,
                first.where,
                expected=list(map(str, calls)),
                got=list(map(str, made)),
                detail=detail,
            )
            return
        for row in rows:
            if row.cost and row.step is None:
                yield replace(_missing(entries[row.position or 0], made, view), detail=detail)
                detail = ""
            elif row.cost and row.step is not None:
                call = entries[row.position] if row.position is not None else None
                same = call is not None and call.name == made[row.step].name
                told = (
                    _other_arguments(call, made[row.step])
                    if call is not None and same
                    else _unexpected(calls, made[row.step])
                )
                yield replace(told, detail=detail)
                detail = ""


def _other_arguments(call: Call, made: Made) -> Finding:
    if call.how == "schema":
        from evalkit.checks.core.schema_validation import violations

        found = next(violations(call.arguments, made.arguments))
        why = f"{found.pointer or 'the whole'} {found.message}"
    else:
        parts = [
            f"{at or '(whole)'} is {show(got, 60)}, not {show(want, 60)}"
            for at, want, got in differences(call.arguments, made.arguments)
        ]
        why = "; ".join(parts[:3]) + (f" and {len(parts) - 3} more" if len(parts) > 3 else "")
    return Finding(
        "arguments_differ",
        f"{shorten(made.name)} was called with other arguments: {why}",
        made.where,
        expected=call.arguments,
        got=excerpt(made.arguments),
    )


def _missing(call: Call, made: Sequence[Made], view: View) -> Finding:
    names = list(dict.fromkeys(item.name for item in made))
    got = (
        f"the calls made are {', '.join(show(name) for name in names)}"
        if names
        else "no call was made"
    )
    where = (
        made[-1].where if made else Where(turn=view.turn.number if view.turn is not None else None)
    )
    return Finding(
        "call_missing",
        f"expected a call of {call}, but {got}",
        Where(turn=where.turn),
        expected=str(call),
        got=names,
    )


def _unexpected(calls: Sequence[Call], made: Made) -> Finding:
    same = [call for call in calls if call.name == made.name]
    why = (
        "once more than expected"
        if any(call.fits(made.name, made.arguments) for call in same)
        else "which is not expected"
    )
    return Finding(
        "call_unexpected",
        f"{made} was called, {why}",
        made.where,
        got={"name": made.name, "arguments": excerpt(made.arguments)},
    )


def _sequence(calls: Sequence[Call]) -> tuple[Automaton, list[Call]]:
    """Return the automaton of the calls in the order written, each as often as it may come, and the call of each position."""
    automaton, entries = Automaton(), [calls[0]] if calls else []
    whole: Part | None = None

    def add(call: Call, empty: bool, again: bool) -> None:
        nonlocal whole
        part = automaton.repeat(automaton.atom(call.name), empty, again)
        entries.append(call)
        whole = part if whole is None else automaton.then(whole, part)

    for call in calls:
        least, most = call.limits
        for _ in range(least):
            add(call, False, False)
        if most is None:
            add(call, True, True)
        else:
            for _ in range(most - least):
                add(call, True, False)
    if whole is None:
        automaton.accepting = 1
        return automaton, entries
    return automaton.finish(whole), entries


def _pairs(turn: Turn) -> Iterator[Finding]:
    """Yield every call without a result and every result without a call."""
    pairing = pair_calls([step.raw for step in turn.steps])
    for call, result in pairing.pairs:
        if result is None:
            step = turn.steps[call]
            message = f"no result for {shorten(call_name(step.raw))} {show(step.raw.get('arguments'), 60)} ({show(step.raw.get('id'))})"
            yield Finding(
                "call_unanswered",
                message,
                Where(turn=turn.number, exchange=step.exchange, step=call + 1),
            )
    for orphan in pairing.orphans:
        step = turn.steps[orphan]
        message = f"a {shorten(step.type)} answers no call: call_id {show(step.raw.get('call_id'))}"
        yield Finding(
            "result_unpaired",
            message,
            Where(turn=turn.number, exchange=step.exchange, step=orphan + 1),
        )


def _undeclared(view: View, made: Sequence[Made]) -> Iterator[Finding]:
    """Yield every function call whose function no request in view declares. An agent may bring its own, so it is not judged."""
    calls = [item for item in made if item.step.type == "function_call"]
    if not calls:
        return
    bodies = [
        body for exchange in view.exchanges if isinstance(body := exchange.request.body, dict)
    ]
    # A conversation's requests mostly declare the same functions, so the first of them says enough.
    if not bodies or {item.name for item in calls}.issubset(_names(bodies[0].get("tools"))):
        return
    if any("agent" in body for body in bodies):
        return
    declared = {name for body in bodies for name in _names(body.get("tools"))}
    declared |= {
        name
        for step in view.steps
        if step.type == "tool_search_result"
        for name in _names(step.raw.get("result"))
    }
    for item in calls:
        if item.name not in declared:
            hint, names = (
                did_you_mean(item.name, declared),
                shorten(", ".join(sorted(declared)), 200),
            )
            message = f"the model called {show(item.name)}, which is not declared{hint}; declared: {names or 'nothing'}"
            yield Finding(
                "undeclared_tool", message, item.where, expected=sorted(declared), got=item.name
            )


def _names(tools: JSON) -> Iterator[str]:
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and isinstance(tool.get("name"), str):
            yield tool["name"]
