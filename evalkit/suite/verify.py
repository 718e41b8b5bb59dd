"""Templates verified at load: by their names first, which gives the better message, then by rendering them with every row's variables.

What speaks of earlier turns (``previous``, ``turns``) or of a call (``arguments``) cannot be rendered yet; its names are still verified,
and that the turn it speaks of is an earlier one. A template with ``if`` or ``default`` may mean what it says, and is left alone there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean
from evalkit.suite.cases import Row, Rows
from evalkit.suite.catalog import Path
from evalkit.suite.context import Reading
from evalkit.suite.templates import Template, TemplateFault, find_templates, template

_WHERE = {
    "previous": "it is known in a turn's 'user' and in 'expect' only",
    "turns": "it is known in a turn's 'user' and in 'expect' only",
    "arguments": "it is known in a tool's 'result' and 'results' only",
}
_METHODS = ("items", "keys", "values", "get")


class Moment(NamedTuple):
    """When a value is rendered: the names known then beside the variables, and how many turns have been held.

    ``parameters`` are those a tool declares (None: any), ``first`` says that no turn came before.
    """

    names: frozenset[str] = frozenset()
    held: int = 0
    first: bool = False
    parameters: frozenset[str] | None = None


AT_LOAD = Moment()


def verify(reading: Reading, value: JSON, path: Path, rows: Rows, moment: Moment = AT_LOAD) -> bool:
    """Verify every template in a value; return whether all can be rendered before the conversation, and were, with every row."""
    ready = True
    for inside, source in find_templates(value):
        ready = _verify(reading, source, (*path, *inside), rows, moment) and ready
    return ready


def _verify(reading: Reading, source: str, path: Path, rows: Rows, moment: Moment) -> bool:
    add = reading.problems.add
    try:
        one = template(source)
    except TemplateFault as fault:
        add(path, f"template: {fault.message}", word=fault.word)
        return False
    if not rows.complete:
        return False
    undefined: dict[str, int] = {}
    for index in rows.shapes():
        for name in sorted(one.names - rows.variables[index].keys() - moment.names):
            undefined.setdefault(name, index)
    for name, index in undefined.items():
        add(
            path,
            _undefined(name, index, rows, moment),
            word=name,
            hints=_known(rows.variables[index], moment),
        )
    sound = not undefined
    for word, message in _untimely(one, moment):
        add(path, message, word=word)
        sound = False
    if not sound or one.reads & moment.names:
        return False
    for row, variables in zip(rows.rows, rows.variables, strict=True):
        try:
            one.render(variables)
        except TemplateFault as fault:
            add(path, f"template: {fault.message}{in_case(row)}", word=fault.word)
            return False
    return True


def in_case(row: Row) -> str:
    """Return `` (in case 'x')``, or nothing for a scenario without cases."""
    return f" (in case {row.label!r})" if row.number else ""


def _undefined(name: str, index: int, rows: Rows, moment: Moment) -> str:
    if name in _WHERE:
        return f"{name!r} is not known here; {_WHERE[name]}"
    if any(name in variables for variables in rows.variables):
        return f"undefined variable {name!r}{in_case(rows.rows[index])}"
    return f"undefined variable {name!r}{did_you_mean(name[:60], [*rows.variables[index], *moment.names])}"


def _known(variables: Mapping[str, JSON], moment: Moment) -> tuple[str, ...]:
    names = ", ".join([*variables, *sorted(moment.names)])
    return (
        (f"variables: {names if len(names) <= 110 else names[:109] + '…'}",)
        if names
        else ("there are no variables here",)
    )


def _untimely(one: Template, moment: Moment) -> list[tuple[str, str]]:
    """Return what a template takes from turns that are not held yet, or from arguments that no call can have."""
    if one.conditional:
        return []
    found = []
    if moment.first and "previous" in one.names:
        found.append(("previous", "'previous' is the turn before this one, and this is the first"))
    for name, item in sorted(one.fields, key=str):
        if (
            name == "turns"
            and isinstance(item, int)
            and "turns" in moment.names
            and item >= moment.held
        ):
            found.append(
                (
                    "turns",
                    f"turns[{item}] is turn {item + 1}, which is not held yet (turns count from 0 here)",
                )
            )
        if (
            name == "arguments"
            and moment.parameters is not None
            and item not in moment.parameters
            and item not in _METHODS
        ):
            near = did_you_mean(str(item), moment.parameters)
            found.append((f"arguments.{item}", f"the tool has no parameter {item!r}{near}"))
    return found
