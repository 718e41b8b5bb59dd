"""Build the queue of a review from results. Pure.

The queue has uncertain judgments, failures, regressions, new and changed snapshots. An item is one
judgment whose confidence is too low, one finding that failed its check, or one snapshot that is not
approved. Judgments come first: what they say about the answer is still open. Errored results are
listed and not decided: they say nothing about the model. An item is identified by its result,
check, code and location, so its key is the same in every run. ``digest`` is that of its result
line, computed here and compared with the one in the line, so that no altered line is accepted.

Items with an identical difference form a group, which one decision can settle. They share check and
code, the message apart from numbers, and the difference apart from positions: the removed and added
lines of a changed snapshot, the value of a new one, the expected value of another finding. An
uncertain judgment is a group of its own, because each answer is judged by itself.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, MISSING, canonical, loads
from evalkit._lib.text import shorten, show, visible
from evalkit.checks.core.formatting import table
from evalkit.checks.snapshot import Kind as Form
from evalkit.checks.snapshot import render
from evalkit.compare.rows import grouped
from evalkit.errors import UsageError
from evalkit.results.judgments import judged_text, stored_judgments
from evalkit.results.result_line import checked_digest
from evalkit.verdict import Where

ItemKind = Literal["uncertain judgment", "judgment", "failure", "new snapshot", "changed snapshot"]

MAX_NAME = 300
"""Characters of a check, code or location that are kept: a model may choose a key of any length."""

_SNAPSHOT_KINDS: Mapping[str, ItemKind] = {
    "snapshot_new": "new snapshot",
    "snapshot_differs": "changed snapshot",
}
_UNCERTAIN = "judge_uncertain"
_JUDGMENT_KINDS: Mapping[str, ItemKind] = {
    _UNCERTAIN: "uncertain judgment",
    "judge_passed": "judgment",
    "judge_failed": "judgment",
}
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_KEY_LENGTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """One finding to decide about.

    ``key`` is short for ``result``, ``check``, ``code`` and ``location``, in which invisible
    characters have been made visible. ``expected`` and ``got`` are JSON values or ``MISSING``.
    ``file`` and ``form`` are set for a snapshot, ``judgment`` is the id of the judgment that it is
    about, empty without one. ``line_number`` counts from 1.
    """

    key: str
    result: str
    check: str
    code: str
    location: str
    kind: ItemKind
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
    line_number: int
    judgment: str = ""

    @property
    def id(self) -> str:
        """The item's full name."""
        return _item_id(self.result, self.check, self.code, self.location)

    @property
    def label(self) -> str:
        """The kind as text for people, regressions marked."""
        if not self.regressed:
            return self.kind
        return "regression" if self.kind == "failure" else f"regression, {self.kind}"


class ErroredResult(NamedTuple):
    """A result whose variant errored."""

    result: str
    location: str
    message: str


class ReviewQueue(NamedTuple):
    """The items in the run's order with groups together, and errored results."""

    items: tuple[ReviewItem, ...]
    errors: tuple[ErroredResult, ...]
    results: frozenset[str]


def read_result(line: str, place: str) -> tuple[dict[str, JSON], str]:
    """Return a result line parsed, and its digest.

    Raises IntegrityError if the digest does not match, UsageError if the line is not JSON.
    """
    digest = checked_digest(line.encode(), place)
    try:
        return loads(line), digest
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}: not JSON ({error})") from error


def build_queue(
    lines: Iterable[str],
    regressed: Collection[str] = (),
    name: str = "results.jsonl",
    *,
    judgments: int = 0,
    decided: Collection[str] = (),
) -> ReviewQueue:
    """Return the queue of the result lines in a file called ``name``.

    ``regressed`` are the ids of results that passed in the baseline. If a result appears twice, the
    last one counts. A random sample of so many ``judgments``, and those of which the item is
    ``decided``, are items even if nothing failed. Raises IntegrityError or UsageError naming an
    invalid line.
    """
    results: dict[str, list[ReviewItem] | ErroredResult] = {}
    for number, text in enumerate(lines, 1):
        line, digest = read_result(text, f"{name}:{number}")
        try:
            id_ = line["id"]
            # Removed first, so that the last occurrence sets the order.
            results.pop(id_, None)
            if line["verdict"] == "errored":
                location = f"{line['path']}:{line['line']}"
                results[id_] = ErroredResult(visible(id_), location, line["message"])
            else:
                results[id_] = list(_items(number, line, digest, id_ in regressed))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{name}:{number}: not a result ({error!r})") from error
    items = [item for entry in results.values() if isinstance(entry, list) for item in entry]
    asked = {*_sample(items, judgments), *decided}
    items = [item for item in items if item.kind != "judgment" or item.key in asked]
    groups = grouped((item.group, item) for item in items)
    items = [item for group in groups.values() for item in group]
    items.sort(key=lambda item: (item.code != _UNCERTAIN, not item.regressed))
    errors = tuple(entry for entry in results.values() if isinstance(entry, ErroredResult))
    return ReviewQueue(tuple(items), errors, frozenset(map(visible, results)))


def _sample(items: Iterable[ReviewItem], size: int) -> list[str]:
    """Return the keys of so many judgments, as many of each verdict as possible.

    A key is a digest, so its order is random, and a larger sample contains a smaller one.
    """
    verdicts = grouped((one.code, one.key) for one in items if one.kind == "judgment")
    ranked = (pair for keys in verdicts.values() for pair in enumerate(sorted(keys)))
    return [key for _, key in sorted(ranked)[:size]]


def _items(
    number: int, line: Mapping[str, JSON], digest: str, regressed: bool
) -> Iterator[ReviewItem]:
    ids: Counter[str] = Counter()
    result = visible(line["id"])
    for check, finding in (*_open_findings(line), *_judgments(line)):
        where = finding.get("where", {})
        name, code = visible(check["name"]), visible(finding["code"])
        location = visible(str(Where(**{"turn": check.get("turn"), **where}))) or "conversation"
        if finding.get("question"):
            location += f", question {visible(finding['question'])}"
        id_ = _item_id(result, name, code, location)
        ids[id_] += 1
        if ids[id_] > 1:
            # The same check reports the same code twice at one location.
            location = f"{location} ({ids[id_]})"
            id_ = _item_id(result, name, code, location)
        kind = _SNAPSHOT_KINDS.get(code, "failure") if _is_snapshot(where) else "failure"
        form = cast("Form", where["kind"]) if kind != "failure" else None
        kind = _JUDGMENT_KINDS.get(code, kind) if "judgment" in finding else kind
        expected, got = finding.get("expected", MISSING), finding.get("got", MISSING)
        difference = _group_difference(kind, form, finding["message"], location, expected, got)
        group = sha256(canonical([name, code, regressed, difference]))
        if "judgment" in finding:
            group = sha256(id_)
        yield ReviewItem(
            key=sha256(id_)[:_KEY_LENGTH],
            result=result,
            check=shorten(name, MAX_NAME),
            code=shorten(code, MAX_NAME),
            location=shorten(location, MAX_NAME),
            kind=kind,
            digest=digest,
            group="g" + group[: _KEY_LENGTH - 1],
            regressed=regressed and "judgment" not in finding,
            message=finding["message"],
            expected=expected,
            got=got,
            detail=finding.get("detail", ""),
            file=where["file"] if form is not None else "",
            form=form,
            suite=line["path"],
            declared=check.get("declared", "") or f"{line['path']}:{line['line']}",
            line_number=number,
            judgment=finding.get("judgment", ""),
        )


def _open_findings(
    line: Mapping[str, JSON],
) -> Iterator[tuple[Mapping[str, JSON], Mapping[str, JSON]]]:
    """Yield checks with the findings to decide about."""
    failed = line["verdict"] == "failed"
    has_error = False
    for check in line["checks"]:
        for finding in check["findings"]:
            is_error = failed and finding["severity"] == "error"
            has_error = has_error or is_error
            # A snapshot that is only a warning still needs approval.
            is_unapproved_snapshot = (
                finding["code"] in _SNAPSHOT_KINDS
                and _is_snapshot(finding.get("where", {}))
                and line["verdict"] != "skipped"
            )
            if is_error or is_unapproved_snapshot:
                yield check, finding
    if failed and not has_error:
        yield {"name": "variant"}, {"code": "failed", "message": line["message"]}


def _judgments(
    line: Mapping[str, JSON],
) -> Iterator[tuple[Mapping[str, JSON], Mapping[str, JSON]]]:
    """Yield checks with a finding for each judgment: what a person reads to decide about it."""
    for stored in stored_judgments(line):
        check = line["checks"][stored.check]
        judgment = check["judgments"][stored.number]
        answer = {name: judgment[name] for name in ("choice", "score") if name in judgment}
        rows = {
            "rubric": judgment["rubric"],
            "judge": judgment.get("model_version") or judgment["model"],
            "verdict": judgment["verdict"],
            "answer": f"{show(answer)}, expected {show(judgment['expected'])}",
        }
        message = f"is the judge right that this {judgment['verdict']}?"
        if stored.uncertain:
            least = judgment["expected"].get("min_confidence")
            confidence = f"{judgment['confidence']}, expected at least {least}"
            message += f" Its confidence is {confidence}"
            rows["verdict"] += f", with the confidence {confidence}"
        if "probability" in judgment:
            rows["probability"] = f"{judgment['probability']} that it passes"
        text = f"the model's answer\n{judged_text(line, stored)}"
        yield (
            check,
            {
                "code": _UNCERTAIN if stored.uncertain else f"judge_{judgment['verdict']}",
                "message": message,
                "question": stored.question,
                "judgment": stored.id,
                "detail": f"{table([[*row] for row in rows.items()])}\n\n{text}",
            },
        )


def _is_snapshot(where: Mapping[str, JSON]) -> bool:
    return isinstance(where.get("file"), str) and where.get("kind") in get_args(Form)


def _item_id(result: str, check: str, code: str, location: str) -> str:
    return f"{result} {check}: {code} at {location}"


def _group_difference(
    kind: ItemKind, form: Form | None, message: str, location: str, expected: JSON, got: JSON
) -> JSON:
    """Return what two items of one group have in common."""
    if kind == "failure" or form is None or got is MISSING:
        pointer = re.sub(r"(turn|exchange|step) \d+(, )?", "", location)
        return [
            _NUMBER.sub("#", " ".join(message.split())),
            _NUMBER.sub("#", pointer),
            None if expected is MISSING else [expected],
        ]
    new = render(form, got).split("\n")
    if kind == "new snapshot" or expected is MISSING:
        return [form, new]
    old = render(form, expected).split("\n")
    removed, added = Counter(old) - Counter(new), Counter(new) - Counter(old)
    if not removed and not added:
        # The same lines in another order.
        return [form, old, new]
    return [
        form,
        [text for text in old if text in removed],
        [text for text in new if text in added],
    ]
