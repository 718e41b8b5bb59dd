"""``tool_calls``: which tools were called with which arguments, and that every call has a result.

Tools that run at the service count like functions: ``google_search_call`` is a call of
``google_search``, and an MCP call has the name of its tool. Expected and received calls are paired
by the best one-to-one matching (``core.sequences``), so the verdict does not depend on the order in
which the expected ones are written. With ``order: in_order`` they must also be in the order
written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from evalkit._lib.json import JSON, MISSING, differences, equal
from evalkit._lib.text import did_you_mean, shorten, show
from evalkit.checks.core.arguments import or_bare
from evalkit.checks.core.base import Check, Options, View, option_error
from evalkit.checks.core.call_arguments import arguments_invalid, declared_parameters, misfit
from evalkit.checks.core.formatting import excerpt, table
from evalkit.checks.core.schema_validation import problems as schema_problems
from evalkit.checks.core.schema_validation import violations
from evalkit.checks.core.sequences import Automaton, alignment_table, assign
from evalkit.checks.core.strictness import Strictness
from evalkit.protocol.step_reader import may_be_predefined, pair_calls
from evalkit.protocol.step_types import RESULT_OF
from evalkit.transcript import Turn
from evalkit.verdict import Finding, Where

ArgumentMatch = Literal["exact", "subset", "superset", "schema", "ignore"]
MAX_COUNT = 100


def covers(whole: JSON, part: JSON) -> bool:
    """Return whether ``whole`` has every key of ``part``, at any depth; lists item by item."""
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(
            key in whole and covers(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(covers, whole, part))
    return equal(whole, part)


_FITS: dict[str, Callable[[JSON, JSON], bool]] = {
    "exact": equal,
    "superset": lambda expected, got: covers(got, expected),
    "subset": covers,
    "schema": lambda expected, got: next(violations(expected, got), None) is None,
    "ignore": lambda expected, got: True,
}
"""How arguments are compared. The received ones are the subset or superset."""


class ExpectedCall(Options):
    """One expected call."""

    strictness: ClassVar[Mapping[str, Strictness]] = {
        "arguments": "rule",
        "match": {
            "ignore": ["schema", "superset", "subset"],
            # Absent means exact where arguments are given.
            "superset": ["exact", "None"],
            "subset": ["exact", "None"],
        },
        "optional": "false",
        "min": "higher",
        "max": "lower",
    }
    name: str = Field(
        min_length=1,
        description="Name of the function or tool: get_weather, google_search, code_execution…",
    )
    arguments: Any = Field(
        default_factory=lambda: MISSING,
        description="The arguments, or with match: schema their JSON Schema; absent, or schema:"
        " any that fit the declared parameters.",
    )
    match: ArgumentMatch | None = Field(
        None, description="How arguments are compared; exact where they are given."
    )
    optional: bool = Field(False, description="The call need not be made.")
    min: int | None = Field(
        None,
        ge=0,
        le=MAX_COUNT,
        description="Fewest such calls; alone it sets no upper limit.",
    )
    max: int | None = Field(None, ge=0, le=MAX_COUNT, description="Most such calls.")

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if isinstance(self.arguments, str) and self.arguments != "schema":
            message = f"must be a mapping or 'schema', got {show(self.arguments)}"
            raise option_error(message, "arguments")
        if self.arguments is MISSING and self.match not in (None, "ignore"):
            raise option_error(f"match: {self.match} needs 'arguments'", "match")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise option_error(f"min {self.min} is above max {self.max}", "min")
        if self.optional and self.min:
            raise option_error("an optional call cannot have a 'min'", "optional")
        for path, message in schema_problems(self.arguments) if self.match == "schema" else ():
            raise option_error(message, "arguments", *path)
        return self

    @property
    def limits(self) -> tuple[int, int | None]:
        """The least and the greatest number of such calls (None: any number)."""
        if self.min is not None:
            return self.min, self.max
        least = 0 if self.optional or self.max == 0 else 1
        return least, self.max if self.max is not None else 1

    @property
    def argument_match(self) -> ArgumentMatch:
        """How the arguments are compared."""
        is_any = self.arguments is MISSING or self.arguments == "schema"
        return self.match or ("ignore" if is_any else "exact")

    def fits(self, call: ReceivedCall) -> bool:
        """Return whether a received call is such a call."""
        return call.name == self.name and _FITS[self.argument_match](self.arguments, call.arguments)

    def distance(self, call: ReceivedCall) -> int:
        """Return in how many values the arguments of a received call differ."""
        return len(list(differences(self.arguments, call.arguments)))

    def __str__(self) -> str:
        match = self.argument_match
        if match == "ignore":
            return self.name
        return f"{self.name} {show(self.arguments, 60)}{'' if match == 'exact' else f' ({match})'}"


CallEntry = Annotated[
    ExpectedCall,
    or_bare(
        str,
        lambda name: {"name": name},
        dict,
        "a name or {name: …, arguments: …}",
        str | ExpectedCall,
    ),
]
ExpectedCalls = Annotated[
    list[CallEntry],
    or_bare(str, lambda name: [name], list, "a list of calls", str | list[CallEntry]),
]


class ReceivedCall(NamedTuple):
    """A call that the model made."""

    name: str
    arguments: JSON
    step_type: str
    where: Where

    def __str__(self) -> str:
        return f"{shorten(self.name)} {show(self.arguments, 60)}"


def received_calls(view: View) -> list[ReceivedCall]:
    """Return all calls in view, in order."""
    return [
        ReceivedCall(
            call_name(each.step.raw), each.step.raw.get("arguments"), each.step.type, each.where()
        )
        for each in view.numbered_steps
        if each.step.type in RESULT_OF
    ]


def call_name(raw: Mapping[str, JSON]) -> str:
    """Return the name of a call: of its function or MCP tool, else its type without ``_call``."""
    name = raw.get("name")
    has_name = isinstance(name, str) and name != ""
    return str(name if has_name else str(raw.get("type", "")).removesuffix("_call"))


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
            yield from _unpaired(turn)
        yield from _undeclared(view, received)
        if self.arguments != "ignore":
            yield from _misfits(view, received)
        if self.calls is None:
            if not received and self.arguments is None:
                yield Finding("call_missing", "expected some tool call, got none", view.where)
            return
        differing = self._differences(self.calls, received, view)
        yield from differing
        if self.order == "in_order" and not differing:
            yield from self._out_of_order(self.calls, received, view)

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
            for pointer, expected, value in differences(call.arguments, got.arguments)
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


def _unpaired(turn: Turn) -> Iterator[Finding]:
    """Yield every call without a result and every result without a call."""
    steps = [step.raw for step in turn.steps]
    pairing = pair_calls(steps)
    problems = [
        (
            call,
            "call_unanswered",
            f"no result for {shorten(call_name(steps[call]))}"
            f" {show(steps[call].get('arguments'), 60)} ({show(steps[call].get('id'))})",
        )
        for call, result in pairing.pairs
        # A completed turn with a reason was to end with open calls.
        if result is None and not (turn.outcome == "completed" and turn.reason)
    ]
    problems += [
        (
            result,
            "result_unpaired",
            f"a {shorten(turn.steps[result].type)} does not answer a call:"
            f" call_id {show(steps[result].get('call_id'))}",
        )
        for result in pairing.orphans
    ]
    for index, code, message in problems:
        exchange = turn.steps[index].exchange
        yield Finding(code, message, Where(turn=turn.number, exchange=exchange, step=index + 1))


def _undeclared(view: View, received: Sequence[ReceivedCall]) -> Iterator[Finding]:
    """Yield every function call whose function is not declared in any request in view.

    An agent may have functions of its own, and so has ``computer_use``: those are not checked, nor
    those that the suite marks as predefined.
    """
    requests = [exchange.request for exchange in view.exchanges]
    bodies = [request.body for request in requests if isinstance(request.body, dict)]
    if not bodies or any("agent" in body for body in bodies):
        return
    declared = set(chain.from_iterable(map(declared_parameters, _declarations(view))))
    for got in received:
        if got.name in view.predefined:
            continue
        if any(may_be_predefined(got.name, tools) for tools in _declarations(view)):
            continue
        if got.step_type == "function_call" and got.name not in declared:
            hint = did_you_mean(got.name, declared)
            names = shorten(", ".join(sorted(declared)), 200) or "nothing"
            yield Finding(
                "undeclared_tool",
                f"the model called {show(got.name)}, which is not declared{hint};"
                f" declared: {names}",
                got.where,
                expected=sorted(declared),
                got=got.name,
            )


def _misfits(view: View, received: Sequence[ReceivedCall]) -> Iterator[Finding]:
    """Yield every call whose arguments do not fit the parameters declared for it."""
    declared = {
        name: parameters
        for tools in _declarations(view)
        for name, parameters in declared_parameters(tools).items()
    }
    for got in received:
        if got.step_type == "function_call":
            reason = misfit(declared.get(got.name), got.arguments)
            if reason:
                yield arguments_invalid(got.name, got.arguments, reason, got.where)


def _declarations(view: View) -> Iterator[JSON]:
    """Yield every list of tools that was sent, or that the service found for the model."""
    for exchange in view.exchanges:
        if isinstance(exchange.request.body, dict):
            yield exchange.request.body.get("tools")
    for step in view.steps:
        if step.type == "tool_search_result":
            yield step.raw.get("result")
