"""The cassettes of many conversations at once: each has its own, each finished exchange is on the disk at once. Blocking IO, no event loop.

A conversation's journal takes each exchange, flushed and synced, as ``cassette.recorder`` does it for suites. A conversation can go on at any
time, so its cassette is made when it was idle for a while, and made anew, with what was added, when it went on; at the latest when the
archive closes. A process that was killed leaves journals; :meth:`Archive.recover` makes cassettes of them.

Only a few journals are open at a time, however many conversations there are: one that is let go of is taken up again when it is needed. The
calls for one conversation must come one after the other; those for different ones may come from different threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from time import monotonic

from evalkit._lib.files import display_path
from evalkit._lib.json import JSON
from evalkit._lib.text import plural
from evalkit.cassette import journal
from evalkit.cassette.recorder import CassetteRecorder
from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from evalkit.errors import EvalkitError, UsageError
from evalkit.server.proxy.naming import name_of, numbered, superseded
from evalkit.server.replay.library import normalize_recording

FOLDER = "conversations"
"""Where the cassettes of a recording proxy lie below its folder; their media are beside it, in ``_media``."""

_OPEN = 48
_FOLDING = 8


@dataclass(slots=True)
class _Conversation:
    """A conversation's file (None before its first exchange), its secrets, and which of its requests each of its recordings answers."""

    path: Path | None = None
    secrets: set[str] = field(default_factory=set)
    requests: list[int] = field(default_factory=list)
    touched: float = 0.0
    folded: bool = True
    spoilt: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class ConversationArchive:
    """Keeps conversations, named by numbers, in cassettes below a folder. ``metadata`` stands in each of them."""

    def __init__(
        self, folder: Path, metadata: Mapping[str, JSON], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self.folder = folder / FOLDER
        self._metadata = dict(metadata)
        self._clock = clock
        self._lock = threading.Lock()
        self._conversations: dict[int, _Conversation] = {}
        self._open: OrderedDict[int, CassetteRecorder] = OrderedDict()
        self._numbers: dict[str, int] = {}

    def recover(self) -> list[str]:
        """Make cassettes of the journals that a killed process left, and say so, a line each. Raises CassetteError for a damaged one."""
        lines = []
        for path in sorted(self.folder.glob(f"*.yaml{journal.SUFFIX}")):
            cassette = path.with_name(path.name.removesuffix(journal.SUFFIX))
            try:
                recorder = self._recorder(cassette)
            except UsageError as error:
                lines.append(f"left alone: {error}")
                continue
            try:
                count = len(recorder.recordings) - (
                    len(recorder.old.recordings) if recorder.old else 0
                )
                recorder.forget(superseded)
                recorder.finish(held=True)
            finally:
                recorder.close()
            if count:
                lines.append(
                    f"recovered {plural(count, 'exchange')} of an interrupted recording into {display_path(cassette)}"
                )
        return lines

    def keep(
        self,
        number: int,
        request: int,
        recording: Recording,
        *,
        secrets: Iterable[str] = (),
        about: Mapping[str, JSON] | None = None,
        before: Sequence[Recording] = (),
    ) -> None:
        """Keep an exchange of a conversation, on the disk before this returns. ``request`` counts the conversation's requests from 0.

        ``before`` is what a fork begins with; ``about`` what the cassette's metadata are to say. Raises SecretLeak or UsageError, and then
        nothing more of this conversation is kept: what came before is.
        """
        conversation = self._conversation(number)
        with conversation.lock:
            if conversation.spoilt:
                return
            try:
                self._keep(number, conversation, request, recording, secrets, about or {}, before)
            except EvalkitError:
                conversation.spoilt = True
                raise

    def recordings(self, number: int, requests: int) -> list[Recording]:
        """Return what a conversation holds of its first so many requests."""
        conversation = self._conversation(number)
        with conversation.lock:
            if conversation.path is None:
                return []
            recorder = self._taken_up(number, conversation.path)
            found = [
                one
                for request, one in zip(conversation.requests, recorder.recordings, strict=False)
                if request < requests
            ]
            self._put_back(number, recorder)
            return found

    def fold(self, idle: float = 0.0) -> list[str]:
        """Make the cassettes of conversations that nothing was added to for so many seconds; return what could not be, a line each."""
        now = self._clock()
        with self._lock:
            chosen = [
                (number, one)
                for number, one in self._conversations.items()
                if not one.folded and now - one.touched >= idle
            ]
        if not chosen:
            return []
        with ThreadPoolExecutor(
            _FOLDING
        ) as pool:  # most of the time goes into waiting for the disk
            return [problem for problem in pool.map(self._folded, chosen) if problem]

    def close(self) -> list[str]:
        """Make every cassette and let go of all files; return what could not be made."""
        problems = self.fold()
        with self._lock:
            left = list(self._open.values())
            self._open.clear()
        for recorder in left:
            recorder.close()
        return problems

    def _keep(
        self,
        number: int,
        conversation: _Conversation,
        request: int,
        recording: Recording,
        secrets: Iterable[str],
        about: Mapping[str, JSON],
        before: Sequence[Recording],
    ) -> None:
        conversation.secrets.update(secrets)
        redactor = _redactor(frozenset(conversation.secrets))
        recorder = (
            self._started(conversation, redactor, [*before, recording])
            if conversation.path is None
            else None
        )
        first = recorder is not None
        if recorder is None:
            assert conversation.path is not None
            recorder = self._taken_up(number, conversation.path)
        try:
            recorder.redactor = redactor
            if first:
                shared = {"shared": len(before)} if before else {}
                recorder.remember(
                    **{
                        name: value
                        for name, value in {**about, **shared}.items()
                        if value is not None
                    }
                )
            for number_before, one in enumerate(before if first else ()):
                recorder.append(one)
                conversation.requests.append(number_before)
            recorder.append(recording)
            conversation.requests.append(request)
        finally:
            conversation.folded = False
            conversation.touched = self._clock()
            self._put_back(number, recorder)

    def _folded(self, numbered_one: tuple[int, _Conversation]) -> str:
        number, conversation = numbered_one
        with conversation.lock:
            try:
                self._fold(number, conversation)
            except EvalkitError as error:
                return str(error)
        return ""

    def _fold(self, number: int, conversation: _Conversation) -> None:
        if conversation.path is None:
            conversation.folded = True
            return
        recorder = self._taken_up(number, conversation.path)
        try:
            recorder.redactor = _redactor(frozenset(conversation.secrets))
            gone = set(recorder.forget(superseded))
            conversation.requests = [
                one for at, one in enumerate(conversation.requests) if at not in gone
            ]
            recorder.finish(held=True)
            conversation.folded = True
        finally:
            recorder.close()

    def _conversation(self, number: int) -> _Conversation:
        with self._lock:
            return self._conversations.setdefault(number, _Conversation())

    def _started(
        self, conversation: _Conversation, redactor: Redactor, recordings: Sequence[Recording]
    ) -> CassetteRecorder:
        """Claim the next free name for a conversation: nothing that is there is written over."""
        name = name_of(normalize_recording(redactor.recording(recordings[0])[0]))
        with self._lock:
            while True:
                count = self._numbers[name] = self._numbers.get(name, 0) + 1
                path = self.folder / f"{numbered(name, count)}.yaml"
                if not path.exists() and not journal.journal_path(path).exists():
                    break
        recorder = self._recorder(path)
        conversation.path = path
        return recorder

    def _recorder(self, path: Path) -> CassetteRecorder:
        return CassetteRecorder(
            path, "new_episodes", metadata=self._metadata, redactor=Redactor(), goes_on=True
        )

    def _taken_up(self, number: int, path: Path) -> CassetteRecorder:
        with self._lock:
            recorder = self._open.pop(number, None)
        return recorder or self._recorder(path)

    def _put_back(self, number: int, recorder: CassetteRecorder) -> None:
        with self._lock:
            self._open[number] = recorder
            if (
                len(self._open) > _OPEN
            ):  # closed under the lock: until then, nobody else could open it again
                self._open.popitem(last=False)[1].close()


@lru_cache(maxsize=256)
def _redactor(secrets: frozenset[str]) -> Redactor:
    return Redactor(sorted(secrets))
