"""The conversations of an application with the service, as a tape has them, and their checks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import display_path, is_inside
from evalkit._lib.json import JSON
from evalkit._lib.text import plural, shorten
from evalkit.checks.core.base import View
from evalkit.checks.core.runner import defaults, run_check
from evalkit.checks.history.continuity import continuity_warnings
from evalkit.errors import ExpectationFailed
from evalkit.protocol.step_reader import output_text
from evalkit.session.python_targets import PythonTargets
from evalkit.suite import CheckCatalog
from evalkit.taping.expectations import (
    CheckEntry,
    check_results,
    raise_failures,
    read_checks,
    user_location,
    user_stacklevel,
)
from evalkit.transcript import Exchange, Step, Transcript, Turn
from evalkit.verdict import CONVERSATION, CheckResult, Severity, Verdict


class ContinuityWarning(UserWarning):
    """A request of a conversation lost its id, a setting or a signature."""


class ExpectResult(NamedTuple):
    """The result of a check of ``expect``, and the number of its conversation."""

    conversation: int
    result: CheckResult


@dataclass(frozen=True)
class TapeContext:
    """What the checks of a tape need besides its conversations: cassette, checks and project.

    ``results`` are those of all checks of ``expect`` so far.
    """

    path: Path
    catalog: CheckCatalog
    python: PythonTargets
    results: list[ExpectResult] = field(default_factory=list)

    def view(self, transcript: Transcript, turn: Turn | None) -> View:
        """Return what a check receives."""
        return View(transcript, turn, resolve=self.python.resolve, read=self._read_file)

    def _read_file(self, name: str) -> str:
        path = self.python.root / name
        if not is_inside(self.python.root, path):
            raise LookupError(f"{name} is outside the project")
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise LookupError(f"{name} cannot be read: {error}") from None


class TapedConversation:
    """One conversation of a tape. ``number`` counts from 1; checks read ``transcript``."""

    def __init__(self, context: TapeContext, number: int, transcript: Transcript) -> None:
        self._context = context
        self.number = number
        self.transcript = transcript

    def __repr__(self) -> str:
        return f"TapedConversation({self.number}, {self.summary!r})"

    def __iter__(self) -> Iterator[TapedTurn]:
        return (TapedTurn(self, turn) for turn in self.transcript.turns)

    def __len__(self) -> int:
        return len(self.transcript.turns)

    @property
    def turns(self) -> list[TapedTurn]:
        """The turns."""
        return list(self)

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests and their responses, in order."""
        return list(self.transcript.exchanges)

    @property
    def text(self) -> str:
        """The text of the last answer."""
        return self.transcript.turns[-1].text if self.transcript.turns else ""

    @property
    def summary(self) -> str:
        """One line: the user's first message, history, numbers of turns and exchanges."""
        turns = self.transcript.turns
        text = output_text([{"type": "model_output", "content": turns[0].user}]) if turns else ""
        history = "stateless" if self.transcript.stateless else "stateful"
        return (
            f"{shorten(text, 60) or '(no text)'!r}, {history}, {plural(len(turns), 'turn')}, "
            f"{plural(len(self.exchanges), 'exchange')}"
        )

    def turn(self, number: int) -> TapedTurn:
        """Return a turn by its number, from 1. Raises ExpectationFailed for any other number."""
        turns = self.transcript.turns
        if not 1 <= number <= len(turns):
            raise ExpectationFailed(
                f"conversation {self.number} has {plural(len(turns), 'turn')}, "
                f"but not number {number}"
            )
        return TapedTurn(self, turns[number - 1])

    def warn_of_losses(self) -> None:
        """Warn of what the conversation lost between its requests."""
        for finding in continuity_warnings(self.exchanges):
            place = f"conversation {self.number}, exchange {finding.where.exchange}"
            message = f"{display_path(self._context.path)}: {place}: {finding.message}"
            warnings.warn(message, ContinuityWarning, stacklevel=user_stacklevel())

    def expect(self, *entries: CheckEntry, **checks: JSON) -> list[CheckResult]:
        """Check the whole conversation; without arguments, by the default checks.

        A keyword is a check's name with its argument as in a suite; ``not_`` negates; a positional
        argument is an entry as in a suite (a bare name, or a mapping with ``severity``). Returns
        the results. Raises ExpectationFailed (an AssertionError) with every finding, UsageError
        for an unknown check or an invalid argument.
        """
        __tracebackhide__ = True
        return self.run_checks(None, entries, checks)

    def run_checks(
        self, turn: Turn | None, entries: Sequence[CheckEntry], keywords: dict[str, JSON]
    ) -> list[CheckResult]:
        """Run checks over a turn, or over the whole conversation."""
        __tracebackhide__ = True
        context = self._context
        checks = read_checks(entries, keywords, context.catalog)
        results = check_results(context.view(self.transcript, turn), checks)
        declared = user_location(context.python.root)
        context.results.extend(
            ExpectResult(self.number, replace(result, declared=declared)) for result in results
        )
        part = f", turn {turn.number}" if turn is not None else ""
        title = f"conversation {self.number}{part}: {self.summary}"
        raise_failures(results, title, display_path(context.path))
        return results

    def unchecked_warnings(self) -> Iterator[CheckResult]:
        """Yield the warnings about a conversation that no ``expect`` of the test reports.

        That is what it lost between its requests, and the findings of the default checks.
        """
        own = self._context.results
        results = [one.result for one in own if one.conversation == self.number]
        codes = {finding.code for result in results for finding in result.findings}
        losses = [one for one in continuity_warnings(self.exchanges) if one.code not in codes]
        if losses:
            yield CheckResult(CONVERSATION, Verdict.PASSED, tuple(losses))
        view = self._context.view(self.transcript, None)
        for check in defaults(self.transcript, [result.name for result in results]):
            yield run_check(
                check,
                view,
                name=check.name,
                negate=False,
                severity=Severity.WARN,
                turn=None,
                declared="",
            )


class TapedTurn:
    """A user message and everything until the model needs no more tools."""

    def __init__(self, conversation: TapedConversation, turn: Turn) -> None:
        self._conversation = conversation
        self.turn = turn

    def __repr__(self) -> str:
        return f"TapedTurn({self.turn.number}, {shorten(self.turn.text, 40)!r})"

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.turn.text

    @property
    def steps(self) -> list[Step]:
        """The turn's steps, each function result right after its call."""
        return self.turn.steps

    def expect(self, *entries: CheckEntry, **checks: JSON) -> list[CheckResult]:
        """Check this turn: see :meth:`TapedConversation.expect`."""
        __tracebackhide__ = True
        return self._conversation.run_checks(self.turn, entries, checks)
