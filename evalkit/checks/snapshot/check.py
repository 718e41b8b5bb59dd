"""``snapshot``: what was approved once is what comes again. The approved files lie beside the suite; nothing here, and no run, writes them.

A value that is not approved yet is a finding, as one that differs is: both carry the new value whole and say which file it would go into, so
that a reviewer can approve it (``evalkit review``) from the results alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from evalkit._lib.json import JSON, MISSING, equal
from evalkit._lib.text import shorten
from evalkit.checks.core.base import Approved, Check, View, option_error
from evalkit.checks.core.formatting import first_difference
from evalkit.checks.core.json_output import read_output
from evalkit.checks.snapshot.files import DEFAULT_NAMES, Kind, parse, render, same_text, without
from evalkit.errors import Misconfigured
from evalkit.verdict import Finding, Where

_SHOWN = 24
_COMPARED = 400
_WIDTH = 160


def _pointer(text: str) -> str:
    if not text.startswith("/"):
        raise option_error(f"must be a JSON Pointer such as /items/0/id, got {json.dumps(text)}")
    return text


Pointer = Annotated[str, AfterValidator(_pointer)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]


class Snapshot(Check):
    """The output's text, its JSON or the step types are what was approved before.

    Over the conversation ``text`` and ``json`` are those of the last turn, ``steps`` those of every turn. The empty case: no text is a value
    like any other (an empty file is approved for it); no step is an empty list; no JSON document is a finding, and nothing to approve.
    """

    name: ClassVar[str] = "snapshot"
    shorthand: ClassVar[str | None] = "of"

    of: Kind = Field(
        "text",
        description="What is kept: text (the output text), json (the output parsed) or steps (the step types).",
    )
    called: Name | None = Field(
        None, alias="name", description="The snapshot's own name, for several of one turn."
    )
    ignore: list[Pointer] = Field(
        default_factory=list,
        description="JSON Pointers of what may differ, * for every item or key; only with json.",
    )

    @model_validator(mode="after")
    def _validate(self) -> Self:
        if self.ignore and self.of != "json":
            raise option_error(
                f"'ignore' needs of: json, a snapshot of {self.of} has no JSON Pointers", "ignore"
            )
        return self

    def run(self, view: View) -> Iterator[Finding]:
        """Yield that nothing is approved, or what differs. Raises Misconfigured for an approved file that cannot be read."""
        number = view.turn.number if view.turn is not None else None
        got, problem = self._value(view)
        if problem is not None:
            yield problem
            return
        held = view.approved(number, self.called or DEFAULT_NAMES[self.of], self.of)
        where = Where(turn=number, file=held.path, kind=self.of)
        if held.text is None:
            message = f"nothing is approved yet: there is no {held.path}; once it is right, `evalkit review` approves it"
            yield Finding(
                "snapshot_new",
                message,
                where,
                got=got,
                detail="\n".join(_rows("+", render(self.of, got).splitlines(), _SHOWN)),
            )
            return
        expected = self._approved(held)
        if not self._agrees(held.text, expected, got):
            message = f"the {_WORDS[self.of]} not what was approved; if the new one is right, `evalkit review` approves it"
            detail = _difference(render(self.of, expected), render(self.of, got))
            yield Finding(
                "snapshot_differs", message, where, expected=expected, got=got, detail=detail
            )

    def _value(self, view: View) -> tuple[JSON, Finding | None]:
        if self.of == "steps":
            return [[step.type for step in turn.steps] for turn in view.turns], None
        if self.of == "json":
            value, problem = read_output(view.last)
            return (
                (MISSING, problem) if problem is not None else (without(value, self.ignore), None)
            )
        return view.last.text if view.last is not None else "", None

    def _approved(self, held: Approved) -> JSON:
        text = (held.text or "").replace("\r\n", "\n").removesuffix("\n")
        if self.of == "text":
            return text
        if self.of == "steps":
            return [part.splitlines() for part in text.split("\n\n")]
        try:
            return without(parse(held.text or ""), self.ignore)
        except ValueError as error:
            line = getattr(error, "lineno", 1)
            raise Misconfigured(
                f"{held.path}:{line} is no JSON document: {getattr(error, 'msg', error)}"
            ) from None

    def _agrees(self, text: str, expected: JSON, got: JSON) -> bool:
        return equal(expected, got) if self.of == "json" else same_text(text, render(self.of, got))


_WORDS = {"text": "text is", "json": "JSON is", "steps": "step types are"}


def _difference(expected: str, got: str) -> str:
    """Return the first differences of two files, line by line; of two single lines the place where they part."""
    if expected.count("\n") == got.count("\n") == 1:
        return first_difference(expected[:-1], got[:-1])
    from difflib import SequenceMatcher

    old, new = expected.splitlines(), got.splitlines()
    start = next(
        (at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]),
        min(len(old), len(new)),
    )
    lead = max(0, start - 2)
    left, right = old[lead : start + _COMPARED], new[lead : start + _COMPARED]
    rows: list[str] = [f"line {start + 1}"]
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            rows += _rows(" ", left[a:b], 2 if len(rows) > 1 else b - a)
            rows += ["…"] if b - a > 2 and len(rows) > 3 else []
        else:
            rows += _rows("-", left[a:b], _SHOWN)
            rows += _rows("+", right[c:d], _SHOWN)
    if len(rows) > _SHOWN:
        rows = [*rows[:_SHOWN], "… (the rest is in the result)"]
    return "\n".join(rows)


def _rows(sign: str, lines: Sequence[str], most: int) -> list[str]:
    shown = [f"{sign} {shorten(line, _WIDTH)}".rstrip() for line in lines[:most]]
    return (
        shown
        if len(lines) <= most or sign == " "
        else [*shown, f"{sign} … {len(lines) - most} more lines"]
    )
