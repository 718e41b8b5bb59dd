"""``usage``: budgets of tokens by the API's field names (protocol section 3, *usage*)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from evalkit._lib.json import JSON
from evalkit._lib.text import nearest, plural, show
from evalkit.checks.core.base import Check, View, option_error
from evalkit.checks.core.formatting import table
from evalkit.checks.core.options import Limits, format_number, plain
from evalkit.protocol.step_reader import is_running
from evalkit.transcript import Exchange
from evalkit.verdict import Finding, Severity, Where

FIELDS = (
    "total_tokens",
    "total_input_tokens",
    "total_output_tokens",
    "total_thought_tokens",
    "total_cached_tokens",
    "total_tool_use_tokens",
    "initial_input_tokens",
)


def _known(budgets: dict[str, Limits]) -> dict[str, Limits]:
    for word in budgets:
        if word not in FIELDS and (meant := nearest(word, FIELDS)):
            raise option_error(
                f"unknown usage field {word!r} (did you mean {meant!r}?); valid: {', '.join(FIELDS)}",
                word,
            )
        if word.endswith("_by_modality"):
            raise option_error(
                f"{word} is a list by modality, not a number; budgets take {', '.join(FIELDS)}",
                word,
            )
    return budgets


class Usage(Check):
    """Tokens stay within budgets: of the turn, or the sum over the conversation.

    The empty case: a field that no answer reports keeps no budget, so the check fails. A field that some answers leave out is summed over
    the others, with a warning. An empty mapping is refused.
    """

    name: ClassVar[str] = "usage"
    rest: ClassVar[str | None] = "budgets"

    budgets: Annotated[dict[str, Limits], Field(min_length=1), AfterValidator(_known)] = Field(
        description="Budgets by usage field: {total_tokens: {max: 600}}."
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield each budget that is broken or cannot be known."""
        answers = final_answers(view.exchanges)
        for word, bounds in self.budgets.items():
            total, told = total_usage(answers, word)
            if told and told == len(answers) and bounds.contains(total):
                continue
            where = Where(turn=view.turn.number if view.turn is not None else None)
            if not told:
                yield Finding(
                    "usage_absent",
                    f"no answer reports {word}, so its budget cannot be known",
                    where,
                    expected=bounds.to_json(),
                )
                continue
            if told < len(answers):
                message = f"{word} is reported by {told} of {plural(len(answers), 'answer')}, so its sum is a lower bound"
                yield Finding("usage_partial", message, where, severity=Severity.WARN)
            if not bounds.contains(total):
                message = f"{word} is {format_number(total)}, {bounds} allowed"
                yield Finding(
                    "usage_exceeded",
                    message,
                    where,
                    expected=bounds.to_json(),
                    got=plain(total),
                    detail=_listed(answers, word),
                )


def final_answers(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Return the exchanges whose usage counts: each interaction once, as it was told last; runs that have not ended are left out.

    A run that is polled, or a stream that is read again, shows the same interaction several times (protocol section 8.1).
    """
    by_id: dict[str, Exchange] = {}
    for exchange in exchanges:
        interaction = exchange.interaction
        if interaction is not None and not is_running(interaction):
            identity = interaction.get("id")
            by_id[identity if isinstance(identity, str) and identity else f"#{exchange.number}"] = (
                exchange
            )
    return list(by_id.values())


def total_usage(answers: Sequence[Exchange], word: str) -> tuple[float, int]:
    """Return the sum of one usage field, and how many answers tell it."""
    total, told = 0, 0
    for exchange in answers:
        value = _tokens(exchange, word)
        if value is not None:
            total += value
            told += 1
    return total, told


def _tokens(exchange: Exchange, word: str) -> int | None:
    usage: JSON = exchange.interaction.get("usage") if exchange.interaction is not None else None
    value = usage.get(word) if isinstance(usage, dict) else None
    if type(value) is int:
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _listed(answers: Sequence[Exchange], word: str) -> str:
    if len(answers) < 2:
        return ""
    return table(
        [[f"exchange {exchange.number}", show(_tokens(exchange, word))] for exchange in answers]
    )
