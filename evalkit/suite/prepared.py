"""The parts of a suite that are finished late: a turn's message, an expectation's check.

Most are ready at load. A template that uses earlier turns can only be rendered in mid-conversation, and an attachment is read when its
turn is held; what goes wrong then raises SuiteErrors with the very place in the suite file, as a problem found at load does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evalkit._lib.json import dumps
from evalkit.errors import SuiteErrors
from evalkit.suite.attachments import Attachments
from evalkit.suite.catalog import CheckCatalog, Path
from evalkit.suite.entries import BadEntry, Entry, build
from evalkit.suite.files import FileFault, ProjectFiles
from evalkit.suite.problems import whereabouts
from evalkit.suite.source import Source
from evalkit.suite.templates import TemplateFault, render

JSON = Any


@dataclass(frozen=True, slots=True)
class Workshop:
    """What parts of one loaded suite need to be made late: its text and document, its files, the checks."""

    source: Source
    raw: Mapping[str, JSON]
    files: ProjectFiles
    attachments: Attachments
    checks: CheckCatalog

    def errors(self, path: Path, fault: Exception) -> SuiteErrors:
        """Return the located errors of a fault that only showed when something was rendered."""
        if isinstance(fault, BadEntry):
            places = [(*self.source.place((*path, *one.path), one.on), one.message) for one in fault.faults]
        else:
            word = fault.word if isinstance(fault, TemplateFault) else ""
            places = [(*self.source.place(path, word=word), str(fault))]
        where = whereabouts(path, self.raw)
        return SuiteErrors([self.source.problem(line, column, f"{where}: {message}") for line, column, message in places])


@dataclass(frozen=True, slots=True)
class Expectation:
    """One check that a turn, or the conversation, must pass.

    ``argument`` has its templates rendered unless they speak of earlier turns; ``line`` is the entry's in the suite file.
    """

    entry: Entry = field(repr=False)
    line: int
    argument: JSON
    path: Path = field(repr=False)
    workshop: Workshop = field(repr=False)
    built: object = field(default=None, repr=False)
    variables: Mapping[str, JSON] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The check's name."""
        return self.entry.name

    @property
    def negate(self) -> bool:
        """Whether the check must not pass."""
        return self.entry.negate

    @property
    def severity(self) -> Literal["error", "warn"]:
        """``warn``: a failure is told and counted only."""
        return self.entry.severity

    def check(self, context: Mapping[str, Any]) -> object:
        """Return the check object; ``context`` (``previous``, ``turns``) is used only where the argument speaks of earlier turns.

        Raises SuiteErrors: the argument cannot be rendered, or what it renders to is refused.
        """
        if self.built is not None:
            return self.built
        try:
            return build(self.entry, render(self.argument, {**(self.variables or {}), **context}), self.workshop.checks)
        except (TemplateFault, BadEntry) as fault:
            raise self.workshop.errors(self.path, fault) from fault


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """One turn to hold. ``number`` counts from 1, ``line`` is where it starts in the suite."""

    number: int
    line: int
    expect: Sequence[Expectation]
    user: JSON = field(repr=False)
    attach: Sequence[dict[str, JSON]] = field(repr=False)
    templated: bool = field(repr=False)
    variables: Mapping[str, JSON] = field(repr=False)
    path: Path = field(repr=False)
    workshop: Workshop = field(repr=False)

    def content(self, context: Mapping[str, Any]) -> str | list[dict[str, JSON]]:
        """Return what the user says: a text where there is nothing else, else content blocks, text before attachments.

        ``context`` holds ``previous`` (the turn before, None in the first) and ``turns``, as objects with ``.text`` and ``.json``.
        Raises SuiteErrors: a template cannot be rendered, a file cannot be read.
        """
        user = self.user
        if not self.templated and not self.attach and type(user) is str:
            return user
        names = {**self.variables, **context}
        try:
            if self.templated:
                user = message_text(render(user, names))
            if not self.attach:
                return user  # type: ignore[no-any-return]
            blocks = [{"type": "text", "text": user}] if isinstance(user, str) else list(user or ())
        except TemplateFault as fault:
            raise self.workshop.errors((*self.path, "user"), fault) from fault
        for index, entry in enumerate(self.attach):
            try:
                blocks.append(self.workshop.attachments.block(render(entry, names)))
            except (TemplateFault, FileFault) as fault:
                raise self.workshop.errors((*self.path, "attach", index), fault) from fault
        return blocks


def as_text(value: JSON) -> str:
    """Return a rendered value where text is meant: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else dumps(value)


def message_text(value: JSON) -> JSON:
    """Return a rendered user message: content blocks as they are, any other value as text. Raises TemplateFault for an empty one."""
    if isinstance(value, list):
        return value
    text = as_text(value)
    if value is None or not text:
        raise TemplateFault("the user's message is empty once its template is rendered")
    return text
