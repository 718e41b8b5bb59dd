"""Loading a suite file: text, YAML, models, then each scenario; every problem of the file in one SuiteErrors, none of them a traceback.

The way without mistakes takes no positions: the YAML is parsed once, and lines of list items come along at no cost. The first problem
makes it be parsed again for the positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from evalkit._lib.collector import collector_paused
from evalkit._lib.text import plural, quoted
from evalkit._lib.yaml import YamlError, load_lines
from evalkit.errors import SuiteErrors
from evalkit.suite import catalog
from evalkit.suite.attachments import Attachments
from evalkit.suite.cases import CaseFault, read_text
from evalkit.suite.context import Reading
from evalkit.suite.files import ProjectFiles, label
from evalkit.suite.models import SUITE_FILE, SuiteFile
from evalkit.suite.plan import Scenario, Suite
from evalkit.suite.prepared import Workshop
from evalkit.suite.problems import Problems
from evalkit.suite.reading import read_scenario
from evalkit.suite.salvage import Broken, salvage, strip
from evalkit.suite.source import Source
from evalkit.suite.templates import find_templates
from evalkit.suite.tools import read_tool, refusals

JSON = Any


def load(path: Path, *, root: Path, checks: catalog.CheckCatalog) -> Suite:
    """Load one suite file; ``root`` is the project's root, which no file it speaks of may leave.

    Raises SuiteErrors: every problem of the file, and of the data files it names, located, in order.
    """
    name = label(path, root)
    with collector_paused():
        return _load(path, name, root, checks)


def _load(path: Path, name: str, root: Path, checks: catalog.CheckCatalog) -> Suite:
    try:
        source = Source(name, read_text(path, name))
    except CaseFault as fault:
        raise SuiteErrors(fault.problems) from fault
    try:
        raw, lines = load_lines(source.text)
    except YamlError as error:
        from evalkit.suite.syntax import problem_of

        raise SuiteErrors([problem_of(error, source)]) from error
    if not isinstance(raw, dict):
        raise SuiteErrors([source.problem(*source.place(()), _no_suite(raw))])
    problems = Problems(source, raw)
    if lines.beyond_json:
        _refuse_non_json(raw, problems)
    file, broken = _validate(raw, source, problems)
    if file is None:
        problems.raise_any()
        raise AssertionError("a document that no model takes has a problem")
    files = ProjectFiles(path, root)
    workshop = Workshop(source, files, Attachments(files), checks)
    reading = Reading(raw, lines, problems, broken, workshop, dict.fromkeys(checks.names()))
    _read_head(reading, file)
    scenarios = _read_scenarios(reading, file)
    if lines.nulls:
        _refuse_empty(raw, source, problems)
    problems.raise_any()
    source.put_away()
    return Suite(file["suite"], path, file.get("description", ""), reading.vars, reading.tools, scenarios, workshop, files.used)


def _no_suite(raw: JSON) -> str:
    if raw is None:
        return "empty file: a suite begins with 'suite: <name>' and has 'scenarios:'"
    kind = plural(len(raw), "entry", "entries") if isinstance(raw, list) else "a single value"
    what = f"a list of {kind}" if isinstance(raw, list) else kind
    return f"a suite is a mapping with 'suite:' and 'scenarios:', this file holds {what}"


def _validate(raw: dict[str, JSON], source: Source, problems: Problems) -> tuple[SuiteFile | None, Broken]:
    """Hold the document against the models; what they refuse is noted and cut out."""
    try:
        return SUITE_FILE.validate_python(raw), Broken()
    except ValidationError as error:
        entries = error.errors(include_url=False)
    from evalkit.suite.wording import wrong_of

    for entry in entries:
        wrong = wrong_of(cast("dict[str, Any]", entry), source)
        problems.add(wrong.path, wrong.message, on=wrong.on, hints=wrong.hints)
    paths = [strip(entry["loc"]) for entry in entries]
    return salvage(raw, paths), Broken(paths)


def _refuse_non_json(raw: JSON, problems: Problems) -> None:
    """YAML knows infinities and binary data, JSON does not."""
    for path, what in _non_json(raw, ()):
        problems.add(path, f"{what} is no JSON value and cannot be sent; quote it if the text is meant")


def _non_json(value: JSON, path: catalog.Path) -> Iterator[tuple[catalog.Path, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _non_json(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _non_json(item, (*path, index))
    elif isinstance(value, bytes):
        yield path, "binary data"
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, "an infinite number" if math.isinf(value) else "a number that is none (.nan)"


def _refuse_empty(raw: JSON, source: Source, problems: Problems) -> None:
    """A key, or a ``-``, with nothing after it is a mistake, also where any JSON value may stand; null is written out."""
    for path in _nulls(raw, ()):
        if not source.token(path):
            what = f"{quoted(path[-1])} has a colon and nothing after it" if isinstance(path[-1], str) else "a '-' with nothing after it"
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
                reading.problems.add(path, f"duplicate id {entry['id']!r}: the scenario in line {line} has it")
        scenarios.append(read_scenario(reading, index, entry, defaults))
    return scenarios
