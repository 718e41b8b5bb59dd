"""Topic ``calls``: every call has its result and every result its call, over a conversation.

In a stateless conversation the history check covers this from the second request on. These rules
cover what it cannot see: conversations whose history the service stores, the first request, the
end, and the calls of tools that the service executes.
"""

from collections.abc import Iterator, Sequence

from evalkit._lib.json import JSON
from evalkit._lib.text import show
from evalkit.lint.cassette_view import CassetteView
from evalkit.lint.rules import RuleFinding
from evalkit.protocol.input_reader import items_of
from evalkit.protocol.step_reader import pair_calls, steps_of
from evalkit.protocol.step_types import SERVER_CALLS
from evalkit.transcript import Exchange

RawStep = dict[str, JSON]


def check_calls(view: CassetteView) -> Iterator[RuleFinding]:
    """Yield calls without results and results without calls."""
    # Conversations may share a beginning, so a finding can be made several times.
    findings: dict[tuple[str, int | None, str | None], RuleFinding] = {}
    for thread in view.threads:
        for finding in _Conversation().check(thread):
            findings.setdefault((finding.code, finding.exchange, finding.pointer), finding)
    yield from findings.values()
    for exchange in view.api_exchanges:
        yield from _check_service_calls(exchange)


class _Conversation:
    """The function calls of one conversation, read exchange by exchange."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # of every call, by id
        self._answered: set[str] = set()
        self._waiting: dict[str, tuple[int, int]] = {}  # exchange and index, by id
        self._interactions: set[str] = set()
        self._began_elsewhere = False
        self._has_history = False  # a request with a whole history was checked

    def check(self, thread: Sequence[Exchange]) -> Iterator[RuleFinding]:
        for exchange in thread:
            if exchange.request.creates_interaction:
                yield from self._check_request(exchange, exchange.request.body)
            if exchange.interaction is not None and exchange.error is None:
                self._read_interaction(exchange, exchange.interaction)
        for id_, (number, index) in self._waiting.items():
            if id_ not in self._answered:
                name = show(self._names.get(id_, ""), 40)
                yield RuleFinding(
                    "call_open",
                    f"the call of {name} waits for a result: the conversation ends here",
                    exchange=number,
                    part="response",
                    pointer=f"/steps/{index}",
                    got=id_,
                )

    def _check_request(self, exchange: Exchange, body: dict[str, JSON]) -> Iterator[RuleFinding]:
        previous = body.get("previous_interaction_id")
        if previous and not (isinstance(previous, str) and previous in self._interactions):
            self._began_elsewhere = True
        items = items_of(body.get("input"))
        steps = [item.step for item in items]
        # The history check covers later requests of a stateless conversation.
        covered = not previous and self._has_history
        self._names.update({id_: name for id_, (name, _) in _function_calls(steps).items()})
        for step, pointer, _ in items:
            id_ = step.get("call_id")
            if step.get("type") != "function_result" or not isinstance(id_, str) or not id_:
                continue
            self._answered.add(id_)
            if not covered and not self._began_elsewhere and id_ not in self._names:
                yield RuleFinding(
                    "result_unpaired",
                    f"the result of {show(step.get('name') or id_, 40)} has no call in this "
                    "conversation",
                    exchange=exchange.number,
                    part="request",
                    pointer=f"{pointer}/call_id",
                    got=id_,
                )
        if not covered and exchange.error is None and exchange.failure is None:
            expected = self._waiting if previous else _function_calls(steps)
            for id_ in expected:
                if id_ not in self._answered:
                    yield RuleFinding(
                        "call_unanswered",
                        f"the call of {show(self._names.get(id_) or id_, 40)} has no result",
                        exchange=exchange.number,
                        part="request",
                        pointer="/input",
                        expected=id_,
                    )
        self._has_history = self._has_history or not previous

    def _read_interaction(self, exchange: Exchange, interaction: dict[str, JSON]) -> None:
        id_ = interaction.get("id")
        if isinstance(id_, str) and id_:
            self._interactions.add(id_)
        calls = _function_calls(steps_of(interaction))
        self._names.update({id_: name for id_, (name, _) in calls.items()})
        self._waiting = {}
        if interaction.get("status") == "requires_action":
            self._waiting = {
                id_: (exchange.number, index)
                for id_, (_, index) in calls.items()
                if id_ not in self._answered
            }


def _function_calls(steps: Sequence[RawStep]) -> dict[str, tuple[str, int]]:
    """Return the name and the index of each function call by its id."""
    return {
        id_: (str(step.get("name") or ""), index)
        for index, step in enumerate(steps)
        if step.get("type") == "function_call" and isinstance(id_ := step.get("id"), str) and id_
    }


def _check_service_calls(exchange: Exchange) -> Iterator[RuleFinding]:
    interaction = exchange.interaction
    if interaction is None or interaction.get("status") != "completed":
        return
    steps = steps_of(interaction)
    pairing = pair_calls(steps)
    unpaired = []
    for call, result in pairing.pairs:
        type_ = steps[call].get("type")
        if result is None and type_ in SERVER_CALLS and type_ != "tool_search_call":
            unpaired.append((call, f"{type_} has no result"))
    for orphan in pairing.orphans:
        type_ = steps[orphan].get("type")
        if type_ not in ("function_result", "tool_search_result"):
            unpaired.append((orphan, f"{type_} has no call"))
    for index, message in unpaired:
        yield RuleFinding(
            "server_call_unpaired",
            message,
            exchange=exchange.number,
            part="response",
            pointer=f"/steps/{index}",
        )
