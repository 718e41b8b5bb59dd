"""``steps``: the sequence of step types of a turn, the client's function results included, the user's message left out.

A string is a regular pattern (see ``patterns``); a list names steps one by one and takes ``match``:

| match | order | more steps | fewer steps |
|---|---|---|---|
| exact | kept | no | no |
| in_order | kept | yes, anywhere | no |
| any_order | free | no | no |
| superset | free | yes | no |
| subset | free | no | yes |

*superset* and *subset* are said of what came. A list without order is compared by the best one-to-one assignment, never greedily.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from evalkit._lib.json import JSON, MISSING, equal
from evalkit._lib.text import plural, shorten, show
from evalkit.checks.core.automaton import ANY, Automaton, Row, align
from evalkit.checks.core.base import Check, View, option_error
from evalkit.checks.core.formatting import table
from evalkit.checks.core.matching import assign
from evalkit.checks.core.options import Words
from evalkit.checks.steps.patterns import PatternError, check_type, compile_pattern
from evalkit.protocol.step_types import STEP_TYPES
from evalkit.transcript import Step, Turn
from evalkit.verdict import Finding, Where

Match = Literal["exact", "in_order", "any_order", "subset", "superset"]
_ORDERED = ("exact", "in_order")
_ENTRY_SCHEMA: Any = {
    "anyOf": [
        {"enum": [kind for kind in STEP_TYPES if kind != "user_input"]},
        {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]},
        {
            "type": "object",
            "properties": {kind: {"type": "object"} for kind in STEP_TYPES if kind != "user_input"},
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        },
    ]
}


def _sequence(value: Any) -> Any:
    """Check a pattern, or bring every entry of a list into the form ``{type: …, field: …}``."""
    if isinstance(value, str):
        _pattern(value)
    elif isinstance(value, list):
        return [_entry(item, place) for place, item in enumerate(value)]
    else:
        raise option_error(f"must be a pattern or a list of steps, got {show(value)}")
    return value


def _pattern(text: str) -> None:
    try:
        compile_pattern(text)
    except PatternError as error:
        raise option_error(str(error)) from None


def _entry(item: Any, place: int) -> dict[str, JSON]:
    try:
        if isinstance(item, str):
            if not item.replace("_", "").isalnum():
                raise option_error(
                    f"a list names one step type an entry, got {show(item)}; write a pattern as one string, not in a list",
                    place,
                )
            check_type(item, 1)
            return {"type": item}
        if isinstance(item, dict) and isinstance(item.get("type"), str) and item["type"]:
            return item
        if isinstance(item, dict) and len(item) == 1:
            ((kind, fields),) = item.items()
            check_type(kind, 1)
            if isinstance(fields, dict):
                return {**fields, "type": kind}
    except PatternError as error:
        raise option_error(str(error).removesuffix(" (column 1 of the pattern)"), place) from None
    raise option_error(
        f"must be a step type or {{step type: {{field: value}}}}, got {show(item)}", place
    )


StepList = Annotated[Any, BeforeValidator(_sequence)]


class Steps(Check):
    """The steps of the turn are the expected ones; over the conversation, the steps of all turns in a row.

    The empty case: ``steps: []`` expects no step at all (with ``match: superset`` or ``in_order`` that is nothing asked, and it passes). An
    empty pattern is refused. No steps against a pattern pass only where the pattern may be empty, like ``"thought*"``.
    """

    name: ClassVar[str] = "steps"
    shorthand: ClassVar[str | None] = "steps"

    steps: StepList = Field(
        description="A pattern over step types, or a list of steps: a type, or {type: {field: value}}.",
        json_schema_extra={
            "anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": _ENTRY_SCHEMA}]
        },
    )
    match: Match = Field("exact", description="How a list is compared; a pattern is always exact.")
    ignore: Words | None = Field(None, description="Step types that are left out before comparing.")

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if isinstance(self.steps, str):
            if self.match != "exact":
                raise option_error(
                    "a pattern is always exact; write the steps as a list to use another match",
                    "match",
                )
            compile_pattern(self.steps)
        return self

    def run(self, view: View) -> Iterator[Finding]:
        """Yield one finding when the sequences part."""
        # Remembered by its text; a private attribute of a model would take longer to read than the steps.
        automaton = compile_pattern(self.steps) if isinstance(self.steps, str) else None
        turn = view.turn
        # The common case, without the bookkeeping of places that only a finding needs.
        if (
            automaton is not None
            and self.ignore is None
            and turn is not None
            and automaton.matches([step.type for step in turn.steps])
        ):
            return
        found = [
            (each, number, step)
            for each in view.turns
            for number, step in enumerate(each.steps, 1)
            if self.ignore is None or step.type not in self.ignore
        ]
        if automaton is not None:
            if not automaton.matches([step.type for _, _, step in found]):
                yield _parted(
                    automaton,
                    found,
                    [automaton.mask(step.type) for _, _, step in found],
                    self.steps,
                    allowed=False,
                )
        elif self.match in _ORDERED:
            yield from self._in_order(found)
        else:
            yield from self._any_order(found)

    def _in_order(self, found: list[tuple[Turn, int, Step]]) -> Iterator[Finding]:
        allowed = self.match == "in_order"
        automaton = Automaton()
        part = None
        for entry in self.steps:
            atom = automaton.atom(_label(entry))
            part = atom if part is None else automaton.then(part, atom)
        if part is None:
            automaton.accepting = 1
        else:
            automaton.finish(part)
        masks = [
            sum(1 << place for place, entry in enumerate(self.steps, 1) if _fits(entry, step.raw))
            for _, _, step in found
        ]
        if allowed:
            place = 0
            for mask in masks:
                place += mask >> (place + 1) & 1
            if place < len(self.steps):
                yield _parted(automaton, found, masks, self.steps, allowed=True)
        elif not automaton.accepts(masks):
            yield _parted(automaton, found, masks, self.steps, allowed=False)

    def _any_order(self, found: list[tuple[Turn, int, Step]]) -> Iterator[Finding]:
        accepts = [
            [index for index, (_, _, step) in enumerate(found) if _fits(entry, step.raw)]
            for entry in self.steps
        ]
        limits: list[tuple[int, int | None]] = [(0 if self.match == "subset" else 1, 1)] * len(
            self.steps
        )
        result = assign(accepts, limits, len(found))
        lacking = [entry for entry, count in zip(self.steps, result.lacking, strict=True) if count]
        left = [] if self.match == "superset" else [found[index] for index in result.left]
        if not lacking and not left:
            return
        rows = [["", "expected", "got"]]
        entry_to_item = {
            entry: item for item, entry in enumerate(result.entry_of) if entry is not None
        }
        for place, entry in enumerate(self.steps):
            if place in entry_to_item:
                _, number, step = found[entry_to_item[place]]
                rows.append([str(number), _label(entry), _label_of(step, entry)])
            elif result.lacking[place]:
                rows.append(["", _label(entry), "-", "missing"])
        rows += [[str(number), "-", step.type, "unexpected"] for _, number, step in left]
        said = (
            [f"{plural(len(lacking), 'step')} missing ({', '.join(map(_label, lacking))})"]
            if lacking
            else []
        )
        said += (
            [
                f"{plural(len(left), 'step')} unexpected ({', '.join(step.type for _, _, step in left)})"
            ]
            if left
            else []
        )
        where = (
            Where(turn=left[0][0].number, exchange=left[0][2].exchange, step=left[0][1])
            if left
            else Where(turn=found[0][0].number if found else None)
        )
        expected = list(map(_label, self.steps))
        yield Finding(
            "steps_differ",
            "; ".join(said),
            where,
            expected=expected,
            got=[step.type for _, _, step in found],
            detail=table(rows),
        )


def _fits(entry: Mapping[str, JSON], raw: Mapping[str, JSON]) -> bool:
    return all(equal(value, raw.get(key, MISSING)) for key, value in entry.items())


def _label(entry: Mapping[str, JSON]) -> str:
    fields = {key: value for key, value in entry.items() if key != "type"}
    return f"{entry['type']} {show(fields, 60)}" if fields else str(entry["type"])


def _label_of(step: Step, entry: Mapping[str, JSON]) -> str:
    return _label({"type": step.type, **{key: step.raw.get(key) for key in entry if key != "type"}})


def _parted(
    automaton: Automaton,
    found: Sequence[tuple[Turn, int, Step]],
    masks: Sequence[int],
    steps: Any,
    *,
    allowed: bool,
) -> Finding:
    """Make the finding for an ordered comparison: where the sequences part, and both of them aligned."""
    got = [step.type for _, _, step in found]
    expected = steps if isinstance(steps, str) else list(map(_label, steps))
    rows = align(automaton, masks, **({"extra": 0} if allowed else {}))
    if rows is None:
        return Finding(
            "steps_differ",
            f"the {plural(len(got), 'step')} do not match; too many to align",
            Where(),
            expected=expected,
            got=got,
        )
    first = next(place for place, row in enumerate(rows) if row.cost)
    row = rows[first]
    at = next((row.step for row in rows[first:] if row.step is not None), None)
    where = Where(turn=found[-1][0].number) if found else Where()
    if at is not None:
        turn, number, step = found[at]
        where = Where(turn=turn.number, exchange=step.exchange, step=number)
    return Finding(
        "steps_differ",
        _message(automaton, rows, row, at, found),
        where,
        expected=expected,
        got=got,
        detail=_aligned(automaton, rows, found, steps),
    )


def _message(
    automaton: Automaton,
    rows: Sequence[Row],
    row: Row,
    at: int | None,
    found: Sequence[tuple[Turn, int, Step]],
) -> str:
    if not found:
        return f"expected {automaton.labels[row.position or 0]}, but there is no step at all"
    where = (
        "the steps end" if at is None else f"step {found[at][1]} is {shorten(found[at][2].type)}"
    )
    if row.position is None:
        before = next(
            (
                found[other.step][2].type
                for other in reversed(rows[: rows.index(row)])
                if other.step is not None
            ),
            None,
        )
        return f"{where}, which is not expected {f'after {shorten(before)}' if before is not None else 'first'}"
    wanted = _wanted(automaton, row.position)
    if row.step is not None and wanted.startswith(f"{found[row.step][2].type} "):
        return f"step {found[row.step][1]} is another {found[row.step][2].type}: expected {wanted}"
    return f"expected {wanted}, but {where}"


def _wanted(automaton: Automaton, position: int) -> str:
    word = automaton.labels[position]
    return "any step" if word == ANY else word.rstrip("?*+")


def _aligned(
    automaton: Automaton, rows: Sequence[Row], found: Sequence[tuple[Turn, int, Step]], steps: Any
) -> str:
    many = len({turn.number for turn, _, _ in found}) > 1
    lines = [["", "expected", "got"]]
    for row in rows:
        number, got, note = "", "-", ""
        if row.step is not None:
            turn, place, step = found[row.step]
            number = f"{turn.number}.{place}" if many else str(place)
            entry = (
                {} if row.position is None or isinstance(steps, str) else steps[row.position - 1]
            )
            got = _label_of(step, entry)
        expected = automaton.labels[row.position] if row.position is not None else "-"
        if row.cost:
            note = (
                "missing"
                if row.step is None
                else "unexpected"
                if row.position is None
                else "different"
            )
        lines.append([number, expected, got, note])
    return table(lines)
