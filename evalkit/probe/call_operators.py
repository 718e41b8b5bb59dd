"""Operators that change which functions are called, in which order, with which arguments."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

from evalkit._lib.json import JSON
from evalkit._lib.text import show
from evalkit.probe.recorded import Answer, Interaction, Mutant, Recorded, answers_of
from evalkit.transcript import Turn

_NO_SUCH_TOOL = "do_something_else"
Changes: TypeAlias = Sequence[tuple[Answer, Interaction | None]]


def changed_arguments(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which an argument has another value of its type."""
    return _arguments(recorded, "argument_changed", _other_value)


def arguments_of_other_types(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which an argument has another type."""
    return _arguments(recorded, "argument_type", _other_type)


def dropped_arguments(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which an argument is missing."""
    for turn, answer, index, name, value in _each_argument(recorded):
        copy = answer.copy()
        del copy["steps"][index]["arguments"][name]
        tool = copy["steps"][index]["name"]
        change = f"{tool} was called without {name} ({show(value)})"
        yield _mutant("argument_dropped", turn, change, [(answer, copy)])


def omitted_calls(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which a call was not made."""
    for turn, answer in recorded.answers():
        calls = answer.calls
        for index, call in calls:
            changed = None
            if len(calls) > 1:
                changed = answer.copy()
                del changed["steps"][index]
            yield _mutant(
                "call_omitted", turn, f"{call['name']} was not called", [(answer, changed)]
            )


def doubled_calls(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which a call was made twice."""
    for turn, answer in recorded.answers():
        for index, call in answer.calls:
            copy = answer.copy()
            second = {**copy["steps"][index]}
            if isinstance(second.get("id"), str):
                second["id"] += "-again"
            copy["steps"].insert(index + 1, second)
            yield _mutant(
                "call_doubled", turn, f"{call['name']} was called twice", [(answer, copy)]
            )


def added_calls(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which a turn without calls repeats a call of another turn."""
    made = [call for _, answer in recorded.answers() for _, call in answer.calls]
    for turn in recorded.turns:
        answers = answers_of(turn)
        if not made or not answers or any(answer.calls for answer in answers):
            continue
        copy = answers[-1].copy()
        copy["steps"] = [*copy.get("steps", ()), {**made[0], "id": "call-added"}]
        copy["status"] = "requires_action"
        change = f"{made[0]['name']} was called"
        yield _mutant("call_added", turn, change, [(answers[-1], copy)])


def reordered_calls(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which two neighboring calls were made in the other order."""
    for turn, answer in recorded.answers():
        calls = answer.calls
        for (first, one), (second, other) in pairwise(calls):
            copy = answer.copy()
            steps = copy["steps"]
            steps[first], steps[second] = steps[second], steps[first]
            change = f"{other['name']} was called before {one['name']}"
            yield _mutant("calls_reordered", turn, change, [(answer, copy)])
    for turn in recorded.turns:
        answers = [answer for answer in answers_of(turn) if answer.calls]
        for before, after in pairwise(answers):
            names = after.calls[0][1]["name"], before.calls[0][1]["name"]
            change = f"{names[0]} was called before {names[1]}"
            swapped = [(before, after.copy()), (after, before.copy())]
            yield _mutant("calls_reordered", turn, change, swapped)


def calls_of_other_tools(recorded: Recorded) -> Iterator[Mutant]:
    """Yield mutants in which another function was called with the same arguments."""
    for turn, answer in recorded.answers():
        for index, call in answer.calls:
            others = [name for name in recorded.declared if name != call["name"]]
            other = others[0] if others else _NO_SUCH_TOOL
            copy = answer.copy()
            copy["steps"][index]["name"] = other
            change = f"{other} was called instead of {call['name']}"
            yield _mutant("call_other_tool", turn, change, [(answer, copy)])


def _arguments(
    recorded: Recorded, operator: str, change_value: Callable[[JSON], JSON]
) -> Iterator[Mutant]:
    for turn, answer, index, name, value in _each_argument(recorded):
        copy = answer.copy()
        new = copy["steps"][index]["arguments"][name] = change_value(value)
        tool = copy["steps"][index]["name"]
        change = f"{tool} was called with {name} {show(new)} instead of {show(value)}"
        yield _mutant(operator, turn, change, [(answer, copy)])


def _each_argument(recorded: Recorded) -> Iterator[tuple[Turn, Answer, int, str, JSON]]:
    for turn, answer in recorded.answers():
        for index, call in answer.calls:
            arguments = call.get("arguments")
            for name, value in arguments.items() if isinstance(arguments, dict) else ():
                yield turn, answer, index, name, value


def _other_value(value: JSON) -> JSON:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value}x" if value else "x"
    if isinstance(value, list):
        return value[:-1] if value else ["x"]
    return {**value, "unexpected": True} if isinstance(value, dict) else "x"


def _other_type(value: JSON) -> JSON:
    if isinstance(value, str):
        return [value]
    return str(value) if isinstance(value, int | float) else "x"


def _mutant(operator: str, turn: Turn, change: str, changed: Changes) -> Mutant:
    calls: JSON = [
        {"name": call["name"], "arguments": call["arguments"]}
        if call.get("arguments")
        else call["name"]
        for answer in answers_of(turn)
        for _, call in answer.calls
    ]
    if operator == "calls_reordered":
        calls = {"calls": calls, "order": "in_order"}
    return Mutant(
        operator=operator,
        turn=turn.number,
        change=change,
        answers={answer.exchange.number: new for answer, new in changed},
        suggestion={"tool_calls": calls},
    )
