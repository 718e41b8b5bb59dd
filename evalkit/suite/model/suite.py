"""A loaded suite: Suite, Scenario and their parts, templates not rendered yet.

``load`` builds these values, ``expand`` reads them. Variants of a scenario share everything that
does not differ between them, so nothing here may be changed by a reader.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import read_file, sha256
from evalkit._lib.json import JSON
from evalkit._lib.yaml import ValuePath
from evalkit.errors import Problem, SuiteErrors
from evalkit.suite.model.deferred import Expectation, SuiteResources
from evalkit.suite.model.policies import Exemption, TrialPolicy
from evalkit.suite.model.project_files import ProjectFileError
from evalkit.suite.model.templates import find_templates, template
from evalkit.suite.model.tools import Tool


class CaseRow(NamedTuple):
    """One case; ``label`` is its part of a variant's name, ``number`` counts from 1.

    A scenario without cases has one row with number 0.
    """

    number: int
    label: str
    fields: Mapping[str, JSON]


class RecordedTurns(NamedTuple):
    """The conversation of a cassette, or its first ``turns``; ``path`` leads to it in the suite."""

    cassette: Path
    turns: int | None
    path: ValuePath


class SettingAxis(NamedTuple):
    """One setting of a scenario and its values.

    If the suite gives it as a list, each value is a part of a variant's name.
    """

    name: str
    values: tuple[JSON, ...]
    is_list: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioTurn:
    """One entry of a scenario's turns; a ``simulate`` entry makes several turns.

    ``expect`` has one list of expectations for each case row.
    """

    number: int
    line: int
    user: JSON
    simulate: Mapping[str, JSON] | None
    attach: Sequence[dict[str, JSON]]
    has_templates: bool
    path: ValuePath
    expect: Sequence[Sequence[Expectation]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One conversation, defaults and the choices of its matrix merged in.

    ``choices`` are the choice of each axis; ``chooses_model`` says whether one of them names the
    model. Scenarios of one entry in the file share its ``id``.
    ``given`` is what was said before the first turn, steps or recorded turns.
    ``fields`` are the request fields that do not vary. ``variables`` and ``expect`` have one entry
    for each case row. ``stop_after`` is that of each turn that has one, by its number. ``target``
    names the application's function that runs the turns, if any. With a ``policy`` all ``repeat``
    trials of a variant are one test.
    """

    id: str
    title: str
    tags: tuple[str, ...]
    line: int
    path: ValuePath
    axes: tuple[SettingAxis, ...]
    choices: Mapping[str, str]
    chooses_model: bool
    rows: tuple[CaseRow, ...]
    variables: tuple[Mapping[str, JSON], ...]
    fields: Mapping[str, JSON]
    request: Mapping[str, JSON]
    has_templates: bool
    tools: Mapping[str, Tool]
    given: Sequence[dict[str, JSON]] | RecordedTurns
    turns: Sequence[ScenarioTurn]
    expect: Sequence[Sequence[Expectation]]
    stop_after: Mapping[int, int]
    api_version: str
    max_tool_rounds: int
    max_requests: int
    repeat: int
    policy: TrialPolicy | None
    skip: Exemption | None
    xfail: Exemption | None
    timeout: float | None
    stop_on_failure: bool
    target: str | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Suite:
    """One loaded suite file.

    ``used_files`` are the files it names, with their paths from the project root.
    """

    name: str
    path: Path
    vars: Mapping[str, JSON]
    tools: Mapping[str, Tool]
    scenarios: Sequence[Scenario]
    resources: SuiteResources = field(repr=False)
    used_files: Sequence[tuple[str, Path]] = field(repr=False)

    @property
    def label(self) -> str:
        """The file's path from the project root, as messages show it."""
        return self.resources.source.name

    @property
    def secret_names(self) -> frozenset[str]:
        """The environment variables that its requests contain: their values are secrets."""
        return frozenset(
            name
            for scenario in self.scenarios
            if scenario.has_templates
            for _, source in find_templates([scenario.fields, scenario.request])
            for name in template(source).environment
        )

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the file's text and of the name and content of every used file.

        Raises SuiteErrors: a used file cannot be read.
        """
        own = sha256(self.resources.source.text)
        if not self.used_files:
            return own
        used = []
        for name, path in self.used_files:
            try:
                used.append(f"{name} {sha256(read_file(path))}")
            except OSError as error:
                message = f"cannot read {name}: {error.strerror}"
                raise SuiteErrors([Problem(self.label, 1, 1, message)]) from error
        return sha256("\n".join([own, *used]))

    def file(self, name: str) -> Path:
        """Return the file that a name means.

        Raises SuiteErrors: the file is missing, or outside the project.
        """
        try:
            return self.resources.files.find(name)
        except ProjectFileError as error:
            raise SuiteErrors([Problem(self.label, 1, 1, str(error))]) from error
