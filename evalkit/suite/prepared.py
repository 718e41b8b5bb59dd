"""The parts of a suite that are finished late: a turn's message, an expectation's check.

Most are ready at load. A template that uses earlier turns can only be rendered in mid-conversation, and an attachment is read when its
turn is held; what goes wrong then raises SuiteErrors with the very place in the suite file, as a problem found at load does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from evalkit._lib.json import JSON, dumps
from evalkit.errors import SuiteErrors
from evalkit.suite.attachments import Attachments
from evalkit.suite.catalog import CheckCatalog, Path
from evalkit.suite.entries import BadEntry, Entry, Fault, build
from evalkit.suite.files import FileFault, ProjectFiles
from evalkit.suite.problems import whereabouts
from evalkit.suite.source import Source
from evalkit.suite.templates import TemplateFault, render


class Workshop(NamedTuple):
    """What parts of one loaded suite need to be made late: its text, its files, the checks."""

    source: Source
    files: ProjectFiles
    attachments: Attachments
    checks: CheckCatalog

    def errors(self, path: Path, fault: Exception) -> SuiteErrors:
        """Return the located errors of a fault that only showed when something was rendered."""
        from evalkit._lib.yaml import load

        faults = fault.faults if isinstance(fault, BadEntry) else (Fault((), str(fault)),)
        word = fault.word if isinstance(fault, TemplateFault) else ""
        # Read again, where one problem is to be told, rather than kept for every variant to the end of the session.
        where = whereabouts(path, load(self.source.text))
        problems = []
        for one in faults:
            line, column = self.source.place((*path, *one.path), one.on, word)
            problems.append(self.source.problem(line, column, f"{where}: {one.message}", one.hints))
        return SuiteErrors(problems)


class Late(NamedTuple):
    """What an expectation that speaks of earlier turns needs to be built in mid-conversation."""

    entry: Entry
    path: Path
    workshop: Workshop
    variables: Mapping[str, JSON]


class Expectation(NamedTuple):
    """One check that a turn, or the conversation, must pass. A plain tuple: there are more of these than of anything else.

    ``negate``: the check must not pass. ``severity`` ``warn``: a failure is told and counted only. ``line`` is the entry's in the suite
    file. ``argument`` has its templates rendered unless they speak of earlier turns.
    """

    name: str
    negate: bool
    severity: Literal["error", "warn"]
    line: int
    argument: JSON
    built: object = None
    late: Late | None = None

    def check(self, context: Mapping[str, Any]) -> object:
        """Return the check object; ``context`` (``previous``, ``turns``) is used only where the argument speaks of earlier turns.

        Raises SuiteErrors: the argument cannot be rendered, or what it renders to is refused.
        """
        if self.late is None:
            return self.built
        entry, path, workshop, variables = self.late
        try:
            return build(entry, render(self.argument, {**variables, **context}), workshop.checks)
        except (TemplateFault, BadEntry) as fault:
            raise workshop.errors(path, fault) from fault


class TurnPlan(NamedTuple):
    """One turn to hold. ``number`` counts from 1, ``line`` is where it starts in the suite."""

    number: int
    line: int
    expect: Sequence[Expectation]
    user: JSON
    attach: Sequence[dict[str, JSON]]
    templated: bool
    variables: Mapping[str, JSON]
    path: Path
    workshop: Workshop

    def __repr__(self) -> str:
        return f"TurnPlan(number={self.number}, line={self.line}, user={self.user!r})"

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
