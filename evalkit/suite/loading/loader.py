"""Loads a suite file: parses it, validates its keys, builds its scenarios.

Problems are reported layer by layer, all problems of one layer together: first text that is not
YAML, then keys and values that the language does not allow, then everything that needs a valid file
(names, templates, data files, expectations).
"""

import math
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from evalkit._lib.json import JSON, is_plain
from evalkit._lib.problems import ProblemList, SourceText
from evalkit._lib.text import plural, quoted
from evalkit._lib.yaml import ListLines, ValuePath
from evalkit.cassette.secret_names import TOKEN
from evalkit.errors import SuiteErrors
from evalkit.suite.loading.cases import CaseReader
from evalkit.suite.loading.expectation_builder import check_unused_lists
from evalkit.suite.loading.file_reader import read_document
from evalkit.suite.loading.file_texts import FileTexts
from evalkit.suite.loading.fragments import Fragment, FragmentReader, join_declarations
from evalkit.suite.loading.load_context import LoadContext
from evalkit.suite.loading.scenario_builder import build_scenarios
from evalkit.suite.model.deferred import ReadVariable, SuiteResources, describe_path
from evalkit.suite.model.expectation_parser import CheckCatalog
from evalkit.suite.model.language import SUITE_FILE, SuiteDocument
from evalkit.suite.model.project_files import Attachments, ProjectFiles, label
from evalkit.suite.model.suite import Scenario, Suite
from evalkit.suite.model.templates import find_templates
from evalkit.suite.model.tools import entry_problems, read_tool
from evalkit.suite.pydantic_messages import describe_error


def redacted(_: str) -> str:
    """Return what a recording has in place of the value of any environment variable."""
    return TOKEN


def load(
    path: Path, *, root: Path, checks: CheckCatalog, environment: ReadVariable = redacted
) -> Suite:
    """Load one suite file.

    The files that it names must be inside ``root``, the project's root. ``environment`` returns
    the value of an environment variable when a request is built; by default what recordings have
    in its place. Raises SuiteErrors with every problem of a layer, located, in file order.
    """
    name = label(path, root)
    source, document, lines = read_document(path, name)
    included: dict[ValuePath, SourceText] = {}
    problems = ProblemList(source, partial(describe_path, document), included)
    unusual_values = _unusual_values_of(document)
    suite_file = _validate(document, unusual_values, problems)
    files = ProjectFiles(path, root)
    fragments: list[Fragment] = []
    if "use" in suite_file:
        reader = FragmentReader(files, problems, checks, included)
        fragments = reader.read(suite_file["use"], partial(_check_values, problems, unusual_values))
        problems.raise_any(SuiteErrors)
        for fragment in fragments:
            reader.rename_files(fragment)
        lines = ListLines(
            [document, *(fragment.document for fragment in fragments)],
            {
                **lines.lines_by_id,
                **{
                    key: value
                    for fragment in fragments
                    for key, value in fragment.lines.lines_by_id.items()
                },
            },
        )
    texts = FileTexts(files, problems, checks, included)
    texts.replace(cast("dict[str, JSON]", suite_file))
    for fragment in fragments:
        texts.replace(
            cast("dict[str, JSON]", fragment.document), fragment.path, fragment.file.parent
        )
    declared = join_declarations(suite_file, fragments, problems)
    context = LoadContext(
        lines=lines,
        use_lines=lines.of(suite_file.get("use", [])),
        scenario_lines=lines.of(suite_file["scenarios"]),
        problems=problems,
        resources=SuiteResources(
            source=source,
            included=included,
            files=files,
            attachments=Attachments(files),
            checks=checks,
            environment=environment,
        ),
        check_names=dict.fromkeys(checks.names()),
        cases=CaseReader(files, problems, declared.vars),
        declared=declared,
        tools={name: read_tool(name, entry) for name, entry in declared.tools.items()},
    )
    for inside, _ in find_templates(declared.vars):
        variable = declared.paths["vars", str(inside[0])]
        problems.add(
            (*variable, *inside[1:]), "vars are plain values: templates are not rendered here"
        )
    for tool in context.tools.values():
        problems.extend(entry_problems(tool, declared.paths["tools", tool.name]))
    scenarios = _scenarios(context, suite_file)
    check_unused_lists(context)
    for value_path, value in unusual_values:
        if value is None:
            _report_empty_value(value_path, problems)
    problems.raise_any(SuiteErrors)
    return Suite(
        name=suite_file["suite"],
        path=path,
        vars=declared.vars,
        tools=context.tools,
        scenarios=scenarios,
        resources=context.resources,
        used_files=files.used,
    )


def _unusual_values_of(document: JSON) -> list[tuple[ValuePath, JSON]]:
    # Nearly every document is plain, and walking through it takes as long as parsing it.
    return [] if is_plain(document) else list(_unusual_values(document, ()))


def _check_values(
    problems: ProblemList,
    found: list[tuple[ValuePath, JSON]],
    document: JSON,
    base: ValuePath,
) -> None:
    """Add the unusual values of a fragment to those of the suite, and report them."""
    values = [((*base, *path), value) for path, value in _unusual_values_of(document)]
    found += values
    _report_not_json(values, problems)


def _report_not_json(values: Iterable[tuple[ValuePath, JSON]], problems: ProblemList) -> None:
    for path, value in values:
        if value is not None:
            problems.add(path, _not_json(value))


def _validate(
    document: JSON, unusual_values: list[tuple[ValuePath, JSON]], problems: ProblemList
) -> SuiteDocument:
    """Return the document as a SuiteDocument.

    Raises SuiteErrors with everything that the language refuses. Validation converts nothing and
    adds nothing, so the document itself is used from here on: its lists are the ones whose lines
    are known.
    """
    if not isinstance(document, dict):
        problems.add((), _not_a_suite(document))
        problems.raise_any(SuiteErrors)
    _report_not_json(unusual_values, problems)
    try:
        SUITE_FILE.validate_python(document)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            problems.extend([describe_error(cast("dict[str, Any]", item), problems.source)])
    problems.raise_any(SuiteErrors)
    return cast("SuiteDocument", document)


def _not_a_suite(document: JSON) -> str:
    if document is None:
        return "empty file: a suite begins with 'suite: <name>' and has 'scenarios:'"
    content = "a single value"
    if isinstance(document, list):
        content = f"a list of {plural(len(document), 'entry', 'entries')}"
    return f"a suite is a mapping with 'suite:' and 'scenarios:', this file contains {content}"


def _unusual_values(value: JSON, path: ValuePath) -> Iterator[tuple[ValuePath, JSON]]:
    """Yield every null, and what YAML can write and JSON cannot: infinities, NaN, binary data."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _unusual_values(item, (*path, key))
    elif (
        value is None
        or isinstance(value, bytes)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        yield path, value


def _not_json(value: bytes | float) -> str:
    what = "binary data"
    if isinstance(value, float):
        what = "an infinite number" if math.isinf(value) else ".nan (not a number)"
    return f"{what} is not a JSON value and cannot be sent; quote it if the text is meant"


def _report_empty_value(path: ValuePath, problems: ProblemList) -> None:
    """Report a key or ``-`` without a value, even if any JSON value is allowed."""
    source, inside = problems.source_of(path)
    if source.token(inside) or problems.has_problem_at(path):
        return
    what = "a '-' with nothing after it"
    if isinstance(path[-1], str):
        what = f"{quoted(path[-1])} has a colon and nothing after it"
    problems.add(path, f'empty value: {what}; write null or "" if that is meant')


def _scenarios(context: LoadContext, suite_file: SuiteDocument) -> list[Scenario]:
    first_index: dict[str, int] = {}
    scenarios: list[Scenario] = []
    for index, entry in enumerate(suite_file["scenarios"]):
        first = first_index.setdefault(entry["id"], index)
        if first != index:
            line, _ = context.problems.source.position(("scenarios", first, "id"), "key")
            context.problems.add(
                ("scenarios", index, "id"),
                f"duplicate id {entry['id']!r}: the scenario in line {line} has it",
            )
        scenarios += build_scenarios(context, index, suite_file)
    return scenarios
