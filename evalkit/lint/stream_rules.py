"""Topic ``stream``: every streamed response, checked by ``stream``, and what only the bytes show.

A recording that is marked as broken is reported once, as that: what is missing after the break
follows from it.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import unquote

from evalkit._lib.text import show
from evalkit.checks.core.base import View
from evalkit.checks.stream import Stream
from evalkit.lint.cassette_view import CassetteView
from evalkit.lint.rules import RuleFinding
from evalkit.protocol.sse import DONE, frames
from evalkit.transcript import Exchange, Transcript, Turn

_STREAM_CHECK = Stream()
_CAUSED_BY_A_BREAK = frozenset(
    (
        "completed_missing",
        "step_not_stopped",
        "empty_stream",
        "stream_broken",
        "not_streamed",
        "event_not_json",
    )
)
_BLANK_LINE_AT_END = re.compile(r"(?:\n|\r\n?)(?:\n|\r\n?)\Z")
_TAIL_CHARACTERS = 1 << 20


def check_streams(view: CassetteView) -> Iterator[RuleFinding]:
    """Yield what is wrong with streams and with broken responses."""
    stored = defaultdict(list)
    for exchange in view.api_exchanges:
        is_get = exchange.request.method == "GET" and exchange.events is None
        if is_get and exchange.interaction is not None:
            stored[unquote(exchange.request.path.rpartition("/")[2])].append(exchange)
    for exchange in view.api_exchanges:
        if exchange.events is not None or exchange.request.streamed:
            yield from _check_stream(exchange, stored)
        if exchange.events is not None:
            yield from _check_last_frame(exchange)
    for number, (recording, exchange) in enumerate(
        zip(view.recordings, view.exchanges, strict=True), 1
    ):
        if recording.broken is not None and not exchange.resumed:
            message = f"the response broke off: {show(recording.broken)}"
            yield RuleFinding(
                "stream_broken", message, exchange=number, part="response", pointer=""
            )


def _check_stream(exchange: Exchange, stored: dict[str, list[Exchange]]) -> Iterator[RuleFinding]:
    id_ = (exchange.interaction or {}).get("id")
    same_interaction = stored.get(id_, []) if isinstance(id_, str) else []
    # The check compares every stream with every GET, so it receives only what belongs together.
    view = View(Transcript(turns=[Turn(1, [], exchanges=[exchange, *same_interaction])]))
    # An error event also ends a stream early, and it gives the reason.
    broken = (exchange.response is not None and exchange.response.broken is not None) or any(
        problem.get("code") == "error_event" for problem in exchange.problems
    )
    requested_by_query = ("alt", "sse") in exchange.request.query  # docs/protocol.md section 1.1
    for finding in _STREAM_CHECK.run(view):
        if finding.where.exchange != exchange.number:
            continue
        if broken and finding.code in _CAUSED_BY_A_BREAK:
            continue
        if requested_by_query and finding.code == "streamed_unasked":
            continue
        yield RuleFinding.of_check(finding)


def _check_last_frame(exchange: Exchange) -> Iterator[RuleFinding]:
    response = exchange.response
    if response is None or response.broken is not None or not response.text:
        return
    if _BLANK_LINE_AT_END.search(response.text[-4:]):
        return
    last = frames(re.split(r"(?:\r\n|\r|\n){2,}", response.text[-_TAIL_CHARACTERS:])[-1])
    if last and last[-1].data and last[-1].data != DONE:
        yield RuleFinding(
            "last_frame_open",
            "the last event lacks its blank line: the JavaScript SDK drops it",
            exchange=exchange.number,
            part="response",
            pointer="",
            got=show(last[-1].data, 80),
        )
