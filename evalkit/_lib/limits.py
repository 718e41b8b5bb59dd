"""The limits of what one answer, file, pattern or template may cost; one table.

Foreign input must not hang or kill a session: what exceeds a limit is an error of its variant, and
the message names the limit. The limits are generous, and each can be raised: in a pytest session by
lines of the ini option ``evalkit_limits``, in commands by ``evalkit --limit NAME=VALUE``. They hold
for the whole process, because readers of files at every depth need them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from evalkit._lib.text import did_you_mean
from evalkit.errors import UsageError

_KB, _MB = 1024, 1024 * 1024
_UNITS = {"": 1, "kb": _KB, "mb": _MB, "gb": 1024 * _MB}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes are in bytes, times in seconds; docs/limits.md describes each."""

    response: int = 64 * _MB
    headers: int = 256 * _KB
    events: int = 100_000
    cassette: int = 256 * _MB
    line: int = 64 * _MB
    template: int = 16 * _MB
    pattern: int = 5


_SIZES = ("response", "headers", "cassette", "line", "template")
_NAMES = tuple(field.name for field in fields(Limits))
_current = Limits()


class TooLarge(ValueError):
    """Data that exceed a limit; the message names the limit."""


def limits() -> Limits:
    """Return the limits of this process."""
    return _current


def set_limits(settings: Iterable[str]) -> None:
    """Set the limits of this process to the defaults with ``NAME=VALUE`` changes.

    Raises UsageError.
    """
    global _current
    changes = {}
    for setting in settings:
        name, _, text = (part.strip() for part in setting.partition("="))
        if name not in _NAMES:
            hint = did_you_mean(name, _NAMES)
            raise UsageError(f"limit {setting!r}: unknown name{hint}; valid: {', '.join(_NAMES)}")
        number = text.rstrip("KMGBkmgb ")
        unit = text[len(number) :].strip().lower()
        if not (number.isascii() and number.isdigit() and unit in _UNITS and int(number[:15])):
            form = f"{name}=512MB" if name in _SIZES else f"{name}=1000"
            raise UsageError(f"limit {setting!r}: not a positive number; write e.g. {form}")
        if unit and name not in _SIZES:
            raise UsageError(f"limit {setting!r}: {name!r} has no unit")
        changes[name] = int(number[:15]) * _UNITS[unit]
    _current = replace(Limits(), **changes)


def exceeded(name: str, what: str) -> str:
    """Return the message for a limit that ``what`` exceeds; it says how to raise it."""
    value = getattr(_current, name)
    shown = f"{value:,}"
    if name in _SIZES:
        unit, size = ("MB", _MB) if value >= _MB else ("KB", _KB)
        shown = f"{value / size:g} {unit}"
    shown += " s" if name == "pattern" else ""
    return (
        f"{what} (limit: {shown}); raise the limit {name!r} with the ini option evalkit_limits or "
        "'evalkit --limit'"
    )
