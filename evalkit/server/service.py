"""The Interactions API without HTTP: a call comes in as values, a reply goes out as values (protocol section 1.1).

Sans-IO: it opens nothing and sleeps never (a reply tells its delays), so the same service answers over a socket, in a test, or in a loop.
The routes are a table; every refusal is an ApiFault and leaves as the API's error body. One Service is one server's memory; it is not for
several threads at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from evalkit._lib.json import dumps
from evalkit.protocol.disassemble import events_of, sse_text
from evalkit.server import plain
from evalkit.server.answer import Answer
from evalkit.server.ask import Ask
from evalkit.server.calls import Call, Reply, fault_reply
from evalkit.server.create import read_create
from evalkit.server.faults import ApiFault, refuse
from evalkit.server.inputs import last_messages, steps_of_input
from evalkit.server.interaction import interaction
from evalkit.server.pairing import check_pairs
from evalkit.server.script import Script
from evalkit.server.signatures import DEFAULT_KEY, verify
from evalkit.server.store import Store, Stored

JSON = Any


class Service:
    """Answers calls by a script, and where no rule holds by plain answers; keeps what is stored."""

    def __init__(self, script: Script, *, key: bytes = DEFAULT_KEY) -> None:
        self._script = script
        self._key = key
        self._store = Store()

    def handle(self, call: Call) -> Reply:
        """Answer one call; never raises for anything a client sends."""
        try:
            methods, names = _route(call.path)
            operation = methods.get(call.method)
            if operation is None:
                raise ApiFault(
                    405, f"{call.method} is not allowed here; allowed: {', '.join(methods)}.", headers={"allow": ", ".join(methods)}
                )
            _check_key(call)
            return operation(self, call, **names)
        except ApiFault as fault:
            return fault_reply(fault)
        except RecursionError:
            return fault_reply(refuse("The body is nested too deep."))

    # --- operations

    def create(self, call: Call) -> Reply:
        """``POST /interactions``."""
        body = read_create(call.body, self._script.known)
        if call.query.get("alt") == "sse":
            body["stream"] = True
        base = self._store.previous(body.get("previous_interaction_id"))
        sent = steps_of_input(body["input"])
        conversation = (*base, *sent)

        def place(index: int) -> str:
            return f"input[{index - len(base)}]" if index >= len(base) else f"step {index + 1} of the stored conversation"

        check_pairs(conversation, place)
        if self._script.signatures:
            verify(self._key, conversation, place)
        seed = self._store.seed(body)
        ask = Ask(body, conversation, seed, self._store.environment(body.get("environment"), seed), self._script.vars)
        answer, by = self._answer(ask)
        if answer.fault is not None and (answer.fault_after is None or not body.get("stream")):
            return fault_reply(answer.fault, answer.delay)
        final = interaction(ask, answer, self._key if self._script.signatures else None)
        polls = answer.polls if body.get("background") else 0
        stored = Stored(final, last_messages(sent), sent, (*conversation, *final["steps"]), polls)
        if body.get("store", True):
            self._store.add(stored)
        if body.get("stream"):
            stored.finish()
            return replace(_stream(stored.final, answer), by=by)
        return Reply(200, dumps(stored.shown()), delay=answer.delay, by=by)

    def get(self, call: Call, id: str) -> Reply:  # noqa: A002 - the path's own name
        """``GET /interactions/{id}``; a stream of a running interaction waits for its end, so it ends it."""
        stored = self._store.get(id)
        if _flag(call, "stream"):
            stored.finish()
            return _stream(stored.final, Answer(), after=call.query.get("last_event_id"))
        shown = dict(stored.shown())
        stored.poll()
        if "steps" in shown:
            shown["steps"] = [*stored.asked, *shown["steps"]]
        if _flag(call, "include_input"):
            shown["input"] = list(stored.sent)
        return Reply(200, dumps(shown))

    def cancel(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``POST /interactions/{id}/cancel``."""
        stored = self._store.get(id)
        stored.cancel()
        return Reply(200, dumps(stored.shown()))

    def delete(self, call: Call, id: str) -> Reply:  # noqa: A002
        """``DELETE /interactions/{id}``."""
        self._store.delete(id)
        return Reply(200, "{}")

    # --- answering

    def _answer(self, ask: Ask) -> tuple[Answer, str]:
        found = self._script.find(ask, self._store.used)
        if found is None:
            return plain.answer(ask), "plain answer"
        self._store.used[found.index] += 1
        return found.answer(ask, plain.answer), found.rule.where


_PREFIX = r"(?:/v1(?:beta|alpha)?)?/interactions"
_ROUTES: tuple[tuple[re.Pattern[str], dict[str, Callable[..., Reply]]], ...] = (
    (re.compile(_PREFIX + r"/?\Z"), {"POST": Service.create}),
    (re.compile(_PREFIX + r"/(?P<id>[^/]+)\Z"), {"GET": Service.get, "DELETE": Service.delete}),
    (re.compile(_PREFIX + r"/(?P<id>[^/]+)/cancel\Z"), {"POST": Service.cancel}),
)


def _route(path: str) -> tuple[dict[str, Callable[..., Reply]], dict[str, str]]:
    for pattern, methods in _ROUTES:
        if found := pattern.match(path):
            return methods, found.groupdict()
    raise ApiFault(404, f"There is nothing at {path}; this server has /v1beta/interactions.")


def _check_key(call: Call) -> None:
    bearer = call.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not (call.headers.get("x-goog-api-key") or call.query.get("key") or bearer):
        raise ApiFault(401)


def _flag(call: Call, name: str) -> bool:
    value = call.query.get(name, "false").lower()
    if value not in ("true", "false", "1", "0", ""):
        raise refuse(f"'{name}' must be true or false, got '{value}'.")
    return value in ("true", "1")


def _stream(final: dict[str, JSON], answer: Answer, after: str | None = None) -> Reply:
    events = events_of(final)
    done = True
    if answer.fault is not None:
        events = [*events[: answer.fault_after], {"event_type": "error", **answer.fault.body()}]
    elif answer.cut_after is not None:
        events, done = events[: answer.cut_after], False
    if after is not None:
        known = [event.get("event_id") for event in events]
        if after not in known:
            raise refuse(f"'last_event_id': there is no event '{after}' in this stream.")
        events = events[known.index(after) + 1 :]
    return Reply(200, frames=sse_text(events, done=done), delay=answer.delay, event_delay=answer.event_delay)
