"""What an application loses on the way from one request of a conversation to the next. Pure.

The service inherits only the conversation itself (docs/protocol.md section 2), so these mistakes
raise no error and make answers worse. They are warnings, found without being asked for.
"""

from collections.abc import Iterator, Sequence

from evalkit._lib.json import JSON
from evalkit._lib.text import show
from evalkit.checks.history.unsigned_thoughts import unsigned_thoughts
from evalkit.protocol.input_reader import input_steps
from evalkit.transcript import Exchange
from evalkit.verdict import Finding, Severity, Where

_NOT_INHERITED = ("system_instruction", "tools", "store")
_OF_CLIENT = ("user_input", "function_result")


def continuity_warnings(exchanges: Sequence[Exchange]) -> Iterator[Finding]:
    """Yield what the follow-up requests of one conversation have lost, each loss once."""
    first: dict[str, JSON] | None = None
    reported: set[str] = set()
    for exchange in exchanges:
        body = exchange.request.body
        if exchange.request.creates_interaction and not body.get("continuation_token"):
            for code, message in _losses(first, body):
                if message not in reported:
                    reported.add(message)
                    where = Where(turn=exchange.turn, exchange=exchange.number)
                    yield Finding(code, message, where, severity=Severity.WARN)
            # A request that fails is sent again, perhaps with other settings.
            if first is None and exchange.error is None and exchange.failure is None:
                first = body
    yield from unsigned_thoughts(exchanges)


def _losses(first: dict[str, JSON] | None, body: dict[str, JSON]) -> Iterator[tuple[str, str]]:
    """Yield code and message of each loss in a request."""
    steps = input_steps(body.get("input"))
    results = [step for step in steps if step.get("type") == "function_result"]
    if not body.get("previous_interaction_id"):
        calls = {step.get("id") for step in steps}
        for result in results:
            if result.get("call_id") not in calls:
                name = show(result.get("name") or result.get("call_id"), 40)
                yield (
                    "result_unpaired",
                    f"the result of {name} is sent without its call and without "
                    "previous_interaction_id: the model does not know what it answers",
                )
                return
        sends_history = any(step.get("type") not in _OF_CLIENT for step in steps)
        if first is not None and first.get("store") is not False and not sends_history:
            yield (
                "id_lost",
                "the request has neither previous_interaction_id nor the history: "
                "the model does not know the conversation so far",
            )
            return
    if first is not None:
        for name in _NOT_INHERITED:
            value = first.get(name)
            # By default a conversation is stored.
            has_effect = value is False if name == "store" else bool(value)
            if has_effect and body.get(name) is None:
                yield (
                    "setting_lost",
                    f"the request has no {name}, which the first one had: it is not inherited",
                )
