"""Reads the code snippets of a getting-started guide that was saved as plain text. No IO.

Such a text does not have mark-up: a heading is a line ``3. Title``, the tab of a language is a line
with its name, a response follows a label, and code has no fences. But the guide's prose is Chinese,
and its code has no Chinese characters. So a paragraph with Chinese characters is prose, and any
other one belongs to the label above it: code under a language, a response under ``响应``. Prose ends
a snippet. Every line gets exactly one kind, so that nothing is lost: a paragraph without a label is
an error with its line.

The guide is not in this repository; tests that need it are skipped without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Language = Literal["python", "javascript", "curl"]
Kind = Literal["blank", "heading", "label", "prose", "setup", "code", "answer"]

_LABELS: dict[str, Language] = {"Python": "python", "JavaScript": "javascript", "REST": "curl"}
_ANSWER = "响应"
_STATELESS = "无状态"
_HEADING = re.compile(r"(\d+)\. ")
_PROSE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff]")
_SETUP = re.compile(r"(?:pip|npm) install |export ")


@dataclass(frozen=True, slots=True)
class Snippet:
    """One snippet.

    ``section`` is the number of its heading, with ``-stateless`` if it is under that heading;
    ``line`` is its first line, from 1.
    """

    section: str
    language: Language
    source: str
    line: int

    @property
    def name(self) -> str:
        """A name for tests: ``curl-9-stateless``."""
        return f"{self.language}-{self.section}"


@dataclass(frozen=True, slots=True)
class Guide:
    """A parsed guide: its snippets, shell commands for setup, and the kind of each line."""

    snippets: tuple[Snippet, ...]
    setup: tuple[str, ...]
    kinds: tuple[Kind, ...]


def read_guide(text: str) -> Guide:
    """Parse a guide. Raises ValueError with the line of a paragraph without a label."""
    lines = text.split("\n")
    kinds: list[Kind] = ["blank"] * len(lines)
    snippets: list[Snippet] = []
    setup: list[str] = []
    section = ""
    language: Language | None = None
    answering = False
    code: list[int] = []

    def close() -> None:
        if code and language is not None:
            snippets.append(
                Snippet(
                    section, language, "\n".join(lines[code[0] : code[-1] + 1]) + "\n", code[0] + 1
                )
            )
        code.clear()

    for first, last in _paragraphs(lines):
        line = lines[first]
        kind: Kind
        if _PROSE.search("".join(lines[first : last + 1])) or (line in _LABELS and first == last):
            close()
            if heading := _HEADING.match(line):
                kind, section, language, answering = "heading", heading[1], None, False
            elif line in _LABELS or line == _ANSWER:
                kind, language, answering = "label", _LABELS.get(line), line == _ANSWER
            else:
                kind = "prose"
                if line == _STATELESS:
                    section, language, answering = f"{section}-stateless", None, False
        elif _SETUP.match(line):
            close()
            kind = "setup"
            setup += lines[first : last + 1]
        elif answering:
            kind = "answer"
        elif language is not None:
            kind = "code"
            code += range(first, last + 1)
        else:
            raise ValueError(f"line {first + 1}: neither prose nor under a label: {line!r}")
        kinds[first : last + 1] = [kind] * (last + 1 - first)
    close()
    return Guide(tuple(snippets), tuple(setup), tuple(kinds))


def _paragraphs(lines: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the first and last line of each paragraph."""
    first = None
    for number, line in enumerate([*lines, ""]):
        if line.strip() and first is None:
            first = number
        elif not line.strip() and first is not None:
            yield first, number - 1
            first = None
