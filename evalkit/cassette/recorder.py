"""A cassette that is being recorded.

Nothing that was complete is lost. Each exchange goes to the journal; the cassette is written once,
as a whole, when the scenario is complete. A killed process leaves the old or the new cassette, and
a journal that the next recording run resumes. Killed just after writing the cassette, it leaves
both; the journal then ends with the digest of that cassette, and the next recording run deletes it.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from evalkit._lib.clock import timestamp
from evalkit._lib.files import display_path, read_file, sha256, write_atomic
from evalkit._lib.json import JSON
from evalkit._lib.version import VERSION as EVALKIT_VERSION
from evalkit.cassette.files import MediaFolder, load_cassette, media_folder
from evalkit.cassette.format import render
from evalkit.cassette.journal import (
    CassetteJournal,
    JournalEntry,
    entry_line,
    journal_line,
    journal_path,
    read_journal,
)
from evalkit.cassette.preserved_recordings import preserve
from evalkit.cassette.record_modes import DECISIONS, RecordMode
from evalkit.cassette.recording import VERSION, Cassette, Recording
from evalkit.cassette.redaction import Redactor
from evalkit.errors import CassetteError, UsageError


def count_interrupted(path: Path) -> int:
    """Return the number of exchanges in the journal that an interrupted recording left."""
    try:
        return len(read_journal(journal_path(path)).entries)
    except CassetteError:
        return 0


class CassetteRecorder:
    """One cassette that is being recorded. Locks the journal until :meth:`close`.

    ``replayable`` are the recordings that answer requests before the endpoint does: those of the
    old cassette and of the journal, by the decision. Error responses in the journal do not count;
    their requests are sent again.

    With ``resume`` the journal belongs to this very recording, which was closed before: all of it
    goes into the cassette, and none of it answers requests. Raises what :func:`load_cassette` and
    :meth:`CassetteJournal.open` raise.
    """

    def __init__(
        self,
        path: Path,
        mode: RecordMode,
        *,
        metadata: Mapping[str, JSON],
        redactor: Redactor,
        media: Path | None = None,
        resume: bool = False,
    ) -> None:
        self._path = path
        self._metadata = dict(metadata)
        self.redactor = redactor
        self._media_path = media or media_folder(path)
        self._journal = CassetteJournal.open(journal_path(path))
        try:
            self.old = load_cassette(path, self._media_path)
            entries = self._journal_entries(with_errors=resume)
        except BaseException:
            self._keeps_journal = bool(self._journal.content.entries)
            self.close()
            raise
        self._keeps_journal = bool(entries)
        self.decision = DECISIONS[mode, self.old is not None, bool(entries)]
        if not self.decision.records:
            # Another process recorded the cassette in the meantime.
            self.close()
        self.replayable: list[Recording] = []
        # The last recordings of ``replayable`` are those of these entries.
        self._replayable_entries: list[JournalEntry] = []
        self._new: list[JournalEntry] = []
        if resume:
            self._new = entries
            self._metadata.update(self._journal.content.metadata)
            return
        if "cassette" in self.decision.replays and self.old is not None:
            self.replayable += self.old.recordings
        if "journal" in self.decision.replays:
            self._replayable_entries = entries
            self.replayable += [entry.recording for entry in entries]

    @property
    def recordings(self) -> list[Recording]:
        """The recordings of the cassette if it were written now, with media in place."""
        return [*self._base().recordings, *(entry.recording for entry in self._new)]

    def describe(self, **metadata: JSON) -> None:
        """Add metadata to the cassette."""
        self._metadata.update(metadata)

    def journal_metadata(self, **metadata: JSON) -> None:
        """Add metadata to the cassette and to the journal, for a later run that resumes it.

        Raises SecretLeak or UsageError.
        """
        self._append_line(journal_line(metadata=metadata))
        self.describe(**metadata)

    def drop_superseded(self, is_superseded: Callable[[Recording, Recording], bool]) -> list[int]:
        """Drop new recordings that a later one supersedes; return their numbers.

        The numbers are positions in ``recordings``.
        """
        first = len(self.recordings) - len(self._new)
        dropped = [
            number
            for number, entry in enumerate(self._new)
            if any(
                is_superseded(entry.recording, later.recording) for later in self._new[number + 1 :]
            )
        ]
        self._new = [entry for number, entry in enumerate(self._new) if number not in dropped]
        return [first + number for number in dropped]

    def sort_new(self, sent: Mapping[int, float]) -> None:
        """Sort the new recordings by the times of their requests, which ``sent`` has by ``id``."""
        self._new.sort(key=lambda entry: sent[id(entry.recording)])

    def mark_played(self, number: int) -> None:
        """Note that a recording of ``replayable`` answered a request.

        One from the journal belongs into the new cassette.
        """
        first = len(self.replayable) - len(self._replayable_entries)
        if number >= first:
            self._new.append(self._replayable_entries[number - first])

    def append(self, recording: Recording) -> Recording:
        """Redact and store a finished exchange, and wait until it is on the disk.

        Returns the recording as it is stored, with media in place. Raises SecretLeak, with nothing
        written, if a known secret is still in it; UsageError if it cannot be written.
        """
        self.redactor = self.redactor.with_secrets_in(recording)
        redacted, count = self.redactor.recording(recording)
        stored = MediaFolder(self._media_path, self.redactor.guard).extract(redacted)
        self._guard_bytes([redacted])
        self._append_line(entry_line(JournalEntry(stored, count)))
        self._keeps_journal = True
        self._new.append(JournalEntry(redacted, count))
        return redacted

    def finish(self, completed: bool) -> None:
        """Write the cassette if the scenario is complete; otherwise keep or drop the journal.

        Raises SecretLeak or UsageError; then the journal stays.
        """
        if not self.decision.records:
            return
        if completed and self._new:
            self._write_cassette()
        if completed or self.decision.drops_journal:
            self._keeps_journal = False

    def close(self) -> None:
        """Release the lock, and delete a journal that is not needed. May be called twice."""
        if not self._keeps_journal:
            self._journal.remove()
        self._journal.close()

    def _base(self) -> Cassette:
        """Return the cassette to which the new recordings are added."""
        return self.old if self.old is not None and self.decision.keeps_old else Cassette()

    def _append_line(self, line: str) -> None:
        self.redactor.guard(line, display_path(self._journal.path))
        self._journal.append(line)

    def _write_cassette(self) -> None:
        base = self._base()
        entries = [JournalEntry(*self.redactor.recording(one)) for one in base.recordings]
        entries += self._new
        recordings = [entry.recording for entry in entries]
        if self.old is not None and not self.decision.keeps_old:
            old = [self.redactor.recording(one)[0] for one in self.old.recordings]
            recordings = preserve(old, recordings)
            if recordings == self.old.recordings:
                self._journal.append(journal_line(folded=sha256(read_file(self._path))))
                # Only its time says that it was recorded again.
                os.utime(self._path)
                return
        self._guard_bytes(recordings)
        media = MediaFolder(self._media_path, self.redactor.guard)
        redactions = sum(entry.redactions for entry in entries)
        metadata = {
            "format": VERSION,
            "evalkit": EVALKIT_VERSION,
            "recorded": timestamp(),
            **base.metadata,
            **{key: value for key, value in self._metadata.items() if value is not None},
            "redactions": redactions + int(base.metadata.get("redactions", 0)),
        }
        text = render(Cassette([media.extract(recording) for recording in recordings], metadata))
        self.redactor.guard(text, display_path(self._path))
        # If the process is killed before it deletes the journal, the next one can tell.
        self._journal.append(journal_line(folded=sha256(text)))
        try:
            write_atomic(self._path, text)
        except OSError as error:
            raise UsageError(
                f"{display_path(self._path)}: cannot be written: {error.strerror or error}; "
                f"every exchange is safe in {display_path(self._journal.path)}, "
                "and the next recording run resumes it"
            ) from error

    def _guard_bytes(self, recordings: Iterable[Recording]) -> None:
        # In a file, bytes are base64 on many lines, where a guard over the text finds no secret.
        for recording in recordings:
            for body in (recording.request_body, recording.body):
                if isinstance(body, bytes):
                    self.redactor.guard(body, display_path(self._path))

    def _journal_entries(self, *, with_errors: bool) -> list[JournalEntry]:
        content = self._journal.content
        if content.folded_digest is not None and content.is_folded_into(self._path):
            self._journal.clear()
            return []
        media = MediaFolder(self._media_path)
        return [
            JournalEntry(media.restore(entry.recording), entry.redactions)
            for entry in content.entries
            if with_errors or (entry.recording.status < 400 and entry.recording.broken is None)
        ]
