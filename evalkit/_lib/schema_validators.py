"""Validator classes of ``jsonschema`` whose time is bounded, whatever is validated.

Schemas and values are foreign here: a schema of a suite meets arguments that a model chose, a local
server meets the schemas of its clients. Four things differ from the library's classes:

* Patterns run with the time limit of ``evalkit._lib.patterns``, which raises PatternTimeout. They
  are searched for in several keywords and their helpers, in names of members too. So the functions
  of the keywords are copied, and the copies see another ``re``; a test covers every keyword.
* ``uniqueItems`` takes linear time; the library compares every object with every other one.
* ``multipleOf`` calculates with decimals as they are written, so that 19.99 is a multiple of 0.01;
  the library divides floats, and raises for numbers beyond their range.
* The formats ``regex``, ``date-time`` and ``time`` are checked here.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

from jsonschema import FormatChecker, _keywords, _legacy_keywords, _utils
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from evalkit._lib.json import JSON, canonical
from evalkit._lib.patterns import PatternError, compile_pattern

_DATE_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.\d+)?(?:Z|[+-](\d{2}:\d{2}))", re.ASCII
)


_MAX_EXPONENT_DIGITS, _MAX_DIGITS = 4, 5_000  # a sign counts


class _BoundedSearch:
    """What the copied functions use in place of the module ``re``."""

    @staticmethod
    def search(pattern: str, text: str) -> Any:
        return compile_pattern(pattern).search(text)


def _are_unique(items: Sequence[JSON]) -> bool:
    return len(set(map(canonical, items))) == len(items)


def _namespace(modules: Sequence[ModuleType]) -> dict[str, dict[str, Any]]:
    """Return copies of modules, whose functions call each other and not the originals."""
    copies: dict[str, dict[str, Any]] = {module.__name__: dict(vars(module)) for module in modules}
    for names in copies.values():
        for name, value in names.items():
            if isinstance(value, FunctionType) and value.__module__ in copies:
                names[name] = FunctionType(
                    value.__code__, copies[value.__module__], name, value.__defaults__
                )
        replaced = {"re": _BoundedSearch, "uniq": _are_unique}
        names.update({name: value for name, value in replaced.items() if name in names})
    return copies


def _multiple_of(
    validator: Any, divisor: float, instance: JSON, schema: JSON
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "number"):
        number, unit = _fraction(instance), _fraction(divisor)
        if number is not None and unit and number % unit:
            yield ValidationError(f"{instance!r} is not a multiple of {divisor}")


def _fraction(number: float) -> Fraction | None:
    """Return a number as it is written, None for one with too many digits to calculate with."""
    text = repr(number)
    exponent = text.lower().partition("e")[2]
    is_long = len(exponent) > _MAX_EXPONENT_DIGITS or len(text) > _MAX_DIGITS
    return None if is_long else Fraction(text)


@cache
def bounded(kind: Any) -> Any:
    """Return a validator class of ``jsonschema`` with bounded keywords and formats."""
    copies = _namespace((_utils, _keywords, _legacy_keywords))
    keywords = {
        keyword: copies[function.__module__][function.__name__]
        for keyword, function in kind.VALIDATORS.items()
        if function.__module__ in copies
    }
    keywords["multipleOf"] = _multiple_of
    formats = FormatChecker(())
    formats.checkers = {
        **kind.FORMAT_CHECKER.checkers,
        "regex": (
            lambda value: not isinstance(value, str) or bool(compile_pattern(value)),
            PatternError,
        ),
        "date-time": (lambda value: not isinstance(value, str) or _is_date_time(value), ValueError),
        "time": (
            lambda value: not isinstance(value, str) or _is_date_time(f"1970-01-01T{value}"),
            ValueError,
        ),
    }
    return extend(kind, keywords, format_checker=formats)  # type: ignore[no-untyped-call]


def _is_date_time(text: str) -> bool:
    """Return whether a text is a date-time of RFC 3339; raises ValueError for 30 February."""
    match = _DATE_TIME.fullmatch(text.upper())
    if match is None:
        return False
    datetime.fromisoformat(f"{match[1]}T{match[2]}+{match[3] or '00:00'}")
    return True
