"""Fault plans: which fault strikes which requests, and how command line and scripts spell it.

    error=503,retry_after=1@0.1           a tenth of the requests
    cut=3@every=5                         every fifth stream is cut after three events
    delay=0.1..0.5                        each request waits for a random time
    - {cut: 3, every: 5}                  in a script
    - {error: {status: 503, retry_after: 1}, probability: 0.1}
    - "cut=3@every=5"                     the command line's spelling, in a script

A number may be a range, ``least..most``; then a number is drawn each time.

The decision depends on the seed, the plan, the request, and how often the same request was received
before; not on the clock, nor on the order of different requests. So the same requests get the same
faults, however many clients send them at once. ``every``, ``first`` and ``times`` count replies in
the order of their requests.

A fault that needs no reply *replaces* it: the back end is not called, so a cassette loses no
recording and an upstream receives no request. If several such faults strike, the first one counts;
all others are applied to the reply one after the other.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Any, NamedTuple

from evalkit._lib.json import JSON
from evalkit._lib.text import did_you_mean, show
from evalkit.protocol.wire_facts import API_KEY_PARAMETER
from evalkit.server.calls import Backend, Call, Reply
from evalkit.server.fault_injection.kinds import (
    KINDS,
    FaultField,
    Value,
    Values,
    apply_fault,
    is_applicable,
)
from evalkit.server.fault_injection.stream_changes import close

WHEN: dict[str, FaultField] = {
    "probability": FaultField("number", 1, most=1),
    "every": FaultField("whole", 1, least=1),
    "first": FaultField("whole", least=0),
    "times": FaultField("whole", least=0),
}
"""Conditions of a plan; all must be true.

``first``: only among the first N replies the fault applies to; ``times``: at most N times.
"""


class NumberRange(NamedTuple):
    """A range of numbers, both ends included; of whole numbers if both ends are."""

    least: float
    most: float

    def draw(self, random: Random) -> float:
        """Return a random number of the range."""
        if isinstance(self.least, int) and isinstance(self.most, int):
            return random.randint(self.least, self.most)
        return random.uniform(self.least, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """A kind of fault, its values or ranges, and when it strikes.

    ``origin`` is unique within one server; replies are counted by it.
    """

    kind: str
    values: Mapping[str, Value | NumberRange]
    origin: str
    probability: float = 1.0
    every: int = 1
    first: int | None = None
    times: int | None = None

    @property
    def replaces_reply(self) -> bool:
        """Whether the fault takes the place of the reply."""
        return KINDS[self.kind].replaces_reply(self.values)

    def draw_values(self, random: Random) -> Values:
        """Return the values, with a number drawn from each range."""
        return {
            name: value.draw(random) if isinstance(value, NumberRange) else value
            for name, value in self.values.items()
        }


class FaultPlanError(Exception):
    """An invalid plan. ``path`` leads to the mistake in a script's mapping."""

    def __init__(self, message: str, *path: str | int) -> None:
        self.path = path
        super().__init__(message)


def parse_plan(text: str, origin: str) -> FaultPlan:
    """Parse ``KIND[=VALUE][,FIELD=VALUE…][@PROBABILITY or @every=N…]``. Raises FaultPlanError."""
    fault, at, when = text.partition("@")
    head, comma, rest = fault.partition(",")
    kind, equals, value = head.partition("=")
    kind = kind.strip()
    fields = _read_pairs(rest) if comma else {}
    if kind in KINDS and equals:
        fields = {_first_field(kind): value, **fields}
    return _build_plan(kind, fields, _read_pairs(when, "probability") if at else {}, origin)


def plan_from_yaml(data: JSON, origin: str) -> FaultPlan:
    """Read a script's spelling: a mapping, or the command line's text. Raises FaultPlanError."""
    if isinstance(data, str):
        return parse_plan(data, origin)
    if not isinstance(data, dict):
        raise FaultPlanError(f"must be a mapping like {{cut: 3, every: 5}}, got {show(data, 40)}")
    kinds = [key for key in data if key not in WHEN]
    if not kinds:
        raise FaultPlanError(f"must name a fault; valid: {', '.join(KINDS)}")
    kind = kinds[0]
    if len(kinds) > 1 and kind in KINDS:
        problem = _unknown_condition(kinds[1])
        raise FaultPlanError(f"only one fault at a time; {problem}", kinds[1])
    fields = data[kind]
    if kind in KINDS and not isinstance(fields, dict):
        fields = {} if fields is None or fields is True else {_first_field(kind): fields}
    conditions = {key: value for key, value in data.items() if key in WHEN}
    return _build_plan(kind, fields, conditions, origin)


def _build_plan(
    kind: str, fields: Mapping[str, JSON], conditions: Mapping[str, JSON], origin: str
) -> FaultPlan:
    if kind not in KINDS:
        raise FaultPlanError(
            f"unknown fault {kind!r}{did_you_mean(str(kind), KINDS)}; valid: {', '.join(KINDS)}. "
            f"Example: {KINDS['error'].example}@0.1",
            kind,
        )
    known = KINDS[kind].fields
    example = f"Example: {KINDS[kind].example}"
    for name in fields:
        if name not in known:
            raise FaultPlanError(
                f"{kind} does not have the field {name!r}{did_you_mean(str(name), known)}; "
                f"valid: {', '.join(known)}. {example}",
                kind,
                name,
            )
    missing = [name for name, field in known.items() if field.required and name not in fields]
    if missing:
        raise FaultPlanError(f"{kind} needs {missing[0]}. {example}", kind)
    values = {
        name: _read_value(f"{kind}: {name}", field, fields[name], example, (kind, name))
        if name in fields
        else field.default
        for name, field in known.items()
    }
    settings: dict[str, Any] = {}
    for name, value in conditions.items():
        if name not in WHEN:
            raise FaultPlanError(f"{_unknown_condition(name)}. {example}@every=5")
        when = "0.1" if name == "probability" else f"{name}=5"
        settings[name] = _read_value(name, WHEN[name], value, f"{example}@{when}", (name,))
        if isinstance(settings[name], NumberRange):
            raise FaultPlanError(f"{name} must be one number, got {value}", name)
    return FaultPlan(kind=kind, values=values, origin=origin, **settings)


def _read_pairs(text: str, unnamed: str = "") -> dict[str, JSON]:
    """Read ``NAME=VALUE,…``; a value alone belongs to ``unnamed``."""
    pairs: dict[str, JSON] = {}
    for part in map(str.strip, text.split(",")):
        name, equals, value = part.partition("=")
        if equals:
            pairs[name.strip()] = value
        elif unnamed:
            pairs[unnamed] = part
        else:
            raise FaultPlanError(f"{part!r} is not FIELD=VALUE")
    return pairs


def _first_field(kind: str) -> str:
    return next(iter(KINDS[kind].fields))


def _unknown_condition(name: str) -> str:
    hint = did_you_mean(str(name), WHEN)
    return f"unknown condition {name!r}{hint}; valid: {', '.join(WHEN)}"


def _read_value(
    name: str, field: FaultField, value: JSON, example: str, path: tuple[str, ...]
) -> Value | NumberRange:
    if field.type == "text":
        text = str(value)
        if field.choices and text not in field.choices:
            hint = did_you_mean(text, field.choices)
            valid = ", ".join(field.choices)
            raise FaultPlanError(f"{name} must be one of {valid}, got {text!r}{hint}", *path)
        return text
    value = _parse_number(value)
    for number in value if isinstance(value, NumberRange) else (value,):
        if not field.accepts(number):
            expected = f"{name} must be {field.expected}, got {show(number, 40)}"
            raise FaultPlanError(f"{expected}. {example}", *path)
    convert = int if field.type == "whole" else float
    if not isinstance(value, NumberRange):
        return convert(value)
    if value.least > value.most:
        got = f"{value.least}..{value.most}"
        raise FaultPlanError(f"{name} must be a range from low to high, got {got}", *path)
    return NumberRange(convert(value.least), convert(value.most))


_NUMBER = re.compile(r"\d+(\.\d+)?|\.\d+")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")


def _parse_number(value: Any) -> Any:
    """Return the number or the range that a text spells, and anything else unchanged."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if percent := _PERCENT.fullmatch(text):
        return float(percent[1]) / 100
    least, dots, most = text.partition("..")
    if dots and _NUMBER.fullmatch(least) and _NUMBER.fullmatch(most):
        return NumberRange(_parse_number(least), _parse_number(most))
    return text


_MAX_REQUESTS = 100_000
"""How many different requests are counted; beyond that, the oldest counts as new again."""


class FaultSelector:
    """Decides for one server which faults strike which requests."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._requests: OrderedDict[bytes, int] = OrderedDict()
        self._chances: Counter[str] = Counter()
        self._strikes: Counter[str] = Counter()

    def for_call(self, plans: Sequence[FaultPlan], call: Call) -> "RequestFaults":
        """Return the faults of one request."""
        if not plans:
            return RequestFaults(self, (), b"")
        digest = _digest(call)
        number = self._requests[digest] = self._requests.pop(digest, 0) + 1
        if len(self._requests) > _MAX_REQUESTS:
            self._requests.popitem(last=False)
        return RequestFaults(self, plans, digest + number.to_bytes(8))

    def draw(self, plan: FaultPlan, request: bytes) -> Values | None:
        """Return the fault's values if it strikes this request, else None."""
        self._chances[plan.origin] = chance = self._chances[plan.origin] + 1
        seed = b"%d %s %s" % (self._seed, plan.origin.encode(), request)
        random = Random(blake2b(seed, digest_size=16).digest())  # noqa: S311 - not for secrets
        strikes = (
            random.random() < plan.probability
            and (plan.first is None or chance <= plan.first)
            and (plan.times is None or self._strikes[plan.origin] < plan.times)
            and chance % plan.every == 0
        )
        if not strikes:
            return None
        self._strikes[plan.origin] += 1
        return plan.draw_values(random)


@dataclass(frozen=True, slots=True)
class RequestFaults:
    """The faults of one request: call ``replacement`` first, then ``apply`` on the reply."""

    selector: FaultSelector
    plans: Sequence[FaultPlan]
    request: bytes

    def replacement(self) -> Reply | None:
        """Return the reply of a fault that makes the back end's reply unnecessary, if any."""
        for plan in self.plans:
            if plan.replaces_reply and (reply := self._apply_one(plan, Reply(200))) is not None:
                return reply
        return None

    def apply(self, reply: Reply) -> Reply:
        """Return the reply with the other faults applied."""
        for plan in self.plans:
            if not plan.replaces_reply and is_applicable(KINDS[plan.kind], reply):
                reply = self._apply_one(plan, reply) or reply
        return reply

    def _apply_one(self, plan: FaultPlan, reply: Reply) -> Reply | None:
        values = self.selector.draw(plan, self.request)
        return None if values is None else apply_fault(plan.kind, values, reply)


class FaultInjector:
    """A back end with faults in front of it."""

    def __init__(self, backend: Backend, plans: Sequence[FaultPlan], seed: int = 0) -> None:
        self.title = backend.title
        self._backend = backend
        self._plans = tuple(plans)
        self._selector = FaultSelector(seed)

    async def handle(self, call: Call) -> Reply:
        """Reply as the back end does, with the faults that strike this call."""
        faults = self._selector.for_call(self._plans, call)
        original = faults.replacement() or await self._backend.handle(call)
        reply = faults.apply(original)
        if original.live is not None and reply.live is None:
            await close(original.live)
        return reply

    async def close(self) -> None:
        """Close the back end."""
        await self._backend.close()


def _digest(call: Call) -> bytes:
    # The key must not change which requests are struck.
    query = sorted(item for item in call.query.items() if item[0] != API_KEY_PARAMETER)
    parts = (call.method, call.path, "&".join(f"{name}={value}" for name, value in query))
    text = "\0".join(parts).encode() + b"\0" + call.body
    return blake2b(text, digest_size=16).digest()
