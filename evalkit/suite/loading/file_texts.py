"""Replaces ``{file: path}`` in a document by what the file has, before anything is built.

A text is the file's text. Where any JSON value is allowed (a schema, a tool's result), a file named
``.json``, ``.yaml`` or ``.yml`` is the value that it has. Templates are rendered as if the text
were written in the suite, and problems are located in the file. A line end is a newline whatever it
is in the file: the text is part of requests, and those must be the same on every machine.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.problems import PLAIN_LINE_BREAKS, ProblemList, SourceText
from evalkit._lib.yaml import ValuePath, YamlError, load
from evalkit.suite.loading.file_reader import read_text, reported_at
from evalkit.suite.model.expectation_parser import CheckCatalog, named_check
from evalkit.suite.model.project_files import ProjectFiles
from evalkit.suite.model.templates import is_template
from evalkit.suite.pydantic_messages import describe_value
from evalkit.suite.yaml_messages import yaml_problem

_DOCUMENTS = (".json", ".yaml", ".yml")


class ScenarioMapping(NamedTuple):
    """A mapping with keys of scenarios, and its path."""

    keys: dict[str, JSON]
    path: ValuePath


def scenario_mappings(document: Mapping[str, JSON], path: ValuePath) -> Iterator[ScenarioMapping]:
    """Yield the defaults and scenarios of a document, and the choices of their matrices."""
    found = [
        ScenarioMapping(document[key], (*path, key)) for key in ("defaults",) if key in document
    ]
    found += [
        ScenarioMapping(keys, (*path, "scenarios", index))
        for index, keys in enumerate(document.get("scenarios", ()))
    ]
    for mapping in found:
        yield mapping
        for axis, choices in mapping.keys.get("matrix", {}).items():
            for choice, keys in choices.items():
                yield ScenarioMapping(keys, (*mapping.path, "matrix", axis, choice))


def expectation_lists(
    document: Mapping[str, JSON], path: ValuePath
) -> Iterator[tuple[list[JSON], ValuePath]]:
    """Yield every list of expectations of a document, with its path."""
    for name, items in document.get("expectations", {}).items():
        yield items, (*path, "expectations", name)
    for keys, base in scenario_mappings(document, path):
        if "expect" in keys:
            yield keys["expect"], (*base, "expect")
        for number, turn in enumerate(keys.get("turns", ())):
            if "expect" in turn:
                yield turn["expect"], (*base, "turns", number, "expect")


class FileTexts:
    """Replaces the texts of one suite and of the fragments that it uses.

    ``included`` receives the sources of the values that are written in other files.
    """

    def __init__(
        self,
        files: ProjectFiles,
        problems: ProblemList,
        checks: CheckCatalog,
        included: dict[ValuePath, SourceText],
    ) -> None:
        self._files = files
        self._problems = problems
        self._included = included
        self._checks = checks
        self._check_names = frozenset(checks.names())
        self._sources: dict[Path, SourceText] = {}

    def replace(
        self, document: dict[str, JSON], path: ValuePath = (), folder: Path | None = None
    ) -> None:
        """Replace every ``{file: path}`` of a document whose files are named from ``folder``."""
        for keys, base in scenario_mappings(document, path):
            self._text(keys, "system_instruction", base, folder)
            for number, turn in enumerate(keys.get("turns", ())):
                turn_path = (*base, "turns", number)
                self._text(turn, "user", turn_path, folder)
                for key in ("persona", "goal", "until"):
                    simulate = turn.get("simulate", {})
                    self._text(simulate, key, (*turn_path, "simulate"), folder)
            if "response_format" in keys:
                formats = keys["response_format"]
                format_path = (*base, "response_format")
                if isinstance(formats, dict):
                    self._schema(formats, "schema", format_path, folder)
                else:
                    for number, one in enumerate(formats):
                        self._schema(one, "schema", (*format_path, number), folder)
        for name, tool in document.get("tools", {}).items():
            tool_path = (*path, "tools", name)
            self._schema(tool, "parameters", tool_path, folder)
            self._value(tool, "result", tool_path, folder)
            for number, result in enumerate(tool.get("results", ())):
                self._value(result, "result", (*tool_path, "results", number), folder)
        for items, list_path in expectation_lists(document, path):
            self._arguments(items, list_path, folder)

    def _arguments(self, items: list[JSON], path: ValuePath, folder: Path | None) -> None:
        for number, item in enumerate(items):
            check = named_check(item) if isinstance(item, dict) else None
            argument = check.holder[check.name] if check is not None else None
            # A check is imported when it is first asked for something.
            if (
                check is None
                or not isinstance(argument, dict)
                or check.name not in self._check_names
            ):
                continue
            options = [option for option, value in argument.items() if _is_file(value)]
            if options or _is_file(argument):
                path_of_check = (*path, number, *check.path)
                allowed = self._checks.text_options(check.name)
                for option in options:
                    if option in allowed:
                        self._value(argument, option, path_of_check, folder)
                if "" in allowed:
                    self._value(check.holder, check.name, path_of_check[:-1], folder)

    def _text(
        self, holder: dict[str, JSON], key: str, path: ValuePath, folder: Path | None
    ) -> None:
        value = holder.get(key)
        source = self._read(value, (*path, key), folder) if isinstance(value, dict) else None
        if source is not None:
            holder[key] = source.text
            if not source.text.strip():
                self._problems.add((*path, key), f"empty file: {key!r} takes text")

    def _schema(
        self, holder: dict[str, JSON], key: str, path: ValuePath, folder: Path | None
    ) -> None:
        if self._value(holder, key, path, folder) and not isinstance(holder[key], dict):
            actual = describe_value(holder[key])
            self._problems.add((*path, key), f"{key!r} takes a mapping, not {actual}")
            holder[key] = {}

    def _value(
        self, holder: dict[str, JSON], key: str, path: ValuePath, folder: Path | None
    ) -> bool:
        """Replace a value; return whether it was replaced."""
        if not _is_file(holder.get(key)):
            return False
        source = self._read(holder[key], (*path, key), folder)
        if source is None:
            return False
        holder[key] = source.text
        if source.name.lower().endswith(_DOCUMENTS):
            try:
                holder[key] = load(source.text)
            except YamlError as error:
                self._problems.add_located(yaml_problem(error, source))
        return True

    def _read(
        self, value: dict[str, JSON], path: ValuePath, folder: Path | None
    ) -> SourceText | None:
        name = value["file"]
        file_path = (*path, "file")
        if not isinstance(name, str) or not name:
            self._problems.add(file_path, f"'file' takes a path, not {describe_value(name)}")
        elif is_template(name):
            self._problems.add(
                file_path, "templates are not rendered in the path of a file; write the path"
            )
        else:
            with reported_at(self._problems, file_path):
                source = self._included[path] = self._source(self._files.find(name, folder))
                return source
        return None

    def _source(self, path: Path) -> SourceText:
        """Return the text of a file, which is read once. Raises SuiteErrors."""
        if path not in self._sources:
            name = self._files.label(path)
            text = read_text(path, name).replace("\r\n", "\n").replace("\r", "\n")
            is_yaml = name.lower().endswith(_DOCUMENTS)
            self._sources[path] = SourceText(name, text, PLAIN_LINE_BREAKS, is_yaml=is_yaml)
        return self._sources[path]


def _is_file(value: JSON) -> bool:
    return isinstance(value, dict) and value.keys() == {"file"}
