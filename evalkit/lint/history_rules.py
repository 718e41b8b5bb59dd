"""Topic ``history``: each conversation of a cassette, checked by ``history`` at level ``exact``.

Nulls that official SDKs add and drop are warnings by the severity of their rules. Where the service
stores the history there is nothing to compare; then ``previous_interaction_id`` should name an
interaction of the cassette, or the conversation began elsewhere.
"""

from collections.abc import Iterator

from evalkit._lib.text import show
from evalkit.checks.core.base import View
from evalkit.checks.history.check import History
from evalkit.conversation.reconstruct import has_message
from evalkit.lint.cassette_view import CassetteView, resends_model_steps
from evalkit.lint.rules import RuleFinding
from evalkit.transcript import Exchange, Transcript, Turn

_EXACT = History(level="exact")


def check_history(view: CassetteView) -> Iterator[RuleFinding]:
    """Yield deviations of histories from what was received, and continued unknown interactions."""
    # Forks share the beginning of a conversation, so a finding can be made several times.
    findings: dict[tuple[str, int | None, str | None], RuleFinding] = {}
    checked: set[int] = set()
    for thread in _threads(view):
        first = thread[0]
        unknown = RuleFinding(
            "history_unknown",
            "it re-sends a history that has no part in this cassette, so it cannot be checked",
            exchange=first.number,
            part="request",
            pointer="/input",
        )
        transcript = Transcript(turns=[Turn(1, [], exchanges=_unchecked(thread, checked))])
        checked.update(exchange.number for exchange in thread)
        for finding in (
            *([unknown] if resends_model_steps(first) else ()),
            *map(RuleFinding.of_check, _EXACT.run(View(transcript))),
        ):
            findings.setdefault((finding.code, finding.exchange, finding.pointer), finding)
    yield from findings.values()
    yield from _check_previous_ids(view)


def _threads(view: CassetteView) -> Iterator[list[Exchange]]:
    """Yield the conversations; of a locked session each message begins one."""
    for thread in view.threads:
        if not view.cassette.metadata.get("locked"):
            yield thread
            continue
        turns: list[list[Exchange]] = []
        for exchange in thread:
            if has_message(exchange.request) or not turns:
                turns.append([])
            turns[-1].append(exchange)
        yield from turns


def _unchecked(thread: list[Exchange], checked: set[int]) -> list[Exchange]:
    """Return a conversation without what an earlier one has in common with it.

    The last usable response in common stays, because the next request is compared with it. So a
    thousand forks do not check their beginning a thousand times.
    """
    start = 0
    for index, exchange in enumerate(thread):
        if exchange.number not in checked:
            break
        body = exchange.request.body
        creates = exchange.request.creates_interaction
        usable = exchange.error is None and exchange.failure is None
        if creates and usable and exchange.interaction and not body.get("continuation_token"):
            start = index
    return thread[start:]


def _check_previous_ids(view: CassetteView) -> Iterator[RuleFinding]:
    ids = set()
    for exchange in view.api_exchanges:
        body = exchange.request.body
        previous = body.get("previous_interaction_id") if isinstance(body, dict) else None
        if isinstance(previous, str) and previous and previous not in ids:
            yield RuleFinding(
                "previous_unknown",
                f"it continues {show(previous, 40)}, which is not in this cassette, "
                "so its history cannot be checked",
                exchange=exchange.number,
                part="request",
                pointer="/previous_interaction_id",
                got=previous,
            )
        id_ = (exchange.interaction or {}).get("id")
        if isinstance(id_, str):
            ids.add(id_)
