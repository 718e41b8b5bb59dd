"""Which of two values of an option is stricter: how a change of a check is judged.

A check declares its options in ``strictness``, by their attribute. An option that is not declared
there cannot be ordered: if it differs, the check is *changed*.

| declared as | stricter is |
|---|---|
| ``higher``, ``lower`` | the higher or lower number; absent means no limit |
| ``bounds`` | the narrower range of a ``min`` and a ``max`` |
| ``true``, ``false`` | that value |
| ``required_words`` | more words, or longer ones: each must occur; also a single word |
| ``forbidden_words`` | more words, or shorter ones: none may occur |
| ``any_words`` | fewer words, or longer ones: one must occur; absent means no rule |
| ``required`` | more values |
| ``allowed`` | fewer values; absent means that all are allowed |
| ``exempt`` | fewer values |
| ``start``, ``end`` | the longer text |
| ``rule`` | any value instead of none; two values cannot be ordered |
| ``mode`` | no value; it says what the other options mean, which are compared only if it is equal |
| ``options`` | compared by the strictness of its own options |
| ``each`` | more entries, and each by the strictness of its own options |
| ``schema`` | the narrower JSON Schema |
| ``part`` | compared as a part of a property of the check, which is declared like an option |
| a function | what it returns of the old and the new value, an ``Order`` |
| a mapping | each value is followed by those that are stricter: ``{"any": ["some", "all"]}`` |
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from evalkit._lib.json import JSON, MISSING, equal
from evalkit._lib.text import show

Strictness = (
    Literal[
        "higher", "lower", "bounds", "true", "false", "required_words", "forbidden_words",
        "any_words", "required", "allowed", "exempt", "start", "end", "rule", "each", "schema",
        "mode", "options", "part",
    ]
    | Mapping[str, Sequence[str]]
    | Callable[[Any, Any], "Order"]
)  # fmt: skip
"""How the values of an option are ordered."""


class Order(Enum):
    """How a new value compares with the old one; the worst comes first."""

    LOOSER = "looser"
    CHANGED = "changed"
    STRICTER = "stricter"
    SAME = "same"

    @property
    def reversed(self) -> "Order":
        """The order of two checks under ``not``."""
        return {Order.LOOSER: Order.STRICTER, Order.STRICTER: Order.LOOSER}.get(self, self)


def worst_order(orders: Iterable[Order]) -> Order:
    """Return the worst of some orders: looser, changed, stricter, same."""
    return min(orders, key=list(Order).index, default=Order.SAME)


class OptionChange(NamedTuple):
    """An option that differs: its name in YAML with a path, and both values as text."""

    option: str
    order: Order
    text: str


def option_changes(old: BaseModel, new: BaseModel) -> Iterator[OptionChange]:
    """Yield how the options of two checks of the same name differ."""
    kind = type(new)
    strictness: Mapping[str, Strictness] = getattr(kind, "strictness", {})
    fields = kind.model_fields
    modes = [name for name, order in strictness.items() if order == "mode"]
    has_other_mode = any(getattr(old, name) != getattr(new, name) for name in modes)
    names = (
        modes if has_other_mode else (*fields, *(one for one in strictness if one not in fields))
    )
    for name in names:
        if strictness.get(name) == "part":
            continue
        before, after = getattr(old, name, MISSING), getattr(new, name)
        label = fields[name].alias or name if name in fields else name
        # The keys of the user's own are not below the name of an option.
        label = "" if name == getattr(kind, "rest", None) else label
        yield from _value_changes(strictness.get(name), before, after, label)


def _value_changes(
    kind: Strictness | None, old: Any, new: Any, label: str
) -> Iterator[OptionChange]:
    if _plain_equal(old, new):
        return
    if kind == "each":
        yield from _entry_changes(old, new, label)
    elif isinstance(old, BaseModel) and isinstance(new, BaseModel) and kind == "options":
        for change in option_changes(old, new):
            yield change._replace(option=f"{label}.{change.option}")
    elif kind == "schema":
        if None in (old, new):
            order = Order.STRICTER if old is None else Order.CHANGED
            yield OptionChange(label, order, f"{_text(old)} → {_text(new)}")
            return
        yield from schema_option_changes(label, old, new)
    else:
        order = Order.CHANGED
        if isinstance(kind, Mapping):
            order = _partial_order(kind, old, new)
        elif callable(kind):
            order = kind(old, new)
        elif kind not in (None, "mode", "options"):
            order = _ORDERS[kind](_absent(old), _absent(new))
        if order is not Order.SAME:
            yield OptionChange(label, order, f"{_text(old)} → {_text(new)}")


def schema_option_changes(label: str, old: JSON, new: JSON) -> Iterator[OptionChange]:
    """Yield how a JSON Schema differs, as changes of the option ``label``."""
    # Start-up cost: every check has its strictness, and no session compares them.
    from evalkit.checks.core.schema_order import schema_changes

    for path, is_looser, text in schema_changes(old, new):
        order = Order.CHANGED
        if is_looser is not None:
            order = Order.LOOSER if is_looser else Order.STRICTER
        yield OptionChange(f"{label}{path}", order, text)


def _entry_changes(old: Any, new: Any, label: str) -> Iterator[OptionChange]:
    """Yield the changes of a mapping of options, or of a list of options with a ``name``."""
    before, after = _entries(old), _entries(new)
    for name in dict.fromkeys([*before, *after]):
        path = f"{label}.{name}" if label else name
        if name not in after:
            yield OptionChange(path, Order.LOOSER, f"{_text(before[name])} → absent")
        elif name not in before:
            yield OptionChange(path, Order.STRICTER, f"absent → {_text(after[name])}")
        else:
            for change in option_changes(before[name], after[name]):
                yield change._replace(option=f"{path}.{change.option}")


def _entries(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    entries: dict[str, Any] = {}
    for item in value or ():
        name = str(item.name)
        # The second call of a name is another entry than the first.
        count = sum(key.partition(" #")[0] == name for key in entries)
        entries[f"{name} #{count + 1}" if count else name] = item
    return entries


def _partial_order(stricter: Mapping[str, Sequence[str]], old: Any, new: Any) -> Order:
    if _reaches(stricter, str(old), str(new)):
        return Order.STRICTER
    return Order.LOOSER if _reaches(stricter, str(new), str(old)) else Order.CHANGED


def _reaches(stricter: Mapping[str, Sequence[str]], start: str, goal: str) -> bool:
    return any(one == goal or _reaches(stricter, one, goal) for one in stricter.get(start, ()))


def _absent(value: Any) -> Any:
    return None if value is MISSING else value


def _of_number(old: Any, new: Any, *, higher: bool) -> Order:
    if old is None or new is None:
        return Order.STRICTER if old is None else Order.LOOSER
    return Order.STRICTER if (new > old) == higher else Order.LOOSER


def _of_bounds(old: Any, new: Any) -> Order:
    if old is None or new is None:
        return Order.STRICTER if old is None else Order.LOOSER
    ends = ((old.min, new.min, True), (old.max, new.max, False))
    return worst_order(
        _of_number(before, after, higher=higher)
        for before, after, higher in ends
        if before != after
    )


def _of_flag(old: Any, new: Any, *, strict: bool) -> Order:
    if {type(old), type(new)} != {bool}:
        return Order.CHANGED
    return Order.STRICTER if new is strict else Order.LOOSER


def _words(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value or ())


def higher_from(default: float) -> Callable[[Any, Any], Order]:
    """Return the order of numbers of which the higher is stricter; absent means ``default``."""

    def order(old: Any, new: Any) -> Order:
        before, after = (default if value is None else value for value in (old, new))
        return Order.SAME if before == after else _of_number(before, after, higher=True)

    return order


def bounds_from(default: Any) -> Callable[[Any, Any], Order]:
    """Return the order of ranges of which the narrower is stricter; absent means ``default``."""
    return lambda old, new: _of_bounds(
        default if old is None else old, default if new is None else new
    )


def limits_order(old: tuple[int, int | None], new: tuple[int, int | None]) -> Order:
    """Order two pairs of a least and a greatest number; None means no limit."""
    ends = ((old[0], new[0], True), (old[1], new[1], False))
    return worst_order(
        _of_number(before, after, higher=higher)
        for before, after, higher in ends
        if before != after
    )


Implies = Callable[[Any, Any], bool]


def _of_rules(old: Any, new: Any, implies: Implies) -> Order:
    """Order two lists of rules that must all hold; ``implies(one, other)``: one is as strict."""
    before, after = _words(old), _words(new)
    if not all(any(implies(one, rule) for one in after) for rule in before):
        return Order.LOOSER
    is_same = all(any(implies(one, rule) for one in before) for rule in after)
    return Order.SAME if is_same else Order.STRICTER


def _of_alternatives(old: Any, new: Any, implies: Implies) -> Order:
    """Order two lists of which one must hold; ``implies(one, other)``: one is as strict."""
    if old is None or new is None:
        return Order.STRICTER if old is None else Order.LOOSER
    return _of_rules(new, old, lambda one, other: implies(other, one))


def _is_in(whole: Any, part: Any) -> bool:
    return isinstance(whole, str) and isinstance(part, str) and part in whole


def _of_text(old: Any, new: Any, starts: Callable[[str, str], bool]) -> Order:
    if old is None or new is None:
        return Order.STRICTER if old is None else Order.LOOSER
    if starts(new, old):
        return Order.STRICTER
    return Order.LOOSER if starts(old, new) else Order.CHANGED


def _of_rule(old: Any, new: Any) -> Order:
    if old is None or new is None:
        return Order.STRICTER if old is None else Order.LOOSER
    return Order.CHANGED


_ORDERS: Mapping[str, Callable[[Any, Any], Order]] = {
    "higher": lambda old, new: _of_number(old, new, higher=True),
    "lower": lambda old, new: _of_number(old, new, higher=False),
    "bounds": _of_bounds,
    "true": lambda old, new: _of_flag(old, new, strict=True),
    "false": lambda old, new: _of_flag(old, new, strict=False),
    "required_words": lambda old, new: _of_rules(old, new, _is_in),
    "forbidden_words": lambda old, new: _of_rules(old, new, lambda one, other: _is_in(other, one)),
    "any_words": lambda old, new: _of_alternatives(old, new, _is_in),
    "required": lambda old, new: _of_rules(old, new, equal),
    "allowed": lambda old, new: _of_alternatives(old, new, equal),
    "exempt": lambda old, new: _of_rules(new, old, equal),
    "start": lambda old, new: _of_text(old, new, str.startswith),
    "end": lambda old, new: _of_text(old, new, str.endswith),
    "rule": _of_rule,
}


def _plain_equal(old: Any, new: Any) -> bool:
    return old is new or (MISSING not in (old, new) and equal(_plain(old), _plain(new)))


def _plain(value: Any) -> JSON:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(value: Any) -> str:
    if value is None or value is MISSING:
        return "absent"
    if isinstance(value, BaseModel):
        value = {name: item for name, item in value if item is not None and item is not MISSING}
    if isinstance(value, Collection) and not isinstance(value, str | Mapping) and len(value) == 1:
        value = next(iter(value))
    return show(_plain(value), 60)
