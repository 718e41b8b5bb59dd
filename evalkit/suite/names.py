"""What a variant is called: its parts, its identity, its cassette.

Identity is ``suite::scenario[part-part]#trial`` (design section 4): parts stand for settings that the suite gives as a list, in a fixed
order, and for the case; inserting a scenario, a turn or a row with an ``id`` never renames another variant. The cassette's file name is
made of the same parts, with what a file system would not take replaced; two variants whose names would fall together are refused at load.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256
from typing import Any

AXES = ("model", "agent", "history", "stream", "background", "service_tier")
"""Settings that may be given as a list, in the order of their parts; the case comes last."""

_WORDS: dict[str, dict[Any, str]] = {
    "stream": {True: "streamed", False: "plain"},
    "background": {True: "background", False: "foreground"},
}
_UNSAFE = re.compile(r"[^\w.+=@-]+")
_LIKE_A_TRIAL = re.compile(r"(^|\.)trial(\d+)$")
_LONGEST = 80


def part(axis: str, value: Any) -> str:
    """Return the label of one setting's value."""
    return _WORDS[axis][value] if axis in _WORDS else str(value)


def variant_name(scenario: str, parts: tuple[str, ...], trial: int) -> str:
    """Return ``scenario[part-part]#trial``: no brackets without parts, no number for the first trial."""
    return scenario + (f"[{'-'.join(parts)}]" if parts else "") + (f"#{trial}" if trial > 1 else "")


def cassette_path(suite: str, scenario: str, parts: tuple[str, ...], trial: int) -> str:
    """Return ``suite/scenario.part.part.yaml``, the path below the folder of cassettes."""
    return f"{suite}/{cassette_file(scenario, parts, trial)}"


def cassette_file(scenario: str, parts: tuple[str, ...], trial: int) -> str:
    """Return ``scenario.part.part.yaml``; ``.trial2`` before the ending from the second trial on."""
    words = [scenario, *map(file_word, parts), *([f"trial{trial}"] if trial > 1 else [])]
    return ".".join(words) + ".yaml"


def file_word(text: str) -> str:
    """Return a part as it stands in a file name: letters and digits of any script, ``_ . + = @ -``; cut when long."""
    word = _UNSAFE.sub("-", unicodedata.normalize("NFC", text)).strip(".") or "-"
    word = _LIKE_A_TRIAL.sub(r"\1trial-\2", word)
    if len(word.encode()) > _LONGEST:
        word = f"{word.encode()[: _LONGEST - 13].decode(errors='ignore')}-{sha256(text.encode(errors='surrogatepass')).hexdigest()[:12]}"
    return word
