"""What is wrong with received calls whatever a suite expects of them.

A call without a result, a function that no request declares, arguments that do not fit.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean, shorten, show
from evalkit.checks.core.base import View
from evalkit.checks.core.call_arguments import arguments_invalid, declared_parameters, misfit
from evalkit.checks.tool_calls.received_calls import ReceivedCall, call_name
from evalkit.protocol.step_reader import may_be_predefined, pair_calls
from evalkit.transcript import Turn
from evalkit.verdict import Finding, Where


def find_unpaired(turn: Turn) -> Iterator[Finding]:
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


def find_undeclared(view: View, received: Sequence[ReceivedCall]) -> Iterator[Finding]:
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
        if got.step_type != "function_call" or got.name in {*declared, *view.predefined}:
            continue
        if not any(may_be_predefined(got.name, tools) for tools in _declarations(view)):
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


def find_misfits(view: View, received: Sequence[ReceivedCall]) -> Iterator[Finding]:
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
