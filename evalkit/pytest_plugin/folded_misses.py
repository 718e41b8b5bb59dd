"""Report misses with one cause once: one edited prompt is a miss of every scenario that uses it.

pytest prints the failure of each test. Those that are misses with the same cause as another are
left out there, and reported together below, with one command. Only the terminal's list changes:
every report and the short summary still have each test.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pytest

from evalkit._lib.text import plural
from evalkit.pytest_plugin.command_line import changed_command
from evalkit.pytest_plugin.options import RESULT

_NAMED = 3
"""Tests of one cause that are named beside the first."""


class FoldedMisses:
    """The misses of a session that are reported together."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._errors: list[Any] | None = None
        self._groups: list[list[Any]] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, None, None]:
        """Leave misses with a shared cause out of the failures that pytest prints next."""
        errors = terminalreporter.stats.get("error", [])
        causes: dict[str, list[Any]] = {}
        for report in errors:
            miss = getattr(report, RESULT, {}).get("miss")
            if miss is not None:
                causes.setdefault(miss[0], []).append(report)
        self._groups = [group for group in causes.values() if len(group) > 1]
        folded = {id(report) for group in self._groups for report in group}
        if folded:
            self._errors = errors
            remaining = [report for report in errors if id(report) not in folded]
            terminalreporter.stats["error"] = remaining
        try:
            yield
        finally:
            self._restore_errors(terminalreporter)

    def restore(self, terminalreporter: Any) -> Iterator[str]:
        """Restore the list of errors for the counts; yield the text about what is left out."""
        self._restore_errors(terminalreporter)
        if self._groups:
            terminalreporter.section("not recorded", sep="=")
        for group in self._groups:
            yield from _text(group)
        if self._groups:
            yield "to record what is missing, and nothing else:"
            yield f"  {changed_command(self._config)}"

    def _restore_errors(self, terminalreporter: Any) -> None:
        if self._errors is not None:
            terminalreporter.stats["error"], self._errors = self._errors, None


def _text(group: Sequence[Any]) -> Iterator[str]:
    yield f"{plural(len(group), 'test')} not recorded as they are now, for one reason; the first:"
    yield getattr(group[0], RESULT)["miss"][1]
    names = ", ".join(report.nodeid for report in group[1 : 1 + _NAMED])
    more = len(group) - 1 - _NAMED
    yield f"  also: {names}{f' and {more} more' if more > 0 else ''}"
