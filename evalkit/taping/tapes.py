"""``evalkit.tape``: record or replay an application's HTTP traffic, and check its conversations.

    with evalkit.tape("support/refund", mode="once") as tape:
        my_application("I want my money back")
    tape.expect(tool_calls=[{"name": "find_order"}], history="exact")

In pytest the fixture ``evalkit_tape`` does the same with the session's options.

While the block runs, the requests of every HTTP client are intercepted. The mode decides whether a
request is replayed from the cassette or recorded. A request that is not in the cassette raises
CassetteMiss in the application. If the application or its SDK swallows that, the end of the block
raises it. The cassette is written when the block ends without an error, with a failed assertion, or
with an outcome of pytest (skip, xfail, fail), if every request was answered: a replay then ends in
the same way.
"""

from __future__ import annotations

import os
import warnings
from asyncio import CancelledError
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from unittest import SkipTest

from evalkit._lib.files import display_path
from evalkit._lib.json import JSON
from evalkit._lib.text import plural
from evalkit.cassette.record_modes import RecordMode, check_mode
from evalkit.conversation.demultiplex import split_conversations
from evalkit.conversation.reconstruct import TranscriptBuilder, is_interaction
from evalkit.errors import EvalkitError, ExpectationFailed, UsageError
from evalkit.plugins import Catalog
from evalkit.session.python_targets import PythonTargets
from evalkit.session.settings import keys_of
from evalkit.suite import CheckCatalog
from evalkit.taping.conversations import ExpectResult, TapeContext, TapedConversation
from evalkit.taping.expectations import CheckEntry, user_stacklevel
from evalkit.taping.interception import intercepted_http
from evalkit.taping.running_tape import only_tape
from evalkit.taping.tape_session import TapedRecording, TapePlan, TapeSession
from evalkit.transcript import Transcript
from evalkit.verdict import CheckResult

_INTERRUPTIONS = (KeyboardInterrupt, SystemExit, GeneratorExit, CancelledError)


class UnansweredWarning(UserWarning):
    """A request got no response while it was recorded."""


class UnplayedWarning(UserWarning):
    """A cassette holds recordings that the application did not request."""


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
    """Return a tape of the HTTP traffic in a ``with`` or ``async with`` block.

    A path ends in ``.yaml``; anything else is a name in the folder ``cassettes``: ``folder/name``,
    or a name in its folder ``tapes``. The modes are those of suites: ``none`` replays and opens no
    socket, ``once`` records without a cassette, ``new_episodes`` records what is missing,
    ``all`` records again. Keys in the environment and in the requests are redacted, ``secrets``
    and the patterns ``redact`` too. Requests to ``ignore_hosts`` are not taped (``loopback`` is
    this machine). ``strict`` makes unplayed recordings an error.

    Raises UsageError for an unknown mode and for an invalid name.
    """
    name = os.fspath(path_or_name)
    path = Path(name) if name.endswith((".yaml", ".yml")) else Path(cassettes) / _file_of(name)
    plan = TapePlan(
        path=path.absolute(),
        mode=check_mode(mode),
        label=f"tape {name}",
        hint=f"evalkit.tape({name!r}, mode='all')",
        secrets=(*keys_of(os.environ), *secrets),
        patterns=tuple(redact),
    )
    return Tape(
        plan, Catalog(), python=PythonTargets(Path.cwd()), ignore=ignore_hosts, strict=strict
    )


def _file_of(name: str) -> str:
    # There must be exactly one folder in between, because the media of a cassette are two above it.
    folder, _, last = name.rpartition("/")
    if not last or "/" in folder or {folder, last} & {".", ".."}:
        raise UsageError(f"tape {name!r}: a name is 'name' or 'folder/name'; a path ends in .yaml")
    return f"{folder or 'tapes'}/{last}.yaml"


class Tape:
    """The HTTP traffic of an application while a block runs.

    Only one tape runs at a time in a process. ``python`` has the project's root, for checks that
    name files and functions. Entering raises UsageError (another tape runs, another process
    records) and CassetteError.
    """

    def __init__(
        self,
        plan: TapePlan,
        catalog: CheckCatalog,
        *,
        python: PythonTargets,
        ignore: Sequence[str] = (),
        strict: bool = False,
    ) -> None:
        self._plan = plan
        self._context = TapeContext(plan.path, catalog, python)
        self._ignored_hosts = tuple(ignore)
        self._strict = strict
        self._session: TapeSession | None = None
        self._stack = ExitStack()
        self._conversations: list[TapedConversation] = []
        self._recordings_read = -1

    def __repr__(self) -> str:
        return f"Tape({display_path(self._plan.path)!r}, mode={self._plan.mode!r})"

    @property
    def path(self) -> Path:
        """The cassette's path."""
        return self._plan.path

    @property
    def is_live(self) -> bool:
        """Whether it reads and writes no cassette."""
        return self._plan.live

    @property
    def expect_results(self) -> Sequence[ExpectResult]:
        """The results of ``expect`` so far."""
        return self._context.results

    def redact(self, text: str) -> str:
        """Replace secrets in a text, also those that only a request of the application showed."""
        return self._session.redact(text) if self._session is not None else text

    @property
    def faults(self) -> list[EvalkitError]:
        """The errors raised in the application: misses, a secret that could not be redacted."""
        return list(self._session.faults) if self._session is not None else []

    @property
    def unplayed(self) -> list[str]:
        """Descriptions of the recordings that no request replayed; known when the tape ended."""
        return list(self._session.unplayed) if self._session is not None else []

    def conversations(self) -> list[TapedConversation]:
        """Return the conversations so far, in order of their first request.

        Interleaved conversations are distinguished by their content.
        """
        taped = list(self._session.recordings) if self._session is not None else []
        if self._recordings_read != len(taped):
            interactions = [item for item in taped if is_interaction(item.recording)]
            numbers = split_conversations([item.recording for item in interactions])
            self._conversations = [
                TapedConversation(
                    self._context, number, _transcript(interactions[at] for at in members)
                )
                for number, members in enumerate(numbers, 1)
            ]
            self._recordings_read = len(taped)
        return self._conversations

    def conversation(self, number: int | None = None) -> TapedConversation:
        """Return the only conversation, or one by its number, from 1.

        Raises ExpectationFailed that lists the conversations.
        """
        conversations = self.conversations()
        if number is None and len(conversations) == 1:
            return conversations[0]
        if number is not None and 1 <= number <= len(conversations):
            return conversations[number - 1]
        count = plural(len(conversations), "conversation") if conversations else "no conversation"
        message = f"{display_path(self.path)}: the tape holds {count}"
        if number is not None:
            message += f", but not number {number}"
        elif conversations:
            message += "; name one, as in tape.conversation(1)"
        lines = [f"  {item.number}: {item.summary}" for item in conversations]
        raise ExpectationFailed("\n".join([message, *lines]))

    def expect(self, *entries: CheckEntry, **checks: JSON) -> list[CheckResult]:
        """Check the only conversation: see :meth:`TapedConversation.expect`."""
        __tracebackhide__ = True
        return self.conversation().expect(*entries, **checks)

    def __enter__(self) -> Tape:
        if self._session is not None:
            raise UsageError(f"{display_path(self.path)}: a tape runs once; create another one")
        with ExitStack() as stack:
            stack.enter_context(only_tape(self._plan.label))
            self._session = TapeSession(self._plan)
            stack.enter_context(intercepted_http(self._session, self._ignored_hosts))
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

    def end(
        self, error: BaseException | None, reported: int = 0, *, error_is_result: bool = False
    ) -> None:
        """End the tape; ``error`` is what the block raised, if anything.

        With ``error_is_result`` it is how a test ended, whose cassette is written for any error
        of its own. The first ``reported`` faults have been reported already. Raises the first
        other fault, unless ``error`` is a fault; UsageError or SecretLeak where the cassette cannot
        be written; with ``strict`` ExpectationFailed for unplayed recordings.
        """
        assert self._session is not None, "the tape was not started"
        self._stack.close()
        self._session.finish(self._is_complete(error, error_is_result))
        faults = self._session.faults
        if error is not None and not isinstance(error, Exception):
            return
        if faults[reported:] and error not in faults:
            raise faults[reported] from error
        if error is None and not faults:
            for conversation in self.conversations():
                conversation.warn_of_losses()
            for request in self._session.unanswered:
                message = (
                    f"{display_path(self.path)}: {request} got no response, so a replay will miss "
                    "it; ignore its host (evalkit_ignore_hosts), or record when it answers"
                )
                warnings.warn(message, UnansweredWarning, stacklevel=user_stacklevel())
        unplayed = self.unplayed
        if error is None and not faults and unplayed:
            more = " …" if len(unplayed) > 5 else ""
            message = (
                f"{display_path(self.path)}: {plural(len(unplayed), 'recording')} left unplayed: "
                f"{'; '.join(unplayed[:5])}{more}"
            )
            if self._strict:
                raise ExpectationFailed(message)
            warnings.warn(message, UnplayedWarning, stacklevel=user_stacklevel())

    def _is_complete(self, error: BaseException | None, error_is_result: bool) -> bool:
        """Return whether a replay would send the recorded requests and end like the block."""
        assert self._session is not None
        if error is None:
            return True
        if isinstance(error, _INTERRUPTIONS) or self._session.unanswered:
            return False
        # pytest's outcomes do not derive from Exception.
        if isinstance(error, AssertionError | SkipTest) or not isinstance(error, Exception):
            return True
        # A crash may come before the last request; then an older cassette is worth more.
        return error_is_result and not self._session.replaces_cassette


def _transcript(recordings: Iterator[TapedRecording]) -> Transcript:
    builder = TranscriptBuilder()
    for item in recordings:
        builder.add(item.recording, source=item.source)
    return builder.transcript
