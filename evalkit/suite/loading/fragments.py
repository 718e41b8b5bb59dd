"""Reads the fragments that a suite includes with ``use``, and joins what they declare.

Names never shadow each other: a tool, a variable or a list of expectations that two files declare
is an error that names both places. The defaults of fragments are layers below those of the suite,
in the order of ``use``; two fragments must not set the same default.

A fragment names its files relative to itself. Files that are read later (cases, attachments, files
of checks) get the name by which the suite file means them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from evalkit._lib.json import JSON
from evalkit._lib.problems import ProblemList, SourceText
from evalkit._lib.yaml import ListLines, ValuePath
from evalkit.suite.loading.file_reader import read_document, reported_at
from evalkit.suite.loading.file_texts import expectation_lists, scenario_mappings
from evalkit.suite.model.expectation_parser import CheckCatalog, named_check
from evalkit.suite.model.key_rules import ADDED_KEYS, Layer
from evalkit.suite.model.language import FragmentDocument, SuiteDocument, fragment_file
from evalkit.suite.model.project_files import KINDS, ProjectFiles, is_url
from evalkit.suite.model.templates import is_template
from evalkit.suite.pydantic_messages import describe_error

_SHARED = ("tools", "vars", "expectations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """One included file; ``path`` leads to its entry in ``use``."""

    document: FragmentDocument
    lines: ListLines
    path: ValuePath
    file: Path


@dataclass(slots=True, kw_only=True)
class Declarations:
    """What a suite and its fragments declare together, with the paths of names.

    ``defaults`` are the layers of defaults, those of the suite last.
    """

    tools: dict[str, JSON] = field(default_factory=dict)
    vars: dict[str, JSON] = field(default_factory=dict)
    expectations: dict[str, JSON] = field(default_factory=dict)
    paths: dict[tuple[str, str], ValuePath] = field(default_factory=dict)
    defaults: list[Layer] = field(default_factory=list)


class FragmentReader:
    """Reads the fragments of one suite; ``included`` receives their sources."""

    def __init__(
        self,
        files: ProjectFiles,
        problems: ProblemList,
        checks: CheckCatalog,
        included: dict[ValuePath, SourceText],
    ) -> None:
        self._files = files
        self._problems = problems
        self._checks = checks
        self._check_names = frozenset(checks.names())
        self._included = included

    def read(
        self, names: Sequence[str], check_values: Callable[[JSON, ValuePath], None]
    ) -> list[Fragment]:
        """Return the fragments that can be used; ``check_values`` reports unusual values."""
        fragments: list[Fragment] = []
        for index, name in enumerate(names):
            path: ValuePath = ("use", index)
            with reported_at(self._problems, path):
                file = self._files.find(name)
                if any(fragment.file == file for fragment in fragments):
                    self._problems.add(path, f"{name!r} is listed twice")
                elif fragment := self._read(file, path, check_values):
                    fragments.append(fragment)
        return fragments

    def _read(
        self, file: Path, path: ValuePath, check_values: Callable[[JSON, ValuePath], None]
    ) -> Fragment | None:
        label = self._files.label(file)
        source, document, lines = read_document(file, label)
        if not isinstance(document, dict) or "fragment" not in document:
            what = "a suite" if isinstance(document, dict) and "suite" in document else "not one"
            self._problems.add(
                path,
                f"a fragment begins with 'fragment: <name>', and {label} is {what}; move what "
                "suites share to a file of its own",
            )
            return None
        self._included[path] = source
        check_values(document, path)
        try:
            fragment_file().validate_python(document)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                problem = describe_error(cast("dict[str, Any]", item), source, "fragment")
                self._problems.extend([problem._replace(path=(*path, *problem.path))])
            return None
        return Fragment(
            document=cast("FragmentDocument", document), lines=lines, path=path, file=file
        )

    def rename_files(self, fragment: Fragment) -> None:
        """Let the names of files that are read later be those of the suite file."""
        folder = fragment.file.parent
        for holder, key, path in self._named_files(fragment):
            name = holder.get(key)
            if isinstance(name, str) and name and not is_template(name) and not is_url(name):
                with reported_at(self._problems, (*path, key)):
                    holder[key] = self._files.name_in_suite(self._files.find(name, folder))

    def _named_files(self, fragment: Fragment) -> Iterator[tuple[dict[str, JSON], str, ValuePath]]:
        """Yield mappings with a key whose value names a file, and their paths."""
        document: Mapping[str, JSON] = {**fragment.document}
        for keys, base in scenario_mappings(document, fragment.path):
            if isinstance(keys.get("cases"), dict):
                yield keys["cases"], "file", (*base, "cases")
            for number, turn in enumerate(keys.get("turns", ())):
                attach = turn.get("attach", ())
                turn_path = (*base, "turns", number, "attach")
                entries = [attach] if isinstance(attach, dict) else attach
                for index, entry in enumerate(entries):
                    kind = next((kind for kind in KINDS if kind in entry), KINDS[0])
                    entry_path = turn_path if entry is attach else (*turn_path, index)
                    yield entry, kind, entry_path
        for items, base in expectation_lists(document, fragment.path):
            for number, item in enumerate(items):
                check = named_check(item) if isinstance(item, dict) else None
                if check is None or check.name not in self._check_names:
                    continue
                argument = check.holder[check.name]
                for inside, _ in self._checks.files(check.name, argument):
                    if inside:
                        yield argument, str(inside[-1]), (*base, number, *check.path)
                    else:
                        yield check.holder, check.name, (*base, number, *check.path[:-1])


def join_declarations(
    suite_file: SuiteDocument, fragments: Sequence[Fragment], problems: ProblemList
) -> Declarations:
    """Return what the suite and its fragments declare; names that collide are reported."""
    joined = Declarations()
    sources: list[tuple[Mapping[str, JSON], ValuePath]] = [
        *(({**fragment.document}, fragment.path) for fragment in fragments),
        ({**suite_file}, ()),
    ]
    for document, base in sources:
        for kind in _SHARED:
            known = getattr(joined, kind)
            for name, value in document.get(kind, {}).items():
                path = (*base, kind, name)
                first = joined.paths.setdefault((kind, name), path)
                if first != path:
                    problems.add(path, _collision(kind, name, problems.place(first)), on="key")
                else:
                    known[name] = value
        if "defaults" in document:
            layer = Layer(document["defaults"], (*base, "defaults"))
            if base:
                _report_shared_defaults(layer, joined.defaults, problems)
            joined.defaults.append(layer)
    return joined


def _report_shared_defaults(layer: Layer, others: Sequence[Layer], problems: ProblemList) -> None:
    for key in layer.keys:
        for other in others:
            if key in other.keys and key not in ADDED_KEYS:
                first = problems.place((*other.path, key))
                problems.add((*layer.path, key), _collision("defaults", key, first), on="key")


def _collision(kind: str, name: str, first: str) -> str:
    what = {"tools": "tool", "vars": "variable", "expectations": "list of expectations"}
    noun = what.get(kind, "default")
    return f"the {noun} {name!r} is also in {first}; rename one, or delete it"
