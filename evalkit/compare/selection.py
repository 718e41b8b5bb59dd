"""Select the results of a run by choices such as ``prompt=shorter``, and pair across them. Pure.

An axis is any setting of a variant: ``model`` (or the agent), ``history``, an axis of the suite's
``matrix``. An axis that is selected is left out of the identity by which results are paired: its
choices are what is compared.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean, quoted
from evalkit.compare.rows import ResultRow
from evalkit.errors import UsageError
from evalkit.suite.model.variant_names import part_label


class AxisChoice(NamedTuple):
    """A choice of an axis."""

    axis: str
    choice: str

    def __str__(self) -> str:
        return f"{self.axis}={self.choice}"

    def selects(self, row: ResultRow, *, is_part: bool = False) -> bool:
        """Return whether a result is of a variant with this choice; as part of its name, if so."""
        labels = _labels(row, self.axis)
        return self.choice in labels and not (is_part and set(row.key[2]).isdisjoint(labels))


def parse_choice(text: str) -> AxisChoice:
    """Parse ``AXIS=CHOICE``. Raises UsageError."""
    axis, equals, choice = text.partition("=")
    if not (axis and equals and choice):
        raise UsageError(
            f"{quoted(text)} is not a choice (expected AXIS=CHOICE, such as model=gemini-3.6-flash)"
        )
    return AxisChoice(axis, choice)


def select_rows(
    rows: Sequence[ResultRow],
    choices: Sequence[AxisChoice],
    run: object,
    *,
    within_run: bool = False,
) -> list[ResultRow]:
    """Return the results of all choices. Raises UsageError for a choice without results.

    ``run`` is the run's name in messages. Within one run only variants are compared whose scenario
    has several choices, so that the choice is part of their names.
    """
    selected = list(rows)
    for choice in choices:
        known = choices_of(rows)
        if choice.axis not in known:
            raise UsageError(
                f"{run}: no result has the axis {quoted(choice.axis)}"
                f"{did_you_mean(choice.axis, known)}; {_valid(known)}"
            )
        if not any(map(choice.selects, rows)):
            near = did_you_mean(choice.choice, known[choice.axis])
            raise UsageError(
                f"{run}: no result of {choice.axis} {quoted(choice.choice)}{near}; "
                f"{_valid(known[choice.axis])}"
            )
        selected = [row for row in selected if choice.selects(row, is_part=within_run)]
    if rows and not selected:
        names = ", ".join(map(str, choices))
        raise UsageError(
            f"{run}: no result has all of {names}"
            + (" as one of several choices; name another run to compare with" * within_run)
        )
    return selected


def choices_of(rows: Iterable[ResultRow]) -> dict[str, list[str]]:
    """Return the choices of each axis of a run, those of the model first."""
    known: dict[str, dict[str, None]] = {}
    for row in rows:
        for axis in ("model", *row.settings):
            if labels := _labels(row, axis):
                known.setdefault(axis, {})[labels[-1]] = None
    return {axis: list(labels) for axis, labels in known.items()}


def without_axes(row: ResultRow, axes: Iterable[str]) -> ResultRow:
    """Return the row without the parts of some axes in its key."""
    suite, scenario, parts, trial = row.key
    for axis in axes:
        label = next((label for label in _labels(row, axis) if label in parts), None)
        if label is not None:
            index = parts.index(label)
            parts = (*parts[:index], *parts[index + 1 :])
    return replace(row, key=(suite, scenario, parts, trial))


def refuse_ambiguous(
    rows: Sequence[ResultRow], axes: Mapping[str, None], chosen: Iterable[AxisChoice], side: str
) -> None:
    """Raise UsageError where results of several choices would be one side of a pair."""
    if len({row.key for row in rows}) == len(rows):
        return
    known, named = choices_of(rows), {choice.axis for choice in chosen}
    for axis in axes:
        if axis not in named and len(known.get(axis, ())) > 1:
            raise UsageError(
                f"--{side} must name a choice of {quoted(axis)}, too: its results have several "
                f"({', '.join(known[axis])})"
            )


def _labels(row: ResultRow, axis: str) -> tuple[str, ...]:
    """Return what a choice may be called: its value, and its part of the name if that differs."""
    value: JSON = row.model if axis == "model" else row.settings.get(axis)
    if value is None or value == "":
        return ()
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return tuple(dict.fromkeys((text, part_label(axis, value))))


def _valid(names: Iterable[str]) -> str:
    listed = ", ".join(sorted(names))
    return f"valid: {listed}" if listed else "it has no results"
