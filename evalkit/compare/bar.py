"""Compare the bars of two runs: what their results are judged by. Pure.

The expectations of each scenario are compared by meaning. An expectation of the baseline is still
required if some expectation of the candidate is at least as strict; otherwise it was loosened, or
changed so that the two cannot be ordered, or it is gone. Expectations under ``not`` are compared
the other way round. A check of the project's code is compared by its name and options only.

``BarComparison`` also has the candidate's results judged by the baseline's bar.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evalkit._lib.json import JSON, dumps, loads
from evalkit._lib.text import show
from evalkit.checks.core.runner import default_checks
from evalkit.checks.core.strictness import (
    OptionChange,
    Order,
    option_changes,
    schema_option_changes,
    worst_order,
)
from evalkit.compare.rows import ResultRow
from evalkit.results import Run
from evalkit.suite import Expectation, Scenario, Suite
from evalkit.verdict import Verdict

Kind = Literal["removed", "loosened", "changed", "tightened", "added"]
_KINDS: Mapping[Order, Kind] = {
    Order.LOOSER: "loosened",
    Order.CHANGED: "changed",
    Order.STRICTER: "tightened",
}
_EXCUSES = ("skip", "xfail")
"""Tags that are marks of pytest: the scenario is not run, or may fail."""
_IMPLICIT = [
    Expectation(name=check.name, negate=False, severity="error", line=0, argument=None, built=check)
    for check in default_checks()
]
_ORDER: tuple[Kind, ...] = ("removed", "loosened", "changed", "tightened", "added")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationChange:
    """A difference between the expectations of a scenario.

    ``scenario`` is ``suite::scenario``, ``subject`` the check and its turn. ``location`` is
    ``file:line`` in the baseline's suite, or in the candidate's if it was added.
    """

    kind: Kind
    scenario: str
    subject: str
    text: str
    location: str

    @property
    def is_weaker(self) -> bool:
        """Whether less is expected than before."""
        return self.kind in ("removed", "loosened")

    def __str__(self) -> str:
        return f"{self.scenario}, {self.subject}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class BarComparison:
    """The bars of two runs.

    ``expectations`` is the number of the baseline's. ``judged`` are the candidate's results by the
    baseline's expectations, of the scenarios whose expectations differ. ``unknown`` says why the
    bars cannot be compared; empty if they can.
    """

    changes: Sequence[ExpectationChange] = ()
    expectations: int = 0
    judged: Sequence[ResultRow] = ()
    unknown: str = ""

    @property
    def weakened(self) -> list[ExpectationChange]:
        """The expectations that are gone or loosened."""
        return [change for change in self.changes if change.is_weaker]

    def to_json(self) -> dict[str, JSON]:
        """Return the comparison of the bars as it appears in ``comparison.json``."""
        return {
            "expectations": self.expectations,
            "changes": [
                {name: getattr(change, name) for name in ExpectationChange.__slots__}
                for change in self.changes
            ],
            "judged": len(self.judged),
            "unknown": self.unknown,
        }


@dataclass(frozen=True, kw_only=True)
class BarVerdicts:
    """Where the candidate's verdicts depend on the bar; the rows are those by the baseline's.

    ``lenient`` results pass only by their own expectations, ``stricter`` ones fail only by those;
    ``unclear`` ones cannot be judged by the baseline's.
    """

    lenient: Sequence[ResultRow] = ()
    stricter: Sequence[ResultRow] = ()
    unclear: Sequence[ResultRow] = ()


def bar_verdicts(candidate: Iterable[ResultRow], judged: Iterable[ResultRow]) -> BarVerdicts:
    """Compare the candidate's own verdicts with those by the baseline's expectations."""
    own = {row.id: row for row in candidate if row.scored}
    pairs = [(own[row.id], row) for row in judged if row.id in own]
    return BarVerdicts(
        lenient=[row for mine, row in pairs if mine.passed and row.verdict is Verdict.FAILED],
        stricter=[row for mine, row in pairs if row.passed and not mine.passed],
        unclear=[row for _, row in pairs if row.verdict is Verdict.ERRORED],
    )


def failing_checks(row: ResultRow) -> list[str]:
    """Return the checks that a result failed, each with the codes of its findings."""
    codes = sorted(row.codes)
    return list(dict.fromkeys(f"{check} ({code})" for check, code in codes))


def reason_of(row: ResultRow) -> str:
    """Return the first finding of a result that did not pass."""
    lines = [line for line in row.message.splitlines()[1:] if line.strip()]
    return lines[0] if lines else "no reason is known"


def compare_digests(baseline: Run, candidate: Run) -> BarComparison:
    """Compare the bars of two runs by the digests of their suites alone."""
    digests = suite_digests(baseline), suite_digests(candidate)
    differing = sorted(
        path for path, digest in digests[0].items() if digests[1].get(path, digest) != digest
    )
    if not differing:
        return BarComparison()
    return BarComparison(
        unknown=f"the suites differ ({', '.join(differing)}), and what they expect is not stored in "
        "both runs: run the suites again"
    )


def suite_digests(run: Run) -> dict[str, str]:
    """Return the digests of a run's suites by path."""
    suites: Sequence[Mapping[str, JSON]] = run.manifest.get("suites") or ()
    return {str(suite.get("path")): str(suite.get("digest")) for suite in suites}


def bar_changes(old: Iterable[Suite], new: Iterable[Suite]) -> list[ExpectationChange]:
    """Return how the expectations of suites differ, most serious first.

    A suite or scenario that only one side has is not listed: its results are added or removed.
    """
    after = {suite.name: suite for suite in new}
    changes = [
        change
        for suite in old
        if suite.name in after
        for change in _suite_changes(suite, after[suite.name])
    ]
    return sorted(dict.fromkeys(changes), key=lambda change: _ORDER.index(change.kind))


def count_expectations(suites: Iterable[Suite]) -> int:
    """Return the number of expectations of suites, each counted once for all cases."""
    return sum(
        len(scenario.expect[0]) + sum(len(turn.expect[0]) for turn in scenario.turns)
        for suite in suites
        for scenario in suite.scenarios
    )


@dataclass(frozen=True, kw_only=True)
class _ScenarioPair:
    """A scenario in two revisions of its suite."""

    suites: tuple[Suite, Suite]
    old: Scenario
    new: Scenario

    def change(
        self, kind: Kind, subject: str, text: str, line: int, side: int = 0
    ) -> ExpectationChange:
        return ExpectationChange(
            kind=kind,
            scenario=f"{self.suites[0].name}::{self.old.id}",
            subject=subject,
            text=text,
            location=f"{self.suites[side].label}:{line}",
        )


def _suite_changes(old: Suite, new: Suite) -> Iterator[ExpectationChange]:
    after = {_key(scenario): scenario for scenario in new.scenarios}
    for scenario in old.scenarios:
        if _key(scenario) in after:
            pair = _ScenarioPair(suites=(old, new), old=scenario, new=after[_key(scenario)])
            yield from _scenario_changes(pair)


def _key(scenario: Scenario) -> tuple[str, tuple[str, ...]]:
    """Return what names a scenario: its id, and the choices of its matrix."""
    return scenario.id, tuple(scenario.choices.values())


def _scenario_changes(pair: _ScenarioPair) -> Iterator[ExpectationChange]:
    old, new = pair.old, pair.new
    for tag in _EXCUSES:
        if tag in new.tags and tag not in old.tags:
            yield pair.change("loosened", f"tag {tag}", f"is new: pytest will {tag} it", old.line)
    if new.repeat < old.repeat:
        text = f"{old.repeat} trials → {new.repeat}"
        yield pair.change("loosened", "repeat", text, old.line)
    for turn in old.turns[len(new.turns) :]:
        yield pair.change("removed", f"turn {turn.number}", "is gone", turn.line)
    for name, tool in old.tools.items():
        if name not in new.tools:
            yield pair.change("changed", f"tool {name}", "is no longer declared", old.line)
            continue
        schemas = (one.declaration.get("parameters") for one in (tool, new.tools[name]))
        for change in schema_option_changes("parameters", *schemas):
            text = f"{change.option}: {change.text}"
            yield pair.change(_KINDS[change.order], f"tool {name}", text, old.line)
    rows = {row.label: index for index, row in enumerate(new.rows)}
    seen = set()
    for index, row in enumerate(old.rows):
        at = rows.get(row.label)
        if at is None:
            continue
        parts = [
            ("conversation", _with_defaults(old.expect[index]), _with_defaults(new.expect[at])),
            *(
                (f"turn {before.number}", before.expect[index], after.expect[at])
                for before, after in zip(old.turns, new.turns, strict=False)
            ),
        ]
        for part, before, after in parts:
            # Cases share the expectations that do not depend on the case.
            key = part, tuple(map(id, before)), tuple(map(id, after))
            if key not in seen:
                seen.add(key)
                yield from _list_changes(pair, before, after, part)


def _with_defaults(expect: Sequence[Expectation]) -> list[Expectation]:
    """Add the checks that run without being declared, so that declaring a milder one is seen."""
    names = {item.name for item in expect}
    return [*expect, *(item for item in _IMPLICIT if item.name not in names)]


def _list_changes(
    pair: _ScenarioPair, old: Sequence[Expectation], new: Sequence[Expectation], part: str
) -> Iterator[ExpectationChange]:
    """Yield the changes of one list of expectations."""
    met, unpaired = set(), list(range(len(new)))
    for item in old:
        # Equal first, then the nearest of the same check.
        candidates = [at for at, other in enumerate(new) if other.name == item.name]
        found = min(
            ((_orders(pair, item, new[at]), at) for at in candidates),
            key=lambda one: (_rank(one[0]), one[1] not in unpaired),
            default=None,
        )
        subject = f"{part}, {_label(item)}"
        if found is None:
            yield pair.change("removed", subject, _gone(item), item.line)
            continue
        changes, at = found
        order = worst_order(change.order for change in changes)
        is_weaker = order in (Order.LOOSER, Order.CHANGED)
        if is_weaker and at not in unpaired:
            # Another expectation became this one.
            yield pair.change("removed", subject, _gone(item), item.line)
            continue
        met.add(at)
        if at in unpaired:
            unpaired.remove(at)
        for change in changes:
            if change.order is order:
                text = f"{change.option}: {change.text}"
                yield pair.change(_KINDS[order], subject, text, item.line or new[at].line)
    for at in unpaired:
        if new[at].line:
            subject = f"{part}, {_label(new[at])}"
            yield pair.change("added", subject, "is new", new[at].line, side=1)


def _gone(item: Expectation) -> str:
    return "is gone" if item.argument is None else f"is gone ({show(item.argument, 60)})"


def _rank(changes: Sequence[OptionChange]) -> tuple[int, int]:
    order = worst_order(change.order for change in changes)
    return -list(Order).index(order), len(changes)


def _label(item: Expectation) -> str:
    return f"not {item.name}" if item.negate else item.name


def _orders(pair: _ScenarioPair, old: Expectation, new: Expectation) -> list[OptionChange]:
    """Return how two expectations of one check differ; empty if they are equal."""
    changes = []
    if old.severity != new.severity:
        order = Order.LOOSER if new.severity == "warn" else Order.STRICTER
        changes.append(OptionChange("severity", order, f"{old.severity} → {new.severity}"))
    if old.negate != new.negate:
        text = f"{_label(old)} → {_label(new)}"
        return [*changes, OptionChange("not", Order.CHANGED, text)]
    options = list(_option_changes(pair, old, new))
    if old.negate:
        options = [change._replace(order=change.order.reversed) for change in options]
    return changes + [change for change in options if change.order is not Order.SAME]


def _option_changes(
    pair: _ScenarioPair, old: Expectation, new: Expectation
) -> Iterator[OptionChange]:
    if old.built is None or new.built is None or type(old.built) is not type(new.built):
        # Arguments that read earlier turns are compared as they are written.
        if dumps(old.argument) != dumps(new.argument):
            text = f"{show(old.argument, 60)} → {show(new.argument, 60)}"
            yield OptionChange("argument", Order.CHANGED, text)
        return
    yield from option_changes(old.built, new.built)
    for name in type(new.built).file_options:
        file = getattr(new.built, name, None)
        if file and file == getattr(old.built, name, None):
            yield from _file_changes(pair, file)


def _file_changes(pair: _ScenarioPair, name: str) -> Iterator[OptionChange]:
    """Yield how a file differs that a check names: JSON Schemas by meaning, others as changed."""
    old, new = (_file_value(suite, name) for suite in pair.suites)
    if old == new:
        return
    if isinstance(old, dict | bool) and isinstance(new, dict | bool):
        yield from schema_option_changes(name, old, new)
    else:
        yield OptionChange(name, Order.CHANGED, "another content")


def _file_value(suite: Suite, name: str) -> Any:
    text = suite.file(name).read_text(encoding="utf-8-sig", errors="replace")
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return text
