"""The code of a getting-started guide that was saved as plain text, section by section, language by language. Pure.

Such a text has lost its mark-up: a heading is a line ``3. Title``, the tab of a language is a line with its name alone, a response stands
under a line that says so, and code has no fences. What is left to go by: the guide's prose is Chinese, its code holds no Chinese character.
So a paragraph with one is prose, any other belongs to the label above it: code under a language, an answer under ``响应``. Prose ends a
snippet. Every line of the text gets exactly one kind, so that nothing can be lost in silence: what fits nowhere is an error with its line.

The guide's text itself is no part of this repository; tests read it where it is and are skipped where it is not.
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
    """One piece of code. ``section`` is its heading's number, with ``-stateless`` where it stands under that; ``line`` is its first, from 1."""

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
    """A guide that was read. ``setup`` holds the commands of a shell that prepare (install, set the key), ``kinds`` the kind of each line."""

    snippets: tuple[Snippet, ...]
    setup: tuple[str, ...]
    kinds: tuple[Kind, ...]


def read_guide(text: str) -> Guide:
    """Return what a guide holds. Raises ValueError with the line of a paragraph that is neither prose nor stands under a label."""
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
    """Yield the first and last line of each run of lines that are not blank."""
    first = None
    for number, line in enumerate([*lines, ""]):
        if line.strip() and first is None:
            first = number
        elif not line.strip() and first is not None:
            yield first, number - 1
            first = None
