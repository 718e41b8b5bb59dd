"""Record modes: what is played, what is recorded, and what becomes of it, by table. Pure.

The modes are vcrpy's. ``once`` records what has no cassette and otherwise only plays; ``new_episodes`` plays what it has and records the
rest; ``all`` records everything anew, aside, and swaps when the scenario was held to its end; ``none`` only plays.

A journal beside a cassette is a recording that was broken off. A recording run goes on from it: its answers are played first. A run that
only plays leaves it alone: what it holds is not a whole conversation.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from evalkit._lib.text import did_you_mean
from evalkit.errors import UsageError

RecordMode = Literal["none", "once", "new_episodes", "all"]
RECORD_MODES: tuple[RecordMode, ...] = get_args(RecordMode)


class RecordDecision(NamedTuple):
    """What to do. ``plays``: the parts whose recordings answer requests, in this order. ``records``: whether a request that they do not
    answer goes to the endpoint. ``keeps``: whether the old cassette's recordings stay beside the new ones. ``drops``: whether the journal
    is dropped when the scenario was not held (it is kept otherwise, and the next run goes on from it).
    """

    plays: tuple[Literal["cassette", "journal"], ...] = ()
    records: bool = False
    keeps: bool = False
    drops: bool = False


_REPLAY = RecordDecision(plays=("cassette",))
_NOTHING = RecordDecision()

# (mode, cassette present, journal present)
DECISIONS: dict[tuple[RecordMode, bool, bool], RecordDecision] = {
    ("none", True, False): _REPLAY,
    ("none", True, True): _REPLAY,
    ("none", False, False): _NOTHING,
    ("none", False, True): _NOTHING,
    ("once", True, False): _REPLAY,
    ("once", True, True): _REPLAY,
    ("once", False, False): RecordDecision(records=True),
    ("once", False, True): RecordDecision(plays=("journal",), records=True),
    ("new_episodes", True, False): RecordDecision(plays=("cassette",), records=True, keeps=True),
    ("new_episodes", True, True): RecordDecision(
        plays=("cassette", "journal"), records=True, keeps=True
    ),
    ("new_episodes", False, False): RecordDecision(records=True),
    ("new_episodes", False, True): RecordDecision(plays=("journal",), records=True),
    ("all", True, False): RecordDecision(records=True, drops=True),
    ("all", True, True): RecordDecision(plays=("journal",), records=True, drops=True),
    ("all", False, False): RecordDecision(records=True, drops=True),
    ("all", False, True): RecordDecision(plays=("journal",), records=True, drops=True),
}


def check_mode(mode: str) -> RecordMode:
    """Return a known mode. Raises UsageError that names the valid ones."""
    for known in RECORD_MODES:
        if mode == known:
            return known
    raise UsageError(
        f"unknown record mode {mode!r}{did_you_mean(mode, RECORD_MODES)}; there are: {', '.join(RECORD_MODES)}"
    )
