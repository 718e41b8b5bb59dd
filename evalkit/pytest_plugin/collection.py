"""Collection: a suite file becomes a collector, every variant an item, every tag a mark."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from evalkit._lib.text import did_you_mean, shorten
from evalkit.errors import Misconfigured
from evalkit.pytest_plugin.options import UNKNOWN_TESTS
from evalkit.pytest_plugin.state import SessionState
from evalkit.session.ledger import NotStarted
from evalkit.session.trials import ItemOutcome
from evalkit.suite import Variant
from evalkit.suite.model.expansion import tests_of
from evalkit.suite.model.variant_names import variant_name
from evalkit.verdict import Verdict

OUTCOME: pytest.StashKey[ItemOutcome] = pytest.StashKey()
_REASON = 240


class SuiteFile(pytest.File):
    """One suite. Every problem of the file is shown at once, located, without a traceback."""

    def __init__(
        self, *, get_state: Callable[[pytest.Config], SessionState], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._get_state = get_state

    def collect(self) -> Iterator[pytest.Item]:
        """Load the suite and yield one item per variant.

        pytest compares the names on the command line with those of the items. All trials of a
        variant have its name, so that ``suites/a.yaml::hello`` selects each of them, except for
        one that is named there with its number (``hello#1``, ``hello#2``). Trials that one test
        judges together have no item of their own.
        """
        state = self._get_state(self.config)
        arguments = {argument.partition("::")[2] for argument in self.config.args}
        tests = list(tests_of(state.load(self.path)))
        self._note_unknown([variants[0] for variants in tests])
        for variants in tests:
            variant = variants[0]
            name = variant_name(variant.scenario.id, variant.parts, 1)
            numbered = f"{name}#{variant.trial}"
            # With an explicit id pytest applies its own rules for brackets to it, which
            # --last-failed and ids on the command line need.
            is_labeled = any(map(state.is_label, variant.tags))
            yield (LabeledVariantItem if is_labeled else VariantItem).from_parent(
                self,
                name=numbered if numbered in arguments else name,
                nodeid=f"{self.nodeid}::{variant.name}",
                variants=variants,
                state=state,
            )

    def _note_unknown(self, variants: Sequence[Variant]) -> None:
        """Store a message for each node id of this file that names none of its tests."""
        names = [variant_name(one.scenario.id, one.parts, 1) for one in variants]
        known = {*names, *(one.scenario.id for one in variants)}
        known.update(f"{name}#{one.trial}" for name, one in zip(names, variants, strict=True))
        for argument in self.config.args:
            path, _, name = argument.partition("::")
            if name and name not in known and self.config.invocation_params.dir / path == self.path:
                message = (
                    f"{path} has no test {name!r}{did_you_mean(name, known)}; list them: "
                    f"pytest {path} --collect-only -q"
                )
                self.config.stash.setdefault(UNKNOWN_TESTS, []).append(message)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a user's mistake as its message alone."""
        if isinstance(excinfo.value, Misconfigured):
            return CollectionProblem(str(excinfo.value))
        return super().repr_failure(excinfo)


class CollectionProblem:
    """What pytest shows of a suite that cannot be loaded: a text, its first line in the summary.

    pytest-xdist drops the equal texts of other workers, which it does with texts only: this object
    has no traceback, so it travels as one.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.reprcrash = SimpleNamespace(message=shorten(text.partition("\n")[0], _REASON))

    def __str__(self) -> str:
        return self._text

    def toterminal(self, tw: Any) -> None:
        """Write the text."""
        tw.line(self._text, red=True)


class VariantFailed(AssertionError):
    """A check failed; ``str()`` is the whole text to show.

    An AssertionError, because other plugins (Allure) call everything else broken, not failed.
    """


class VariantErrored(Exception):
    """A variant could not be evaluated; ``str()`` is the whole text to show.

    ``reason`` is one line for pytest's summary; without it, that is the first finding.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class VariantItem(pytest.Item):
    """One variant, or all its trials, run and evaluated as one test.

    It has what hooks of conftest files and plugins read of every item, as if each were a function.
    """

    cls = None
    instance = None
    module = sys.modules[__name__]
    funcargs: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, *, variants: Sequence[Variant], state: SessionState, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.variants = variants
        self.variant = variant = variants[0]
        self._state = state
        for tag in variant.tags:
            self.add_marker(state.mark(tag))
        if (skip := variant.skip) is not None:
            self.add_marker(pytest.mark.skip(reason=skip.reason))
        self._xfail = variant.xfail
        if self._xfail is not None and not self._xfail.has_ended(date.today()):
            mark = pytest.mark.xfail(reason=self._xfail.reason, strict=self._xfail.strict)
            self.add_marker(mark)

    @property
    def fixturenames(self) -> list[str]:
        """The names of fixtures: none."""
        return []

    @property
    def originalname(self) -> str:
        """The name without parts: the scenario."""
        return self.variant.scenario.id

    @property
    def function(self) -> Callable[[], None]:
        """The test as a function; its docstring is the scenario's title."""

        def run() -> None:
            self.runtest()

        run.__name__, run.__doc__ = self.originalname, self.variant.title
        return run

    def _initrequest(self) -> None:
        """Do nothing; pytest-retry calls it between two attempts to reset fixtures."""

    def runtest(self) -> None:
        """Run the variant and store its outcome for the report that pytest creates next."""
        try:
            outcome = self._state.run(self.variants)
        except NotStarted as stop:
            # Between two trials, or of a conversation that waited for a thread.
            pytest.exit(str(stop), pytest.ExitCode.INTERRUPTED)
        self.stash[OUTCOME] = outcome
        if outcome.message:
            failed = outcome.verdict is Verdict.FAILED
            message = outcome.message
            xfail = self._xfail
            if failed and xfail is not None and xfail.has_ended(date.today()):
                message += f"\n\nthis failure was expected until {xfail.until}: {xfail.reason}"
            if failed:
                raise VariantFailed(message)
            raise VariantErrored(message, _reason(outcome))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show findings and a user's mistake as text; only a bug of evalkit shows a traceback."""
        if isinstance(excinfo.value, VariantFailed | VariantErrored | Misconfigured):
            return message_only(excinfo, self.path, self.variant.line)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[os.PathLike[str], int, str]:
        """Return the suite file, the scenario's line (from 0) and the variant's name."""
        return self.path, self.variant.line - 1, self.variant.name


class LabeledVariantItem(VariantItem):
    """A variant with a tag that is also a mark of another plugin, which needs arguments.

    ``-m`` selects by the tag, and the plugin does not see it: without arguments it would crash.
    """

    def iter_markers_with_node(self, name: str | None = None) -> Iterator[tuple[Any, pytest.Mark]]:
        """Yield the marks of a name with the node that has them; without a name all marks."""
        for node, mark in super().iter_markers_with_node(name):
            if name is None or mark.args or mark.kwargs or not self._state.is_label(mark.name):
                yield node, mark


def _reason(outcome: ItemOutcome) -> str:
    """Return one line about a miss, ``""`` for anything else."""
    causes = [result.miss[0] for result in outcome.results if result.miss is not None]
    cause = causes[0].partition("\n")[0] if causes else ""
    return f"not recorded: {cause}" if cause else ""


def message_only(
    excinfo: pytest.ExceptionInfo[BaseException], path: os.PathLike[str], line: int
) -> Any:
    """Return what pytest shows of an exception: its text, and one line of it in the summary."""
    shown = excinfo.getrepr(style="value", chain=False)
    # The first finding is below the title and an empty line.
    error = excinfo.value
    title, *text = str(error).split("\n")
    reason = error.reason if isinstance(error, VariantErrored) else ""
    if not reason and isinstance(error, VariantFailed | VariantErrored):
        reason = next(filter(None, text), title)
    reason = reason or title
    if shown.reprcrash is not None:
        location = shown.reprcrash
        location.path, location.lineno = os.fspath(path), line
        location.message = shorten(reason, _REASON)
    return shown
