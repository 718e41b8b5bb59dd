"""Collection: a suite file becomes a collector, every variant an item, every tag a mark."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from evalkit.errors import Misconfigured

if TYPE_CHECKING:
    from evalkit.pytest_plugin.state import SessionState
    from evalkit.session import VariantOutcome
    from evalkit.suite import Variant

OUTCOME: pytest.StashKey[VariantOutcome] = pytest.StashKey()


class SuiteFile(pytest.File):
    """One suite. Every problem of the file is shown at once, located, without a traceback."""

    def __init__(
        self, *, get_state: Callable[[pytest.Config], SessionState], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._get_state = get_state

    def collect(self) -> Iterator[pytest.Item]:
        """Load the suite and yield one item per variant."""
        state = self._get_state(self.config)
        for variant in state.load(self.path):
            # With an explicit id pytest applies its own rules for brackets to it, which
            # --last-failed and ids on the command line need.
            yield VariantItem.from_parent(
                self,
                name=variant.name,
                nodeid=f"{self.nodeid}::{variant.name}",
                variant=variant,
                state=state,
            )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a user's mistake as its message alone."""
        if isinstance(excinfo.value, Misconfigured):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


class VariantFailed(Exception):
    """A variant failed or was errored; ``str()`` is the whole text to show."""


class VariantItem(pytest.Item):
    """One variant, run and evaluated as one test."""

    def __init__(self, *, variant: Variant, state: SessionState, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.variant = variant
        self._state = state
        for tag in variant.tags:
            self.add_marker(state.mark(self.config, tag))

    def runtest(self) -> None:
        """Run the variant and store its outcome for the report that pytest creates next."""
        outcome = self._state.run(self.variant)
        self.stash[OUTCOME] = outcome
        if outcome.message:
            raise VariantFailed(outcome.message)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show findings and a user's mistake as text; only a bug of evalkit shows a traceback."""
        if isinstance(excinfo.value, VariantFailed | Misconfigured):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[os.PathLike[str], int, str]:
        """Return the suite file, the scenario's line (from 0) and the variant's name."""
        return self.path, self.variant.line - 1, self.name
