"""A recorded conversation as mutation operators see it, and the mutants that they yield. Pure.

An operator changes answers of the model, because everything after them follows: a call that is left
out is not answered, another argument has another result. What a client does wrong (a history that
is re-sent incompletely) is changed in the requests of the finished conversation instead.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from evalkit._lib.exact_json import map_leaves
from evalkit._lib.json import JSON, loads_or
from evalkit.protocol.step_reader import RawStep, content_blocks, steps_of, text_blocks
from evalkit.transcript import Exchange, Transcript, Turn

Interaction: TypeAlias = dict[str, JSON]
Changed: TypeAlias = Interaction | list[JSON] | None
"""What an exchange answers instead: an interaction, events of a stream, or nothing at all."""
RequestChange: TypeAlias = Callable[[Transcript], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change of a recorded conversation.

    ``turn`` is the number of the turn that it changes, ``change`` describes the change. ``answers``
    are the answers of exchanges, by their numbers; ``requests`` changes what was sent.
    ``suggestion`` is an expectation of the turn that should catch the mutant.
    """

    operator: str
    turn: int
    change: str
    answers: Mapping[int, Changed]
    requests: RequestChange | None = None
    suggestion: JSON = None


class Answer(NamedTuple):
    """An answer of the model: its exchange, and the interaction as received or assembled."""

    exchange: Exchange
    interaction: Interaction

    def copy(self) -> Interaction:
        """Return a copy that an operator may change."""
        copied: Interaction = copy_json(self.interaction)
        return copied

    @property
    def calls(self) -> list[tuple[int, RawStep]]:
        """The function calls, each with its index in the steps."""
        return [
            (index, step)
            for index, step in enumerate(steps_of(self.interaction))
            if step.get("type") == "function_call" and isinstance(step.get("name"), str)
        ]

    @property
    def prose(self) -> list[tuple[int, int, str]]:
        """The texts that are not JSON, each with the index of its step and of its block."""
        return [
            (block.step, block.content, block.text)
            for block in text_blocks(steps_of(self.interaction))
            if block.text.strip() and not isinstance(loads_or(block.text, None), dict | list)
        ]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded conversation. ``declared`` are the names of the tools that it may call."""

    transcript: Transcript
    declared: Sequence[str]

    @property
    def turns(self) -> list[Turn]:
        """The completed turns."""
        return [turn for turn in self.transcript.turns if turn.outcome == "completed"]

    def answers(self) -> Iterator[tuple[Turn, Answer]]:
        """Yield every answer of every completed turn."""
        for turn in self.turns:
            for answer in answers_of(turn):
                yield turn, answer


def answers_of(turn: Turn) -> list[Answer]:
    """Return the answers of a turn."""
    return [
        Answer(exchange, exchange.interaction)
        for exchange in turn.exchanges
        if exchange.interaction is not None
    ]


def copy_json(value: Any) -> Any:
    """Return a copy of a JSON value whose objects and lists may be changed."""
    return map_leaves(value, lambda leaf: leaf)


def block_copy(answer: Answer, step: int, block: int) -> tuple[Interaction, dict[str, JSON]]:
    """Return a copy of an answer, and the block of its content that may be changed."""
    copy = answer.copy()
    content = copy["steps"][step]["content"] = content_blocks(copy["steps"][step])
    return copy, content[block]


def with_text(answer: Answer, step: int, block: int, text: str) -> Interaction:
    """Return a copy of an answer with another text in one of its blocks."""
    copy, changed = block_copy(answer, step, block)
    changed["text"] = text
    return copy


def answer_mutant(
    operator: str, turn: Turn, change: str, answer: Answer, changed: Interaction, suggestion: JSON
) -> Mutant:
    """Return the mutant that changes one answer of a turn."""
    return Mutant(
        operator=operator,
        turn=turn.number,
        change=change,
        answers={answer.exchange.number: changed},
        suggestion=suggestion,
    )
