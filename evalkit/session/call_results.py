"""Report calls of functions that the suite does not declare, cannot call or does not answer."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean, show
from evalkit.checks.core.call_arguments import arguments_invalid, declared_parameters, misfit
from evalkit.protocol.step_reader import may_be_predefined
from evalkit.suite import Variant
from evalkit.transcript import Step, Transcript, Turn
from evalkit.verdict import CONVERSATION, CheckResult, Finding, Verdict, Where

SignatureMisfit = Callable[[str, dict[str, Any], JSON], str]
"""Returns why a Python function cannot be called with arguments, ``""`` if it can be."""


def call_results(
    variant: Variant, transcript: Transcript, signature_misfit: SignatureMisfit
) -> Iterator[CheckResult]:
    """Report calls of undeclared functions, invalid arguments, calls without an answer.

    An application with a ``target`` has tools of its own, and a ``tool_calls`` check reports the
    first two itself, except arguments that only the Python function refuses. The parameters of a
    predefined function are the service's, so a misfit is not the model's fault.
    """
    faults, unanswered = [], []
    for turn in transcript.turns:
        expect = (*variant.expect, *variant.turn_expect(turn.entry))
        is_checked = variant.target is not None or any(e.name == "tool_calls" for e in expect)
        for number, step in enumerate(turn.steps, 1):
            if step.raw.get("type") != "function_call":
                continue
            name, arguments = step.raw.get("name"), step.raw.get("arguments")
            where = Where(turn=turn.number, exchange=step.exchange, step=number)
            tool = variant.tools.get(name) if isinstance(name, str) else None
            if tool is None:
                tools = variant.scenario.fields.get("tools")
                if may_be_predefined(name, tools):
                    unanswered.append(_without_answer(name, arguments, where))
                elif not is_checked and name not in _sent_tools(turn, step):
                    hint = did_you_mean(name, variant.tools) if isinstance(name, str) else ""
                    message = (
                        f"the model called {show(name)}, which the suite does not declare{hint}"
                    )
                    faults.append(Finding("undeclared_tool", message, where, got=name))
                continue
            parameters = tool.schema(variant.variables)
            is_predefined = isinstance(arguments, dict) and tool.is_predefined(
                variant.scenario.fields.get("tools", [])
            )
            # Where the check reports misfits, only what Python is called with is left to look at.
            needs_fit = tool.python or not (is_checked or is_predefined)
            reason = misfit(parameters, arguments) if needs_fit else ""
            if reason and is_predefined:
                unanswered.append(_without_answer(name, arguments, where))
            elif reason and not is_checked:
                faults.append(arguments_invalid(name, arguments, reason, where))
            if not isinstance(arguments, dict):
                continue
            if not reason and tool.calls_python(arguments, variant.variables):
                reason = signature_misfit(tool.python, arguments, parameters)
                if reason and is_predefined:
                    unanswered.append(_without_answer(name, arguments, where))
                elif reason:
                    faults.append(arguments_invalid(name, arguments, reason, where))
            if (
                tool.results
                and tool.results[-1].when
                and not tool.has_result_for(arguments, variant.variables)
            ):
                unanswered.append(_without_answer(name, arguments, where))
    if faults:
        yield CheckResult(CONVERSATION, Verdict.FAILED, tuple(faults))
    if unanswered:
        yield CheckResult(CONVERSATION, Verdict.PASSED, tuple(unanswered))


def _sent_tools(turn: Turn, step: Step) -> Collection[str]:
    """Return the tools that a step's request declared; another suite may judge the conversation."""
    exchange = next((one for one in turn.exchanges if one.number == step.exchange), None)
    body = exchange.request.body if exchange is not None else None
    return declared_parameters(body.get("tools")) if isinstance(body, dict) else ()


def _without_answer(name: JSON, arguments: JSON, where: Where) -> Finding:
    message = (
        f"the model called {show(name)} with {show(arguments, 80)}, for which the "
        "suite has no answer; the model received an error"
    )
    return Finding("call_without_answer", message, where, got=arguments).as_warning()
