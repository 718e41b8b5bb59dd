"""Texts that differ although they look alike: which character it is, by its name in Unicode.

Spaces of other widths, dashes, quotes, composed and decomposed letters, letters of other alphabets,
and characters that show as nothing (Unicode TR36 and TR39). Only failing paths use this.
"""

import unicodedata

_FOLDED = str.maketrans(
    "‐‑‒–—―−⁃⸺" "‘’‚‛′`´ʼʻʹ" "“”„‟″«»" "〜∼" "∶꞉" "⁄∕" "•∙⋅・" "\u2800×"
    "аеорсухіјѕԁһԛԝкӏАВЕКМНОРСТХІЈЅ" "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαοινρυκ" "ıℓօ",
    "---------" "''''''''''" '"""""""' "~~" "::" "//" "····" " x"
    "aeopcyxijsdhqwklABEKMHOPCTXIJS" "ABEZHIKMNOPTYXaoivpuk" "ilo",
)  # fmt: skip
# Jamo and Mongolian fillers, and a joiner without width.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f")
_MAX_CHARACTERS = 200_000


def lookalike_note(expected: str, got: str) -> str:
    """Return how a text differs from the expected one that it, or a part of it, looks like.

    ``""`` where it has the expected one, or does not even look like it.
    """
    if len(got) > _MAX_CHARACTERS or (expected.isascii() and got.isascii()):
        return ""
    pieces = [_folded(char) for char in got]
    # Of several accents on a letter, the order is not visible.
    whole, looks = unicodedata.normalize("NFD", "".join(pieces)), _folded(expected)
    is_whole = whole == looks and expected != got
    if not is_whole and (expected in got or looks not in whole or not looks.strip()):
        return ""
    # Of a whole text, also characters before it that show as nothing.
    origins = [index for index, piece in enumerate(pieces) for _ in piece]
    first = 0 if is_whole else origins[whole.find(looks)]
    same = 0
    for one, other in zip(expected, got[first:], strict=False):
        if one != other:
            break
        same += 1
    return (
        f"looks alike, but character {first + same + 1} is {char_name(got, first + same)},"
        f" not {char_name(expected, same)}"
    )


def char_name(text: str, at: int) -> str:
    """Return the character at a position in quotes, or its number and name, with its accents."""
    if at >= len(text):
        return "the end"
    char = text[at]
    names = [f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()]
    if char.isascii() and char.isprintable():
        names = [f"'{char}'"]
    if at + 1 < len(text) and unicodedata.combining(text[at + 1]):
        names.append(char_name(text, at + 1))
    return " with ".join(names)


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.translate(_FOLDED))
    return "".join(
        char
        for char in plain
        if unicodedata.category(char) != "Cf"
        and char not in _FILLERS
        and not "\ufe00" <= char <= "\ufe0f"
    )
