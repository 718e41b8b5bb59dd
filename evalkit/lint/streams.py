"""Topic ``stream``: every streamed answer, judged by the check of that name, and what only the bytes show.

A recording that says of itself that it broke off is told once, as that: what is missing behind the break follows from it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import unquote

from evalkit._lib.json import MISSING
from evalkit._lib.text import show
from evalkit.checks.core.base import View
from evalkit.checks.stream import Stream
from evalkit.lint.fidelity import found_of
from evalkit.lint.findings import Found
from evalkit.lint.tape import Tape
from evalkit.protocol.sse import DONE, frames
from evalkit.transcript import Exchange, Transcript, Turn

_CHECK = Stream()
_FROM_THE_BREAK = frozenset(
    (
        "completed_missing",
        "step_not_stopped",
        "empty_stream",
        "stream_broken",
        "not_streamed",
        "event_not_json",
    )
)
_CLOSED = re.compile(r"(?:\n|\r\n?)(?:\n|\r\n?)\Z")


def streams(tape: Tape) -> Iterator[Found]:
    """Yield what is wrong with streams and with answers that broke off."""
    stored = defaultdict(list)
    for exchange in tape.api:
        if (
            exchange.request.method == "GET"
            and exchange.events is None
            and exchange.interaction is not None
        ):
            stored[unquote(exchange.request.path.rpartition("/")[2])].append(exchange)
    for exchange in tape.api:
        yield from _judge(exchange, stored)
        if exchange.events is not None:
            yield from _last_frame(exchange)
    for number, recording in enumerate(tape.recordings, 1):
        if recording.broken is not None:
            yield Found(
                "stream_broken",
                f"the answer broke off: {show(recording.broken)}",
                number,
                "response",
                "",
            )


def _judge(exchange: Exchange, stored: dict[str, list[Exchange]]) -> Iterator[Found]:
    if exchange.events is None and not exchange.request.streamed:
        return
    identity = (exchange.interaction or {}).get("id")
    others = stored.get(identity, []) if isinstance(identity, str) else []
    # Only what belongs together is shown to the check, which compares every stream with every GET.
    view = View(Transcript(turns=[Turn(1, [], [exchange, *others])]))
    broken = exchange.response is not None and exchange.response.broken is not None
    # What an error event cut off is not whole either, and the event says why.
    broken = broken or any(problem.get("code") == "error_event" for problem in exchange.problems)
    asked = ("alt", "sse") in exchange.request.query
    for finding in _CHECK.run(view):
        if finding.where.exchange != exchange.number or (
            broken and finding.code in _FROM_THE_BREAK
        ):
            continue
        if asked and finding.code == "streamed_unasked":
            continue  # curl asks for a stream in the query (protocol section 1.1)
        yield found_of(finding)


def _last_frame(exchange: Exchange) -> Iterator[Found]:
    response = exchange.response
    if (
        response is None
        or response.broken is not None
        or not response.text
        or _CLOSED.search(response.text[-4:])
    ):
        return
    tail = response.text[-_TAIL:]
    last = re.split(r"(?:\r\n|\r|\n){2,}", tail)[-1]
    found = frames(last)
    if found and found[-1].data and found[-1].data != DONE:
        message = "the last event lacks its blank line: the JavaScript SDK drops it"
        yield Found(
            "last_frame_open",
            message,
            exchange.number,
            "response",
            "",
            MISSING,
            show(found[-1].data, 80),
        )


_TAIL = 1 << 20
