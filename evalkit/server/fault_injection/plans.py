"""Plans: which fault befalls which requests, and their two spellings, one for the command line and one for scripts. Pure.

    error=503,retry_after=1@0.1           a tenth of the requests
    cut=3@every=5                         every fifth answer is cut behind three events
    delay=0.1..0.5                        each request waits, for a time between
    - {cut: 3, every: 5}                  in a script
    - {error: {status: 503, retry_after: 1}, probability: 0.1}
    - "cut=3@every=5"                     the command line's spelling, in a script

A number may be a range, ``least..most``, from which each time one is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from evalkit._lib.text import did_you_mean, show
from evalkit.server.fault_injection.kinds import KINDS, FaultField, InjectedFault, Value

WHEN: dict[str, FaultField] = {
    "probability": FaultField("number", 1, most=1),
    "every": FaultField("whole", 1, least=1),
    "first": FaultField("whole", least=0),
    "times": FaultField("whole", least=0),
}
"""When a fault strikes; all must hold. ``first``: among the first N answers it could strike; ``times``: at most N times."""


class NumberRange(NamedTuple):
    """A number to be drawn between two, both included; whole where both are."""

    least: float
    most: float

    def draw(self, random: Random) -> float:
        """Return one of its numbers."""
        if isinstance(self.least, int) and isinstance(self.most, int):
            return random.randint(self.least, self.most)
        return random.uniform(self.least, self.most)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """A kind of fault, its values (settled, or ranges), and when it strikes. ``place`` tells it from others in one server."""

    kind: str
    values: Mapping[str, Value | NumberRange]
    place: str
    probability: float = 1.0
    every: int = 1
    first: int | None = None
    times: int | None = None

    @property
    def instead(self) -> bool:
        """Say whether the fault needs no answer to be made."""
        return KINDS[self.kind].instead(self.values)

    def fault(self, random: Random) -> InjectedFault:
        """Return the fault, its ranges drawn."""
        return InjectedFault(
            self.kind,
            {
                name: value.draw(random) if isinstance(value, NumberRange) else value
                for name, value in self.values.items()
            },
        )


class FaultPlanError(Exception):
    """A plan that cannot be read. ``path`` leads to what is wrong in a script's mapping."""

    def __init__(self, message: str, *path: str | int) -> None:
        self.path = path
        super().__init__(message)


def parse_plan(text: str, place: str) -> FaultPlan:
    """Read the command line's spelling: ``KIND[=VALUE][,FIELD=VALUE…][@PROBABILITY or @every=N or @first=N …]``. Raises BadFault."""
    what, _, when = text.partition("@")
    name, *rest = (part.strip() for part in what.split(","))
    kind, given, bare = name.partition("=")
    kind = kind.strip()
    fields: dict[str, Any] = {}
    if kind in KINDS and given:
        fields[next(iter(KINDS[kind].fields))] = _scalar(bare)
    for part in rest:
        key, given, value = part.partition("=")
        if not given:
            raise FaultPlanError(f"{part!r} is not FIELD=VALUE")
        fields[key.strip()] = _scalar(value)
    conditions: dict[str, Any] = {}
    for part in when.split(",") if "@" in text else ():
        key, given, value = part.partition("=")
        conditions[key.strip() if given else "probability"] = _scalar(value if given else part)
    return _plan(kind, fields, conditions, place)


def plan_from_yaml(data: Any, place: str) -> FaultPlan:
    """Read a script's spelling: a mapping with one kind's key, or the command line's in a string. Raises BadFault."""
    if isinstance(data, str):
        return parse_plan(data, place)
    if not isinstance(data, dict):
        raise FaultPlanError(f"must be a mapping like {{cut: 3, every: 5}}, got {show(data, 40)}")
    named = [key for key in data if key not in WHEN]
    if not named:
        raise FaultPlanError(f"which fault? There are {', '.join(KINDS)}")
    if len(named) > 1 and named[0] in KINDS:
        raise FaultPlanError(
            f"one fault at a time, and {named[1]!r} says nothing about when{did_you_mean(str(named[1]), WHEN)}",
            named[1],
        )
    kind, value = named[0], data[named[0]]
    if kind in KINDS and not isinstance(value, dict):
        value = (
            {}
            if value is None or value is True
            else {next(iter(KINDS[kind].fields)): _scalar(value)}
        )
    return _plan(kind, value, {key: data[key] for key in data if key in WHEN}, place)


def _plan(kind: Any, fields: Any, when: Mapping[str, Any], place: str) -> FaultPlan:
    if kind not in KINDS:
        hint = did_you_mean(str(kind), KINDS)
        raise FaultPlanError(
            f"unknown fault {kind!r}{hint}; there are {', '.join(KINDS)}. Example: {KINDS['error'].example}@0.1",
            kind,
        )
    known = KINDS[kind].fields
    example = f"Example: {KINDS[kind].example}"
    values: dict[str, Value | NumberRange] = {}
    for name, value in fields.items():
        if name not in known:
            raise FaultPlanError(
                f"{kind} has no field {name!r}{did_you_mean(str(name), known)}; it has {', '.join(known)}. {example}",
                kind,
                name,
            )
        values[name] = _value(f"{kind}: {name}", known[name], value, example, (kind, name))
    for name, field in known.items():
        if name not in values:
            if field.required:
                raise FaultPlanError(f"{kind} needs {name}. {example}", kind)
            values[name] = field.default
    settled: dict[str, Any] = {}
    for name, value in when.items():
        if name not in WHEN:
            raise FaultPlanError(
                f"{name!r} says nothing about when{did_you_mean(name, WHEN)}; there are {', '.join(WHEN)}. {example}@every=5"
            )
        settled[name] = _value(
            name,
            WHEN[name],
            value,
            f"{example}@{'0.1' if name == 'probability' else f'{name}=5'}",
            (name,),
        )
        if isinstance(settled[name], NumberRange):
            raise FaultPlanError(f"{name} must be one number, got {value}", name)
    return FaultPlan(kind, values, place, **settled)


_NUMBER = re.compile(r"\d+(\.\d+)?|\.\d+")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")


def _scalar(value: Any) -> Any:
    """Return a text as the number or the range it spells."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if percent := _PERCENT.fullmatch(text):
        return float(percent[1]) / 100
    least, dots, most = text.partition("..")
    if dots and _NUMBER.fullmatch(least) and _NUMBER.fullmatch(most):
        return NumberRange(_scalar(least), _scalar(most))
    return text


def _value(
    name: str, field: FaultField, value: Any, example: str, path: tuple[str, ...]
) -> Value | NumberRange:
    value = (
        _scalar(value) if field.type != "text" else value if isinstance(value, str) else str(value)
    )
    if field.type == "text":
        if field.choices and value not in field.choices:
            raise FaultPlanError(
                f"{name} must be one of {', '.join(field.choices)}, got {value!r}{did_you_mean(value, field.choices)}",
                *path,
            )
        return str(value)
    numbers = list(value) if isinstance(value, NumberRange) else [value]
    for number in numbers:
        fits = (
            isinstance(number, (int, float))
            and not isinstance(number, bool)
            and (field.type == "number" or number == int(number))
        )
        if not fits or not field.least <= number <= field.most:
            bounds = (
                f" from {field.least} to {field.most}"
                if field.most != float("inf")
                else f" not below {field.least}"
            )
            raise FaultPlanError(
                f"{name} must be a {'whole ' if field.type == 'whole' else ''}number{bounds}, got {show(number, 40)}. {example}",
                *path,
            )
    if isinstance(value, NumberRange):
        if value.least > value.most:
            raise FaultPlanError(
                f"{name} must be a range from the lower to the higher, got {value.least}..{value.most}",
                *path,
            )
        return (
            NumberRange(int(value.least), int(value.most))
            if field.type == "whole"
            else NumberRange(float(value.least), float(value.most))
        )
    return int(value) if field.type == "whole" else float(value)
