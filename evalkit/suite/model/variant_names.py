"""The names of variants, and of their cassettes.

An identity is ``suite::scenario[part-part]#trial``. Parts are the settings that the suite gives as
a list, in a fixed order, then the choices of the matrix in the order of its axes, then the case.
Adding a scenario, a turn, a choice or a row with an ``id`` never renames another variant.

A cassette's file name has the same parts, with characters replaced that a file system would refuse;
two variants whose file names would be equal are refused at load. A model that is not the suite's
own is the last part of the file name, so that its recordings are beside those of the suite's own.
A locked session (``--evalkit-locked``) has cassettes of its own, too, named ``…~locked.yaml``. No
other name has that character.
"""

import re
import unicodedata
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from evalkit.suite.model.suite import CaseRow

_BOOLEAN_LABELS: dict[str, dict[Any, str]] = {
    "stream": {True: "streamed", False: "plain"},
    "background": {True: "background", False: "foreground"},
}
_UNSAFE = re.compile(r"[^\w.+=@-]+")
_TRIAL_SUFFIX = re.compile(r"(^|\.)trial(\d+)$")
# Names of devices on Windows, with any extension.
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)")
_MAX_BYTES = 80
MAX_NAME_BYTES = 200
_LOCKED = "~locked"


def part_label(axis: str, value: Any) -> str:
    """Return the part that a setting's value adds to a variant's name."""
    return _BOOLEAN_LABELS[axis][value] if axis in _BOOLEAN_LABELS else str(value)


def variant_name(scenario: str, parts: tuple[str, ...], trial: int) -> str:
    """Return ``scenario[part-part]#trial``.

    The brackets need parts, the number a second trial.
    """
    return scenario + (f"[{'-'.join(parts)}]" if parts else "") + (f"#{trial}" if trial > 1 else "")


def name_parts(parts: tuple[str, ...], choices: Iterable[str], row: CaseRow) -> tuple[str, ...]:
    """Return the parts of a variant: those of its settings, its choices, its case."""
    return (*parts, *choices, *([row.label] if row.number else ()))


def cassette_file(
    scenario: str, parts: tuple[str, ...], trial: int, model: str = "", *, is_locked: bool = False
) -> str:
    """Return ``scenario.part.part.yaml``, for later trials with ``.trial2``.

    ``model`` is one that is not the suite's own.
    """
    words = [scenario, *map(file_word, parts), *([file_word(model)] if model else [])]
    if trial > 1:
        words.append(f"trial{trial}")
    name = bounded(".".join(words), MAX_NAME_BYTES)
    return f"{name}{_LOCKED if is_locked else ''}.yaml"


def unlocked_cassette(name: str) -> str:
    """Return the name of a cassette without what a locked session adds to it."""
    start, locked, _ = name.rpartition(f"{_LOCKED}.yaml")
    return f"{start}.yaml" if locked else name


def file_word(text: str) -> str:
    """Return a part for use in a file name.

    It has letters, digits and ``_.+=@-``, and at most 80 bytes.
    """
    word = _UNSAFE.sub("-", unicodedata.normalize("NFC", text)).strip(".") or "-"
    word = _TRIAL_SUFFIX.sub(r"\1trial-\2", word)
    return bounded(word, _MAX_BYTES, text)


def bounded(name: str, limit: int, text: str = "") -> str:
    """Return a file name of at most ``limit`` bytes; a longer one ends with a digest of ``text``.

    File systems allow 255 bytes; a temporary file beside it has a longer name. A name that Windows
    reserves gets a hyphen.
    """
    name = _RESERVED.sub(r"\1-", name)
    data = name.encode()
    if len(data) <= limit:
        return name
    digest = sha256((text or name).encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{data[: limit - 13].decode(errors='ignore')}-{digest}"
