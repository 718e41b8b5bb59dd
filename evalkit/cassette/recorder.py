"""Cassettes on the disk: the one that is being recorded. Only this module, loading, media and journal do IO in this room.

Nothing that was complete is ever lost. While a scenario is recorded, each exchange goes to the journal; the cassette itself is written
once, whole, by renaming, when the scenario was held to its end. A process killed in between leaves the old cassette, or the new one, and
a journal that the next recording run goes on from. Killed just around the renaming it leaves both: the journal's last line then holds the
digest of the cassette it became, and a cassette of that digest makes the journal a leftover.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from evalkit._lib.clock import timestamp
from evalkit._lib.files import display_path, sha256, write_atomic
from evalkit._lib.json import JSON
from evalkit.cassette.format import VERSION, render
from evalkit.cassette.journal import (
    CassetteJournal,
    JournalEntry,
    entry_line,
    journal_path,
    metadata_line,
    read_journal,
)
from evalkit.cassette.loader import load_cassette, media_folder
from evalkit.cassette.media import MediaFolder
from evalkit.cassette.record_modes import DECISIONS, RecordDecision, RecordMode
from evalkit.cassette.recording import Cassette, Recording
from evalkit.cassette.redaction import Redactor
from evalkit.errors import CassetteError, UsageError


def count_interrupted(path: Path) -> int:
    """Return how many exchanges an interrupted recording left in the journal of a cassette."""
    try:
        return len(read_journal(journal_path(path)).entries)
    except CassetteError:
        return 0


class CassetteRecorder:
    """One cassette while it is being recorded. It holds the lock on the cassette's journal until :meth:`close`.

    ``playable`` are the recordings that answer requests before the endpoint is asked: the old cassette's and the journal's, by the
    decision. Of the journal only good answers count: an error is asked again. Raises what :func:`load` and :meth:`Journal.open` raise.

    With ``goes_on`` the journal is this very recording's, let go of and taken up again: all of it belongs into the cassette, and nothing of
    it answers.
    """

    def __init__(
        self,
        path: Path,
        mode: RecordMode,
        *,
        metadata: Mapping[str, JSON],
        redactor: Redactor,
        media: Path | None = None,
        goes_on: bool = False,
    ) -> None:
        self._path = path
        self._metadata = dict(metadata)
        self.redactor = redactor
        self._media_folder = media or media_folder(path)
        self._journal = CassetteJournal.open(journal_path(path))
        try:
            old = load_cassette(path, self._media_folder)
            entries = self._entries(old, errors=goes_on)
        except BaseException:
            self._release(keep=bool(self._journal.content.entries))
            raise
        self.decision: RecordDecision = DECISIONS[mode, old is not None, bool(entries)]
        self.old = old
        if not self.decision.records:  # another process has recorded it since this one looked
            self._release(keep=bool(entries))
        parts = {
            "cassette": old.recordings if old else [],
            "journal": [entry.recording for entry in entries],
        }
        self.playable = [recording for part in self.decision.plays for recording in parts[part]]
        self._from_journal = entries if "journal" in self.decision.plays else []
        self._entries_held = bool(entries)
        self._used: list[JournalEntry] = []
        if goes_on:
            self.playable, self._from_journal, self._used = [], [], list(entries)
            self._metadata.update(self._journal.content.metadata)

    @property
    def recordings(self) -> list[Recording]:
        """What the cassette holds if it is made now, media in place."""
        kept = self.old.recordings if self.old and self.decision.keeps else []
        return [*kept, *(entry.recording for entry in self._used)]

    def describe(self, **known: JSON) -> None:
        """Add to the cassette's metadata what is learnt while recording."""
        self._metadata.update(known)

    def remember(self, **known: JSON) -> None:
        """Like :meth:`describe`, and in the journal too: who goes on from it knows. Raises SecretLeak or UsageError."""
        line = metadata_line(known)
        self.redactor.guard(line, display_path(self._journal.path))
        self._journal.append(line)
        self.describe(**known)

    def forget(self, superseded: Callable[[Recording, Recording], bool]) -> list[int]:
        """Leave out of the cassette every recording of this journal that a later one supersedes; return their numbers in ``recordings``."""
        first = len(self.recordings) - len(self._used)
        gone = [
            at
            for at, entry in enumerate(self._used)
            if any(superseded(entry.recording, later.recording) for later in self._used[at + 1 :])
        ]
        self._used = [entry for at, entry in enumerate(self._used) if at not in gone]
        return [first + at for at in gone]

    def played(self, number: int) -> None:
        """Note that a recording of ``playable`` answered a request: one from the journal belongs into the new cassette."""
        first = len(self.playable) - len(self._from_journal)
        if number >= first:
            self._used.append(self._from_journal[number - first])

    def append(self, recording: Recording) -> None:
        """Keep a finished exchange, redacted, on the disk before this returns.

        Raises SecretLeak, having written nothing, if a known secret is still in it; UsageError if it cannot be written.
        """
        clean, count = self.redactor.recording(recording)
        stored = MediaFolder(self._media_folder, self.redactor.guard).move_out(clean)
        line = entry_line(JournalEntry(stored, count))
        self.redactor.guard(line, display_path(self._journal.path))
        self._guard_bytes([clean])
        self._journal.append(line)
        self._entries_held = True
        self._used.append(JournalEntry(clean, count))

    def finish(self, held: bool) -> None:
        """Fold what was recorded into the cassette if the scenario was held to its end; otherwise keep the journal, or drop it (``all``).

        Raises SecretLeak or UsageError, and then the journal stays.
        """
        if not self.decision.records:
            return
        if held and self._used:
            self._fold()
        if held or self.decision.drops:
            self._entries_held = False

    def close(self) -> None:
        """Let go of the cassette. A journal that was not folded in stays for the next run. Twice is no error."""
        self._release(keep=self._entries_held)

    def _fold(self) -> None:
        kept = (
            [self.redactor.recording(recording) for recording in self.old.recordings]
            if self.old and self.decision.keeps
            else []
        )
        entries = [*kept, *((entry.recording, entry.redactions) for entry in self._used)]
        media = MediaFolder(self._media_folder, self.redactor.guard)
        self._guard_bytes([recording for recording, _ in kept])
        before = self.old.metadata if self.old and self.decision.keeps else {}
        count = sum(redactions for _, redactions in entries) + int(before.get("redactions", 0))
        cassette = Cassette(
            [media.move_out(recording) for recording, _ in entries], self._described(before, count)
        )
        text = render(cassette)
        self.redactor.guard(text, display_path(self._path))
        self._journal.mark_folded(sha256(text))
        try:
            write_atomic(self._path, text)
        except OSError as error:
            raise UsageError(
                f"{display_path(self._path)}: cannot be written: {error.strerror or error}; every exchange is safe in "
                f"{display_path(self._journal.path)}, and the next recording run goes on from it"
            ) from error

    def _described(self, before: Mapping[str, JSON], redactions: int) -> dict[str, JSON]:
        from importlib.metadata import version

        given = {key: value for key, value in self._metadata.items() if value is not None}
        known = {"format": VERSION, "evalkit": version("pytest-evalkit"), "recorded": timestamp()}
        return {**known, **before, **given, "redactions": redactions}

    def _guard_bytes(self, recordings: list[Recording]) -> None:
        # In a rendered file bytes are base64 on many lines, where a guard over the text cannot see a secret.
        for recording in recordings:
            for body in (recording.request_body, recording.body):
                if isinstance(body, bytes):
                    self.redactor.guard(body, display_path(self._path))

    def _entries(self, old: Cassette | None, *, errors: bool) -> list[JournalEntry]:
        content = self._journal.content
        if (
            content.folded is not None
            and old is not None
            and sha256(self._path.read_bytes()) == content.folded
        ):
            self._journal.clear()
            return []
        media = MediaFolder(self._media_folder)
        return [
            JournalEntry(media.bring_back(entry.recording), entry.redactions)
            for entry in content.entries
            if errors or (entry.recording.status < 400 and entry.recording.broken is None)
        ]

    def _release(self, *, keep: bool) -> None:
        if not keep:
            self._journal.remove()
        self._journal.close()
