"""``steps``: the sequence of step types of a turn, without the user's message.

A string is a pattern (:mod:`.core.step_pattern`). A list names steps one by one and takes
``match``:

| match | order | more steps may come | steps may be missing |
|---|---|---|---|
| exact | fixed | no | no |
| in_order | fixed | yes, anywhere | no |
| any_order | free | no | no |
| superset | free | yes | no |
| subset | free | no | yes |
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from evalkit._lib.json import JSON, MISSING, equal
from evalkit._lib.text import plural, shorten, show
from evalkit.checks.core.arguments import Words
from evalkit.checks.core.base import Check, NumberedStep, View, option_error
from evalkit.checks.core.formatting import table
from evalkit.checks.core.sequences import ANY, AlignedRow, Automaton, alignment_table, assign
from evalkit.checks.core.step_pattern import compile_step_pattern, positions_of, type_problem
from evalkit.checks.core.strictness import Order, Strictness
from evalkit.protocol.step_types import STEP_TYPES
from evalkit.verdict import Finding, Where

_TURN_STEP_TYPES = [kind for kind in STEP_TYPES if kind != "user_input"]
_ENTRY_SCHEMA: Any = {
    "anyOf": [
        {"enum": _TURN_STEP_TYPES},
        {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]},
        {
            "type": "object",
            "properties": {kind: {"type": "object"} for kind in _TURN_STEP_TYPES},
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
        },
    ]
}


Match = Literal["exact", "in_order", "any_order", "subset", "superset"]


def _steps_option(value: Any) -> Any:
    """Compile a pattern, or turn each entry of a list into the form ``{type: …, field: …}``."""
    if isinstance(value, list):
        return [_entry(item, index) for index, item in enumerate(value)]
    if not isinstance(value, str):
        raise option_error(f"must be a pattern or a list of steps, got {show(value)}")
    compile_step_pattern(value)
    return value


def _entry(item: Any, index: int) -> dict[str, JSON]:
    entry = {item: {}} if isinstance(item, str) else item
    if isinstance(item, str) and not item.replace("_", "").isalnum():
        raise option_error(
            f"a list names one step type per entry, got {show(item)}; write a pattern as one"
            " string, not in a list",
            index,
        )
    if isinstance(entry, dict) and isinstance(entry.get("type"), str) and entry["type"]:
        return entry
    if isinstance(entry, dict) and len(entry) == 1:
        ((kind, fields),) = entry.items()
        if problem := type_problem(kind):
            raise option_error(problem, index)
        if isinstance(fields, dict):
            return {**fields, "type": kind}
    raise option_error(
        f"must be a step type or {{step type: {{field: value}}}}, got {show(item)}", index
    )


def _pattern_order(old: Any, new: Any) -> Order:
    """Order two patterns by the sequences that they accept; lists are not ordered."""
    if not isinstance(old, str) or not isinstance(new, str):
        return Order.CHANGED
    before, after = compile_step_pattern(old), compile_step_pattern(new)
    is_stricter, is_looser = before.includes(after), after.includes(before)
    if is_stricter and is_looser:
        return Order.SAME
    return Order.STRICTER if is_stricter else Order.LOOSER if is_looser else Order.CHANGED


class Steps(Check):
    """The steps of the turn, or of all turns in a row, are the expected ones.

    The empty case: ``steps: []`` expects no step (with ``match: superset`` or ``in_order`` it
    expects nothing, and passes). An empty pattern is refused. A turn without steps matches only a
    pattern that may be empty, such as ``"thought*"``.
    """

    name: ClassVar[str] = "steps"
    shorthand: ClassVar[str | None] = "steps"
    strictness: ClassVar[Mapping[str, Strictness]] = {
        "steps": _pattern_order,
        "match": {
            "superset": ["in_order", "any_order"],
            "in_order": ["exact"],
            "subset": ["any_order"],
            "any_order": ["exact"],
        },
        "ignore": "exempt",
    }

    steps: Annotated[Any, BeforeValidator(_steps_option)] = Field(
        description="A pattern over step types, or a list of steps: a type, or"
        " {type: {field: value}}.",
        json_schema_extra={
            "anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": _ENTRY_SCHEMA}]
        },
    )
    match: Match = Field("exact", description="How a list is compared; a pattern is always exact.")
    ignore: Words | None = Field(None, description="Step types that are left out before comparing.")

    @model_validator(mode="after")
    def _refuse_match_of_pattern(self) -> Self:
        if isinstance(self.steps, str) and self.match != "exact":
            raise option_error(
                "a pattern is always exact; write the steps as a list to use another match",
                "match",
            )
        return self

    def matched(self, view: View) -> str:
        """Return the types of all steps."""
        return f"got  {' '.join(each.step.type for each in view.numbered_steps)}"

    def run(self, view: View) -> Iterator[Finding]:
        """Yield one finding if the steps differ."""
        found = view.numbered_steps
        if self.ignore is not None:
            found = [each for each in found if each.step.type not in self.ignore]
        if self.match in ("exact", "in_order"):
            yield from self._ordered(found)
        else:
            yield from self._unordered(found)

    def _ordered(self, found: Sequence[NumberedStep]) -> Iterator[Finding]:
        if isinstance(self.steps, str):
            automaton = compile_step_pattern(self.steps)
            fits = [positions_of(automaton, each.step.type) for each in found]
        else:
            entries = list(enumerate(self.steps, 1))
            automaton = Automaton.of_sequence((_label(entry), False, False) for _, entry in entries)
            fits = [
                {position for position, entry in entries if _fits(entry, each.step.raw)}
                for each in found
            ]
        allow_extra = self.match == "in_order"
        if automaton.accepts(fits, allow_extra=allow_extra):
            return
        got = [each.step.type for each in found]
        expected = self.steps if isinstance(self.steps, str) else list(map(_label, self.steps))
        rows = automaton.align(fits, allow_extra=allow_extra)
        if rows is None:
            yield Finding(
                "steps_differ",
                f"the {plural(len(got), 'step')} do not match; too many to align",
                expected=expected,
                got=got,
            )
            return
        at = next(index for index, row in enumerate(rows) if row.cost)
        following = next((row.step for row in rows[at:] if row.step is not None), None)
        where = Where(turn=found[-1].turn) if found else Where()
        if following is not None:
            where = found[following].where()
        yield Finding(
            "steps_differ",
            _message(automaton, rows[:at], rows[at], following, found),
            where,
            expected=expected,
            got=got,
            detail=self._aligned(automaton, rows, found),
        )

    def _aligned(
        self, automaton: Automaton, rows: Sequence[AlignedRow], found: Sequence[NumberedStep]
    ) -> str:
        has_many_turns = len({each.turn for each in found}) > 1
        numbers = [
            f"{each.turn}.{each.number}" if has_many_turns else str(each.number) for each in found
        ]
        got = [each.step.type for each in found]
        for row in rows:
            if (
                row.step is not None
                and row.position is not None
                and not isinstance(self.steps, str)
            ):
                got[row.step] = _label_of(found[row.step], self.steps[row.position - 1])
        return alignment_table(rows, automaton.labels, got, numbers)

    def _unordered(self, found: Sequence[NumberedStep]) -> Iterator[Finding]:
        accepts = [
            [index for index, each in enumerate(found) if _fits(entry, each.step.raw)]
            for entry in self.steps
        ]
        least = 0 if self.match == "subset" else 1
        result = assign(accepts, [(least, 1)] * len(self.steps), len(found))
        missing = [entry for entry, count in zip(self.steps, result.missing, strict=True) if count]
        extra = [] if self.match == "superset" else [found[index] for index in result.unassigned]
        if not missing and not extra:
            return
        items = {entry: item for item, entry in enumerate(result.entry_of) if entry is not None}
        rows = [["", "expected", "got"]]
        for index, entry in enumerate(self.steps):
            if index in items:
                each = found[items[index]]
                rows.append([str(each.number), _label(entry), _label_of(each, entry)])
            elif result.missing[index]:
                rows.append(["", _label(entry), "-", "missing"])
        rows += [[str(each.number), "-", each.step.type, "unexpected"] for each in extra]
        labels = {
            "missing": list(map(_label, missing)),
            "unexpected": [each.step.type for each in extra],
        }
        parts = [
            f"{plural(len(names), 'step')} {what} ({', '.join(names)})"
            for what, names in labels.items()
            if names
        ]
        where = extra[0].where() if extra else Where(turn=found[0].turn if found else None)
        yield Finding(
            "steps_differ",
            "; ".join(parts),
            where,
            expected=list(map(_label, self.steps)),
            got=[each.step.type for each in found],
            detail=table(rows),
        )


def _fits(entry: Mapping[str, JSON], raw: Mapping[str, JSON]) -> bool:
    return all(equal(value, raw.get(key, MISSING)) for key, value in entry.items())


def _label(entry: Mapping[str, JSON]) -> str:
    fields = {key: value for key, value in entry.items() if key != "type"}
    return f"{entry['type']} {show(fields, 60)}" if fields else str(entry["type"])


def _label_of(each: NumberedStep, entry: Mapping[str, JSON]) -> str:
    fields = {key: each.step.raw.get(key) for key in entry}
    return _label({**fields, "type": each.step.type})


def _message(
    automaton: Automaton,
    rows_before: Sequence[AlignedRow],
    row: AlignedRow,
    following: int | None,
    found: Sequence[NumberedStep],
) -> str:
    """Describe the first row of an alignment that does not match."""
    if not found:
        return f"expected {automaton.labels[row.position or 0]}, but there is no step"
    where = "the steps end"
    if following is not None:
        each = found[following]
        where = f"step {each.number} is {shorten(each.step.type)}"
    if row.position is None:
        before = [each.step for each in rows_before if each.step is not None]
        after = f"after {shorten(found[before[-1]].step.type)}" if before else "first"
        return f"{where}, which is not expected {after}"
    label = automaton.labels[row.position]
    expected = "any step" if label.startswith(ANY) else label.rstrip("?*+")
    if row.step is not None and expected.startswith(f"{found[row.step].step.type} "):
        each = found[row.step]
        return f"step {each.number} is another {each.step.type}: expected {expected}"
    return f"expected {expected}, but {where}"
