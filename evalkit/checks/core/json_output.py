"""Reading the output text as one JSON document (RFC 8259), and saying what else it is when it is not.

Strict on purpose: a document in a Markdown fence or with a sentence around it would break the program that takes it, so it is a finding
that tells where the document is. ``NaN`` and ``Infinity`` are Python's, not JSON's. Blank space around the document is allowed.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, NoReturn

from evalkit._lib.json import MISSING, json_type
from evalkit._lib.text import show
from evalkit.transcript import Turn
from evalkit.verdict import Finding, Where

_FENCE = re.compile(r"\s*(?:```|~~~)")
_START = re.compile(r"[\[{]")
_LOOKS = 20
"""How many places are tried as the start of a document inside other text."""


class Document(NamedTuple):
    """A parsed value, or ``MISSING`` and the problem: one line, and the place as line and column from 1."""

    value: Any
    problem: str = ""
    line: int = 0
    column: int = 0


def parse(text: str) -> Document:
    """Parse one JSON document; never raises."""
    try:
        return Document(_decode(text))
    except json.JSONDecodeError as error:
        return _diagnose(text, error)
    except RecursionError:
        return Document(MISSING, "the JSON is nested too deep to be read", 1, 1)
    except ValueError as error:
        return Document(MISSING, f"not JSON: {error}", 1, 1)


def read_output(turn: Turn | None) -> tuple[Any, Finding | None]:
    """Return the value of a turn's output text, or ``MISSING`` and a finding ``not_json``."""
    text = turn.text if turn is not None else ""
    value, problem, line, column = parse(text)
    if not problem:
        return value, None
    where = Where(turn=turn.number if turn is not None else None, part="output", pointer="")
    place = f" (line {line}, column {column})" if line else ""
    return MISSING, Finding(
        "not_json", f"{problem}{place}", where, detail=f"output  {show(text, 300)}"
    )


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON value")


_decode = json.JSONDecoder(parse_constant=_refuse).decode
_raw_decode = json.JSONDecoder(parse_constant=_refuse).raw_decode


def _diagnose(text: str, error: json.JSONDecodeError) -> Document:
    if not text.strip():
        return Document(MISSING, "there is no output text, so no JSON document")
    if _FENCE.match(text):
        at = text.index("`") if "`" in text else text.index("~")
        return Document(
            MISSING,
            "the output is in a Markdown code fence, not a JSON document by itself",
            *_place(text, at),
        )
    if error.msg == "Extra data":
        rest = text[error.pos :].strip()
        return Document(
            MISSING,
            f"the JSON document is followed by other text: {show(rest, 60)}",
            error.lineno,
            error.colno,
        )
    for number, found in enumerate(_START.finditer(text)):
        if number >= _LOOKS:
            break
        try:
            value, _ = _raw_decode(text, found.start())
        except (ValueError, RecursionError):
            continue
        if text[: found.start()].strip():
            line, column = _place(text, found.start())
            before = show(text[: found.start()].strip(), 60)
            return Document(
                MISSING,
                f"the JSON {json_type(value)} stands behind other text: {before}",
                line,
                column,
            )
    cut = "; the text may be cut off" if error.pos >= len(text.rstrip()) - 1 else ""
    return Document(MISSING, f"not JSON: {error.msg}{cut}", error.lineno, error.colno)


def _place(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
