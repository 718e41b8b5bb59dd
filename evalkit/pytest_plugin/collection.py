"""Collection: a suite file becomes a collector, every variant an item, every tag a mark."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import pluggy

    from evalkit.pytest_plugin.state import State
    from evalkit.session import VariantOutcome
    from evalkit.suite import Variant

OUTCOME: pytest.StashKey[VariantOutcome] = pytest.StashKey()


class SuiteFile(pytest.File):
    """One suite. Every problem of the file is shown at once, located, without a traceback."""

    def __init__(self, *, opening: Callable[[pytest.Config], State], **rest: Any) -> None:
        super().__init__(**rest)
        self._opening = opening
        self.place: str | None = None
        self.hooks: pluggy.HookRelay | None = None
        """The hooks of the suite's folder, known when collection is over and no further ``conftest.py`` comes."""

    def collect(self) -> Iterator[pytest.Item]:
        """Load the suite and yield one item per variant."""
        state = self._opening(self.config)
        for variant in state.load(self.path):
            # Given as text, the id is read by pytest's own rules (brackets are parameters), as those of --lf and the command line are.
            yield VariantItem.from_parent(
                self,
                name=variant.name,
                nodeid=f"{self.nodeid}::{variant.name}",
                variant=variant,
                state=state,
            )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a user's mistake as its message alone."""
        from evalkit.errors import Misconfigured

        return (
            str(excinfo.value)
            if isinstance(excinfo.value, Misconfigured)
            else super().repr_failure(excinfo)
        )


class VariantFailed(Exception):
    """A variant failed or was errored; ``str()`` is the whole text to show."""


class VariantItem(pytest.Item):
    """One variant: held, judged and journalled as one test."""

    def __init__(self, *, variant: Variant, state: State, **rest: Any) -> None:
        super().__init__(**rest)
        self.variant = variant
        self._state = state
        self._shared_keywords: Mapping[str, Any] | None = None
        for tag in variant.tags:
            self.add_marker(state.mark(self.config, tag))

    def runtest(self) -> None:
        """Run the variant; its outcome is kept for the report that pytest makes next."""
        outcome = self._state.run(self.variant)
        self.stash[OUTCOME] = outcome
        if outcome.message:
            raise VariantFailed(outcome.message)

    @property
    def ihook(self) -> pluggy.HookRelay:
        """The hooks that apply to the variant; pytest asks five times a test, and would look for the folder's ``conftest.py`` each time."""
        assert isinstance(self.parent, SuiteFile)
        return self.parent.hooks or super().ihook

    def share_keywords(self, report: pytest.TestReport) -> None:
        """Let the reports on this item hold one mapping of keywords instead of three: pytest keeps reports to the end of the session."""
        if self._shared_keywords == report.keywords:
            report.keywords = self._shared_keywords
        else:
            self._shared_keywords = report.keywords

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what the checks found, or the user's mistake; only a fault of evalkit's own shows a traceback."""
        from evalkit.errors import Misconfigured

        if isinstance(excinfo.value, VariantFailed | Misconfigured):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    @cached_property
    def location(self) -> tuple[str, int | None, str]:
        """Return the suite file from the root, the scenario's line (from 0) and the variant's name; the file is looked up once a suite."""
        suite = self.parent
        assert isinstance(suite, SuiteFile)
        if suite.place is None:
            suite.place = super().location[0]
        return suite.place, self.variant.line - 1, self.name

    def reportinfo(self) -> tuple[os.PathLike[str], int, str]:
        """Return the suite file, the scenario's line (from 0) and the variant's name."""
        return self.path, self.variant.line - 1, self.name
