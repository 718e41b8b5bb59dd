"""A run under review: its queue, its decisions, and the one way to add decisions.

The terminal and the web page are thin layers over this module. Nothing is decided that was not
seen: the run's results are those the queue was built from, the items are as they were shown
(``view_digest``), and a decision is checked and written under the lock of the decision file.
Approved snapshots are written first. So a decision that names a file never exists without it; a
file whose decision was not written is recognized the next time and accepted as it is.
"""

import os
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from evalkit._lib.clock import timestamp
from evalkit._lib.files import display_path, file_errors
from evalkit._lib.json import JSON
from evalkit._lib.text import visible
from evalkit.compare.runs import compare
from evalkit.compare.turn_results import turn_runs, whole_id
from evalkit.errors import IntegrityError, UsageError
from evalkit.results import Run
from evalkit.results.run_directory import MANIFEST, RESULTS
from evalkit.review.decisions import Choice, Decision, DecisionFile
from evalkit.review.queue import (
    ReviewItem,
    ReviewQueue,
    build_queue,
    read_result,
)
from evalkit.review.snapshots import approve_snapshots
from evalkit.review.state import (
    ItemStatus,
    belongs_to_other_run,
    item_statuses,
    obsolete_decisions,
    summarize,
    view_digest,
)


class Reviewer(NamedTuple):
    """The person who decides."""

    name: str
    email: str

    def __str__(self) -> str:
        return visible(f"{self.name} <{self.email}>" if self.email else self.name)


class DecisionRefused(UsageError):
    """A decision is not acceptable; the message says what to do."""


class StaleView(DecisionRefused):
    """The items have changed since they were shown: a new decision, or new results."""


class DecisionRequest(NamedTuple):
    """One choice for some items; ``group`` is set if it is for a whole group.

    To keep is to repeat the earlier decision that is offered, with its comment.
    """

    choice: Choice | Literal["keep"]
    keys: Sequence[str]
    group: str = ""


class ReviewState(NamedTuple):
    """A review at one moment."""

    queue: ReviewQueue
    statuses: list[ItemStatus]
    obsolete: list[Decision]
    summary: dict[str, int]

    def find(self, key: str) -> ItemStatus | None:
        """Return the status of the item with this key."""
        return next((status for status in self.statuses if status.item.key == key), None)


class ReviewSession:
    """A run under review.

    Safe to use from several threads and beside other processes. ``root`` returns the project root
    when a snapshot is written. ``baseline`` determines what regressed
    (default: that of the decisions made so far); decisions of ``earlier`` are
    offered. A sample of so many ``judgments`` is part of the queue. Raises UsageError,
    IntegrityError.
    """

    def __init__(
        self,
        run: Run,
        root: Callable[[], Path],
        *,
        baseline: Run | None = None,
        earlier: Run | None = None,
        judgments: int = 0,
    ) -> None:
        self.run = run
        self._judgments = judgments
        self._root = root
        self._baseline = baseline
        self._file = DecisionFile(run.directory)
        if baseline is None:
            self._baseline = _remembered_baseline(self._file)
        self._earlier = DecisionFile(earlier.directory).read() if earlier is not None else []
        self._results_path = run.directory / RESULTS
        self._lock = threading.RLock()
        self._results_stamp: tuple[int, int, int] | None = None
        self._queue = ReviewQueue((), (), frozenset())
        self.state()

    def state(self) -> ReviewState:
        """Return the current state.

        Raises IntegrityError if results or decisions are not what evalkit wrote.
        """
        with self._lock:
            self._reload_changed_results()
            decisions = self._file.read()
            if belongs_to_other_run(self._queue, decisions):
                raise IntegrityError(
                    f"{display_path(self._file.path)}: none of its {len(decisions)} decisions is "
                    "about this run; move it away, or name its run with --carry-from"
                )
            statuses = item_statuses(self._queue, decisions, self._earlier)
            obsolete = obsolete_decisions(self._queue, decisions)
            summary = summarize(self._queue, statuses, obsolete)
            return ReviewState(self._queue, statuses, obsolete, summary)

    def decide(
        self,
        requests: Sequence[DecisionRequest],
        reviewer: Reviewer,
        comment: str = "",
        *,
        seen: str | None = None,
    ) -> list[Decision]:
        """Write decisions with one comment, all of them or none.

        Return their entries in order. ``seen`` is the :func:`evalkit.review.state.view_digest` of
        the items as they were shown, in the same order. Raises StaleView, DecisionRefused,
        IntegrityError, and UsageError if a snapshot must not be written. Nothing is written then.
        """
        with self._lock, self._file.locked():
            keys = [key for request in requests for key in request.keys]
            by_item = [request for request in requests for _ in request.keys]
            decided = [
                (status.item, _decision(status, request, reviewer, comment, self._baseline_name))
                for status, request in zip(self._select(keys, seen), by_item, strict=True)
            ]
            if any(
                decision.regression and decision.decision == "accept" and not decision.comment
                for _, decision in decided
            ):
                raise DecisionRefused(
                    "accepting a regression needs a comment that says why; nothing was written"
                )
            return self._write(decided)

    def result(self, item: ReviewItem) -> dict[str, JSON]:
        """Return the result an item was built from. Raises StaleView if it has changed."""
        number = item.line_number
        for line in islice(self.run.lines(), number - 1, number):
            result, digest = read_result(line, f"{display_path(self._results_path)}:{number}")
            if digest == item.digest:
                return result
        raise StaleView("the run's results have changed; reload the item")

    def _select(self, keys: Sequence[str], seen: str | None) -> list[ItemStatus]:
        stamp = self._results_stamp
        by_key = {status.item.key: status for status in self.state().statuses}
        selected = [by_key[key] for key in keys if key in by_key]
        if stamp != self._results_stamp or len(selected) != len(keys):
            raise StaleView(
                "the run's results have changed since they were shown; nothing was written; "
                "reload the item"
            )
        if seen is not None and view_digest(selected) != seen:
            raise StaleView(
                "somebody else has decided about this item, or its result has changed; nothing was "
                "written; reload the item"
            )
        return selected

    def _write(self, decided: Sequence[tuple[ReviewItem, Decision]]) -> list[Decision]:
        accepted = [
            item
            for item, decision in decided
            if decision.decision == "accept" and item.form is not None
        ]
        written = approve_snapshots(accepted, self._root()) if accepted else {}
        decisions = [
            decision.model_copy(update={"written_file": visible(written.get(item.key, ""))})
            for item, decision in decided
        ]
        self._file.append(decisions)
        return decisions

    def _reload_changed_results(self) -> None:
        path = self._results_path
        with file_errors(path, "cannot be read"):
            status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
        if stamp == self._results_stamp:
            return
        self._queue = build_queue(
            self.run.lines(),
            self._regressed(),
            display_path(path),
            judgments=self._judgments,
            decided={one.item for one in (*self._file.read(), *self._earlier)},
        )
        self._results_stamp = stamp

    @property
    def _baseline_name(self) -> str:
        if self._baseline is None:
            return ""
        return os.path.relpath(self._baseline.directory, self.run.directory)

    def _regressed(self) -> set[str]:
        if self._baseline is None:
            return set()
        comparison = compare(*turn_runs(self._baseline, self.run))
        regressed = {pair.candidate.id for pair in comparison.changed("regressed")}
        return set(map(whole_id, regressed)) if comparison.by_turn else regressed


def _remembered_baseline(file: DecisionFile) -> Run | None:
    """Return the baseline of the newest decision that has one, if it still exists."""
    names = [decision.baseline for decision in file.read() if decision.baseline]
    folder = file.path.parent / names[-1] if names else None
    return Run(folder) if folder is not None and (folder / MANIFEST).is_file() else None


def _decision(
    status: ItemStatus,
    request: DecisionRequest,
    reviewer: Reviewer,
    comment: str,
    baseline: str,
) -> Decision:
    item, choice, kept_from = status.item, request.choice, ""
    if choice == "keep":
        offer = status.offer
        if offer is None:
            raise DecisionRefused(
                f"{item.key}: no earlier decision is offered; nothing was written"
            )
        choice, comment = offer.decision, offer.comment
        kept_from = f"{offer.by}, {offer.at}"
    return Decision(
        item=item.key,
        result=item.result,
        check=item.check,
        code=item.code,
        location=item.location,
        digest=item.digest,
        decision=choice,
        # A browser's form ends lines with CR LF.
        comment=visible("\n".join(comment.strip().splitlines())),
        regression=item.regressed,
        group=request.group,
        kept_from=kept_from,
        baseline=visible(baseline),
        by=str(reviewer),
        at=timestamp(),
    )
