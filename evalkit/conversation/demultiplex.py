"""Tell interleaved conversations apart by the content of requests and responses. Pure.

A request belongs to the conversation that the first of these rules finds:

1. It repeats a request that got no usable response: the conversation of that one.
2. It names an interaction (``previous_interaction_id``, or the id in the path of a GET, cancel or
   DELETE) or a ``continuation_token``: the conversation that received it.
3. It re-sends a history that ends with steps of a client: the conversation with the longest common
   beginning that ended at a response. Of several, one whose requests were alike in all else
   (model, tools, …), then one of which no request failed, then the oldest.
4. Its history was altered (a step dropped, added, changed): the conversation with the latest
   signature or call id in it; else the longest common beginning with a step of the model; else the
   same first message and a common step of the model (for clients that drop thoughts).
5. None: it starts a conversation. Two that start with the same words are two.

A response that is continued a second time starts a *fork*: a conversation that includes what came
before. All requests of another collection (agents, files, …) are one conversation.

Lookups use digests of histories, so a request costs as much as it is long, however many
conversations there are. Of conversations that are equal so far, any may be found.
"""

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from urllib.parse import unquote

from evalkit._lib.json import JSON
from evalkit.cassette.recording import Recording
from evalkit.conversation.history_digest import (
    EMPTY,
    HistoryDigest,
    is_client_step,
    marks,
    model_step_digests,
    prefix_digests,
    value_digest,
)
from evalkit.conversation.reconstruct import request_of, response_of
from evalkit.conversation.response_reader import read_response
from evalkit.protocol.input_reader import input_steps
from evalkit.protocol.step_reader import RawStep, steps_of, strip_user_input
from evalkit.protocol.wire_facts import is_retryable
from evalkit.transcript import Exchange, Request, Response

_INTERACTION = re.compile(r"(?:^|/)interactions(?:/([^/:]+)(?:[/:][^/]*)?)?/?$")
_COLLECTION = re.compile(r"^(?:.*?/v[0-9]\w*(?=/))?/?([^/:]*)")
_HISTORY_FIELDS = frozenset(("input", "previous_interaction_id", "continuation_token"))
_COMMON = 16
"""Evidence that this many conversations share says nothing."""


@dataclass(slots=True, eq=False, kw_only=True)
class ResumePoint:
    """The end of a response, from which its conversation can continue.

    ``depth`` counts the conversation's requests so far. ``before`` is the history of the request,
    ``history`` includes the response. ``settings`` digests the rest of the request.
    """

    thread: int
    depth: int
    before: HistoryDigest
    history: HistoryDigest
    settings: bytes
    is_open: bool = False
    has_failed: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class PendingRequest:
    """A request without its response; ``thread`` is the number of its conversation."""

    thread: int
    request: Request
    key: bytes
    history: HistoryDigest
    closed: Sequence[ResumePoint] = ()


@dataclass(slots=True, eq=False)
class _Thread:
    requests: int = 0
    fork: tuple[int, int] | None = None
    first_step: bytes = b""
    open_points: list[ResumePoint] = field(default_factory=list)


class Demultiplexer:
    """The conversations of one stream of traffic, numbered from 0 as they start.

    Pass each request to :meth:`open` when it is sent, and what that returns to :meth:`complete`
    with the whole response, or to :meth:`fail`.
    """

    def __init__(self) -> None:
        self._threads: list[_Thread] = []
        self._failed: dict[bytes, list[tuple[PendingRequest, int]]] = {}
        self._collections: dict[str, int] = {}
        self._owners: dict[str, int] = {}
        self._by_id: dict[str, ResumePoint] = {}
        self._by_token: dict[str, ResumePoint] = {}
        self._open_points: dict[bytes, list[ResumePoint]] = {}
        self._last_points: dict[tuple[bytes, bytes], ResumePoint] = {}
        self._evidence: dict[Hashable, list[int]] = {}

    def __len__(self) -> int:
        return len(self._threads)

    def fork_of(self, thread: int) -> tuple[int, int] | None:
        """Return the conversation that a fork left, and how many requests they share."""
        return self._threads[thread].fork

    def open(self, request: Request) -> PendingRequest:
        """Find the conversation of a request."""
        key = value_digest([request.method, request.path, request.query, request.body])
        match = _INTERACTION.search(request.path)
        history, closed = EMPTY, []
        if match is None:
            collection = _COLLECTION.match(request.path)
            name = collection[1] if collection else request.path
            thread = self._collections.setdefault(name, len(self._threads))
        elif match[1] or request.method != "POST":
            thread = self._owners.setdefault(unquote(match[1] or ""), len(self._threads))
        else:
            thread, history = self._find(request, key)
            self._remember(thread, [("request", history[:2])])
            closed = self._threads[thread].open_points.copy()
        if thread == len(self._threads):
            self._start()
        for point in closed:
            self._close(point)
        self._threads[thread].requests += 1
        return PendingRequest(
            thread=thread, request=request, key=key, history=history, closed=closed
        )

    def complete(self, pending: PendingRequest, response: Response) -> None:
        """Learn from a response: its id, its steps, whether the conversation can continue."""
        exchange = Exchange(0, 0, pending.request)
        read_response(exchange, response)
        interaction = exchange.interaction
        match = _INTERACTION.search(pending.request.path)
        if interaction is not None and match is not None:
            if pending.request.method == "POST" and not match[1]:
                steps = strip_user_input(steps_of(interaction))
                history = self._learn(pending.thread, steps, pending.history)
                point = self._add_point(pending, history, interaction.get("id"))
                token = interaction.get("continuation_token")
                if isinstance(token, str) and token:
                    self._by_token[token] = point
            else:
                self._learn_stored(pending, interaction)
        if interaction is None or exchange.error is not None or exchange.failure is not None:
            may_repeat = response.status < 400 or is_retryable(response.status)
            self.fail(pending, may_repeat=may_repeat)

    def fail(self, pending: PendingRequest, *, may_repeat: bool = True) -> None:
        """Note that a request got no usable response; its conversation can continue as before."""
        for point in pending.closed:
            point.has_failed = True
            self._open(point)
        if may_repeat:
            count = self._threads[pending.thread].requests
            self._failed.setdefault(pending.key, []).append((pending, count))

    def learn_id(self, pending: PendingRequest, identity: str) -> None:
        """Learn an interaction's id before its response ends: it can be read or cancelled then."""
        self._owners.setdefault(identity, pending.thread)

    # Finding a conversation

    def _find(self, request: Request, key: bytes) -> tuple[int, HistoryDigest]:
        failed = self._failed.get(key, [])
        while failed:
            pending, count = failed.pop(0)
            # After another request the conversation has gone on without a repetition.
            if self._threads[pending.thread].requests == count:
                return pending.thread, pending.history
        body = request.body if isinstance(request.body, dict) else {}
        token, previous = body.get("continuation_token"), body.get("previous_interaction_id")
        if isinstance(token, str) and token in self._by_token:
            point = self._by_token[token]
            return point.thread, point.history
        steps = input_steps(body.get("input"))
        if isinstance(previous, str) and previous:
            known = self._by_id.get(previous)
            prefixes = prefix_digests(steps, known.history if known else EMPTY)
            thread = self._continue(known) if known else self._start()
        else:
            prefixes = prefix_digests(steps)
            thread = self._find_by_history(steps, prefixes, _settings(request))
            self._threads[thread].first_step = self._threads[thread].first_step or _first(prefixes)
        self._remember(thread, (("prefix", prefix.steps) for prefix in prefixes[1:]))
        return thread, prefixes[-1]

    def _find_by_history(
        self, steps: list[RawStep], prefixes: list[HistoryDigest], settings: bytes
    ) -> int:
        point, length = self._longest_match(prefixes, settings)
        rest = steps[length:]
        if all(map(is_client_step, rest)):
            if point is None:
                return self._start()
            if point.is_open:
                return point.thread
            # Does it re-send a later request too, and only miss the response? Else it is a fork.
            requests = (("request", prefix[:2]) for prefix in prefixes[-2:length:-1])
            thread = self._recall(requests)
            return self._continue(point) if thread is None else thread
        thread = self._recall(
            chain(
                (("mark", mark) for mark in chain(marks(rest), marks(steps))),
                (("prefix", item.steps) for item in reversed(prefixes) if item.has_model),
                (("step", _first(prefixes), digest) for digest in model_step_digests(steps)),
            )
        )
        return self._start() if thread is None else thread

    def _longest_match(
        self, prefixes: list[HistoryDigest], settings: bytes
    ) -> tuple[ResumePoint | None, int]:
        """Return the best resume point in a history, and the number of steps before it."""
        results = {prefix.results for prefix in prefixes}
        for length in range(len(prefixes) - 1, 0, -1):
            steps = prefixes[length].steps
            if steps == prefixes[length - 1].steps:
                # The step is a function result.
                continue
            best, best_rank = None, 4
            for point in self._open_points.get(steps, ()):
                rank = 2 * (point.settings != settings) + point.has_failed
                if point.history.results in results and rank < best_rank:
                    best, best_rank = point, rank
                    if rank == 0:
                        break
            closed = [
                self._last_points[steps, r] for r in results if (steps, r) in self._last_points
            ]
            if best or closed:
                return best or closed[0], length
        return None, 0

    def _start(self, fork: tuple[int, int] | None = None) -> int:
        self._threads.append(_Thread(fork[1] if fork else 0, fork))
        return len(self._threads) - 1

    def _continue(self, point: ResumePoint) -> int:
        return point.thread if point.is_open else self._start((point.thread, point.depth))

    def _recall(self, keys: Iterable[Hashable]) -> int | None:
        """Return the conversation of the first telling evidence, preferring open ones."""
        for key in keys:
            threads = self._evidence.get(key, [])
            if 0 < len(threads) < _COMMON:
                open_threads = [one for one in threads if self._threads[one].open_points]
                return open_threads[0] if open_threads else threads[-1]
        return None

    # Learning from requests and responses

    def _remember(self, thread: int, keys: Iterable[Hashable]) -> None:
        for key in keys:
            threads = self._evidence.setdefault(key, [])
            if thread not in threads and len(threads) < _COMMON:
                threads.append(thread)

    def _learn(self, thread: int, steps: list[RawStep], before: HistoryDigest) -> HistoryDigest:
        """Remember the steps of a response and return the history with them."""
        prefixes = prefix_digests(steps, before)
        first = self._threads[thread].first_step
        self._remember(thread, (("prefix", prefix.steps) for prefix in prefixes[1:]))
        self._remember(thread, (("mark", mark) for mark in marks(steps)))
        self._remember(thread, (("step", first, digest) for digest in model_step_digests(steps)))
        return prefixes[-1]

    def _learn_stored(self, pending: PendingRequest, interaction: dict[str, JSON]) -> None:
        """Learn the steps of a background run, or of an interaction that was never seen."""
        identity = interaction.get("id")
        if not isinstance(identity, str) or not identity:
            return
        steps, point = steps_of(interaction), self._by_id.get(identity)
        if point is None:
            self._add_point(pending, self._learn(pending.thread, steps, EMPTY), identity)
            return
        history = self._learn(pending.thread, strip_user_input(steps), point.before)
        if history != point.history and point.is_open:
            self._close(point)
            point.history = history
            self._open(point)

    def _add_point(
        self, pending: PendingRequest, history: HistoryDigest, identity: JSON
    ) -> ResumePoint:
        point = ResumePoint(
            thread=pending.thread,
            depth=self._threads[pending.thread].requests,
            before=pending.history,
            history=history,
            settings=_settings(pending.request),
        )
        self._open(point)
        if isinstance(identity, str) and identity:
            self._by_id[identity] = point
            self._owners[identity] = pending.thread
        return point

    def _open(self, point: ResumePoint) -> None:
        if point.is_open:
            return
        point.is_open = True
        self._threads[point.thread].open_points.append(point)
        # Without a step of the model every new conversation would continue the last one.
        if point.history.has_model:
            self._open_points.setdefault(point.history.steps, []).append(point)
            self._last_points[point.history[:2]] = point

    def _close(self, point: ResumePoint) -> None:
        point.is_open = False
        self._threads[point.thread].open_points.remove(point)
        if point.history.has_model:
            self._open_points[point.history.steps].remove(point)


def split_conversations(recordings: Sequence[Recording]) -> list[list[int]]:
    """Return the recording numbers (from 0) of each conversation, in order of first request.

    Those of a fork begin with the ones before it.
    """
    demultiplexer = Demultiplexer()
    conversations: list[list[int]] = []
    for number, recording in enumerate(recordings):
        pending = demultiplexer.open(request_of(recording))
        if pending.thread == len(conversations):
            fork = demultiplexer.fork_of(pending.thread)
            conversations.append(conversations[fork[0]][: fork[1]] if fork else [])
        conversations[pending.thread].append(number)
        demultiplexer.complete(pending, response_of(recording))
    return conversations


def _settings(request: Request) -> bytes:
    body = request.body if isinstance(request.body, dict) else {}
    return value_digest({key: body[key] for key in body if key not in _HISTORY_FIELDS})


def _first(prefixes: Sequence[HistoryDigest]) -> bytes:
    """Return the digest of the first step; of nothing where there is none."""
    return prefixes[:2][-1].steps
