"""A tape of an application's traffic, and the conversations on it.

    with evalkit.tape("hello", mode="once") as tape:
        my_application("Hello")
    tape.expect(steps="thought* model_output", text="Hello")

While the block runs, every HTTP library is patched (``vcrpatch``). Requests are answered from the cassette, or recorded, by the mode. A request
that is not in the cassette raises CassetteMiss in the application; where the application or its SDK swallows that, the end of the block raises it.
The cassette is written when the block ends well, or in an assertion: what is held against a conversation does not break it off.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from evalkit._lib.files import display_path
from evalkit._lib.json import JSON
from evalkit._lib.text import plural, shorten
from evalkit.cassette.record_modes import RecordMode, check_mode
from evalkit.checks.core.base import View
from evalkit.conversation.demultiplex import split_conversations
from evalkit.conversation.reconstruct import is_interaction
from evalkit.errors import EvalkitError, ExpectationFailed, UsageError
from evalkit.plugins import Catalog
from evalkit.protocol.step_reader import output_text
from evalkit.session.python_targets import resolve
from evalkit.session.settings import secrets_of
from evalkit.taping.expectations import Entry, judge, outside, wanted_of
from evalkit.taping.recorder import TapePlan, TapeSession, transcript_of
from evalkit.transcript import Exchange, Step, Transcript, Turn
from evalkit.verdict import CheckResult

if TYPE_CHECKING:
    from evalkit.suite import CheckCatalog


class UnplayedWarning(UserWarning):
    """A cassette holds recordings that the application did not ask for."""


class Tape:
    """The traffic of an application while the block runs; ``with`` and ``async with`` alike. One tape runs at a time in a process.

    ``conversations`` tells what was said so far, during the block and after it. ``unplayed`` describes the recordings that
    no request asked for: a warning at the end, with ``strict`` an ExpectationFailed. ``root`` is the project, for checks that name files and
    functions. Opening raises UsageError (another tape runs, someone else records) and CassetteError.
    """

    def __init__(
        self,
        plan: TapePlan,
        catalog: CheckCatalog,
        *,
        root: Path,
        ignore: Sequence[str] = (),
        strict: bool = False,
    ) -> None:
        self._plan = plan
        self._catalog = catalog
        self._root = root
        self._ignore = tuple(ignore)
        self._strict = strict
        self._taping: TapeSession | None = None
        self._stack = ExitStack()
        self._read: tuple[int, list[TapedConversation]] = (-1, [])

    def __repr__(self) -> str:
        return f"Tape({display_path(self._plan.path)!r}, mode={self._plan.mode!r})"

    @property
    def path(self) -> Path:
        """The cassette's path."""
        return self._plan.path

    @property
    def faults(self) -> list[EvalkitError]:
        """What was raised into the application: misses, a secret that would have been written."""
        return list(self._taping.faults) if self._taping is not None else []

    @property
    def unplayed(self) -> list[str]:
        """The recordings that no request asked for; known once the tape has ended."""
        return list(self._taping.unplayed) if self._taping is not None else []

    def conversations(self) -> list[TapedConversation]:
        """Return the conversations so far, told apart however they interleave, in order of their first request."""
        taped = list(self._taping.taped) if self._taping is not None else []
        if self._read[0] != len(taped):
            talk = [one for one in taped if is_interaction(one.recording)]
            found = [
                transcript_of([talk[number] for number in numbers])
                for numbers in split_conversations([one.recording for one in talk])
            ]
            self._read = (
                len(taped),
                [
                    TapedConversation(self, number, transcript)
                    for number, transcript in enumerate(found, 1)
                ],
            )
        return self._read[1]

    def conversation(self, number: int | None = None) -> TapedConversation:
        """Return the only conversation, or one by its number, from 1. Raises ExpectationFailed that lists what there is."""
        found = self.conversations()
        if number is None and len(found) == 1:
            return found[0]
        if number is not None and 1 <= number <= len(found):
            return found[number - 1]
        what = f"{display_path(self.path)}: the tape holds {plural(len(found), 'conversation') if found else 'no conversation'}"
        asked = "" if number is not None or not found else "; name one, as in tape.conversation(1)"
        asked = f", there is no number {number}" if number is not None else asked
        raise ExpectationFailed(
            "\n".join([what + asked, *(f"  {one.number}: {one.summary}" for one in found)])
        )

    def expect(self, *entries: Entry, **checks: JSON) -> list[CheckResult]:
        """Check the only conversation: see :meth:`TapedConversation.expect`."""
        __tracebackhide__ = True
        return self.conversation().expect(*entries, **checks)

    def __enter__(self) -> Tape:
        from evalkit.taping.vcr_patch import (
            only_one,
            patched,
        )  # vcrpy is imported by who tapes, and by nobody else

        if self._taping is not None:
            raise UsageError(f"{display_path(self.path)}: a tape runs once; make another one")
        with ExitStack() as stack:
            stack.enter_context(only_one(self._plan.label))
            self._taping = TapeSession(self._plan)
            stack.enter_context(patched(self._taping, self._ignore))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(error)

    async def __aenter__(self) -> Tape:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None, reported: int = 0) -> None:
        """End the tape; ``error`` is what the block raised, if anything. The first ``reported`` of the faults were reported elsewhere.

        Raises the first fault, unless ``error`` is it; UsageError or SecretLeak where the cassette cannot be written; with ``strict``
        ExpectationFailed for recordings that were not played.
        """
        assert self._taping is not None, "the tape was not started"
        self._stack.close()
        held = error is None or isinstance(error, AssertionError)
        self._taping.finish(held)
        faults = self._taping.faults
        if error is None or isinstance(error, Exception):
            if faults[reported:] and error not in faults:
                raise faults[reported] from error
            if error is None and not faults and self.unplayed:
                self._left()

    def _left(self) -> None:
        left = self.unplayed
        text = f"{display_path(self.path)}: {plural(len(left), 'recording')} left unplayed: {'; '.join(left[:5])}{' …' * (len(left) > 5)}"
        if self._strict:
            raise ExpectationFailed(text)
        warnings.warn(text, UnplayedWarning, stacklevel=outside())

    def judged(
        self,
        transcript: Transcript,
        turn: Turn | None,
        label: str,
        entries: Sequence[Entry],
        checks: dict[str, JSON],
    ) -> list[CheckResult]:
        """Run checks over a conversation of this tape."""
        __tracebackhide__ = True
        view = View(
            transcript, turn, resolve=lambda target: resolve(target, self._root), read=self._file
        )
        return judge(
            view, wanted_of(entries, checks, self._catalog), label, display_path(self.path)
        )

    def _file(self, name: str) -> str:
        from evalkit._lib.files import is_inside

        path = self._root / name
        if not is_inside(self._root, path):
            raise LookupError(f"{name} lies outside the project")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise LookupError(f"{name} cannot be read: {error}") from None


class TapedTurn:
    """A user's message and everything until the model stopped needing tools."""

    def __init__(self, conversation: TapedConversation, turn: Turn) -> None:
        self._conversation = conversation
        self.turn = turn

    def __repr__(self) -> str:
        return f"TapedTurn({self.turn.number}, {shorten(self.turn.text, 40)!r})"

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.turn.text

    @property
    def steps(self) -> list[Step]:
        """The turn's steps, the client's results behind their calls."""
        return self.turn.steps

    def expect(self, *entries: Entry, **checks: JSON) -> list[CheckResult]:
        """Check this turn: see :meth:`TapedConversation.expect`."""
        __tracebackhide__ = True
        return self._conversation.judged(self.turn, entries, checks)


class TapedConversation:
    """One conversation of a tape; ``number`` counts from 1. ``transcript`` is what checks read."""

    def __init__(self, tape: Tape, number: int, transcript: Transcript) -> None:
        self._tape = tape
        self.number = number
        self.transcript = transcript

    def __repr__(self) -> str:
        return f"TapedConversation({self.number}, {self.summary!r})"

    def __iter__(self) -> Iterator[TapedTurn]:
        return (TapedTurn(self, turn) for turn in self.transcript.turns)

    def __len__(self) -> int:
        return len(self.transcript.turns)

    @property
    def turns(self) -> list[TapedTurn]:
        """The turns."""
        return list(self)

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests and their answers, in order."""
        return list(self.transcript.exchanges)

    @property
    def text(self) -> str:
        """The text of the last answer."""
        return self.transcript.turns[-1].text if self.transcript.turns else ""

    @property
    def summary(self) -> str:
        """One line: what the user said first, how many turns and exchanges."""
        turns = self.transcript.turns
        said = output_text([{"type": "model_output", "content": turns[0].user}]) if turns else ""
        kind = "stateless" if self.transcript.stateless else "stateful"
        return f"{shorten(said, 60) or '(no text)'!r}, {kind}, {plural(len(turns), 'turn')}, {plural(len(self.exchanges), 'exchange')}"

    def turn(self, number: int) -> TapedTurn:
        """Return a turn by its number, from 1. Raises ExpectationFailed where there is none."""
        turns = self.transcript.turns
        if not 1 <= number <= len(turns):
            raise ExpectationFailed(
                f"conversation {self.number} has {plural(len(turns), 'turn')}, there is no number {number}"
            )
        return TapedTurn(self, turns[number - 1])

    def expect(self, *entries: Entry, **checks: JSON) -> list[CheckResult]:
        """Check the whole conversation; with nothing given, by the checks that are on by default.

        A keyword is a check's name with its argument as in a suite; ``not_`` inverts; a positional argument is an entry as in a suite (a bare
        name, or a mapping with ``severity``). Returns what the checks said. Raises ExpectationFailed (an AssertionError) with every finding,
        UsageError for a check or an argument that there is not.
        """
        __tracebackhide__ = True
        return self.judged(None, entries, checks)

    def judged(
        self, turn: Turn | None, entries: Sequence[Entry], checks: dict[str, JSON]
    ) -> list[CheckResult]:
        """Run checks over a turn, or over everything."""
        __tracebackhide__ = True
        label = f"conversation {self.number}{f', turn {turn.number}' if turn is not None else ''}: {self.summary}"
        return self._tape.judged(self.transcript, turn, label, entries, checks)


def tape(
    path_or_name: str | os.PathLike[str],
    *,
    mode: RecordMode = "none",
    cassettes: str | os.PathLike[str] = "cassettes",
    secrets: Sequence[str] = (),
    redact: Sequence[str] = (),
    ignore_hosts: Sequence[str] = (),
    strict: bool = False,
) -> Tape:
    """Return a tape of what the block says over HTTP: ``with`` or ``async with``.

    A path ends in ``.yaml``; anything else is a name below ``cassettes``: ``folder/name``, or a name that lies in the folder ``tapes``. The mode is
    as everywhere: ``none`` answers from the cassette and opens no socket, ``once`` records where there is none, ``new_episodes`` records what is
    missing, ``all`` records again. Keys in the environment and in the requests are redacted, ``secrets`` and the patterns ``redact`` too. Requests to
    ``ignore_hosts`` pass untaped (``loopback`` is this machine). ``strict`` makes unplayed recordings an error. Raises UsageError for a mode that
    there is not, or a name of another form.
    """
    name = os.fspath(path_or_name)
    path = Path(name) if name.endswith((".yaml", ".yml")) else Path(cassettes) / _file(name)
    plan = TapePlan(
        path.absolute(),
        check_mode(mode),
        label=f"tape {name}",
        hint=f"evalkit.tape({name!r}, mode='all')",
        secrets=(*secrets_of(os.environ), *secrets),
        patterns=tuple(redact),
    )
    return Tape(plan, Catalog(), root=Path.cwd(), ignore=ignore_hosts, strict=strict)


def _file(name: str) -> str:
    # Media lie two above a cassette, in the folder of cassettes: so there is one folder between.
    folder, _, last = name.rpartition("/")
    if not last or "/" in folder or {folder, last} & {".", ".."}:
        raise UsageError(f"tape {name!r}: a name is 'name' or 'folder/name'; a path ends in .yaml")
    return f"{folder or 'tapes'}/{last}.yaml"
