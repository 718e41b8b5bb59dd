"""What a snapshot's file is called, and how a value is written into it. Pure: who reads and writes the files is not known here.

One file holds one approved value, made for diffs: text as it came, step types one a line, JSON indented by two with its keys as they came.
A file ends with one newline more than its value. Half a surrogate pair, which UTF-8 cannot hold, is written as ``\\udXXX``.

The name says whose value it is: ``_snapshots/<suite>/<scenario>[.<part>…][.turnN].<name>.<txt|json>``. All parts of a variant's name count,
its model too where the suite gives several: models do not say the same. The trial does not: trials must agree with what was approved.
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
"""What a snapshot is called that has no name."""

_ENDING: dict[Kind, str] = {"text": "txt", "json": "json", "steps": "txt"}
_LIKE_A_TURN = re.compile(r"^turn(\d+)$")
_ANY = "*"


def path_of(
    suite: str, scenario: str, parts: Sequence[str], turn: int | None, name: str, kind: Kind
) -> str:
    """Return a snapshot's path below the folder of its suite file; ``turn`` None is the whole conversation."""
    words = [
        scenario,
        *(_LIKE_A_TURN.sub(r"turn-\1", file_word(part)) for part in parts),
        *([f"turn{turn}"] if turn else []),
        name,
    ]
    return f"{FOLDER}/{suite}/{'.'.join(words)}.{_ENDING[kind]}"


def render(kind: Kind, value: JSON) -> str:
    """Return a value as its file holds it: a text, a JSON value, or lists of step types, one for each turn."""
    if kind == "json":
        text = json.dumps(value, indent=2, ensure_ascii=False)
    elif kind == "steps":
        text = "\n\n".join("\n".join(types) for types in value)
    else:
        text = value
    return _encodable(text) + "\n"


def parse(text: str) -> JSON:
    """Return the value of a JSON snapshot. Raises ValueError (json.JSONDecodeError, which knows the line, where it is no JSON)."""
    try:
        return loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def same_text(approved: str, got: str) -> bool:
    """Compare two files of text: how lines end is no difference (a checkout may change it), nor is a newline missing at the end."""
    return _lines(approved) == _lines(got)


def without(value: JSON, pointers: Sequence[str]) -> JSON:
    """Return a JSON value without what the pointers lead to; ``*`` stands for every item or key. The value itself stays as it is."""
    for pointer in pointers:
        value = _without(
            value, [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        )
    return None if value is MISSING else value


def _without(value: JSON, path: list[str]) -> JSON:
    if not path:
        return MISSING
    head, rest = path[0], path[1:]
    if isinstance(value, dict):
        kept = {
            key: _without(item, rest) if head in (key, _ANY) else item
            for key, item in value.items()
        }
        return {key: item for key, item in kept.items() if item is not MISSING}
    if isinstance(value, list):
        items = [
            _without(item, rest) if head in (str(index), _ANY) else item
            for index, item in enumerate(value)
        ]
        return [item for item in items if item is not MISSING]
    return value


def _lines(text: str) -> str:
    text = text.replace("\r\n", "\n")
    return text.removesuffix("\n")


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
