"""Verifies templates when a suite is loaded.

First the names are verified, then each template is rendered with every row's variables. A template
that reads earlier turns (``previous``, ``turns``) or a call (``arguments``) cannot be rendered yet;
its names are still verified, and that the turn it reads is an earlier one. A template with ``if``
or ``default`` may read values that are missing, so only its names are verified.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.problems import ProblemList
from evalkit._lib.text import did_you_mean
from evalkit._lib.yaml import ValuePath
from evalkit.suite.loading.cases import CaseRows
from evalkit.suite.model.suite import CaseRow
from evalkit.suite.model.templates import (
    ENVIRONMENT,
    Template,
    TemplateError,
    find_templates,
    template,
)

_KNOWN_IN = {
    "previous": "it is known in a turn's 'user' or 'simulate' and in 'expect' only",
    "turns": "it is known in a turn's 'user' or 'simulate' and in 'expect' only",
    "arguments": "it is known in a tool's 'result' and 'results' only",
    "env": "environment variables are known in request fields only",
}
_DICT_METHODS = ("items", "keys", "values", "get")


class RenderMoment(NamedTuple):
    """When a value is rendered.

    ``names`` are known then beside the variables; ``turns_before`` counts the turns that have run.
    ``parameters`` are those that a tool declares, None if it accepts any.
    """

    names: frozenset[str] = frozenset()
    turns_before: int = 0
    parameters: frozenset[str] | None = None

    def accepts(self, argument: str | int) -> bool:
        """Return whether ``arguments.<argument>`` may be read."""
        return self.parameters is None or argument in self.parameters or argument in _DICT_METHODS


AT_LOAD = RenderMoment()
IN_REQUEST = RenderMoment(frozenset((ENVIRONMENT,)))
"""When the fields of requests are rendered; environment variables are read then."""


def after_turns(number: int) -> RenderMoment:
    """Return the moment when ``number`` turns have run."""
    return RenderMoment(frozenset(("previous", "turns")), number)


def verify_templates(
    problems: ProblemList,
    value: JSON,
    path: ValuePath,
    rows: CaseRows,
    moment: RenderMoment = AT_LOAD,
) -> bool:
    """Verify every template in a value.

    Returns whether all can be rendered at load, as they were with every row.
    """
    results = [
        _verify(problems, source, (*path, *inside), rows, moment)
        for inside, source in find_templates(value)
    ]
    return all(results)


def _verify(
    problems: ProblemList, source: str, path: ValuePath, rows: CaseRows, moment: RenderMoment
) -> bool:
    try:
        parsed = template(source)
    except TemplateError as error:
        problems.add(path, f"template: {error}")
        return False
    if not rows.complete:
        return False
    undefined: dict[str, int] = {}
    for index in rows.first_of_each_shape():
        for name in sorted(parsed.names - rows.variables[index].keys() - moment.names):
            undefined.setdefault(name, index)
    for name, index in undefined.items():
        hints = _known_names(rows.variables[index], moment)
        problems.add(path, _undefined(name, index, rows, moment), word=name, hints=hints)
    untimely = list(_untimely_reads(parsed, moment))
    for word, message in untimely:
        problems.add(path, message, word=word)
    if undefined or untimely or parsed.reads & moment.names:
        return False
    for row, variables in zip(rows.rows, rows.variables, strict=True):
        try:
            parsed.render(variables)
        except TemplateError as error:
            problems.add(path, f"template: {error}{in_case(row)}")
            return False
    return True


def in_case(row: CaseRow) -> str:
    """Return `` (in case 'x')``, or nothing for a scenario without cases."""
    return f" (in case {row.label!r})" if row.number else ""


def _undefined(name: str, index: int, rows: CaseRows, moment: RenderMoment) -> str:
    if name in _KNOWN_IN:
        return f"{name!r} is not known here; {_KNOWN_IN[name]}"
    if any(name in variables for variables in rows.variables):
        return f"undefined variable {name!r}{in_case(rows.rows[index])}"
    near = did_you_mean(name[:60], [*rows.variables[index], *moment.names])
    return f"undefined variable {name!r}{near}"


def _known_names(variables: Mapping[str, JSON], moment: RenderMoment) -> tuple[str, ...]:
    names = ", ".join([*variables, *sorted(moment.names)])
    if not names:
        return ("there are no variables here",)
    return (f"variables: {names if len(names) <= 110 else names[:109] + '…'}",)


def _untimely_reads(parsed: Template, moment: RenderMoment) -> Iterator[tuple[str, str]]:
    """Yield reads of turns that have not run and of undeclared parameters."""
    if parsed.alters_environment and ENVIRONMENT in moment.names:
        message = (
            "an environment variable is a secret, so it is written as it is (expected "
            "{{ env.NAME }} alone, with text around it if needed)"
        )
        yield ENVIRONMENT, message
    if parsed.conditional:
        return
    if "previous" in parsed.names & moment.names and moment.turns_before == 0:
        yield "previous", "'previous' is the turn before this one, and this is the first"
    for name, item in sorted(parsed.fields, key=str):
        if name == "turns" and name in moment.names and isinstance(item, int):
            if item >= moment.turns_before:
                message = f"turns[{item}] is turn {item + 1}, which has not run yet"
                yield "turns", f"{message} (turns count from 0 here)"
        elif name == "arguments" and not moment.accepts(item):
            near = did_you_mean(str(item), moment.parameters or ())
            yield f"arguments.{item}", f"the tool has no parameter {item!r}{near}"
