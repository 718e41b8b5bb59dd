"""A cassette as the text of its conversations: what ``evalkit diff`` compares and git shows. Pure.

One line for each line of text, nested by indentation. Two recordings of the same conversation have
the same text: ids, times, signatures and counts are left out, and streams are assembled. Nothing is
repeated: settings, system instruction and tools are shown with the first request and where they
change, a re-sent history only where it is not as it was received. Of the requests of judges and
simulated users only the answer is shown, because they quote the conversation.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from evalkit._lib.files import sha256
from evalkit._lib.json import JSON, equal
from evalkit._lib.text import visible
from evalkit.cassette.matching import body_value
from evalkit.cassette.recording import Cassette, Recording
from evalkit.conversation.demultiplex import split_conversations
from evalkit.conversation.history_digest import is_client_step, prefix_digests, step_digest
from evalkit.conversation.reconstruct import (
    TranscriptBuilder,
    is_interaction,
    request_of,
    response_of,
)
from evalkit.conversation.response_reader import read_response
from evalkit.conversation.side_requests import SideRole, side_role
from evalkit.conversation.step_text import (
    content_lines,
    headed,
    indent,
    member_lines,
    step_lines,
    text_lines,
    tool_lines,
    value_lines,
)
from evalkit.errors import CassetteError
from evalkit.protocol.input_reader import input_steps
from evalkit.protocol.step_reader import RawStep, steps_of
from evalkit.transcript import Exchange, Turn

_NOT_SETTINGS = frozenset(("input", "previous_interaction_id", "continuation_token"))
_DECISION_PARTS = ("answers", "prompt_feedback")


class CassetteText(NamedTuple):
    """The lines of a cassette, and the tokens of its conversations."""

    lines: list[str]
    tokens: int


def cassette_text(cassette: Cassette) -> CassetteText:
    """Return the text of a cassette. Raises CassetteError where a value is nested too deeply."""
    text = _CassetteTextBuilder(cassette.recordings)
    try:
        return CassetteText([visible(line) for line in text.lines()], text.tokens)
    except RecursionError:
        raise CassetteError("a value is nested too deeply to be shown") from None


class _CassetteTextBuilder:
    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings = recordings
        self._shown: set[int] = set()
        self.tokens = 0

    def lines(self) -> Iterator[str]:
        threads = split_conversations(self._recordings)
        conversations = [thread for thread in threads if self._role(thread[0]) is None]
        for number, thread in enumerate(conversations, 1):
            lines = [*self._conversation(thread)]
            if len(conversations) > 1:
                yield f"conversation {number}"
                lines = [*indent(lines)]
            yield from lines
        for thread in threads:
            for index in thread:
                if role := self._role(index):
                    yield from self._side_answer(role, self._recordings[index])

    def _role(self, index: int) -> SideRole | None:
        return side_role(request_of(self._recordings[index]).body)

    def _conversation(self, thread: Sequence[int]) -> Iterator[str]:
        builder = TranscriptBuilder()
        new: set[int] = set()
        other: list[int] = []
        for index in thread:
            is_new = index not in self._shown
            self._shown.add(index)
            recording = self._recordings[index]
            exchange = builder.add(recording) if is_interaction(recording) else None
            if exchange is None:
                other += [index] * is_new
            elif is_new:
                new.add(exchange.number)
                self._count(exchange)
        for index in other:
            # A judge's decisions are in one collection with those of an application.
            if self._role(index) is None:
                yield from _other_traffic(self._recordings[index])
        before: Exchange | None = None
        for turn in builder.transcript.turns:
            is_shown = any(exchange.number in new for exchange in turn.exchanges)
            if not is_shown:
                before = turn.exchanges[-1]
                continue
            if before is None and (creates := [*filter(_creates, turn.exchanges)]):
                yield from _settings_lines({}, _settings(creates[0]))
                before = creates[0]
            yield f"turn {turn.number}"
            yield from indent(_turn_lines(turn, before))
            before = next(filter(_creates, reversed(turn.exchanges)), before)

    def _side_answer(self, role: SideRole, recording: Recording) -> Iterator[str]:
        exchange = Exchange(1, 1, request_of(recording))
        read_response(exchange, response_of(recording))
        self._count(exchange)
        body = exchange.request.body
        yield f"{role} {body.get('model') or body.get('agent') or ''}".rstrip()
        answer = exchange.interaction or {}
        for step in steps_of(answer):
            yield from indent(step_lines(step))
        for name in _DECISION_PARTS:
            if name in answer:
                yield from indent(member_lines(name, answer[name]))
        if exchange.error is not None:
            yield f"  error {exchange.error.label}: {exchange.error.message}"

    def _count(self, exchange: Exchange) -> None:
        usage = (exchange.interaction or {}).get("usage")
        total = usage.get("total_tokens") if isinstance(usage, dict) else None
        self.tokens += total if type(total) is int else 0


def _turn_lines(turn: Turn, before: Exchange | None) -> Iterator[str]:
    if turn.user:
        yield "user"
        yield from indent(content_lines(turn.user))
    for exchange in turn.exchanges:
        if not _creates(exchange):
            continue
        if before is not None and before is not exchange:
            if changes := [*_settings_lines(_settings(before), _settings(exchange))]:
                yield f"request {exchange.number} has other settings"
                yield from indent(changes)
            yield from _history_lines(before, exchange)
        before = exchange
    for step in turn.steps:
        yield from step_lines(step.raw)
    for exchange in turn.exchanges:
        if exchange.request.method == "DELETE":
            yield "interaction deleted"
        elif exchange.request.path.endswith("/cancel"):
            yield "run cancelled"
    if turn.status not in (None, "completed"):
        yield f"status {turn.status}"
    if turn.error is not None:
        http = "HTTP " if turn.error.status >= 400 else ""
        yield from headed(f"error {http}{turn.error.label}", turn.error.message.split("\n"))
    if turn.reason is not None and turn.outcome != "completed":
        yield from headed(turn.outcome, turn.reason.split("\n"))


def _creates(exchange: Exchange) -> bool:
    return exchange.request.creates_interaction and isinstance(exchange.request.body, dict)


def _settings(exchange: Exchange) -> dict[str, JSON]:
    body = exchange.request.body
    return {key: body[key] for key in sorted(body) if key not in _NOT_SETTINGS}


def _settings_lines(old: Mapping[str, JSON], new: Mapping[str, JSON]) -> Iterator[str]:
    """Yield the settings of a request that differ from those of another."""
    texts = ("system_instruction", "tools")
    changed = [
        key
        for key in sorted({*old, *new}, key=lambda key: (key in texts, key))
        if not (key in old and key in new and equal(old[key], new[key]))
    ]
    for key in changed:
        value = new.get(key)
        if key == "system_instruction" and isinstance(value, str):
            yield from headed("system instruction", text_lines(value))
        elif key == "tools" and isinstance(value, list):
            for tool in value:
                yield from tool_lines(tool)
        else:
            yield from member_lines(key, value)


def _history_lines(before: Exchange, after: Exchange) -> Iterator[str]:
    """Yield what a re-sent history lacks and what it has instead, if it is not as received."""
    old, new = before.request.body, after.request.body
    if new.get("previous_interaction_id") or new.get("continuation_token"):
        return
    if before.interaction is None or old.get("previous_interaction_id"):
        return
    expected = [*input_steps(old.get("input")), *steps_of(before.interaction)]
    sent = input_steps(new.get("input"))
    want, digests = prefix_digests(expected)[-1], prefix_digests(sent)
    if want.steps in {digest.steps for digest in digests} and want.results in {
        digest.results for digest in digests
    }:
        return
    yield f"history of request {after.number} is not as received"
    # A request adds messages and results of its own at the end.
    sent = sent[: -len([*takewhile(is_client_step, reversed(sent))]) or None]
    for title, missing in (
        ("without", _missing_steps(expected, sent)),
        ("with", _missing_steps(sent, expected)),
    ):
        if missing:
            lines = (line for step in missing for line in step_lines(step))
            yield from indent(headed(title, lines))


def _missing_steps(steps: Sequence[RawStep], others: Sequence[RawStep]) -> list[RawStep]:
    present = Counter(map(step_digest, others))
    missing = []
    for step in steps:
        digest = step_digest(step)
        if present[digest] > 0:
            present[digest] -= 1
        else:
            missing.append(step)
    return missing


def _other_traffic(recording: Recording) -> Iterator[str]:
    """Yield a request outside the API and its response."""
    request, response = request_of(recording), response_of(recording)
    uri = recording.uri.partition("://")[2] or recording.uri
    yield from headed(f"request {request.method} {uri}", _body_lines(recording.request_body))
    yield from headed(f"response {response.status}", _body_lines(recording.body))


def _body_lines(body: str | bytes | None) -> Iterator[str]:
    value = body_value(body)
    if isinstance(value, bytes):
        return iter([f"{len(value):,} bytes, sha256 {sha256(value)}"])
    if value is None:
        return iter(())
    return text_lines(value) if isinstance(value, str) else value_lines(value)
