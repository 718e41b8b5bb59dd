"""Read the output text as one JSON document (RFC 8259), or say what it is instead.

The reader is strict: a document in a Markdown fence, or with a sentence around it, would break the
program that receives it. The finding says where the document is. What programs would read
differently is a finding too: a key that occurs twice, a number that no float or integer can hold,
``NaN`` and ``Infinity``, which are Python's. Whitespace around the document is allowed.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from evalkit._lib.exact_json import FINITE
from evalkit._lib.json import MISSING, json_type
from evalkit._lib.text import show
from evalkit.transcript import Turn
from evalkit.verdict import Finding, Where

_FENCE = re.compile(r"\s*(```|~~~)")
_OPENING = re.compile(r"[ ]{0,3}(```+|~~~+)([^`]*)")
# A line of a document from Windows ends with a carriage return.
_CLOSING = re.compile(r"[ ]{0,3}(```+|~~~+)[ \t\r]*")
_START = re.compile(r"[\[{]")
_MAX_STARTS = 20
_LONGEST_FENCE = 32
"""How many positions are tried as the start of a document inside other text."""


class ParsedOutput(NamedTuple):
    """A parsed value, or ``MISSING`` and the problem, with its character offset if it has one."""

    value: Any
    problem: str = ""
    offset: int | None = None


def parse(text: str) -> ParsedOutput:
    """Parse one JSON document; never raises."""
    try:
        return ParsedOutput(_DECODER.decode(text))
    except json.JSONDecodeError as error:
        return _diagnose(text, error)
    except RecursionError:
        return ParsedOutput(MISSING, "the JSON is nested too deep to be read", 0)
    except ValueError as error:
        return ParsedOutput(MISSING, f"the JSON cannot be read exactly: {error}", 0)


def fenced_document(text: str) -> str | ParsedOutput:
    """Return what is in the only Markdown fence of a text, the text where there is none.

    Where there are several, it is the only one that is labeled as JSON.
    """
    blocks = list(_fenced_blocks(text.split("\n")))
    labeled = [content for label, content in blocks if label.lower().startswith("json")]
    fences = labeled or [content for _, content in blocks]
    if len(fences) > 1:
        problem = f"the output has {len(fences)} Markdown code fences, expected one"
        return ParsedOutput(MISSING, problem, text.find(fences[1]))
    return fences[0] if fences else text


def _fenced_blocks(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the label and the content of each fence that is closed, in linear time."""
    # The last lines that could close a fence, by its character and length: a text may open
    # thousands of fences and close none.
    last = {}
    for number, line in enumerate(lines):
        if match := _CLOSING.fullmatch(line):
            for length in range(3, min(len(match[1]), _LONGEST_FENCE) + 1):
                last[match[1][:length]] = number
    number = 0
    while number < len(lines):
        opening = _OPENING.fullmatch(lines[number])
        number += 1
        mark = opening[1][:_LONGEST_FENCE] if opening else ""
        if not opening or last.get(mark, -1) < number:
            continue
        start = number
        while not ((match := _CLOSING.fullmatch(lines[number])) and match[1].startswith(mark)):
            number += 1
        yield opening[2].strip(), "\n".join(lines[start:number])
        number += 1


def read_output(turn: Turn | None, *, fenced: bool = False) -> tuple[Any, Finding | None]:
    """Return the value of a turn's output text, or ``MISSING`` and a finding ``not_json``.

    ``fenced`` accepts a document in a Markdown fence, with other text around the fence.
    """
    text = turn.text if turn is not None else ""
    document = fenced_document(text) if fenced else text
    value, problem, offset = parse(document) if isinstance(document, str) else document
    if not problem:
        return value, None
    if offset is not None and isinstance(document, str):
        offset += text.find(document)
    if offset is not None:
        line, column = text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
        problem += f" (line {line}, column {column})"
    where = Where(turn=turn.number if turn is not None else None, part="output", pointer="")
    return MISSING, Finding("not_json", problem, where, detail=f"output  {show(text, 300)}")


_DECODER = json.JSONDecoder(**FINITE)


def _diagnose(text: str, error: json.JSONDecodeError) -> ParsedOutput:
    if not text.strip():
        return ParsedOutput(MISSING, "there is no output text, so no JSON document")
    fence = _FENCE.match(text)
    if fence is not None:
        problem = "the output is in a Markdown code fence, expected only a JSON document"
        return ParsedOutput(MISSING, problem, fence.start(1))
    if error.msg == "Extra data":
        rest = show(text[error.pos :].strip(), 60)
        return ParsedOutput(
            MISSING, f"the JSON document is followed by other text: {rest}", error.pos
        )
    for start, _ in zip(_START.finditer(text), range(_MAX_STARTS), strict=False):
        before = text[: start.start()].strip()
        try:
            value, _ = _DECODER.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        if before:
            problem = f"the JSON {json_type(value)} comes after other text: {show(before, 60)}"
            return ParsedOutput(MISSING, problem, start.start())
    cut = "; the text may be cut off" if error.pos >= len(text.rstrip()) - 1 else ""
    return ParsedOutput(MISSING, f"not JSON: {error.msg}{cut}", error.pos)
