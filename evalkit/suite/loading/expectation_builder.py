"""Builds the expectations of a suite from the entries of its ``expect`` lists.

An expectation without templates is built once, one whose templates read only variables once per
case row. One that reads earlier turns is built during the conversation. Files that an argument
names are looked up as soon as the argument is known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from evalkit._lib.json import JSON, dumps
from evalkit._lib.problems import PathProblem
from evalkit._lib.text import did_you_mean, quoted, show
from evalkit._lib.yaml import ValuePath
from evalkit.suite.loading.cases import CaseRows
from evalkit.suite.loading.load_context import LoadContext
from evalkit.suite.loading.template_check import RenderMoment, in_case, verify_templates
from evalkit.suite.model.deferred import DeferredCheck, Expectation
from evalkit.suite.model.expectation_parser import (
    BadExpectation,
    ExpectationEntry,
    build_check,
    parse_expectation,
)
from evalkit.suite.model.project_files import ProjectFileError
from evalkit.suite.model.templates import TemplateError, render


def build_expectations(
    context: LoadContext,
    items: list[JSON],
    path: ValuePath,
    rows: CaseRows,
    moment: RenderMoment,
) -> Sequence[Sequence[Expectation]]:
    """Return the expectations of a list, one list for each row.

    Rows share one list unless an entry depends on the row.
    """
    columns = [
        _build_entry(context, entry.item, entry.path, entry.line, rows, moment)
        for entry in _entries(context, items, path)
    ]
    if all(len(column) <= 1 for column in columns):
        return (tuple(expectation for column in columns for expectation in column),) * len(
            rows.rows
        )
    return [
        [column[row] if len(column) > 1 else column[0] for column in columns if column]
        for row in range(len(rows.rows))
    ]


class _ListEntry(NamedTuple):
    """One entry of a list of expectations, its path, and its line in the suite file."""

    item: JSON
    path: ValuePath
    line: int


def _entries(context: LoadContext, items: list[JSON], path: ValuePath) -> list[_ListEntry]:
    """Return the entries of a list, each ``{use: name}`` replaced by those of the named list."""
    lines = context.lines_of(items, path)
    entries: list[_ListEntry] = []
    for index, item in enumerate(items):
        if isinstance(item, dict) and "use" in item:
            entries += _named_entries(context, item, (*path, index), lines[index], ())
        else:
            entries.append(_ListEntry(item, (*path, index), lines[index]))
    return entries


def _named_entries(
    context: LoadContext,
    item: dict[str, JSON],
    path: ValuePath,
    line: int,
    outer: tuple[str, ...],
) -> Iterator[_ListEntry]:
    """Yield the entries of the list that ``{use: name}`` names; they have its line."""
    name = item["use"]
    for key in item:
        if key != "use":
            message = f"{key!r} is beside 'use'; write it in the entries of the list"
            context.problems.add((*path, key), message, on="key")
            return
    if not isinstance(name, str) or name not in context.declared.expectations:
        known = context.declared.expectations
        text = (
            f"{quoted(name)}{did_you_mean(name[:60], known)}"
            if isinstance(name, str)
            else show(name)
        )
        context.problems.add(
            (*path, "use"),
            f"unknown expectations {text}",
            hints=(f"expectations: {', '.join(known) or 'none'}",),
        )
        return
    if name in outer:
        chain = " uses ".join(map(repr, (*outer[outer.index(name) :], name)))
        context.problems.add((*path, "use"), f"expectations that use themselves: {chain}")
        return
    context.used_expectations.add(name)
    list_path = context.declared.paths["expectations", name]
    for index, entry in enumerate(context.declared.expectations[name]):
        entry_path = (*list_path, index)
        if isinstance(entry, dict) and "use" in entry:
            yield from _named_entries(context, entry, entry_path, line, (*outer, name))
        else:
            yield _ListEntry(entry, entry_path, line)


def check_unused_lists(context: LoadContext) -> None:
    """Report what is wrong in named lists that nothing uses, as far as it can be known."""
    for name, items in context.declared.expectations.items():
        if name not in context.used_expectations:
            path = context.declared.paths["expectations", name]
            for entry in _entries(context, items, path):
                try:
                    parsed = parse_expectation(entry.item, context.check_names)
                    if not parsed.has_templates:
                        _build(context, parsed, parsed.argument)
                except BadExpectation as error:
                    _report(context, error, entry.path)


def _build_entry(
    context: LoadContext,
    item: JSON,
    path: ValuePath,
    line: int,
    rows: CaseRows,
    moment: RenderMoment,
) -> list[Expectation]:
    """Return one expectation for all rows or one for each; none for a refused entry."""
    try:
        # Suites repeat entries such as ``status: completed`` in every scenario: parsing each of
        # them took a fifth of the time of loading.
        text = dumps(item)
        if text not in context.entries:
            entry = parse_expectation(item, context.check_names)
            check = None if entry.has_templates else _build(context, entry, entry.argument)
            context.entries[text] = entry, check
        entry, check = context.entries[text]
    except BadExpectation as error:
        _report(context, error, path)
        return []
    if not entry.has_templates:
        return [Expectation(entry, line, check)]
    argument_path = (*path, *entry.argument_path)
    if not verify_templates(context.problems, entry.argument, argument_path, rows, moment):
        return [
            Expectation(
                entry,
                line,
                deferred=DeferredCheck(path=path, resources=context.resources, variables=variables),
            )
            for variables in rows.variables
        ]
    expectations = []
    for row, variables in zip(rows.rows, rows.variables, strict=True):
        try:
            argument = render(entry.argument, variables)
            check = _build(context, entry, argument)
            expectations.append(Expectation(replace(entry, argument=argument), line, check))
        except TemplateError as error:
            message = f"template: {error}{in_case(row)}"
            context.problems.add(argument_path, message)
            return []
        except BadExpectation as error:
            _report(context, error, path, in_case(row))
            return []
    return expectations


def _build(context: LoadContext, entry: ExpectationEntry, argument: JSON) -> Any:
    """Build a check, and look up the files its argument names. Raises BadExpectation."""
    resources = context.resources
    built = build_check(entry, argument, resources.checks)
    for inside, name in () if entry.bare else resources.checks.files(entry.name, argument):
        try:
            resources.files.find(name)
        except ProjectFileError as error:
            problem = PathProblem((*entry.argument_path, *inside), str(error))
            raise BadExpectation(problem) from error
    return built


def _report(context: LoadContext, error: BadExpectation, path: ValuePath, case: str = "") -> None:
    context.problems.extend(
        problem._replace(path=(*path, *problem.path), message=f"{problem.message}{case}")
        for problem in error.problems
    )
