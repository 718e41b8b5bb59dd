"""Say in one line where the answers of two results diverge.

Only answers with the same verdict need it: what differs in the others is what their checks say.
"""

from collections.abc import Collection, Sequence
from itertools import takewhile, zip_longest

from evalkit._lib.json import differences
from evalkit._lib.text import shorten, show
from evalkit.compare.alignment import WORDS, align_steps
from evalkit.compare.compared_run import result_lines
from evalkit.compare.pairing import Pairing
from evalkit.compare.variant_changes import variant_changes
from evalkit.results import Run
from evalkit.results.records import TurnRecord
from evalkit.results.result_line import parse_result

MOST = 200
"""Variants whose answers are compared; no form shows more of them."""

_CONTEXT, _MAX_PART = 40, 60


def answer_differences(pairing: Pairing, baseline: Run, candidate: Run) -> dict[str, str]:
    """Return where other answers with the same verdict diverge, by the id of the candidate's."""
    pairs = [change.pairs[0] for change in variant_changes(pairing, "changed")[:MOST]]
    old = result_lines(baseline, {pair.baseline.id for pair in pairs})
    new = result_lines(candidate, {pair.candidate.id for pair in pairs})
    found = {}
    for before, after in pairs:
        turns = (parse_result(text)["turns"] for text in (old[before.id], new[after.id]))
        found[after.id] = first_difference(*turns)
    return found


def first_difference(old: Sequence[TurnRecord], new: Sequence[TurnRecord]) -> str:
    """Return where two conversations diverge, in one line; empty if the model said the same."""
    for position, (before, after) in enumerate(zip_longest(old, new), 1):
        number = (before or after).get("number", position)
        if before is None or after is None:
            return f"turn {number}: in the {'candidate' if before is None else 'baseline'} only"
        difference = _turn_difference(before, after)
        if difference:
            return f"turn {number}: {difference}"
    return ""


def _turn_difference(old: TurnRecord, new: TurnRecord) -> str:
    return difference_by_meaning(old, new) or word_difference(old["text"] or "", new["text"] or "")


def difference_by_meaning(
    old: TurnRecord,
    new: TurnRecord,
    *,
    without: Collection[str] = (),
    names: tuple[str, str] = ("baseline", "candidate"),
) -> str:
    """Return where two turns differ in status, steps or arguments, in one line; empty if nowhere.

    ``without`` are types of steps that may differ, ``names`` those of the two sides.
    """
    for field in ("outcome", "status"):
        if old[field] != new[field]:
            return f"{old[field]} → {new[field]}"
    sides = (
        [
            entry["step"]
            for entry in turn["steps"]
            if entry["origin"] == "model" and entry["step"].get("type") not in without
        ]
        for turn in (old, new)
    )
    for row in align_steps(*sides):
        step = row.new or row.old or {}
        name = " ".join(str(step[key]) for key in ("type", "name") if key in step)
        if row.kind in ("lost", "gained"):
            return f"{name} in the {names[row.kind == 'gained']} only"
        if row.old is not None and row.new is not None and "arguments" in step:
            arguments = differences(row.old.get("arguments"), row.new.get("arguments"))
            for pointer, before, after in arguments:
                return f"{name}, arguments{pointer}: {show(before, 60)} → {show(after, 60)}"
    return ""


def word_difference(old: str, new: str) -> str:
    """Return what differs in two texts as ``[-lost-]{+gained+}`` with a little of its context.

    It extends from the first word that differs to the last one. Empty if the texts are equal.
    """
    if old == new:
        return ""
    before, after = WORDS.findall(old), WORDS.findall(new)
    start = _common_words(before, after)
    end = _common_words(before[start:][::-1], after[start:][::-1])
    lost, gained = ("".join(words[start : len(words) - end]) for words in (before, after))
    left, right = "".join(before[:start]), "".join(before[len(before) - end :])
    return (
        f"{'…' * (len(left) > _CONTEXT)}{left[-_CONTEXT:]}"
        + (f"[-{shorten(lost, _MAX_PART)}-]" if lost else "")
        + (f"{{+{shorten(gained, _MAX_PART)}+}}" if gained else "")
        + f"{right[:_CONTEXT]}{'…' * (len(right) > _CONTEXT)}"
    )


def _common_words(old: Sequence[str], new: Sequence[str]) -> int:
    pairs = zip(old, new, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
