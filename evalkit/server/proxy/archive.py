"""The cassettes of many conversations that are recorded at the same time. Blocking IO.

Each conversation has its own cassette and its own journal, as a recorded variant has; a finished
exchange is flushed to the journal at once. A conversation can continue at any time, so its cassette
is written when it was idle for a while, and again when something was added, at the latest when the
archive closes. A killed process leaves journals; :meth:`ConversationArchive.recover` turns them
into cassettes. Few journals are open at a time, however many conversations there are.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
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
from evalkit.cassette.secret_fields import secrets_in_recording
from evalkit.errors import EvalkitError, UsageError
from evalkit.protocol.input_reader import input_steps
from evalkit.protocol.step_reader import content_blocks
from evalkit.protocol.wire_facts import is_retryable
from evalkit.server.replay.library import NormalizedRequest, normalize_recording

FOLDER = "conversations"
"""Folder of the cassettes, below the proxy's folder; their media are beside it, in ``_media``."""

_MAX_OPEN = 48
_MAX_WRITERS = 8
_NAME_WORDS, _NAME_LENGTH = 6, 48
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(slots=True, kw_only=True)
class _StoredConversation:
    """``requests`` has the number of the request that each recording belongs to."""

    path: Path
    redactor: Redactor
    requests: list[int] = field(default_factory=list)
    last_change: float = 0.0
    is_written: bool = True
    is_broken: bool = False


class ConversationArchive:
    """Stores numbered conversations in cassettes below a folder, each with ``metadata``.

    ``redactor`` knows secrets and patterns of every conversation. Raises UsageError for an invalid
    pattern.
    """

    def __init__(
        self,
        folder: Path,
        metadata: Mapping[str, JSON],
        *,
        redactor: Redactor | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.folder = folder / FOLDER
        self._redactor = redactor or Redactor()
        # Compiles the patterns, so that an invalid one is reported at the start.
        self._redactor.text("")
        self._metadata = dict(metadata)
        self._clock = clock
        self._conversations: dict[int, _StoredConversation] = {}
        self._open: OrderedDict[int, CassetteRecorder] = OrderedDict()
        self._name_counts: Counter[str] = Counter()
        self._found_secrets: list[str] = []

    def recover(self) -> list[str]:
        """Write cassettes from the journals of a killed process; return a line about each.

        Raises CassetteError for a damaged journal.
        """
        lines = []
        for path in sorted(self.folder.glob(f"*.yaml{journal.SUFFIX}")):
            cassette = path.with_name(path.name.removesuffix(journal.SUFFIX))
            try:
                recorder = self._open_cassette(cassette)
            except UsageError as error:
                lines.append(f"left alone: {error}")
                continue
            with closing(recorder):
                old = len(recorder.old.recordings) if recorder.old else 0
                count = len(recorder.recordings) - old
                recorder.drop_superseded(is_superseded)
                recorder.finish(completed=True)
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
        fork: tuple[int, int] | None = None,
    ) -> None:
        """Write an exchange of a conversation to the disk before returning.

        ``request`` counts the conversation's requests from 0. ``metadata`` is for a new cassette.
        ``fork`` is the conversation that a new one left and how many of its requests they share.
        Raises SecretLeak or UsageError; then later exchanges of this conversation are ignored,
        because a conversation with a gap would be wrong.
        """
        conversation = self._conversations.get(number)
        if conversation is None:
            shared = self.recordings(*fork) if fork else []
            conversation = self._create(number, [*shared, recording], secrets)
            new = {**(metadata or {}), "shared": len(shared) or None}
            recordings = [*enumerate(shared), (request, recording)]
        else:
            new, recordings = {}, [(request, recording)]
        # A secret of one response may be in later requests, also of other conversations.
        self._found_secrets += secrets_in_recording(recording)
        conversation.redactor = conversation.redactor.with_secrets([*secrets, *self._found_secrets])
        if conversation.is_broken:
            return
        try:
            recorder = self._recorder(number)
            conversation.is_written = False
            if new:
                recorder.journal_metadata(
                    **{key: value for key, value in new.items() if value is not None}
                )
            for request_number, one in recordings:
                recorder.append(one)
                conversation.requests.append(request_number)
        except EvalkitError:
            conversation.is_broken = True
            raise
        finally:
            conversation.last_change = self._clock()

    def recordings(self, number: int, requests: int) -> list[Recording]:
        """Return the recordings of a conversation's first ``requests`` requests."""
        if number not in self._conversations:
            return []
        pairs = zip(
            self._conversations[number].requests, self._recorder(number).recordings, strict=False
        )
        return [recording for request, recording in pairs if request < requests]

    def write_idle(self, seconds: float = 0.0) -> list[str]:
        """Write the cassettes of conversations without changes for so many seconds.

        Returns a line about each cassette that cannot be written.
        """
        now = self._clock()
        idle = [
            number
            for number, conversation in self._conversations.items()
            if not conversation.is_written and now - conversation.last_change >= seconds
        ]
        # Several threads, because most of the time is spent waiting for the disk. Each works on
        # its own conversation.
        with ThreadPoolExecutor(_MAX_WRITERS) as pool:
            return [problem for problem in pool.map(self._write, idle) if problem]

    def close(self) -> list[str]:
        """Write every cassette and close all files; return a line about each failure."""
        problems = self.write_idle()
        while self._open:
            self._open.popitem()[1].close()
        return problems

    def _write(self, number: int) -> str:
        conversation = self._conversations[number]
        try:
            with closing(self._take_recorder(conversation, number)) as recorder:
                superseded = set(recorder.drop_superseded(is_superseded))
                conversation.requests = [
                    request
                    for position, request in enumerate(conversation.requests)
                    if position not in superseded
                ]
                recorder.finish(completed=True)
                conversation.is_written = True
        except EvalkitError as error:
            return str(error)
        return ""

    def _create(
        self, number: int, recordings: Sequence[Recording], secrets: Iterable[str]
    ) -> _StoredConversation:
        """Create a conversation under the next unused name: ``name``, ``name.2``, …"""
        redactor = self._redactor.with_secrets(secrets).with_secrets_in(recordings[0])
        name = conversation_name(normalize_recording(redactor.recording(recordings[0])[0]))
        while True:
            self._name_counts[name] += 1
            number_of_name = self._name_counts[name]
            suffix = f".{number_of_name}" if number_of_name > 1 else ""
            path = self.folder / f"{name}{suffix}.yaml"
            if not path.exists() and not journal.journal_path(path).exists():
                break
        conversation = _StoredConversation(path=path, redactor=redactor)
        self._conversations[number] = conversation
        return conversation

    def _recorder(self, number: int) -> CassetteRecorder:
        """Return a conversation's recorder; the one unused for longest is closed."""
        recorder = self._take_recorder(self._conversations[number], number)
        self._open[number] = recorder
        if len(self._open) > _MAX_OPEN:
            self._open.popitem(last=False)[1].close()
        return recorder

    def _take_recorder(self, conversation: _StoredConversation, number: int) -> CassetteRecorder:
        recorder = self._open.pop(number, None) or self._open_cassette(conversation.path)
        recorder.redactor = conversation.redactor
        return recorder

    def _open_cassette(self, path: Path) -> CassetteRecorder:
        return CassetteRecorder(
            path,
            "new_episodes",
            metadata=self._metadata,
            redactor=self._redactor,
            resume=True,
        )


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
