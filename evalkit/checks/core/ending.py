"""How a turn ended whose response is not a whole answer, and whether that is the model's fault.

A run that failed, an output with an error, an answer that was cut or blocked, an empty one: a check
that reads them reports a wrong text. Its message says what the text really is.
"""

from collections.abc import Iterable

from evalkit._lib.text import show
from evalkit.protocol.api_errors import errors_of_run
from evalkit.protocol.step_types import STATUSES, UNANSWERED
from evalkit.protocol.wire_facts import BLOCKED_CODES, RUN_AGAIN
from evalkit.transcript import Turn

_STATUSES = {
    "failed": "the run failed and gives no reason",
    "incomplete": "the answer is incomplete",
    "cancelled": "the run was cancelled",
    "budget_exceeded": "the run used up its budget of tokens",
    "idle": "the interaction is idle: it ended without an answer",
}


_OUTPUT_CHECKS = frozenset({"text", "media", "citations", "snapshot"})


def describe_ending(turn: Turn, check: str = "") -> str:
    """Return how a completed turn ended in one line, ``""`` where it has a whole answer.

    Nothing is said that a finding of ``check`` says in any case, or that cannot matter to it.
    """
    errors = errors_of_run(turn.interaction or {})
    if errors:
        what = "the run failed" if turn.status == "failed" else "the output ended in an error"
        if any(error.code.lower() in BLOCKED_CODES for error in errors):
            what = "the output was blocked"
        return f"{what}: {', '.join(error.summary for error in errors)}"
    limit = _output_limit(turn) if turn.status == "incomplete" else None
    if limit is not None:
        return f"the answer is incomplete: it was cut off at {limit} tokens (max_output_tokens)"
    if turn.status in _STATUSES:
        return _STATUSES[turn.status] if check != "status" else ""
    if _is_of_unknown_status(turn):
        return f"the interaction has no answer and the unknown status {show(turn.status)}"
    is_empty = turn.outcome == "completed" and _has_no_answer(turn)
    return "the answer is empty" if is_empty and check in _OUTPUT_CHECKS else ""


def is_expected_end(turn: Turn, checks: Iterable[tuple[str, object]]) -> bool:
    """Return whether one of ``checks``, each a name and a check, expects the end of a turn."""
    completed = turn.outcome == "completed"
    return any(
        name == "error" or (completed and turn.status in getattr(check, "one_of", ()))
        for name, check in checks
    )


def fault_advice(turn: Turn) -> str | None:
    """Return what to do about a turn whose end says nothing about the model, None for any other.

    The fault table decides about an API error and about the errors of a run alike. A request that
    only reads a run cannot be wrong. One error of the model is enough to blame it.
    """
    if turn.outcome == "api_error" and turn.error is not None:
        polls = bool(turn.exchanges) and turn.exchanges[-1].request.method == "GET"
        return turn.error.advice or (RUN_AGAIN if polls else None)
    advice = [error.advice for error in errors_of_run(turn.interaction or {})]
    if not advice and (turn.status in UNANSWERED or _is_of_unknown_status(turn)):
        return RUN_AGAIN
    return advice[0] if advice and None not in advice else None


def _is_of_unknown_status(turn: Turn) -> bool:
    """Return whether a turn may not have ended: a newer service has further statuses."""
    return turn.status not in (None, *STATUSES) and _has_no_answer(turn)


def _has_no_answer(turn: Turn) -> bool:
    return all(step.type == "thought" for step in turn.steps)


def _output_limit(turn: Turn) -> int | None:
    body = turn.exchanges[0].request.body if turn.exchanges else None
    config = body.get("generation_config") if isinstance(body, dict) else None
    limit = config.get("max_output_tokens") if isinstance(config, dict) else None
    return limit if isinstance(limit, int) else None
