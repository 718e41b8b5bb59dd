"""The layout of snapshot files: their paths, and how a value is written into them.

One file contains one approved value, in a form that is good to diff: text as received, step types
one per line, JSON indented by two with its keys in the received order. A file ends with one
newline more than its value. A lone surrogate, which UTF-8 cannot encode, is written as ``\\udXXX``.

The path names the variant: ``_snapshots/<suite>/<scenario>[.<part>…][.turnN].<name>.<txt|json>``.
All parts of a variant's name are in it, the model too where the suite has several: models do not
say the same. The trial is not: every trial must agree with what was approved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Literal, get_args

from evalkit._lib.json import JSON, MISSING, loads
from evalkit.suite.model.variant_names import file_word

Kind = Literal["text", "json", "steps"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FOLDER = "_snapshots"
"""The folder of snapshots, beside the suite files they belong to."""
DEFAULT_NAMES: dict[Kind, str] = {"text": "text", "json": "output", "steps": "steps"}
"""The name of a snapshot that the suite does not name."""

_SUFFIXES: dict[Kind, str] = {"text": "txt", "json": "json", "steps": "txt"}
_ANY = "*"


def path_of(
    suite: str, scenario: str, parts: Sequence[str], turn: int | None, name: str, kind: Kind
) -> str:
    """Return a snapshot's path below the folder of its suite; ``turn`` None: the conversation."""
    # A part such as "turn2" must not look like the number of the turn.
    words = [re.sub(r"^turn(\d+)$", r"turn-\1", file_word(part)) for part in parts]
    turns = [f"turn{turn}"] if turn else []
    return f"{FOLDER}/{suite}/{'.'.join([scenario, *words, *turns, name])}.{_SUFFIXES[kind]}"


def render(kind: Kind, value: JSON) -> str:
    """Return a value as its file contains it: a text, JSON, or a list of step types per turn."""
    text = value
    if kind == "json":
        text = json.dumps(value, indent=2, ensure_ascii=False)
    elif kind == "steps":
        text = "\n\n".join("\n".join(types) for types in value)
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def parse(text: str) -> JSON:
    """Return the value of a JSON snapshot. Raises ValueError (JSONDecodeError with the line)."""
    try:
        return loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def same_text(approved: str, got: str) -> bool:
    """Compare two text files, whatever their line endings and with or without a final newline."""
    return normalize_lines(approved) == normalize_lines(got)


def normalize_lines(text: str) -> str:
    """Return text with Unix line endings and without its final newline."""
    return text.replace("\r\n", "\n").removesuffix("\n")


def without(value: JSON, pointers: Sequence[str]) -> JSON:
    """Return a copy of a JSON value without what the pointers lead to.

    ``*`` in a pointer matches every item or key.
    """
    for pointer in pointers:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        value = _without(value, parts)
    return None if value is MISSING else value


def _without(value: JSON, path: list[str]) -> JSON:
    if not path:
        return MISSING
    head, *rest = path
    if isinstance(value, list):
        items = [
            _without(item, rest) if head in (str(index), _ANY) else item
            for index, item in enumerate(value)
        ]
        return [item for item in items if item is not MISSING]
    if isinstance(value, dict):
        fields = {
            key: _without(item, rest) if head in (key, _ANY) else item
            for key, item in value.items()
        }
        return {key: item for key, item in fields.items() if item is not MISSING}
    return value
