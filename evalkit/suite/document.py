"""The document of a suite file: its text as YAML, held against the models. What is wrong with it is noted, and cut out of what is read on.

The way without mistakes takes no positions: the YAML is parsed once, and lines of list items come along at no cost. The first problem
makes it be parsed again for the positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from evalkit._lib.json import JSON
from evalkit._lib.text import plural
from evalkit._lib.yaml import ListLines, YamlError, load_lines
from evalkit.errors import SuiteErrors
from evalkit.suite.catalog import Path
from evalkit.suite.models import SUITE_FILE, SuiteFile
from evalkit.suite.problems import Problems
from evalkit.suite.salvage import Broken, salvage, strip
from evalkit.suite.source import Source


class Parsed(NamedTuple):
    """A document as loaded and as the models take it, which is the same where nothing is broken; the problems found so far."""

    raw: dict[str, JSON]
    lines: ListLines
    file: SuiteFile
    broken: Broken
    problems: Problems


def parse(source: Source) -> Parsed:
    """Parse a suite's text. Raises SuiteErrors where nothing of it can be read on."""
    try:
        raw, lines = load_lines(source.text)
    except YamlError as error:
        from evalkit.suite.syntax import problem_of

        raise SuiteErrors([problem_of(error, source)]) from error
    if not isinstance(raw, dict):
        raise SuiteErrors([source.problem(*source.place(()), _no_suite(raw))])
    problems = Problems(source, raw)
    _refuse_non_json(raw, problems)
    file, broken = _validate(raw, source, problems)
    if file is None:
        problems.raise_any()
        raise AssertionError("a document that no model takes has a problem")
    return Parsed(raw, lines, file, broken, problems)


def _no_suite(raw: JSON) -> str:
    if raw is None:
        return "empty file: a suite begins with 'suite: <name>' and has 'scenarios:'"
    kind = plural(len(raw), "entry", "entries") if isinstance(raw, list) else "a single value"
    what = f"a list of {kind}" if isinstance(raw, list) else kind
    return f"a suite is a mapping with 'suite:' and 'scenarios:', this file holds {what}"


def _validate(
    raw: dict[str, JSON], source: Source, problems: Problems
) -> tuple[SuiteFile | None, Broken]:
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
        problems.add(
            path, f"{what} is no JSON value and cannot be sent; quote it if the text is meant"
        )


def _non_json(value: JSON, path: Path) -> Iterator[tuple[Path, str]]:
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
