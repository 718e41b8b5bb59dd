"""One step against another: are they the same, which are alike, and what changed between them. Pure.

The unit of ``history_diff``, which says which step is to be compared with which.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from evalkit._lib.json import JSON, MISSING, canonical, differences, equal
from evalkit._lib.text import shorten, show
from evalkit.checks.core.formatting import against, keep, parting, table
from evalkit.checks.history.input import Item, RawStep
from evalkit.protocol.step_reader import type_of
from evalkit.protocol.step_types import CLIENT_STEPS, OPTIONAL_FIELDS, REQUIRED_FIELDS

_IDENTITY = ("id", "call_id", "signature", "content", "arguments", "result", "name")
_SHOWN = 12


class Wanted(NamedTuple):
    """A step that must be re-sent: as it is compared, whether it is of the earlier answer, and where it comes from, in words."""

    step: RawStep
    answered: bool
    origin: str

    @property
    def client(self) -> bool:
        """Whether the client made it."""
        return type_of(self.step) in CLIENT_STEPS


class Deviation(NamedTuple):
    """One way in which the later request is not as it must be. ``forgivable``: official SDKs do it and the service does not mind."""

    code: str
    pointer: str
    message: str
    expected: Any = MISSING
    got: Any = MISSING
    detail: str = ""
    forgivable: bool = False


def changed(want: Wanted, item: Item, name: str, streamed: bool) -> Iterator[Deviation]:
    """Yield what changed inside one step: signatures and nulls each for themselves, the rest as one deviation at its first place."""
    rest = []
    for path, expected, got in differences(want.step, item.step):
        data = _is_data(path, want.step)
        signed = path.endswith("/signature") and not data
        at = item.locate(path)
        if signed and streamed and {expected or "", got or ""} == {""}:
            continue
        if signed and not (expected is None or got is None):
            texts = isinstance(expected, str) and isinstance(got, str)
            detail = parting(expected, got) if texts else against(expected, got)
            what = (
                "is not re-sent"
                if got is MISSING
                else "was not received"
                if expected is MISSING
                else "was altered"
            )
            yield Deviation(
                "signature_altered", at, f"the signature of {name} {what}", expected, got, detail
            )
        elif expected is MISSING and got is None:
            message = f"{path} of {name} was not there and is sent as null"
            yield Deviation("null_added", at, message, MISSING, None, forgivable=not data)
        elif expected is None and got is MISSING:
            required = path.count("/") == 1 and path[1:] in REQUIRED_FIELDS.get(
                str(want.step.get("type")), ()
            )
            message = f"{path} of {name} was null and is not re-sent"
            yield Deviation(
                "null_dropped", at, message, None, MISSING, forgivable=not data and not required
            )
        else:
            rest.append((path, expected, got, at))
    if rest:
        path, expected, got, at = rest[0]
        code = "input_rewritten" if want.client else "step_altered"
        texts = isinstance(expected, str) and isinstance(got, str)
        detail = parting(expected, got) if texts else against(keep(expected), keep(got))
        if len(rest) > 1:
            more = [
                [place, show(left, 50), show(right, 50)] for _, left, right, place in rest[1:_SHOWN]
            ]
            detail = f"{at}\n{detail}\n{table([['also', 'expected', 'got'], *more])}"
        yield Deviation(
            code,
            at,
            f"{name} was changed at {path or 'its whole'}",
            keep(expected),
            keep(got),
            detail,
        )


def _is_data(path: str, step: RawStep) -> bool:
    """Whether a path leads into what the model or a tool wrote, where a null is a value like any other (protocol section 9)."""
    known = type_of(step) in OPTIONAL_FIELDS
    return (
        not known
        or path.startswith("/arguments/")
        or (path.startswith("/result/") and not isinstance(step.get("result"), list))
    )


def likeness(want: RawStep, got: RawStep) -> int:
    """Say how surely one step is the other one altered: 3 by type and id, 2 by type, 1 by content alone, 0 not at all."""
    same = want.get("type") == got.get("type")
    ids = [(call_key(want.get(word)), call_key(got.get(word))) for word in ("id", "call_id")]
    if same:
        return 3 if any(left is not None and left == right for left, right in ids) else 2
    return int(
        any(
            word in want and word in got and want[word] and equal(want[word], got[word])
            for word in _IDENTITY
        )
    )


def describe(step: RawStep) -> str:
    """Name a step in a few words: its type and what tells it from others of its type."""
    kind = shorten(str(step.get("type") or "a step without a type"), 40)
    for word in ("name", "content", "summary", "arguments", "result", "signature"):
        value: JSON = step.get(word)
        if not value:
            continue
        if word == "name":
            return f"{kind} {show(value, 40)[1:-1]}" if isinstance(value, str) else kind
        if (
            word in ("content", "summary")
            and isinstance(value, list)
            and isinstance(value[0], dict)
            and isinstance(value[0].get("text"), str)
        ):
            return f"{kind} {show(value[0]['text'], 40)}"
        return f"{kind} {show(value, 32)}"
    return kind


def key_of(step: RawStep) -> str:
    """Return one text for all spellings of a step."""
    return canonical(step)


def call_key(value: JSON) -> str | None:
    """Return a call's id or a result's call_id as text, or None where it has none to go by."""
    return (
        str(value)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != ""
        else None
    )
