"""What is to be decided in a run: failures, regressions, new and changed snapshots, each an item, identical ones a group. Pure.

An item is one finding that failed its check, or one snapshot that is not approved. Errored results are listed and not decided: they say
nothing about the model. An item is known by its result, check, code and place, so it keeps its name from run to run; ``digest`` is that of
the result line it was made from, computed here and compared with the one the line carries, so that no changed line passes for the old one.

Identical differences are those of one check and code whose message, numbers aside, and whose difference, places aside, are the same: the
lines that went and came of a changed snapshot, the value of a new one, what was expected elsewhere. Who decides one may decide all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

from evalkit._lib.fast_json import loads
from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, MISSING, canonical
from evalkit._lib.text import shorten, visible
from evalkit.checks.snapshot.files import Kind as Form
from evalkit.checks.snapshot.files import render
from evalkit.verdict import Where

Kind = Literal["failure", "new snapshot", "changed snapshot"]

_SNAPSHOTS: Mapping[str, Kind] = {
    "snapshot_new": "new snapshot",
    "snapshot_differs": "changed snapshot",
}
_SEAL = re.compile(r',"digest":"([0-9a-f]{64})"\}$')
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_KEY = 12
NAMED = 300
"""Characters of a check, code or place that are kept: a model may have chosen a key of a thousand. The item's key is made from all of them."""
_NO_CHECK, _NO_CODE = "variant", "failed"


class NoResult(ValueError):
    """A line, numbered from 1, is JSON and no result line."""

    def __init__(self, number: int, error: Exception) -> None:
        super().__init__(repr(error))
        self.number = number


class Altered(ValueError):
    """A result line is not the one that was written: its digest is not that of its text."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to decide.

    ``result``, ``check``, ``code`` and ``place`` name it, ``key`` is short for them; hostile characters in them are visible already.
    ``expected`` and ``got`` are JSON values or ``MISSING``. ``file`` and ``form`` are set for a snapshot. ``number`` counts lines from 1.
    """

    key: str
    result: str
    check: str
    code: str
    place: str
    kind: Kind
    digest: str
    group: str
    regressed: bool
    message: str
    expected: JSON
    got: JSON
    detail: str
    file: str
    form: Form | None
    suite: str
    declared: str
    number: int

    @property
    def id(self) -> str:
        """The item's whole name."""
        return _name(self.result, self.check, self.code, self.place)

    @property
    def kind_in_words(self) -> str:
        """The kind for people; that of a regression says so."""
        return (
            self.kind
            if not self.regressed
            else "regression"
            if self.kind == "failure"
            else f"regression, {self.kind}"
        )


class Errored(NamedTuple):
    """A result that tells nothing: its variant errored."""

    result: str
    place: str
    message: str


@dataclass(frozen=True)
class Queue:
    """Everything to decide, in the run's order, groups together; and what cannot be decided."""

    items: tuple[Item, ...]
    errors: tuple[Errored, ...]
    results: frozenset[str]

    def group(self, name: str) -> list[Item]:
        """Return the items of a group."""
        return [item for item in self.items if item.group == name]


def read(line: str) -> tuple[dict[str, JSON], str]:
    """Return a result line parsed, and its digest. Raises Altered, ValueError for what is no JSON."""
    found = _SEAL.search(line)
    if found is None:
        raise Altered("it has no digest at its end")
    digest = sha256(line[: found.start()] + "}")
    if digest != found.group(1):
        raise Altered(f"its digest says {found.group(1)[:16]}…, its text gives {digest[:16]}…")
    return loads(line), digest


def build(
    lines: Iterable[tuple[int, Mapping[str, JSON], str]], regressed: Collection[str] = ()
) -> Queue:
    """Return the queue of numbered, parsed result lines with their digests; ``regressed`` are ids that passed in the baseline.

    Of a result that stands twice the last counts. Raises NoResult.
    """
    results: dict[str, list[Item] | Errored] = {}
    for number, line, digest in lines:
        try:
            results.pop(line["id"], None)
            if line["verdict"] == "errored":
                results[line["id"]] = Errored(
                    visible(line["id"]), f"{line['path']}:{line['line']}", line["message"]
                )
            else:
                results[line["id"]] = list(_items(number, line, digest, line["id"] in regressed))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NoResult(number, error) from error
    items = [item for found in results.values() if isinstance(found, list) for item in found]
    order: dict[str, int] = {}
    for item in items:
        order.setdefault(item.group, len(order))
    items.sort(key=lambda item: (not item.regressed, order[item.group]))
    errors = tuple(found for found in results.values() if isinstance(found, Errored))
    return Queue(tuple(items), errors, frozenset(map(visible, results)))


def _items(number: int, line: Mapping[str, JSON], digest: str, regressed: bool) -> Iterator[Item]:
    names: Counter[str] = Counter()
    for check, finding in _findings(line):
        where = finding.get("where", {})
        turn = where.get("turn", check.get("turn"))
        place = (
            visible(
                str(Where(**{name: where[name] for name in where if name != "turn"}, turn=turn))
            )
            or "conversation"
        )
        result, name, code = (
            visible(text) for text in (line["id"], check["name"], finding["code"])
        )
        names[place_of := _name(result, name, code, place)] += 1
        if names[place_of] > 1:  # the same check twice in one place
            place = f"{place} ({names[place_of]})"
        kind = _SNAPSHOTS.get(code, "failure") if _is_snapshot(where) else "failure"
        form = cast("Form", where["kind"]) if kind != "failure" else None
        expected, got = finding.get("expected", MISSING), finding.get("got", MISSING)
        shape = _shape(kind, form, finding["message"], place, expected, got)
        yield Item(
            sha256(_name(result, name, code, place))[:_KEY],
            result,
            shorten(name, NAMED),
            shorten(code, NAMED),
            shorten(place, NAMED),
            kind,
            digest,
            "g" + sha256(canonical([name, code, regressed, shape]))[: _KEY - 1],
            regressed,
            finding["message"],
            expected,
            got,
            finding.get("detail", ""),
            where["file"] if form is not None else "",
            form,
            line["path"],
            check.get("declared", "") or f"{line['path']}:{line['line']}",
            number,
        )


def _findings(line: Mapping[str, JSON]) -> Iterator[tuple[Mapping[str, JSON], Mapping[str, JSON]]]:
    failed = line["verdict"] == "failed"
    told = False
    for check in line["checks"]:
        for finding in check["findings"]:
            graver = failed and finding["severity"] == "error"
            told = told or graver
            # A snapshot that only warns is new or changed all the same.
            if graver or (
                finding["code"] in _SNAPSHOTS
                and _is_snapshot(finding.get("where", {}))
                and line["verdict"] != "skipped"
            ):
                yield check, finding
    if failed and not told:
        yield {"name": _NO_CHECK}, {"code": _NO_CODE, "message": line["message"]}


def _is_snapshot(where: Mapping[str, JSON]) -> bool:
    return isinstance(where.get("file"), str) and where.get("kind") in get_args(Form)


def _name(result: str, check: str, code: str, place: str) -> str:
    return f"{result} {check}: {code} at {place}"


def _shape(
    kind: Kind, form: Form | None, message: str, place: str, expected: JSON, got: JSON
) -> JSON:
    if kind == "failure" or form is None or got is MISSING:
        pointer = _NUMBER.sub("#", re.sub(r"(turn|exchange|step) \d+(, )?", "", place))
        return [
            _NUMBER.sub("#", " ".join(message.split())),
            pointer,
            None if expected is MISSING else [expected],
        ]
    new = render(form, got).split("\n")
    if kind == "new snapshot" or expected is MISSING:
        return [form, new]
    old = render(form, expected).split("\n")
    gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
    if not gone and not come:  # the same lines in another order
        return [form, old, new]
    return [form, [text for text in old if text in gone], [text for text in new if text in come]]
