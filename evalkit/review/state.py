"""Decisions about items, and where each item stands by them. Pure.

A decision is bound to the digest of the result it was made on. Of several on one item the last counts; when the item's result is another
one by now, it is void: shown, offered again, never carried along in silence. A decision of an earlier run on the very same result may be
offered; it counts when somebody keeps it, as a decision of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, MISSING, canonical
from evalkit.review.queue import Item, Queue

Choice = Literal["accept", "reject", "skip"]
CHOICES: tuple[Choice, ...] = ("accept", "reject", "skip")
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Decision(BaseModel):
    """One entry of ``decisions.yaml``; the fields, in this order, are its keys. Empty ones are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    item: str = Field(min_length=1, description="Short for result, check, code and place.")
    result: str = Field(description="The result's id.")
    check: str
    code: str
    place: str
    digest: Digest = Field(description="Digest of the result line that was decided on.")
    decision: Choice
    comment: str = ""
    regression: bool = Field(
        False, description="Whether it was known to have passed in a baseline."
    )
    group: str = Field(
        "", description="The group it was decided with, where one decision was for several."
    )
    wrote: str = Field(
        "", description="The snapshot file that was approved, from the project's root."
    )
    kept: str = Field("", description="Whose earlier decision was kept: who, and when.")
    by: str = Field(min_length=1, description="Name and e-mail address.")
    at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


class State(StrEnum):
    """Where an item stands."""

    OPEN = "open"
    VOID = "void"
    SKIPPED = "skipped"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


LEFT = frozenset({State.OPEN, State.VOID, State.SKIPPED})
"""States in which an item is still to be decided."""

_STATES: Mapping[Choice, State] = {
    "accept": State.ACCEPTED,
    "reject": State.REJECTED,
    "skip": State.SKIPPED,
}


class Standing(NamedTuple):
    """An item and what was decided about it.

    ``decision`` is the last one, ``why`` why it is void, ``seen`` how many there are, ``offer`` an earlier run's decision on the same result.
    """

    item: Item
    state: State
    decision: Decision | None
    why: str
    seen: int
    offer: Decision | None

    @property
    def left(self) -> bool:
        """Whether it is still to be decided."""
        return self.state in LEFT


class Summary(NamedTuple):
    """A review in numbers; ``gone`` counts decisions about results that are no longer in the run."""

    items: int
    groups: int
    open: int
    void: int
    skipped: int
    accepted: int
    rejected: int
    errored: int
    gone: int

    @property
    def left(self) -> int:
        """How many items are still to be decided."""
        return self.open + self.void + self.skipped


def standings(
    queue: Queue, decisions: Sequence[Decision], earlier: Iterable[Decision] = ()
) -> list[Standing]:
    """Return every item with its state, in the queue's order; ``earlier`` are decisions of another run that may be offered."""
    last = {one.item: one for one in decisions}
    seen: dict[str, int] = {}
    for one in decisions:
        seen[one.item] = seen.get(one.item, 0) + 1
    before = {one.item: one for one in earlier}
    found = []
    for item in queue.items:
        decision = last.get(item.key)
        why = _void(item, decision) if decision is not None else ""
        state = (
            State.OPEN if decision is None else State.VOID if why else _STATES[decision.decision]
        )
        offer = before.get(item.key)
        offered = (
            offer
            if offer is not None
            and state in LEFT
            and offer.decision != "skip"
            and not _void(item, offer)
            else None
        )
        found.append(Standing(item, state, decision, why, seen.get(item.key, 0), offered))
    return found


def _void(item: Item, decision: Decision) -> str:
    if decision.digest != item.digest:
        return "the result is another one since it was decided"
    if item.regressed and decision.decision == "accept" and not decision.comment.strip():
        return "it is a regression, and was accepted without a comment"
    return ""


def gone(queue: Queue, decisions: Iterable[Decision]) -> list[Decision]:
    """Return the last decisions about what is no longer in the run: its result is not, or no longer says this."""
    keys = {item.key for item in queue.items}
    return list({one.item: one for one in decisions if one.item not in keys}.values())


def foreign(queue: Queue, decisions: Sequence[Decision]) -> bool:
    """Say whether decisions are those of another run: there are some, and none is about a result of this one."""
    return bool(decisions) and not any(one.result in queue.results for one in decisions)


def summary(queue: Queue, found: Sequence[Standing], lost: Sequence[Decision]) -> Summary:
    """Count."""
    states = [one.state for one in found]
    counts = {str(state): states.count(state) for state in State}
    return Summary(
        len(found),
        len({item.group for item in queue.items}),
        **counts,
        errored=len(queue.errors),
        gone=len(lost),
    )


def in_turn(found: Iterable[Standing]) -> list[Standing]:
    """Return what is left to decide, in the order it is asked: what was skipped comes last."""
    left = [one for one in found if one.left]
    return sorted(left, key=lambda one: one.state is State.SKIPPED)


def companions(found: Iterable[Standing], item: Item) -> list[Standing]:
    """Return what one decision for the item's group decides: the item, and what is left of the group."""
    return [
        one
        for one in found
        if one.item.key == item.key or (one.item.group == item.group and one.left)
    ]


def seal(found: Iterable[Standing]) -> str:
    """Return a digest of what somebody saw of items, so that a decision on anything else can be refused."""
    return sha256(canonical([[one.item.key, one.item.digest, one.seen] for one in found]))


def to_json(one: Standing) -> dict[str, JSON]:
    """Return a standing as ``evalkit review --json`` prints it."""
    item = one.item
    out: dict[str, JSON] = {
        "item": item.key,
        "group": item.group,
        "state": str(one.state),
        "kind": item.kind,
        "regressed": item.regressed,
        "result": item.result,
        "check": item.check,
        "code": item.code,
        "place": item.place,
        "digest": item.digest,
        "message": item.message,
        "declared": item.declared,
    }
    for name, value in (("expected", item.expected), ("got", item.got)):
        if value is not MISSING:
            out[name] = value
    if item.file:
        out["file"] = item.file
    if one.decision is not None:
        out["decision"] = one.decision.model_dump(exclude_defaults=True)
    if one.why:
        out["void"] = one.why
    if one.offer is not None:
        out["offer"] = one.offer.model_dump(exclude_defaults=True)
    return out
