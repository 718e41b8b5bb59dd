"""The cassettes of many conversations, recorded at the same time. Blocking IO, no event loop.

Each conversation has its own cassette and its own journal, as a recorded variant has; a finished
exchange is flushed to the journal at once. A conversation can continue at any time, so its cassette
is written when it was idle for a while, and again when something was added, at the latest when the
archive closes. A killed process leaves journals; :meth:`ConversationArchive.recover` turns them
into cassettes.

Few journals are open at a time, however many conversations there are. The calls for one
conversation must be sequential; those for different conversations may come from different threads.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from evalkit._lib.files import display_path
from evalkit._lib.json import JSON
from evalkit._lib.text import plural
from evalkit.cassette import journal
from evalkit.cassette.recorder import CassetteRecorder
from evalkit.cassette.recording import Recording
from evalkit.cassette.redaction import Redactor
from evalkit.conversation.history_digest import input_steps
from evalkit.errors import EvalkitError, UsageError
from evalkit.protocol.step_reader import content_blocks
from evalkit.protocol.wire_facts import is_retryable
from evalkit.server.replay.normalization import NormalizedRequest, normalize_recording

FOLDER = "conversations"
"""The folder of the cassettes below the proxy's folder; their media are beside it, in ``_media``."""

_MAX_OPEN = 48
_MAX_WRITERS = 8
_NAME_WORDS, _NAME_LENGTH = 6, 48
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(slots=True)
class _Conversation:
    """``requests`` has the number of the request that each recording belongs to."""

    path: Path | None = None
    redactor: Redactor = field(default_factory=Redactor)
    requests: list[int] = field(default_factory=list)
    last_change: float = 0.0
    is_written: bool = True
    is_broken: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class ConversationArchive:
    """Stores numbered conversations in cassettes below a folder, each with ``metadata``."""

    def __init__(
        self, folder: Path, metadata: Mapping[str, JSON], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self.folder = folder / FOLDER
        self._metadata = dict(metadata)
        self._clock = clock
        self._lock = threading.Lock()
        self._conversations: dict[int, _Conversation] = {}
        self._open: OrderedDict[int, CassetteRecorder] = OrderedDict()
        self._name_counts: dict[str, int] = {}

    def recover(self) -> list[str]:
        """Write cassettes from the journals of a killed process; return a line about each.

        Raises CassetteError for a damaged journal.
        """
        lines = []
        for path in sorted(self.folder.glob(f"*.yaml{journal.SUFFIX}")):
            cassette = path.with_name(path.name.removesuffix(journal.SUFFIX))
            try:
                recorder = self._recorder(cassette)
            except UsageError as error:
                lines.append(f"left alone: {error}")
                continue
            try:
                old = len(recorder.old.recordings) if recorder.old else 0
                count = len(recorder.recordings) - old
                recorder.forget(is_superseded)
                recorder.finish(held=True)
            finally:
                recorder.close()
            if count:
                exchanges = plural(count, "exchange")
                lines.append(
                    f"recovered {exchanges} of an interrupted recording "
                    f"into {display_path(cassette)}"
                )
        return lines

    def append(
        self,
        number: int,
        request: int,
        recording: Recording,
        *,
        secrets: Iterable[str] = (),
        metadata: Mapping[str, JSON] | None = None,
        shared: Sequence[Recording] = (),
    ) -> None:
        """Write an exchange of a conversation to the disk before returning.

        ``request`` counts the conversation's requests from 0. ``metadata`` is for a new cassette;
        ``shared`` are the recordings that a fork has in common with its origin. Raises SecretLeak
        or UsageError; then later exchanges of this conversation are ignored, because a conversation
        with a gap would be wrong.
        """
        conversation = self._conversation(number)
        with conversation.lock:
            if conversation.is_broken:
                return
            conversation.redactor = conversation.redactor.knowing(secrets)
            recordings = {request: recording}
            try:
                if conversation.path is None:
                    recordings = {**dict(enumerate(shared)), request: recording}
                    recorder = self._create(conversation, next(iter(recordings.values())))
                    known = {**(metadata or {}), "shared": len(shared) or None}
                else:
                    recorder = self._take(number, conversation.path)
                    known = {}
                try:
                    recorder.redactor = conversation.redactor
                    if known:
                        known = {key: value for key, value in known.items() if value is not None}
                        recorder.remember(**known)
                    for request_number, one in recordings.items():
                        recorder.append(one)
                        conversation.requests.append(request_number)
                finally:
                    conversation.is_written = False
                    conversation.last_change = self._clock()
                    self._put_back(number, recorder)
            except EvalkitError:
                conversation.is_broken = True
                raise

    def recordings(self, number: int, requests: int) -> list[Recording]:
        """Return the recordings of a conversation's first ``requests`` requests."""
        conversation = self._conversation(number)
        with conversation.lock:
            if conversation.path is None:
                return []
            recorder = self._take(number, conversation.path)
            pairs = zip(conversation.requests, recorder.recordings, strict=False)
            recordings = [recording for request, recording in pairs if request < requests]
            self._put_back(number, recorder)
            return recordings

    def write_idle(self, seconds: float = 0.0) -> list[str]:
        """Write the cassettes of conversations without changes for so many seconds.

        Returns a line about each cassette that cannot be written.
        """
        now = self._clock()
        with self._lock:
            idle = [
                (number, conversation)
                for number, conversation in self._conversations.items()
                if not conversation.is_written and now - conversation.last_change >= seconds
            ]
        if not idle:
            return []
        # Several threads, because most of the time is spent waiting for the disk.
        with ThreadPoolExecutor(_MAX_WRITERS) as pool:
            return [
                problem for problem in pool.map(lambda item: self._write(*item), idle) if problem
            ]

    def close(self) -> list[str]:
        """Write every cassette and close all files; return a line about each failure."""
        problems = self.write_idle()
        with self._lock:
            recorders = list(self._open.values())
            self._open.clear()
        for recorder in recorders:
            recorder.close()
        return problems

    def _write(self, number: int, conversation: _Conversation) -> str:
        with conversation.lock:
            if conversation.path is None:
                conversation.is_written = True
                return ""
            try:
                recorder = self._take(number, conversation.path)
                try:
                    recorder.redactor = conversation.redactor
                    superseded = set(recorder.forget(is_superseded))
                    conversation.requests = [
                        request
                        for position, request in enumerate(conversation.requests)
                        if position not in superseded
                    ]
                    recorder.finish(held=True)
                    conversation.is_written = True
                finally:
                    recorder.close()
            except EvalkitError as error:
                return str(error)
        return ""

    def _conversation(self, number: int) -> _Conversation:
        with self._lock:
            return self._conversations.setdefault(number, _Conversation())

    def _create(self, conversation: _Conversation, first: Recording) -> CassetteRecorder:
        """Create the cassette under the next unused name, so that no file is overwritten."""
        name = conversation_name(normalize_recording(conversation.redactor.recording(first)[0]))
        with self._lock:
            while True:
                count = self._name_counts[name] = self._name_counts.get(name, 0) + 1
                path = self.folder / f"{numbered_name(name, count)}.yaml"
                if not path.exists() and not journal.journal_path(path).exists():
                    break
        recorder = self._recorder(path)
        conversation.path = path
        return recorder

    def _recorder(self, path: Path) -> CassetteRecorder:
        return CassetteRecorder(
            path, "new_episodes", metadata=self._metadata, redactor=Redactor(), goes_on=True
        )

    def _take(self, number: int, path: Path) -> CassetteRecorder:
        with self._lock:
            recorder = self._open.pop(number, None)
        return recorder or self._recorder(path)

    def _put_back(self, number: int, recorder: CassetteRecorder) -> None:
        with self._lock:
            self._open[number] = recorder
            if len(self._open) > _MAX_OPEN:
                # Closed under the lock, so that no other thread opens the same journal before.
                self._open.popitem(last=False)[1].close()


def conversation_name(request: NormalizedRequest) -> str:
    """Return the name of the conversation that a request starts, for its file.

    The first words of the user and eight digits of the request's digest, for example
    ``what-is-the-temperature-in-london-3f2a9c01``: the same conversation has the same name when it
    is recorded again. Secrets must be redacted before.
    """
    words = _WORD.findall(_user_text(request.body).lower())
    words = words or _WORD.findall(request.path.lower().split("/v1_")[0])
    slug = "-".join(words[:_NAME_WORDS])[:_NAME_LENGTH].strip("-")
    return f"{slug or 'conversation'}-{request.key.hex()[:8]}"


def numbered_name(name: str, number: int) -> str:
    """Return the name of the n-th conversation of the same name: ``name``, ``name.2``, …"""
    return name if number == 1 else f"{name}.{number}"


def is_superseded(attempt: Recording, later: Recording) -> bool:
    """Return whether ``later`` is the retry of an attempt that failed temporarily."""
    return is_retryable(attempt.status) and (attempt.method, attempt.uri, attempt.request_body) == (
        later.method,
        later.uri,
        later.request_body,
    )


def _user_text(body: JSON) -> str:
    if not isinstance(body, dict):
        return ""
    for step in input_steps(body.get("input")):
        texts = [block.get("text") for block in content_blocks(step) if isinstance(block, dict)]
        if text := " ".join(text for text in texts if isinstance(text, str)):
            return text
    return ""
