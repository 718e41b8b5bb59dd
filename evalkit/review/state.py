"""The state of each review item under the decisions made so far. Pure.

A decision is bound to the digest of the result line it was made on. The last decision on an item
counts. If the item's result has changed since, the decision is void: the item is shown with it and
must be decided again. A decision of an earlier run on the identical result may be offered; it
counts when somebody keeps it, as a decision of theirs.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, MISSING, canonical
from evalkit.review.decisions import Choice, Decision
from evalkit.review.queue import ReviewItem, ReviewQueue


class ItemState(StrEnum):
    """The state of an item."""

    OPEN = "open"
    VOID = "void"
    SKIPPED = "skipped"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


_UNDECIDED = frozenset({ItemState.OPEN, ItemState.VOID, ItemState.SKIPPED})
_STATES: Mapping[Choice, ItemState] = {
    "accept": ItemState.ACCEPTED,
    "reject": ItemState.REJECTED,
    "skip": ItemState.SKIPPED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemStatus:
    """An item with its decisions.

    ``decision`` is the last of ``decision_count``, ``void_reason`` says why it is void. ``offer``
    is an earlier run's decision on the same result, if the item is undecided.
    """

    item: ReviewItem
    state: ItemState
    decision: Decision | None
    void_reason: str
    decision_count: int
    offer: Decision | None

    @property
    def is_undecided(self) -> bool:
        """Whether somebody still has to decide about the item."""
        return self.state in _UNDECIDED

    def to_json(self) -> dict[str, JSON]:
        """Return the item as ``evalkit review --json`` prints it."""
        item = self.item
        out: dict[str, JSON] = {
            "item": item.key,
            "group": item.group,
            "state": str(self.state),
            "kind": item.kind,
            "regressed": item.regressed,
            "result": item.result,
            "check": item.check,
            "code": item.code,
            "location": item.location,
            "digest": item.digest,
            "message": item.message,
            "declared": item.declared,
        }
        optional = {
            "expected": item.expected,
            "got": item.got,
            "file": item.file or MISSING,
            "decision": _dump(self.decision),
            "void": self.void_reason or MISSING,
            "offer": _dump(self.offer),
        }
        return out | {key: value for key, value in optional.items() if value is not MISSING}


def _dump(decision: Decision | None) -> JSON:
    return MISSING if decision is None else decision.model_dump(exclude_defaults=True)


def item_statuses(
    queue: ReviewQueue, decisions: Sequence[Decision], earlier: Iterable[Decision] = ()
) -> list[ItemStatus]:
    """Return the status of every item, in the queue's order.

    ``earlier`` are decisions of another run that may be offered.
    """
    last = {decision.item: decision for decision in decisions}
    counts = Counter(decision.item for decision in decisions)
    offers = {decision.item: decision for decision in earlier}
    return [
        _status(item, last.get(item.key), counts[item.key], offers.get(item.key))
        for item in queue.items
    ]


def _status(
    item: ReviewItem, decision: Decision | None, count: int, offer: Decision | None
) -> ItemStatus:
    state, void_reason = ItemState.OPEN, ""
    if decision is not None:
        void_reason = _void_reason(item, decision)
        state = ItemState.VOID if void_reason else _STATES[decision.decision]
    is_offered = (
        offer is not None
        and state in _UNDECIDED
        and offer.decision != "skip"
        and not _void_reason(item, offer)
    )
    return ItemStatus(
        item=item,
        state=state,
        decision=decision,
        void_reason=void_reason,
        decision_count=count,
        offer=offer if is_offered else None,
    )


def _void_reason(item: ReviewItem, decision: Decision) -> str:
    if decision.digest != item.digest:
        return "the result has changed since the decision"
    if item.regressed and decision.decision == "accept" and not decision.comment.strip():
        return "it is a regression that was accepted without a comment"
    return ""


def obsolete_decisions(queue: ReviewQueue, decisions: Iterable[Decision]) -> list[Decision]:
    """Return the last decision on each item that is no longer in the run."""
    keys = {item.key for item in queue.items}
    last = {decision.item: decision for decision in decisions if decision.item not in keys}
    return list(last.values())


def belongs_to_other_run(queue: ReviewQueue, decisions: Sequence[Decision]) -> bool:
    """Return whether there are decisions, and none is about a result of this run."""
    return bool(decisions) and not any(decision.result in queue.results for decision in decisions)


def summarize(
    queue: ReviewQueue, statuses: Sequence[ItemStatus], obsolete: Sequence[Decision]
) -> dict[str, int]:
    """Count items, groups, and items by state.

    ``obsolete`` counts decisions about findings no longer in the run.
    """
    counts = Counter(status.state for status in statuses)
    return {
        "items": len(statuses),
        "groups": len({item.group for item in queue.items}),
        **{str(state): counts[state] for state in ItemState},
        "errored": len(queue.errors),
        "obsolete": len(obsolete),
        "undecided": sum(status.is_undecided for status in statuses),
    }


def undecided(statuses: Iterable[ItemStatus]) -> list[ItemStatus]:
    """Return the undecided items in the order to ask about them: skipped ones last."""
    remaining = [status for status in statuses if status.is_undecided]
    return sorted(remaining, key=lambda status: status.state is ItemState.SKIPPED)


def group_members(statuses: Iterable[ItemStatus], item: ReviewItem) -> list[ItemStatus]:
    """Return the items that a decision for an item's group covers.

    These are the item itself and the group's undecided items.
    """
    return [
        status
        for status in statuses
        if status.item.key == item.key or (status.item.group == item.group and status.is_undecided)
    ]


def view_digest(statuses: Iterable[ItemStatus]) -> str:
    """Return a digest of items as shown, to refuse a decision on anything else."""
    return sha256(
        canonical(
            [[status.item.key, status.item.digest, status.decision_count] for status in statuses]
        )
    )
