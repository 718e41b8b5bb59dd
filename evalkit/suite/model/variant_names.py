"""Names of variants: their parts, their identity, their cassette files.

An identity is ``suite::scenario[part-part]#trial``. Parts are the settings that the suite gives as
a list, in a fixed order, then the case. Adding a scenario, a turn or a row with an ``id`` never
renames another variant. A cassette's file name has the same parts, with characters replaced that a
file system would refuse; two variants whose file names would be equal are refused at load.
"""

import re
import unicodedata
from hashlib import sha256
from typing import Any

AXES = ("model", "agent", "history", "stream", "background", "service_tier")
"""Settings that may be given as a list, in the order of their parts; the case comes last."""

_BOOLEAN_LABELS: dict[str, dict[Any, str]] = {
    "stream": {True: "streamed", False: "plain"},
    "background": {True: "background", False: "foreground"},
}
_UNSAFE = re.compile(r"[^\w.+=@-]+")
_TRIAL_SUFFIX = re.compile(r"(^|\.)trial(\d+)$")
_MAX_BYTES = 80


def part_label(axis: str, value: Any) -> str:
    """Return the part that a setting's value adds to a variant's name."""
    return _BOOLEAN_LABELS[axis][value] if axis in _BOOLEAN_LABELS else str(value)


def variant_name(scenario: str, parts: tuple[str, ...], trial: int) -> str:
    """Return ``scenario[part-part]#trial``.

    The brackets need parts, the number a second trial.
    """
    return scenario + (f"[{'-'.join(parts)}]" if parts else "") + (f"#{trial}" if trial > 1 else "")


def cassette_file(scenario: str, parts: tuple[str, ...], trial: int) -> str:
    """Return ``scenario.part.part.yaml``, for later trials with ``.trial2``."""
    words = [scenario, *map(file_word, parts), *([f"trial{trial}"] if trial > 1 else [])]
    return ".".join(words) + ".yaml"


def file_word(text: str) -> str:
    """Return a part for use in a file name.

    It has letters, digits and ``_.+=@-``, and at most 80 bytes.
    """
    word = _UNSAFE.sub("-", unicodedata.normalize("NFC", text)).strip(".") or "-"
    word = _TRIAL_SUFFIX.sub(r"\1trial-\2", word)
    if len(word.encode()) > _MAX_BYTES:
        digest = sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
        word = f"{word.encode()[: _MAX_BYTES - 13].decode(errors='ignore')}-{digest}"
    return word
