"""The steps of a conversation that a scenario continues (``given``)."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from evalkit._lib.json import JSON
from evalkit.cassette.files import load_cassette
from evalkit.conversation.reconstruct import transcript_of
from evalkit.errors import CassetteError
from evalkit.suite import Variant
from evalkit.suite.model.suite import RecordedTurns


def given_steps(variant: Variant) -> list[dict[str, JSON]]:
    """Return the steps before the first turn, none without ``given``.

    Raises SuiteErrors: the cassette cannot be read, or does not have the turns.
    """
    given = variant.given
    if not isinstance(given, RecordedTurns):
        return list(given)
    try:
        turns = _recorded_turns(given.cassette, given.cassette.stat().st_mtime_ns)
        if given.turns is not None and given.turns > len(turns):
            raise ValueError(
                f"the cassette has {len(turns)} completed turns, not {given.turns}; record it "
                "again, or use fewer"
            )
    except (CassetteError, ValueError, OSError) as error:
        raise variant.suite.resources.located(given.path, error) from error
    return [step for turn in turns[: given.turns] for step in turn]


@lru_cache(maxsize=64)
def _recorded_turns(cassette: Path, _version: int) -> Sequence[Sequence[dict[str, JSON]]]:
    """Return the steps of each completed turn of a cassette. Raises CassetteError, ValueError.

    ``_version`` is the time of the file's last change.
    """
    recorded = load_cassette(cassette)
    turns = [
        turn.history
        for turn in (transcript_of(recorded).turns if recorded is not None else ())
        if turn.outcome == "completed"
    ]
    if not turns:
        raise ValueError("the cassette has no completed turn of a conversation; name another one")
    return turns
