"""Builds the expectations of a turn or scenario for every case row.

An entry without templates is built once, an entry whose templates read only variables once per row.
An entry that reads earlier turns is built during the conversation. Files that an argument names are
looked up as soon as the argument is known.
"""

from collections.abc import Sequence

from evalkit._lib.json import JSON
from evalkit._lib.yaml import ValuePath
from evalkit.suite.loading.cases import CaseRows
from evalkit.suite.loading.context import LoadContext
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
    lines = context.lines.of(items)
    columns = [
        _build_entry(context, item, (*path, index), lines[index], rows, moment)
        for index, item in enumerate(items)
    ]
    if all(len(column) <= 1 for column in columns):
        return (tuple(expectation for column in columns for expectation in column),) * len(
            rows.rows
        )
    return [
        [column[row] if len(column) > 1 else column[0] for column in columns if column]
        for row in range(len(rows.rows))
    ]


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
        entry = parse_expectation(item, context.check_names)
        if not entry.has_templates:
            return [_build(context, entry, entry.argument, path, line)]
    except BadExpectation as error:
        _report(context, error, path)
        return []
    argument_path = (*path, *entry.argument_path)
    if not verify_templates(context.problems, entry.argument, argument_path, rows, moment):
        return [
            Expectation(
                name=entry.name,
                negate=entry.negate,
                severity=entry.severity,
                line=line,
                argument=entry.argument,
                deferred=DeferredCheck(
                    entry=entry, path=path, resources=context.resources, variables=variables
                ),
            )
            for variables in rows.variables
        ]
    expectations = []
    for row, variables in zip(rows.rows, rows.variables, strict=True):
        try:
            argument = render(entry.argument, variables)
            expectations.append(_build(context, entry, argument, path, line))
        except TemplateError as error:
            message = f"template: {error.message}{in_case(row)}"
            context.problems.add(argument_path, message)
            return []
        except BadExpectation as error:
            _report(context, error, path, in_case(row))
            return []
    return expectations


def _build(
    context: LoadContext, entry: ExpectationEntry, argument: JSON, path: ValuePath, line: int
) -> Expectation:
    """Build a check, and look up the files its argument names. Raises BadExpectation."""
    resources = context.resources
    built = build_check(entry, argument, resources.checks)
    for inside, name in () if entry.bare else resources.checks.files(entry.name, argument):
        try:
            resources.files.find(name)
        except ProjectFileError as error:
            context.problems.add((*path, *entry.argument_path, *inside), str(error))
    return Expectation(
        name=entry.name,
        negate=entry.negate,
        severity=entry.severity,
        line=line,
        argument=argument,
        built=built,
    )


def _report(context: LoadContext, error: BadExpectation, path: ValuePath, case: str = "") -> None:
    context.problems.extend(
        problem._replace(path=(*path, *problem.path), message=f"{problem.message}{case}")
        for problem in error.problems
    )
