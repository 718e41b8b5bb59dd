"""Reading on after mistakes, so that all problems of a file are shown at once.

What the models refused is cut out of a copy of the document, and the rest is read as if it had never been there. ``Broken`` remembers
what was cut: nothing may be called missing that is only broken.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING

from evalkit._lib.json import JSON
from evalkit.suite.catalog import Path

if TYPE_CHECKING:
    from evalkit.suite.models import SuiteFile

_STAND_INS: dict[str, JSON] = {"suite": "unnamed", "id": "unnamed", "result": ""}
_ENTRIES: dict[str, JSON] = {
    "turns": {}, "scenarios": {"id": "unnamed"}, "tools": {"type": "-"}, "user": {"type": "-"}, "attach": {"document": "https://-"},
    "results": {"result": ""}, "cases": {}, "tags": "unnamed",
}  # fmt: skip
_ROUNDS = 5


class Broken:
    """Paths of what the models refused."""

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self._paths = list(paths)

    def __bool__(self) -> bool:
        return bool(self._paths)

    def within(self, *path: str | int) -> bool:
        """Say whether something at or below ``path``, or a whole it belongs to, is broken."""
        return any(held[: len(path)] == path or path[: len(held)] == held for held in self._paths)

    def whole(self, *path: str | int) -> bool:
        """Say whether the value at ``path`` itself, or a whole it belongs to, is broken."""
        return any(path[: len(held)] == held for held in self._paths)


def salvage(raw: JSON, paths: list[Path]) -> SuiteFile | None:
    """Return the valid rest of a document whose values at ``paths`` were refused, or None where too little is left."""
    from pydantic import ValidationError

    from evalkit.suite.models import SUITE_FILE

    rest = copy.deepcopy(raw)
    for _ in range(_ROUNDS):
        for path in paths:
            _cut(rest, path)
        try:
            return SUITE_FILE.validate_python(rest)
        except ValidationError as error:
            paths = [strip(entry["loc"]) for entry in error.errors(include_url=False)]
    return None


def strip(location: tuple[str | int, ...]) -> Path:
    """Return a location of pydantic's as a path through the document: its own marks (``(list)``, ``[key]``) left out."""
    return tuple(
        step
        for step in location
        if not (isinstance(step, str) and step[:1] in ("(", "[") and step[-1:] in (")", "]"))
    )


def _cut(document: JSON, path: Path) -> None:
    """Take the value at ``path`` out; a list keeps its length, so that the paths of its other entries stay true."""
    parents = [document]
    for step in path[:-1]:
        try:
            parents.append(parents[-1][step])
        except (LookupError, TypeError):
            break
    for depth in range(len(parents) - 1, -1, -1):
        parent, step = parents[depth], path[depth]
        if isinstance(parent, dict) and isinstance(step, str):
            if step in _STAND_INS:
                parent[step] = _STAND_INS[step]
            else:
                parent.pop(step, None)
            return
        stand_in = _ENTRIES.get(str(path[depth - 1])) if depth else None
        if (
            isinstance(parent, list)
            and stand_in is not None
            and isinstance(step, int)
            and step < len(parent)
        ):
            parent[step] = copy.deepcopy(stand_in)
            return
