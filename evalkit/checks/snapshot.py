"""``snapshot``: the output is what was approved before; and the layout of approved files.

The approved files are beside the suite. Neither this check nor a run writes them. A value that is
not approved yet is a finding, as is one that differs. Both contain the whole new value and the
file it would be written to, so that a reviewer can approve it (``evalkit review``) from the
results alone.

One file contains one approved value, in a form that is good to diff: text as received, step types
one per line, JSON indented by two with its keys in the received order. A file ends with one
newline more than its value. A lone surrogate, which UTF-8 cannot encode, is written as ``\\udXXX``.

The path names the variant: ``_snapshots/<suite>/<scenario>[.<part>…][.turnN].<name>.<txt|json>``.
All parts of a variant's name are in it, the model too where the suite has several: models do not
say the same. The trial is not: every trial must agree with what was approved.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from evalkit._lib.exact_json import write_exact
from evalkit._lib.json import JSON, MISSING, equal, loads
from evalkit._lib.text import shorten
from evalkit.checks.core.base import Check, View, option_error
from evalkit.checks.core.formatting import first_difference
from evalkit.checks.core.json_output import read_output
from evalkit.checks.core.strictness import Strictness
from evalkit.errors import Misconfigured
from evalkit.suite.model.variant_names import MAX_NAME_BYTES, bounded, file_word
from evalkit.verdict import Finding, Where

Kind = Literal["text", "json", "steps"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FOLDER = "_snapshots"
"""The folder of snapshots, beside the suite files they belong to."""
DEFAULT_NAMES: dict[Kind, str] = {"text": "text", "json": "output", "steps": "steps"}
"""The name of a snapshot that the suite does not name."""

_SUFFIXES: dict[Kind, str] = {"text": "txt", "json": "json", "steps": "txt"}
_ANY = "*"

_MAX_ROWS = 24
_MAX_COMPARED_LINES = 400
_MAX_WIDTH = 160
_SUBJECTS = {"text": "text is", "json": "JSON is", "steps": "step types are"}


def path_of(
    suite: str, scenario: str, parts: Sequence[str], turn: int | None, name: str, kind: Kind
) -> str:
    """Return a snapshot's path below the folder of its suite; ``turn`` None: the conversation."""
    # A part such as "turn2" must not look like the number of the turn.
    words = [re.sub(r"^turn(\d+)$", r"turn-\1", file_word(part)) for part in parts]
    turns = [f"turn{turn}"] if turn else []
    file = bounded(".".join([scenario, *words, *turns, name]), MAX_NAME_BYTES)
    return f"{FOLDER}/{suite}/{file}.{_SUFFIXES[kind]}"


def render(kind: Kind, value: JSON) -> str:
    """Return a value as its file contains it: a text, JSON, or a list of step types per turn."""
    text = value
    if kind == "json":
        text = write_exact(value, indent=2, ensure_ascii=False)
    elif kind == "steps":
        text = "\n\n".join("\n".join(types) for types in value)
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def parse(text: str) -> JSON:
    """Return the value of a JSON snapshot. Raises ValueError (JSONDecodeError with the line)."""
    try:
        return loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def same_text(approved: str, got: str) -> bool:
    """Compare two text files, whatever their line endings and with or without a final newline."""
    return normalize_lines(approved) == normalize_lines(got)


def normalize_lines(text: str) -> str:
    """Return text with Unix line endings and without its final newline."""
    return text.replace("\r\n", "\n").removesuffix("\n")


def without(value: JSON, pointers: Sequence[str]) -> JSON:
    """Return a copy of a JSON value without what the pointers lead to.

    ``*`` in a pointer matches every item or key.
    """
    for pointer in pointers:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        value = _without(value, parts)
    return None if value is MISSING else value


def _without(value: JSON, path: list[str]) -> JSON:
    if not path:
        return MISSING
    head, *rest = path
    if isinstance(value, list):
        items = [
            _without(item, rest) if head in (str(index), _ANY) else item
            for index, item in enumerate(value)
        ]
        return [item for item in items if item is not MISSING]
    if isinstance(value, dict):
        fields = {
            key: _without(item, rest) if head in (key, _ANY) else item
            for key, item in value.items()
        }
        return {key: item for key, item in fields.items() if item is not MISSING}
    return value


def _pointer(text: str) -> str:
    if not text.startswith("/"):
        raise option_error(f"must be a JSON Pointer such as /items/0/id, got {json.dumps(text)}")
    return text


Pointer = Annotated[str, AfterValidator(_pointer)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]


class Snapshot(Check):
    """The output's text, its JSON or the step types are what was approved before.

    Over the conversation ``text`` and ``json`` are those of the last turn, ``steps`` those of every
    turn. The empty case: an empty text is a value like any other (an empty file is approved for
    it); no step is an empty list; without a JSON document there is a finding, and nothing to
    approve.
    """

    name: ClassVar[str] = "snapshot"
    shorthand: ClassVar[str | None] = "of"
    strictness: ClassVar[Mapping[str, Strictness]] = {"ignore": "exempt"}

    of: Kind = Field(
        "text",
        description="What is compared: text (the output text), json (the output parsed) or steps"
        " (the step types).",
    )
    called: Name | None = Field(
        None, alias="name", description="The snapshot's own name, for several of one turn."
    )
    ignore: list[Pointer] = Field(
        [],
        description="JSON Pointers of what may differ, * for every item or key; only with json.",
    )

    @model_validator(mode="after")
    def _refuse_pointers_into_text(self) -> Self:
        if self.ignore and self.of != "json":
            raise option_error(
                f"'ignore' needs of: json, a snapshot of {self.of} has no JSON Pointers", "ignore"
            )
        return self

    def run(self, view: View) -> Iterator[Finding]:
        """Yield that nothing is approved, or what differs.

        Raises Misconfigured for an approved file that cannot be read.
        """
        got, problem = self._value(view)
        if problem is not None:
            yield problem
            return
        number = view.turn.number if view.turn is not None else None
        entry = view.turn.entry if view.turn is not None else None
        approved = view.approved(entry, self.called or DEFAULT_NAMES[self.of], self.of)
        where = Where(turn=number, file=approved.path, kind=self.of)
        new = render(self.of, got)
        if approved.text is None:
            yield Finding(
                "snapshot_new",
                f"nothing is approved yet: there is no {approved.path}; if the value is right,"
                " approve it with `evalkit review`",
                where,
                got=got,
                detail="\n".join(_rows("+", new.splitlines())),
            )
            return
        expected = self._parse(approved.path, approved.text)
        is_same = equal(expected, got) if self.of == "json" else same_text(approved.text, new)
        if not is_same:
            yield Finding(
                "snapshot_differs",
                f"the {_SUBJECTS[self.of]} not what was approved; if the new one is right, approve"
                " it with `evalkit review`",
                where,
                expected=expected,
                got=got,
                detail=_difference(render(self.of, expected), new),
            )

    def _value(self, view: View) -> tuple[JSON, Finding | None]:
        if self.of == "steps":
            return [[step.type for step in turn.steps] for turn in view.turns], None
        if self.of == "text":
            return view.last.text if view.last is not None else "", None
        value, problem = read_output(view.last)
        return (without(value, self.ignore), None) if problem is None else (MISSING, problem)

    def _parse(self, path: str, text: str) -> JSON:
        if self.of == "text":
            return normalize_lines(text)
        if self.of == "steps":
            return [turn.splitlines() for turn in normalize_lines(text).split("\n\n")]
        try:
            return without(parse(text), self.ignore)
        except ValueError as error:
            line, reason = getattr(error, "lineno", 1), getattr(error, "msg", error)
            raise Misconfigured(f"{path}:{line} is not a JSON document: {reason}") from None


def _difference(expected: str, got: str) -> str:
    """Return the first differences of two files by line, or by character of single lines."""
    if expected.count("\n") == got.count("\n") == 1:
        return first_difference(expected[:-1], got[:-1])
    old, new = expected.splitlines(), got.splitlines()
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    window = slice(max(0, start - 2), start + _MAX_COMPARED_LINES)
    left, right = old[window], new[window]
    rows = [f"line {start + 1}"]
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag != "equal":
            rows += _rows("-", left[a:b]) + _rows("+", right[c:d])
        elif len(rows) == 1:
            rows += _rows(" ", left[a:b])
        else:
            rows += _rows(" ", left[a : min(b, a + 2)]) + (["…"] if b - a > 2 else [])
    if len(rows) > _MAX_ROWS:
        rows = [*rows[:_MAX_ROWS], "… (the rest is in the result)"]
    return "\n".join(rows)


def _rows(sign: str, lines: Sequence[str]) -> list[str]:
    rows = [f"{sign} {shorten(line, _MAX_WIDTH)}".rstrip() for line in lines[:_MAX_ROWS]]
    more = len(lines) - _MAX_ROWS
    return [*rows, f"{sign} … {more} more lines"] if more > 0 else rows
