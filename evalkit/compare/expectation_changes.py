"""List how the expectations of two revisions of a suite differ, by meaning. Pure.

An expectation is still required if some expectation of the later revision is at least as strict.
Otherwise it was loosened, or changed so that the two cannot be ordered, or it is gone. Expectations
under ``not`` are compared the other way round. A check of the project's code is compared by its
name and options only.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit._lib.json import dumps, loads_or
from evalkit._lib.text import plural, show
from evalkit.checks.core.runner import default_checks
from evalkit.checks.core.strictness import (
    OptionChange,
    Order,
    option_changes,
    schema_option_changes,
    worst_order,
)
from evalkit.compare.bar import NO_CHOICES, ChangeKind, ComparedChoices, ExpectationChange
from evalkit.suite import Expectation, Scenario, Suite
from evalkit.suite.model.expectation_parser import parse_expectation
from evalkit.suite.model.policies import Exemption

_KINDS: Mapping[Order, ChangeKind] = {
    Order.LOOSER: "loosened",
    Order.CHANGED: "changed",
    Order.STRICTER: "tightened",
}
_EXCUSES = ("skip", "xfail")
"""Tags that are marks of pytest: the scenario is not run, or may fail."""
_IMPLICIT = [
    Expectation(parse_expectation(check.name, {check.name: None}), line=0, built=check)
    for check in default_checks()
]
_ORDER: tuple[ChangeKind, ...] = ("removed", "loosened", "changed", "tightened", "added")


def bar_changes(
    old: Iterable[Suite], new: Iterable[Suite], choices: ComparedChoices = NO_CHOICES
) -> list[ExpectationChange]:
    """Return how the expectations of suites differ, most serious first.

    A suite or scenario that only one side has is not listed: its results are added or removed.
    """
    after = {suite.name: suite for suite in new}
    changes = [
        change
        for suite in old
        if suite.name in after
        for change in _suite_changes(suite, after[suite.name], choices)
    ]
    return sorted(dict.fromkeys(changes), key=lambda change: _ORDER.index(change.kind))


def count_expectations(
    suites: Iterable[Suite], chosen: Mapping[str, str] = NO_CHOICES.baseline
) -> int:
    """Return the number of expectations of suites, each counted once for all cases."""
    return sum(
        len(scenario.expect[0]) + sum(len(turn.expect[0]) for turn in scenario.turns)
        for suite in suites
        for scenario in suite.scenarios
        if _is_chosen(scenario, chosen)
    )


@dataclass(frozen=True, kw_only=True)
class _ScenarioPair:
    """A scenario in two revisions of its suite."""

    suites: tuple[Suite, Suite]
    old: Scenario
    new: Scenario

    def change(
        self, kind: ChangeKind, subject: str, text: str, line: int, side: int = 0
    ) -> ExpectationChange:
        return ExpectationChange(
            kind=kind,
            scenario=f"{self.suites[0].name}::{self.old.id}",
            subject=subject,
            text=text,
            location=f"{self.suites[side].label}:{line}",
        )


def _suite_changes(old: Suite, new: Suite, choices: ComparedChoices) -> Iterator[ExpectationChange]:
    axes = choices.axes
    after = {
        _key(scenario, axes): scenario
        for scenario in new.scenarios
        if _is_chosen(scenario, choices.candidate)
    }
    for scenario in old.scenarios:
        other = after.get(_key(scenario, axes))
        if other is not None and _is_chosen(scenario, choices.baseline):
            yield from _scenario_changes(_ScenarioPair(suites=(old, new), old=scenario, new=other))


def _key(scenario: Scenario, axes: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Return what names a scenario: its id, and the choices of its matrix but the compared ones."""
    others = (choice for axis, choice in scenario.choices.items() if axis not in axes)
    return scenario.id, tuple(others)


def _is_chosen(scenario: Scenario, chosen: Mapping[str, str]) -> bool:
    """Return whether a scenario has no other choice of an axis than the compared one."""
    return all(scenario.choices.get(axis, choice) == choice for axis, choice in chosen.items())


def _scenario_changes(pair: _ScenarioPair) -> Iterator[ExpectationChange]:
    old, new = pair.old, pair.new
    yield from _policy_changes(pair)
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


def _policy_changes(pair: _ScenarioPair) -> Iterator[ExpectationChange]:
    """Yield changes of how often a scenario is run, and of whether it must pass."""
    old, new = pair.old, pair.new
    for tag in _EXCUSES:
        if tag in new.tags and tag not in old.tags:
            yield pair.change("loosened", f"tag {tag}", f"is new: pytest will {tag} it", old.line)
    for name, before, after in (("skip", old.skip, new.skip), ("xfail", old.xfail, new.xfail)):
        if after is not None and before is None:
            yield pair.change("loosened", name, f"is new: {after.reason}", new.line, side=1)
        elif after is not None and before is not None and _excuses_more(before, after):
            text = f"excuses more: {after.reason}"
            yield pair.change("loosened", name, text, new.line, side=1)
        elif after is not None and after != before:
            yield pair.change("changed", name, f"is another one: {after.reason}", new.line, side=1)
    if (order := _repeat_order(old, new)) is not Order.SAME:
        text = f"{_repeat_text(old)} → {_repeat_text(new)}"
        yield pair.change(_KINDS[order], "repeat", text, old.line)


def _excuses_more(old: Exemption, new: Exemption) -> bool:
    if old.condition != new.condition:
        return new.condition is True
    is_longer = old.until is not None and (new.until is None or new.until > old.until)
    return is_longer or (old.strict and not new.strict)


def _repeat_order(old: Scenario, new: Scenario) -> Order:
    """Order how many trials there are, and which share of them must pass."""
    shares = [one.policy.require / one.policy.trials if one.policy else 1.0 for one in (old, new)]
    if shares[0] != shares[1]:
        return Order.LOOSER if shares[1] < shares[0] else Order.STRICTER
    if old.repeat != new.repeat:
        return Order.LOOSER if new.repeat < old.repeat else Order.STRICTER
    return Order.SAME


def _repeat_text(scenario: Scenario) -> str:
    trials = plural(scenario.repeat, "trial")
    return f"{scenario.policy.require} of {trials}" if scenario.policy else trials


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
        candidates = [
            at
            for at, other in enumerate(new)
            if (other.name, other.negate) == (item.name, item.negate)
        ]
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
    return loads_or(text, text)
