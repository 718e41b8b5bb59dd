"""The record modes, and what each may do with a cassette and a journal.

The modes are those of vcrpy. ``none`` only
replays. ``once`` records what has no cassette and otherwise only replays. ``new_episodes`` replays
what it has and records the rest. ``all`` records everything again into a journal, which replaces
the cassette when the scenario is complete. A run that only replays ignores a journal, because it is
not a whole conversation.
"""

from typing import Literal, NamedTuple, get_args

from evalkit._lib.text import did_you_mean
from evalkit.errors import UsageError

RecordMode = Literal["none", "once", "new_episodes", "all"]
RECORD_MODES: tuple[RecordMode, ...] = get_args(RecordMode)


class RecordDecision(NamedTuple):
    """What to do with the requests of a scenario.

    ``replays`` are the sources whose recordings answer requests, in this order. ``records``:
    requests that they do not answer are sent to the endpoint. ``keeps_old``: the recordings of the
    old cassette stay beside the new ones. ``drops_journal``: the journal of an incomplete scenario
    is deleted; otherwise the next run resumes it.
    """

    replays: tuple[Literal["cassette", "journal"], ...] = ()
    records: bool = False
    keeps_old: bool = False
    drops_journal: bool = False


_REPLAY = RecordDecision(("cassette",))
_NOTHING = RecordDecision()

# (mode, is there a cassette, is there a journal)
DECISIONS: dict[tuple[RecordMode, bool, bool], RecordDecision] = {
    ("none", True, False): _REPLAY,
    ("none", True, True): _REPLAY,
    ("none", False, False): _NOTHING,
    ("none", False, True): _NOTHING,
    ("once", True, False): _REPLAY,
    ("once", True, True): _REPLAY,
    ("once", False, False): RecordDecision(records=True),
    ("once", False, True): RecordDecision(("journal",), records=True),
    ("new_episodes", True, False): RecordDecision(("cassette",), records=True, keeps_old=True),
    ("new_episodes", True, True): RecordDecision(
        ("cassette", "journal"), records=True, keeps_old=True
    ),
    ("new_episodes", False, False): RecordDecision(records=True),
    ("new_episodes", False, True): RecordDecision(("journal",), records=True),
    ("all", True, False): RecordDecision(records=True, drops_journal=True),
    ("all", True, True): RecordDecision(("journal",), records=True, drops_journal=True),
    ("all", False, False): RecordDecision(records=True, drops_journal=True),
    ("all", False, True): RecordDecision(("journal",), records=True, drops_journal=True),
}


def check_mode(mode: str) -> RecordMode:
    """Return a valid mode. Raises UsageError."""
    for valid in RECORD_MODES:
        if mode == valid:
            return valid
    raise UsageError(
        f"unknown record mode {mode!r}{did_you_mean(mode, RECORD_MODES)}; "
        f"valid: {', '.join(RECORD_MODES)}"
    )
