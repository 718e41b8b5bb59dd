"""Checks as JSON, and back: what pydantic found sound once is not held against its types again.

A class is named by its module and name, a value of it by its options. Only classes of this room are kept, under a stamp of their sources
and of Python, which decides what is a regular expression: a user's own class may say something else in the next session.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from evalkit._lib.json import JSON, MISSING
from evalkit._lib.version import VERSION
from evalkit.checks.core.base import Check
from evalkit.checks.core.declaring import Options

_ROOM = "evalkit.checks."
_CLASS = (
    ""  # the key that names the class; None there says that a mapping of the user's has this key
)


def keep(check: Check) -> JSON | None:
    """Return a check as JSON; None where its class is none of evalkit's own."""
    return [stamp(), _plain(check)] if type(check).__module__.startswith(_ROOM) else None


def restore(kept: JSON) -> Check | None:
    """Return the check of which ``keep`` gave the JSON; None where another evalkit or another Python did, or somebody else."""
    held, value = kept
    if held != stamp():
        return None
    try:
        made = _made(value)
    except LookupError:
        return None
    return made if isinstance(made, Check) else None


@cache
def stamp() -> str:
    """Return what tells one state of this room from another."""
    # The version would do for whoever installs evalkit; the sources count for whoever works on it. All of them take half a millisecond.
    held = sha256(f"{VERSION} {sys.version_info[:2]}".encode())
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        held.update(source.read_bytes())
    return held.hexdigest()[:16]


def _plain(value: Any) -> JSON:
    if isinstance(value, Options):
        kind = type(value)
        held = {field.name: getattr(value, field.name) for field in fields(kind)}
        options = {word: _plain(one) for word, one in held.items() if one is not MISSING}
        return {_CLASS: f"{kind.__module__}:{kind.__qualname__}", **options}
    if isinstance(value, Mapping):
        plain = {key: _plain(one) for key, one in value.items()}
        return {_CLASS: None, "of": plain} if _CLASS in plain else plain
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _made(value: JSON) -> Any:
    if isinstance(value, list):
        return [_made(one) for one in value]
    if not isinstance(value, dict):
        return value
    if _CLASS not in value:
        return {key: _made(one) for key, one in value.items()}
    if value[_CLASS] is None:
        return {key: _made(one) for key, one in value["of"].items()}
    module, _, name = value[_CLASS].partition(":")
    # Whatever stands in a file, nothing but what is declared in this room is made of it.
    kind = getattr(import_module(module), name, None) if module.startswith(_ROOM) else None
    if not (isinstance(kind, type) and issubclass(kind, Options)):
        raise LookupError(value[_CLASS])
    made = object.__new__(kind)
    # As pydantic does, past the constructor, which would ask again what was answered.
    vars(made).update(
        {
            field.name: _made(value[field.name]) if field.name in value else MISSING
            for field in fields(kind)
        }
    )
    return made
