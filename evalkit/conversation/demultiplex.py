"""Telling interleaved conversations apart, by what their requests and answers say. Pure, and fed as the traffic comes.

Whose is a request? The first of these that says something:

1. it repeats, word for word, a request of a conversation that got no usable answer (refused for a while, cut off): that one's;
2. ``previous_interaction_id``, the id in the path of a GET, cancel or delete, a ``continuation_token``: the one that was given it;
3. a history: the one whose requests and answers it repeats, the longest such, and then brings only steps that a client makes. Of several
   that are the same so far, one whose requests said the same about all else (model, tools, store, …), and the oldest that nothing has
   continued yet;
4. an altered history (a step dropped, added, changed; its beginning cut off): the one that knows its latest thought signature or call id,
   else the one that shares its longest beginning, of a user's message and a step of the model at least, else one that began with the same
   message and was given one of its answers or calls (a client that leaves the thoughts out);
5. none: it starts a conversation. Two that start with the same words are two.

An answer that was continued once and is continued once more, otherwise, is a *fork*: a conversation of its own, which holds what came before
the fork too. Of other resources (agents, files, …) all requests of one collection are taken together.

Every history is read once, as a chain of digests (``trails``) that are looked up: a request costs what its own length does, however many
conversations are under way. Two conversations whose answers are the same to the letter cannot be told apart, and need not be.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from evalkit._lib.json import JSON
from evalkit.cassette.recording import Recording
from evalkit.conversation.history_digest import (
    START,
    RawStep,
    Trail,
    input_steps,
    is_client,
    marks,
    request_key,
    said,
    trails,
)
from evalkit.conversation.reconstruct import request_of, response_of
from evalkit.conversation.response_reader import read_response
from evalkit.conversation.resume_index import Node, Places
from evalkit.protocol.step_reader import steps_of, strip_user_input
from evalkit.protocol.wire_facts import API_VERSION_PATTERN, is_retryable
from evalkit.transcript import Exchange, Request, Response

_INTERACTION = re.compile(r"(?:^|/)interactions(?:/([^/:]+)(?:[/:][^/]*)?)?/?$")
_COLLECTION = re.compile(rf"^(?:.*?/{API_VERSION_PATTERN}(?=/))?/?([^/:]*)")
_HISTORY = frozenset(("input", "previous_interaction_id", "continuation_token"))
_COMMON = 16  # a mark that this many conversations bear tells nothing


@dataclass(slots=True)
class _Asked:
    """A request that waits for its answer: the history it ends, and the places it went on from."""

    request: Request
    key: bytes
    style: bytes
    trail: Trail
    left: list[Node]


@dataclass(slots=True)
class _Thread:
    requests: int = 0
    asked: list[_Asked] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    fork: tuple[int, int] | None = None
    first: bytes = b""


class Demultiplexer:
    """The conversations of one stream of traffic, numbered from 0 as they start.

    Feed each request to :meth:`opened` when it is sent and to :meth:`answered` when its answer is whole, or to :meth:`unanswered`.
    """

    def __init__(self) -> None:
        self._threads: list[_Thread] = []
        self._refused: dict[bytes, deque[tuple[int, int, Trail]]] = {}
        self._sent: dict[tuple[bytes, bytes], int] = {}
        self._collections: dict[str, int] = {}
        self._owners: dict[str, int] = {}
        self._ids: dict[str, list[Node]] = {}
        self._tokens: dict[str, Node] = {}
        self._places = Places()
        self._passed: dict[bytes, int] = {}
        self._marks: dict[str, list[int]] = {}
        self._said: dict[bytes, list[int]] = {}

    def __len__(self) -> int:
        return len(self._threads)

    def fork_of(self, thread: int) -> tuple[int, int] | None:
        """Return the conversation a fork left and how many of its requests (a fork's own inherited ones too) come before; None for others."""
        return self._threads[thread].fork

    def opened(self, request: Request) -> int:
        """Return the number of the conversation a request belongs to."""
        body = request.body if isinstance(request.body, dict) else {}
        found = _INTERACTION.search(request.path)
        key = request_key(request.method, request.path, request.query, request.body)
        if found is None:
            return self._of_collection(request, key)
        if found[1] or request.method != "POST":
            return self._reading(request, key, unquote(found[1] or ""))
        if (again := self._again(key)) is not None:
            return self._asked(again[0], request, key, again[1])
        if isinstance(token := body.get("continuation_token"), str) and token in self._tokens:
            node = self._tokens[token]
            return self._asked(node.thread, request, key, node.trail)
        steps = input_steps(body.get("input"))
        if isinstance(previous := body.get("previous_interaction_id"), str) and previous:
            thread, base = self._after_id(previous)
            chain = trails(steps, base)
        else:
            chain = trails(steps)
            thread = self._after_history(steps, chain, _style(request))
            self._threads[thread].first = self._threads[thread].first or chain[:2][-1].steps
        for trail in chain[1:]:
            self._passed.setdefault(trail.steps, thread)
        return self._asked(thread, request, key, chain[-1])

    def answered(self, thread: int, request: Request, response: Response) -> None:
        """Learn from an answer: its id, its steps, whether the conversation can go on from it."""
        asked = self._take(thread, request)
        exchange = Exchange(0, 0, request)
        read_response(exchange, response)
        got = exchange.interaction
        usable = got is not None and exchange.error is None and exchange.failure is None
        if got is not None:
            if request.method == "POST" and _is_create(request.path):
                self._went_on(thread, asked, got, strip_user_input(steps_of(got)))
            elif _INTERACTION.search(request.path):
                self._read(thread, got)
        if not usable:
            self._failed(
                thread,
                asked,
                again=is_retryable(response.status) or response.status < 400,
            )

    def unanswered(self, thread: int, request: Request) -> None:
        """Note that no answer came: the connection failed, or the client left."""
        self._failed(thread, self._take(thread, request), again=True)

    def named(self, thread: int, name: str) -> None:
        """Learn the id of an interaction whose answer is still coming: it can be asked for, or cancelled, before that."""
        self._owners.setdefault(name, thread)

    # Whose is it?

    def _again(self, key: bytes) -> tuple[int, Trail] | None:
        waiting = self._refused.get(key, ())
        while waiting:
            thread, requests, trail = self._refused[key].popleft()
            if self._threads[thread].requests == requests:
                return thread, trail
        self._refused.pop(key, None)
        return None

    def _of_collection(self, request: Request, key: bytes) -> int:
        found = _COLLECTION.match(request.path)
        name = found[1] if found else request.path
        if name not in self._collections:
            self._collections[name] = self._started()
        return self._asked(self._collections[name], request, key, START)

    def _started(self, fork: tuple[int, int] | None = None) -> int:
        self._threads.append(_Thread(fork[1] if fork else 0, fork=fork))
        return len(self._threads) - 1

    def _continued(self, node: Node) -> int:
        return node.thread if node.open else self._started((node.thread, node.depth))

    def _reading(self, request: Request, key: bytes, name: str) -> int:
        thread = self._owners.get(name)
        if thread is None:
            thread = self._owners[name] = self._started()
        self._threads[thread].requests += 1
        self._threads[thread].asked.append(_Asked(request, key, b"", START, []))
        return thread

    def _after_id(self, previous: str) -> tuple[int, Trail]:
        nodes = self._ids.get(previous)
        if not nodes:
            return self._started(), START
        # A service that was started anew may give an id twice: then the latest is meant.
        node = next((node for node in reversed(nodes) if node.open), nodes[-1])
        return self._continued(node), node.trail

    def _after_history(self, steps: list[RawStep], chain: list[Trail], style: bytes) -> int:
        node, at = self._places.longest(chain, style)
        rest = steps[at:]
        if all(map(is_client, rest)):
            if node is None:
                return (
                    self._started() if not chain[-1].models else self._altered(steps, steps, chain)
                )
            if node.open:
                return self._continued(node)
            # Whoever brings what was brought before, and more behind it, has lost the answer in between; who brings other things forks.
            lost = next(
                (
                    thread
                    for trail in chain[-2:at:-1]
                    if (thread := self._sent.get(trail[:2])) is not None
                ),
                None,
            )
            return self._continued(node) if lost is None else lost
        return self._altered(rest if node else steps, steps, chain)

    def _altered(self, rest: list[RawStep], steps: list[RawStep], chain: list[Trail]) -> int:
        for part in (rest, steps):
            if (thread := self._bearing(part)) is not None:
                return thread
        shared = next((trail for trail in reversed(chain) if trail.steps in self._passed), START)
        if shared.users and shared.models:
            return self._passed[shared.steps]
        thread = self._told(steps, chain[:2][-1].steps)
        return self._started() if thread is None else thread

    def _bearing(self, steps: Sequence[RawStep]) -> int | None:
        """Return the conversation that knows the latest telling mark."""
        for mark in marks(steps):
            threads = self._marks.get(mark, ())
            if 0 < len(threads) < _COMMON:
                return next(
                    (
                        thread
                        for thread in threads
                        if any(node.open for node in self._threads[thread].nodes)
                    ),
                    threads[-1],
                )
        return None

    def _told(self, steps: Sequence[RawStep], first: bytes) -> int | None:
        """Return a conversation that began as this history does and was given one of its steps, one still open before others."""
        for key in said(steps):
            threads = [
                thread for thread in self._said.get(key, ()) if self._threads[thread].first == first
            ]
            if threads:
                return next(
                    (
                        thread
                        for thread in threads
                        if any(node.open for node in self._threads[thread].nodes)
                    ),
                    threads[-1],
                )
        return None

    def _asked(self, thread: int, request: Request, key: bytes, trail: Trail) -> int:
        state = self._threads[thread]
        state.requests += 1
        self._sent[trail[:2]] = thread
        left = [node for node in state.nodes if node.open]
        for node in left:
            node.open = False
        state.nodes.clear()
        state.asked.append(_Asked(request, key, _style(request), trail, left))
        return thread

    # What was answered?

    def _take(self, thread: int, request: Request) -> _Asked:
        asked = self._threads[thread].asked
        at = next((at for at, one in enumerate(asked) if one.request is request), None)
        return asked.pop(
            at
            if at is not None
            else next(at for at, one in enumerate(asked) if one.request == request)
        )

    def _went_on(
        self, thread: int, asked: _Asked, got: dict[str, JSON], steps: list[RawStep]
    ) -> None:
        trail = self._seen(thread, steps, asked.trail)
        node = self._place(thread, trail, asked.trail, got.get("id"), asked.style)
        if isinstance(token := got.get("continuation_token"), str) and token:
            self._tokens[token] = node

    def _read(self, thread: int, got: dict[str, JSON]) -> None:
        """Take the steps that a run in the background has come to, and those of an interaction that was never seen."""
        name = got.get("id")
        if not isinstance(name, str) or not name:
            return
        nodes = self._ids.get(name)
        steps = steps_of(got)
        if not nodes:
            self._place(thread, self._seen(thread, steps, START), START, name, b"")
            return
        node = nodes[-1]
        trail = self._seen(thread, strip_user_input(steps), node.before)
        if trail != node.trail and node.open:
            node.trail = trail
            self._places.put(node)

    def _seen(self, thread: int, steps: list[RawStep], before: Trail) -> Trail:
        chain = trails(steps, before)
        for trail in chain[1:]:
            self._passed[trail.steps] = thread
        for mark in marks(steps):
            threads = self._marks.setdefault(mark, [])
            if thread not in threads and len(threads) < _COMMON:
                threads.append(thread)
        for key in said(steps):
            told = self._said.setdefault(key, [])
            if thread not in told and len(told) < _COMMON:
                told.append(thread)
        return chain[-1]

    def _place(self, thread: int, trail: Trail, before: Trail, name: JSON, style: bytes) -> Node:
        state = self._threads[thread]
        node = Node(thread, state.requests, trail, before, style)
        state.nodes.append(node)
        self._places.put(node)
        if isinstance(name, str) and name:
            self._ids.setdefault(name, []).append(node)
            self._owners[name] = thread
        return node

    def _failed(self, thread: int, asked: _Asked, *, again: bool) -> None:
        for node in asked.left:
            node.open = node.tried = True
            self._threads[thread].nodes.append(node)
            self._places.put(node)
        if again:
            self._refused.setdefault(asked.key, deque()).append(
                (thread, self._threads[thread].requests, asked.trail)
            )


def split_conversations(recordings: Sequence[Recording]) -> list[list[int]]:
    """Return the recording numbers (from 0) of each conversation of a tape, in order of first request. A fork's begin with those before it."""
    threads = Demultiplexer()
    found: list[list[int]] = []
    for number, recording in enumerate(recordings):
        request = request_of(recording)
        thread = threads.opened(request)
        if thread == len(found):
            fork = threads.fork_of(thread)
            found.append(found[fork[0]][: fork[1]] if fork else [])
        found[thread].append(number)
        threads.answered(thread, request, response_of(recording))
    return found


def _is_create(path: str) -> bool:
    found = _INTERACTION.search(path)
    return found is not None and not found[1]


def _style(request: Request) -> bytes:
    body = request.body if isinstance(request.body, dict) else {}
    return request_key({name: value for name, value in body.items() if name not in _HISTORY})
