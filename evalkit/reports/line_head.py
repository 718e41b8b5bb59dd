"""The head of a result line without its transcript, which is nine tenths of the line and seldom needed.

A line's last members are ``settings``, ``turns`` and ``digest``. Cutting it before the first of them and closing the brace gives its head.
The cut is proven by parsing: what stands before it is a whole object when closed by one brace only if the cut is at the top level (inside
a string the quotes would be escaped, inside a nested object one brace would not do). Anything else is parsed whole, so the order of
members is a matter of speed and never of truth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalkit._lib.quickjson import loads
from evalkit.errors import UsageError

_CUTS = (',"settings":', ',"turns":')


def glance(line: str) -> dict[str, Any]:
    """Return the members of a result line, ``settings``, ``turns`` and what follows left out where they could be. Raises ValueError."""
    for cut in _CUTS:
        at = line.find(cut)
        if at > 0:
            try:
                head = loads(line[:at] + "}")
            except ValueError:
                continue
            return head if line.endswith("}") else loads(line)  # type: ignore[no-any-return]
    value = loads(line)
    if not isinstance(value, dict):
        raise ValueError("a result is an object")
    return value


def refuse(directory: Path, number: int, error: Exception) -> UsageError:
    """Return the error that names a result line which cannot be read."""
    return UsageError(f"{directory / 'results.jsonl'}:{number} cannot be read: {error}")
