"""A run on the desk: its queue, its decisions, and the one way to add to them. Terminal and web page are shells around this.

Nothing is decided that was not seen: the run's results are those the queue was made from, the items are as they were shown (``seal``),
and a decision is checked and written under the lock of the decisions' file. Approved snapshots are written first: a decision that says so
is never there without its file, and a file without its decision is found again and accepted without being written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.clock import timestamp
from evalkit._lib.files import display_path
from evalkit._lib.json import JSON
from evalkit._lib.text import visible
from evalkit.compare.loading import Chosen, compare
from evalkit.errors import IntegrityError, UsageError
from evalkit.results import Run
from evalkit.results.journal import RESULTS
from evalkit.review import snapshots
from evalkit.review.decisions import Book
from evalkit.review.queue import Altered, Item, NoResult, Queue, build, read
from evalkit.review.state import (
    Choice,
    Decision,
    Standing,
    Summary,
    foreign,
    gone,
    seal,
    standings,
    summary,
)


class Person(NamedTuple):
    """Who decides."""

    name: str
    email: str

    def __str__(self) -> str:
        return visible(f"{self.name} <{self.email}>" if self.email else self.name)


class Refused(UsageError):
    """A decision cannot be taken as it was given; the message says what to do."""


class Stale(Refused):
    """What was decided on is not what is there now: somebody else decided, or the run is another one."""


class Wanted(NamedTuple):
    """One decision on some items; ``group`` where it is for a group as a whole."""

    choice: Choice
    keys: Sequence[str]
    group: str = ""


class Look(NamedTuple):
    """The desk at one moment."""

    queue: Queue
    standings: list[Standing]
    gone: list[Decision]
    summary: Summary

    def find(self, key: str) -> Standing | None:
        """Return an item's standing by its key."""
        return next((one for one in self.standings if one.item.key == key), None)


class _Entry(NamedTuple):
    standing: Standing
    choice: Choice
    comment: str
    kept: str = ""
    group: str = ""

    def decision(self, who: Person, now: str, wrote: str) -> Decision:
        item = self.standing.item
        return Decision(
            item=item.key,
            result=item.result,
            check=item.check,
            code=item.code,
            place=item.place,
            digest=item.digest,
            decision=self.choice,
            comment=visible(
                "\n".join(self.comment.strip().splitlines())
            ),  # a browser's form ends lines with CR LF
            regression=item.regressed,
            group=self.group,
            wrote=wrote,
            kept=self.kept,
            by=str(who),
            at=now,
        )


class Desk:
    """A run under review. Safe to use from several threads, and beside other processes.

    ``baseline`` says what regressed, ``earlier`` is a run whose decisions are offered. Raises UsageError, IntegrityError.
    """

    def __init__(
        self,
        run: Run,
        root: Callable[[], Path],
        *,
        baseline: Run | None = None,
        earlier: Run | None = None,
    ) -> None:
        self.run = run
        self._root = root
        self._baseline = baseline
        self._book = Book(run.directory)
        self._earlier = Book(earlier.directory).read() if earlier is not None else []
        self._guard = threading.RLock()
        self._stamp: tuple[int, int, int] | None = None
        self._queue = Queue((), (), frozenset())
        self.look()

    def look(self) -> Look:
        """Return where everything stands now. Raises IntegrityError: results or decisions are not what evalkit wrote."""
        with self._guard:
            self._refresh()
            decisions = self._book.read()
            if foreign(self._queue, decisions):
                raise IntegrityError(
                    f"{display_path(self._book.path)} decides nothing of this run: none of its {len(decisions)} decisions is about a result "
                    "that is here; move it away, or name its run with --carry-from"
                )
            found = standings(self._queue, decisions, self._earlier)
            lost = gone(self._queue, decisions)
            return Look(self._queue, found, lost, summary(self._queue, found, lost))

    def decide(
        self,
        keys: Sequence[str],
        choice: Choice,
        who: Person,
        comment: str = "",
        *,
        seen: str | None = None,
        group: str = "",
    ) -> list[Decision]:
        """Take one decision on items and write it down; return its entries. Raises as :meth:`decide_all`."""
        return self.decide_all([Wanted(choice, keys, group)], who, comment, seen=seen)

    def decide_all(
        self, wanted: Sequence[Wanted], who: Person, comment: str = "", *, seen: str | None = None
    ) -> list[Decision]:
        """Take several decisions with one comment, all of them or none; return their entries, in order.

        ``seen`` is the :func:`evalkit.review.state.seal` of what was looked at, items in the same order. Raises Stale, Refused; UsageError
        where a snapshot must not be written; IntegrityError. Nothing is written then.
        """
        with self._guard, self._book.writing():
            chosen = iter(self._chosen([key for one in wanted for key in one.keys], seen))
            entries = [
                _Entry(next(chosen), one.choice, comment, group=one.group)
                for one in wanted
                for _ in one.keys
            ]
            if not comment.strip() and any(
                entry.choice == "accept" and entry.standing.item.regressed for entry in entries
            ):
                raise Refused(
                    "a regression is accepted with a comment that says why; nothing was written"
                )
            return self._write(entries, who)

    def keep(self, keys: Sequence[str], who: Person, *, seen: str | None = None) -> list[Decision]:
        """Keep the earlier decisions that are offered for items, as decisions of ``who``. Raises as :meth:`decide`."""
        with self._guard, self._book.writing():
            entries = []
            for one in self._chosen(keys, seen):
                if one.offer is None:
                    raise Refused(
                        f"no earlier decision is offered for {one.item.key}; nothing was written"
                    )
                entries.append(
                    _Entry(
                        one,
                        one.offer.decision,
                        one.offer.comment,
                        kept=f"{one.offer.by}, {one.offer.at}",
                    )
                )
            return self._write(entries, who)

    def line(self, item: Item) -> dict[str, JSON]:
        """Return the result line an item was made from, parsed. Raises Stale where it is no longer there."""
        for number, line in enumerate(self.run.lines(), 1):
            if number == item.number:
                parsed, digest = self._read(number, line)
                if digest == item.digest:
                    return parsed
        raise Stale("the run's results have changed; look again")

    def _chosen(self, keys: Sequence[str], seen: str | None) -> list[Standing]:
        before = self._stamp
        look = self.look()
        known = {one.item.key: one for one in look.standings}
        chosen = [known[key] for key in keys if key in known]
        if before != self._stamp or len(chosen) != len(keys):
            raise Stale(
                "the run's results have changed since they were shown; nothing was written, look again"
            )
        if seen is not None and seal(chosen) != seen:
            raise Stale(
                "this was decided by somebody else meanwhile; nothing was written, look again"
            )
        return chosen

    def _write(self, entries: Sequence[_Entry], who: Person) -> list[Decision]:
        accepted = [
            entry.standing.item
            for entry in entries
            if entry.choice == "accept" and entry.standing.item.form is not None
        ]
        approvals = snapshots.plan(accepted, self._root()) if accepted else []
        snapshots.write(approvals)
        wrote = {
            approval.item.key: visible(approval.item.file)
            for approval in approvals
            if approval.text is not None
        }
        now = timestamp()
        decisions = [
            entry.decision(who, now, wrote.get(entry.standing.item.key, "")) for entry in entries
        ]
        self._book.append(decisions)
        return decisions

    def _refresh(self) -> None:
        stamp = self._now()
        if stamp == self._stamp:
            return
        regressed = _regressed(self._baseline, self.run) if self._baseline is not None else set()
        try:
            self._queue = build(
                (
                    (number, *self._read(number, line))
                    for number, line in enumerate(self.run.lines(), 1)
                ),
                regressed,
            )
        except NoResult as error:
            raise UsageError(
                f"{display_path(self.run.directory / RESULTS)}:{error.number} is no result: {error}"
            ) from error
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{display_path(self.run.directory / RESULTS)} is not ASCII: {error.reason}"
            ) from error
        self._stamp = stamp

    def _now(self) -> tuple[int, int, int]:
        path = self.run.directory / RESULTS
        try:
            status = path.stat()
        except OSError as error:
            raise UsageError(
                f"{display_path(path)} cannot be read: {error.strerror or error}"
            ) from error
        return status.st_size, status.st_mtime_ns, status.st_ino

    def _read(self, number: int, line: str) -> tuple[dict[str, JSON], str]:
        path = display_path(self.run.directory / RESULTS)
        try:
            return read(line)
        except Altered as error:
            raise IntegrityError(
                f"{path}:{number} is not the result that was written: {error}; run the suites again"
            ) from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}:{number} is not JSON: {error}") from error


def _regressed(baseline: Run, run: Run) -> set[str]:
    return {
        pair.candidate.id for pair in compare(Chosen(baseline), Chosen(run)).changed("regressed")
    }
