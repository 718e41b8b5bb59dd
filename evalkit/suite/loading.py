"""Loading a suite file: its text, its document, then each scenario; every problem of the file in one SuiteErrors, none of them a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit._lib.json import JSON
from evalkit._lib.text import quoted
from evalkit.errors import SuiteErrors
from evalkit.suite import catalog
from evalkit.suite.attachments import Attachments
from evalkit.suite.cases import CaseFault, read_text
from evalkit.suite.context import Reading
from evalkit.suite.document import parse
from evalkit.suite.files import ProjectFiles, label
from evalkit.suite.plan import Scenario, Suite
from evalkit.suite.prepared import Workshop
from evalkit.suite.problems import Problems
from evalkit.suite.reading import read_scenario
from evalkit.suite.source import Source
from evalkit.suite.templates import find_templates
from evalkit.suite.tools import read_tool, refusals

if TYPE_CHECKING:
    from evalkit.suite.models import SuiteFile


def load(path: Path, *, root: Path, checks: catalog.CheckCatalog) -> Suite:
    """Load one suite file; ``root`` is the project's root, which no file it speaks of may leave.

    Raises SuiteErrors: every problem of the file, and of the data files it names, located, in order.
    """
    name = label(path, root)
    try:
        source = Source(name, read_text(path, name))
    except CaseFault as fault:
        raise SuiteErrors(fault.problems) from fault
    raw, lines, file, broken, problems = parse(source)
    files = ProjectFiles(path, root)
    workshop = Workshop(source, files, Attachments(files), checks)
    reading = Reading(raw, lines, problems, broken, workshop, dict.fromkeys(checks.names()))
    _read_head(reading, file)
    scenarios = _read_scenarios(reading, file)
    _refuse_empty(raw, source, problems)
    problems.raise_any()
    return Suite(
        file["suite"],
        path,
        file.get("description", ""),
        reading.vars,
        reading.tools,
        scenarios,
        workshop,
        files.used,
    )


def _refuse_empty(raw: JSON, source: Source, problems: Problems) -> None:
    """A key, or a ``-``, with nothing after it is a mistake, also where any JSON value may stand; null is written out."""
    for path in _nulls(raw, ()):
        if not source.token(path):
            what = (
                f"{quoted(path[-1])} has a colon and nothing after it"
                if isinstance(path[-1], str)
                else "a '-' with nothing after it"
            )
            problems.add_if_new(path, f'empty value: {what}; write null or "" if that is meant')


def _nulls(value: JSON, path: catalog.Path) -> Iterator[catalog.Path]:
    if value is None:
        yield path
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _nulls(item, (*path, key))


def _read_head(reading: Reading, file: SuiteFile) -> None:
    """Read ``vars`` and ``tools``."""
    problems = reading.problems
    reading.vars = file.get("vars", {})
    for inside, _ in find_templates(reading.vars):
        problems.add(("vars", *inside), "vars are plain values: templates are not rendered here")
    reading.tools = {name: read_tool(name, entry) for name, entry in file.get("tools", {}).items()}
    for tool in reading.tools.values():
        if not reading.broken.within("tools", tool.name):
            for wrong in refusals(tool):
                problems.add(wrong.path, wrong.message, on=wrong.on, hints=wrong.hints)


def _read_scenarios(reading: Reading, file: SuiteFile) -> list[Scenario]:
    defaults = file.get("defaults", {})
    seen: dict[str, int] = {}
    scenarios = []
    for index, entry in enumerate(file["scenarios"]):
        if reading.broken and reading.broken.whole("scenarios", index):
            continue
        path = ("scenarios", index, "id")
        if not (reading.broken and reading.broken.within(*path)):
            first = seen.setdefault(entry["id"], index)
            if first != index:
                line, _ = reading.workshop.source.place(("scenarios", first, "id"), "key")
                reading.problems.add(
                    path, f"duplicate id {entry['id']!r}: the scenario in line {line} has it"
                )
        scenarios.append(read_scenario(reading, index, entry, defaults))
    return scenarios
