"""Messages and checks that are finished during the conversation.

Most are ready when the suite is loaded. A template that reads earlier turns can only be rendered
once they have run, and an attachment is read when its turn runs. What goes wrong then raises
SuiteErrors with its position in the suite file, as a problem found at load does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

from evalkit._lib.json import JSON, dumps, resolve_pointer
from evalkit._lib.problems import ProblemList, SourceText
from evalkit._lib.yaml import ValuePath, load
from evalkit.errors import SuiteErrors
from evalkit.suite.model.entries import DEFAULT_MAX_TURNS
from evalkit.suite.model.expectation_parser import (
    BadExpectation,
    CheckCatalog,
    ExpectationEntry,
    build_check,
)
from evalkit.suite.model.project_files import Attachments, ProjectFileError, ProjectFiles
from evalkit.suite.model.templates import TemplateError, render

ReadVariable = Callable[[str], str]


def describe_path(document: JSON, path: ValuePath) -> str:
    """Return ``scenario 'london', turn 1``, ``tool 'x'``, ``defaults`` or ``""``."""
    if path[:1] == ("use",):
        path = path[2:]
    if len(path) < 2:
        return ""
    top, second, *rest = path
    if top in ("tools", "expectations"):
        return f"{'tool' if top == 'tools' else 'expectations'} {second!r}"
    if top == "scenarios" and isinstance(second, int):
        name = resolve_pointer(document, f"/scenarios/{second}/id")
        is_short = isinstance(name, str) and 0 < len(name) <= 80
        text = f"scenario {name!r}" if is_short else f"scenario {second + 1}"
    elif top == "defaults":
        text, rest = "defaults", [second, *rest]
    else:
        return ""
    if len(rest) > 2 and rest[0] == "matrix":
        text, rest = f"{text}, {rest[1]}={rest[2]}", rest[3:]
    if len(rest) > 1 and rest[0] in ("turns", "cases") and isinstance(rest[1], int):
        text += f", {'turn' if rest[0] == 'turns' else 'case'} {rest[1] + 1}"
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResources:
    """What the parts of a suite need later: its text, its files, the checks.

    ``included`` are the texts of other files that are part of the suite, by the paths of values.
    ``environment`` returns the value of an environment variable, or raises TemplateError.
    """

    source: SourceText
    included: Mapping[ValuePath, SourceText]
    files: ProjectFiles
    attachments: Attachments
    checks: CheckCatalog
    environment: ReadVariable

    def located(self, path: ValuePath, error: Exception) -> SuiteErrors:
        """Return an error that occurred when the value at ``path`` was rendered, located."""
        # Parsed again, since storing the document until the session ends would cost memory.
        describe = partial(describe_path, load(self.source.text))
        problems = ProblemList(self.source, describe, self.included)
        if isinstance(error, BadExpectation):
            problems.extend(
                problem._replace(path=(*path, *problem.path)) for problem in error.problems
            )
        else:
            problems.add(path, str(error))
        return SuiteErrors(problems.in_file_order())


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferredCheck:
    """What a check that reads earlier turns needs to be built later."""

    path: ValuePath
    resources: SuiteResources
    variables: Mapping[str, JSON]


class Expectation(NamedTuple):
    """One check that a turn, or the whole conversation, must pass.

    Equal entries of a suite share their ``entry`` and ``built``. The argument has its templates
    rendered unless they read earlier turns; then ``deferred`` is set and ``built`` is None.
    """

    entry: ExpectationEntry
    line: int
    built: Any = None
    deferred: DeferredCheck | None = None

    @property
    def name(self) -> str:
        """The name of the check."""
        return self.entry.name

    @property
    def negate(self) -> bool:
        """Whether the check must not pass."""
        return self.entry.negate

    @property
    def severity(self) -> Literal["error", "warn"]:
        """``warn`` where a failure is reported only."""
        return self.entry.severity

    @property
    def argument(self) -> JSON:
        """The argument of the check."""
        return self.entry.argument

    def check(self, context: Mapping[str, Any]) -> Any:
        """Return the check object; ``context`` holds ``previous`` and ``turns``.

        Raises SuiteErrors: the argument cannot be rendered, or the check refuses what it renders
        to.
        """
        if self.deferred is None:
            return self.built
        deferred = self.deferred
        try:
            argument = render(self.argument, {**deferred.variables, **context})
            return build_check(self.entry, argument, deferred.resources.checks)
        except (TemplateError, BadExpectation) as error:
            raise deferred.resources.located(deferred.path, error) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnPlan:
    """One entry of the turns to run; ``number`` counts from 1, ``line`` is its line in the suite.

    A user who is simulated has ``simulate`` instead of ``user``.
    """

    number: int
    line: int
    user: JSON
    simulate: Mapping[str, JSON] | None
    expect: Sequence[Expectation] = field(repr=False)
    attach: Sequence[dict[str, JSON]] = field(repr=False)
    has_templates: bool = field(repr=False)
    variables: Mapping[str, JSON] = field(repr=False)
    path: ValuePath = field(repr=False)
    resources: SuiteResources = field(repr=False)

    def content(self, context: Mapping[str, Any]) -> str | list[dict[str, JSON]]:
        """Return the user's message: text, or content blocks with the attachments last.

        ``context`` holds ``previous`` (the turn before, None in the first) and ``turns``, as
        objects
        with ``.text`` and ``.json``. Raises SuiteErrors: a template cannot be rendered, a file
        cannot be read.
        """
        names = {**self.variables, **context}
        user = self.user
        if self.has_templates:
            try:
                user = message_text(render(user, names))
            except TemplateError as error:
                raise self.resources.located((*self.path, "user"), error) from error
        if not self.attach:
            return user  # type: ignore[no-any-return]
        blocks = [{"type": "text", "text": user}] if isinstance(user, str) else list(user or ())
        for index, entry in enumerate(self.attach):
            try:
                blocks.append(self.resources.attachments.block(render(entry, names)))
            except (TemplateError, ProjectFileError) as error:
                raise self.resources.located((*self.path, "attach", index), error) from error
        return blocks

    def simulated_user(self, context: Mapping[str, Any]) -> dict[str, JSON]:
        """Return the settings of the simulated user; ``context`` is as for ``content``.

        Raises SuiteErrors: a template cannot be rendered, or the goal is empty.
        """
        settings: dict[str, JSON] = {"max_turns": DEFAULT_MAX_TURNS, **(self.simulate or {})}
        try:
            settings = render(settings, {**self.variables, **context})
            for key in ("persona", "goal", "until", "model"):
                if key in settings:
                    settings[key] = as_text(settings[key])
            if not settings["goal"].strip():
                raise TemplateError("the user's goal is empty once its template is rendered")
        except TemplateError as error:
            raise self.resources.located((*self.path, "simulate"), error) from error
        return settings


def as_text(value: JSON) -> str:
    """Return a rendered value as text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else dumps(value)


def message_text(value: JSON) -> JSON:
    """Return a rendered user message as content blocks or text.

    Raises TemplateError: the message is empty.
    """
    if isinstance(value, list):
        return value
    text = as_text(value)
    if value is None or not text:
        raise TemplateError("the user's message is empty once its template is rendered")
    return text
