"""``tool_calls``: which tools were called with which arguments, and that every call has a result.

Tools that run at the service count like functions: ``google_search_call`` is a call of
``google_search``, and an MCP call has the name of its tool. Expected and received calls are paired
by the best one-to-one matching (``core.sequences``), so the verdict does not depend on the order in
which the expected ones are written. With ``order: in_order`` they must also be in the order
written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from evalkit._lib.text import shorten, show
from evalkit.checks.core.base import Check, View
from evalkit.checks.core.formatting import excerpt, table
from evalkit.checks.core.schema_validation import violations
from evalkit.checks.core.sequences import Automaton, alignment_table, assign
from evalkit.checks.core.strictness import Strictness
from evalkit.checks.tool_calls.call_rules import find_misfits, find_undeclared, find_unpaired
from evalkit.checks.tool_calls.expected_calls import MAX_COUNT, ExpectedCall, ExpectedCalls
from evalkit.checks.tool_calls.received_calls import ReceivedCall, received_calls
from evalkit.verdict import Finding, Where


class ToolCalls(Check):
    """The calls made are the expected ones, each has its result, each function was declared.

    The empty case: ``tool_calls: []`` expects no call. Bare ``tool_calls`` expects at least one
    call of any kind, ``tool_calls: {arguments: schema}`` any number. A turn without calls fails
    unless every expected call is optional.
    """

    name: ClassVar[str] = "tool_calls"
    shorthand: ClassVar[str | None] = "calls"
    strictness: ClassVar[Mapping[str, Strictness]] = {
        "calls": "each",
        "order": {"any_order": ["in_order"]},
        "allow_extra": "false",
        "arguments": {"ignore": ["schema", "None"]},
    }

    calls: ExpectedCalls | None = Field(
        None, description="The expected calls: names, or {name: …, arguments: …}."
    )
    order: Literal["in_order", "any_order"] = Field(
        "any_order", description="Whether the calls must come in the order written."
    )
    allow_extra: bool = Field(False, description="Allow other calls as well.")
    arguments: Literal["schema", "ignore"] | None = Field(
        None,
        description="schema (default): the arguments of every call of a declared function fit its"
        " declared parameters; ignore: they need not.",
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each call that is wrong or missing."""
        received = received_calls(view)
        for turn in view.turns:
            yield from find_unpaired(turn)
        yield from find_undeclared(view, received)
        if self.arguments != "ignore":
            yield from find_misfits(view, received)
        if self.calls is None:
            if not received and self.arguments is None:
                yield Finding("call_missing", "expected some tool call, got none", view.where)
            return
        differing = self._differences(self.calls, received, view)
        yield from differing
        if self.order == "in_order" and not differing:
            yield from self._out_of_order(self.calls, received, view)

    def matched(self, view: View) -> str:
        """Return the calls that were made."""
        return table([["got", str(call)] for call in received_calls(view)])

    def _differences(
        self, calls: Sequence[ExpectedCall], received: Sequence[ReceivedCall], view: View
    ) -> list[Finding]:
        """Return what is wrong in any order."""
        accepts = [
            [index for index, got in enumerate(received) if call.fits(got)] for call in calls
        ]
        result = assign(accepts, [call.limits for call in calls], len(received))
        remaining = result.unassigned
        findings, rows = [], []
        for call, count in zip(calls, result.missing, strict=True):
            for _ in range(min(count, MAX_COUNT)):
                # A remaining call of the same name is most likely meant, with other arguments.
                same_name = [index for index in remaining if received[index].name == call.name]
                if not same_name:
                    findings.append(_missing(call, received, view))
                    rows.append([str(call), "-", "missing"])
                    continue
                nearest = min(same_name, key=lambda index: call.distance(received[index]))
                remaining.remove(nearest)
                findings.append(_other_arguments(call, received[nearest]))
                rows.append([str(call), str(received[nearest]), "other arguments"])
        for index in () if self.allow_extra else remaining:
            findings.append(_unexpected(calls, received[index]))
            rows.append(["-", str(received[index]), "unexpected"])
        if findings:
            # One table shows all of them.
            pairs = [
                [str(calls[entry]), str(got)]
                for got, entry in zip(received, result.entry_of, strict=True)
                if entry is not None
            ]
            detail = table([["expected", "got"], *pairs, *rows])
            findings[0] = replace(findings[0], detail=detail)
        return findings

    def _out_of_order(
        self, calls: Sequence[ExpectedCall], received: Sequence[ReceivedCall], view: View
    ) -> Iterator[Finding]:
        words = _in_sequence(calls)
        automaton = Automaton.of_sequence(
            (str(call), is_optional, is_repeated) for call, is_optional, is_repeated in words
        )
        fits = [
            {position for position, (call, _, _) in enumerate(words, 1) if call.fits(got)}
            for got in received
        ]
        if automaton.accepts(fits, allow_extra=self.allow_extra):
            return
        where, first, detail = view.where, "too many to align", ""
        rows = automaton.align(fits, allow_extra=self.allow_extra)
        if rows is not None:
            row = next(row for row in rows if row.cost)
            call = words[(row.position or 1) - 1][0]
            got = next(got for got in received if call.fits(got))
            got = received[row.step] if row.step is not None else got
            where, first = got.where, f"{shorten(got.name)} at step {got.where.step}"
            detail = alignment_table(rows, automaton.labels, list(map(str, received)))
        yield Finding(
            "calls_out_of_order",
            f"the expected calls were made, but in another order: {first}",
            where,
            expected=list(map(str, calls)),
            got=list(map(str, received)),
            detail=detail,
        )


def _in_sequence(calls: Sequence[ExpectedCall]) -> list[tuple[ExpectedCall, bool, bool]]:
    """Return each call as often as it may be made: (call, is optional, may be repeated)."""
    words = []
    for call in calls:
        least, most = call.limits
        words += [(call, False, False)] * least
        words += [(call, True, True)] if most is None else [(call, True, False)] * (most - least)
    return words


def _other_arguments(call: ExpectedCall, got: ReceivedCall) -> Finding:
    if call.argument_match == "schema":
        violation = next(violations(call.arguments, got.arguments))
        reason = f"{violation.pointer or 'the whole'} {violation.message}"
    else:
        parts = [
            f"{pointer or '(whole)'} is {show(value, 60)}, not {show(expected, 60)}"
            for pointer, expected, value in call.other_arguments(got)
        ]
        more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
        reason = "; ".join(parts[:3]) + more
    return Finding(
        "arguments_differ",
        f"{shorten(got.name)} was called with other arguments: {reason}",
        got.where,
        expected=call.arguments,
        got=excerpt(got.arguments),
    )


def _missing(call: ExpectedCall, received: Sequence[ReceivedCall], view: View) -> Finding:
    names = list(dict.fromkeys(got.name for got in received))
    made = f"the calls made are {', '.join(map(show, names))}" if names else "no call was made"
    where = Where(turn=received[-1].where.turn) if received else view.where
    return Finding(
        "call_missing",
        f"expected a call of {call}, but {made}",
        where,
        expected=str(call),
        got=names,
    )


def _unexpected(calls: Sequence[ExpectedCall], got: ReceivedCall) -> Finding:
    is_expected = any(call.fits(got) for call in calls)
    reason = "once more than expected" if is_expected else "which is not expected"
    return Finding(
        "call_unexpected",
        f"{got} was called, {reason}",
        got.where,
        got={"name": got.name, "arguments": excerpt(got.arguments)},
    )
