"""Recording: the files after every kind of end; nothing complete is lost or half written."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.cassette import recorder
from evalkit.cassette.files import line_of, load_cassette
from evalkit.cassette.format import parse, render
from evalkit.cassette.journal import (
    CassetteJournal,
    JournalEntry,
    entry_line,
    journal_line,
    journal_path,
    parse_journal,
    read_journal,
    remove_folded_journal,
)
from evalkit.cassette.record_modes import DECISIONS, RECORD_MODES, RecordMode, check_mode
from evalkit.cassette.recorder import (
    CassetteRecorder,
    count_interrupted,
)
from evalkit.cassette.recording import Cassette
from evalkit.cassette.redaction import Redactor
from evalkit.errors import CassetteError, SecretLeak, UsageError
from tests.cassette.samples import (
    FIRST,
    SECOND,
    THIRD,
    add_to_journal,
    conversation,
    leave_folded_journal,
    recording,
)

KEY = "planted-secret-key"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "weather" / "london.yaml"


def open_recorder(path: Path, mode: RecordMode = "once", **metadata: Any) -> CassetteRecorder:
    return CassetteRecorder(path, mode, metadata=metadata, redactor=Redactor([KEY]))


def put(path: Path, *bodies: Any, **fields: Any) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        render(Cassette([recording(body, **fields) for body in bodies], {"redactions": 1}))
    )
    return path.read_bytes()


def bodies(path: Path) -> list[Any]:
    cassette = load_cassette(path)
    assert cassette is not None
    return [json.loads(item.request_body or "null") for item in cassette.recordings]


def record(
    path: Path, *requests: Any, mode: RecordMode = "once", completed: bool | None = True
) -> None:
    recorder = open_recorder(path, mode)
    try:
        for body in requests:
            recorder.append(recording(body))
        if completed is not None:
            recorder.finish(completed)
    finally:
        recorder.close()


# --- record modes ---


def test_every_situation_has_a_decision() -> None:
    assert set(DECISIONS) == {
        (mode, cassette, journal)
        for mode in RECORD_MODES
        for cassette in (True, False)
        for journal in (True, False)
    }


@pytest.mark.parametrize("key", DECISIONS, ids=str)
def test_decisions_obey_the_modes(key: tuple[RecordMode, bool, bool]) -> None:
    mode, cassette, journal = key
    decision = DECISIONS[key]
    assert decision.records == (
        mode in ("new_episodes", "all") or (mode == "once" and not cassette)
    )
    assert ("cassette" in decision.replays) == (cassette and mode != "all")
    assert ("journal" in decision.replays) == (journal and decision.records)
    assert decision.keeps_old == (mode == "new_episodes" and cassette)
    assert decision.drops_journal == (mode == "all")


def test_the_documented_table_is_that_of_the_code() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "cassettes.md").read_text().splitlines()
    start = next(
        index
        for index, line in enumerate(lines)
        if line.startswith("| mode | cassette | journal |")
    )
    documented = {}
    for line in lines[start + 2 :]:
        if not line:
            break
        mode, cassette, journal, first, records, complete, incomplete = (
            cell.strip().strip("`") for cell in line.split("|")[1:-1]
        )
        plays = tuple(part for part in ("cassette", "journal") if part in first.partition(";")[0])
        for present in (True, False) if cassette == "any" else (cassette == "yes",):
            for left in (True, False) if journal == "any" else (journal == "yes",):
                documented[mode, present, left] = (
                    plays,
                    records == "yes",
                    "old and new" in complete,
                    "dropped" in incomplete,
                )
    assert documented == {
        key: (result.replays, result.records, result.keeps_old, result.drops_journal)
        for key, result in DECISIONS.items()
    }


def test_a_run_that_only_replays_ignores_a_journal() -> None:
    for mode, cassette, journal in DECISIONS:
        if not DECISIONS[mode, cassette, journal].records:
            assert DECISIONS[mode, cassette, True] == DECISIONS[mode, cassette, False]


def test_an_unknown_mode_is_refused() -> None:
    assert check_mode("once") == "once"
    with pytest.raises(
        UsageError,
        match=r"mode 'al' \(did you mean 'all'\?\); valid: none, once, new_episodes, all",
    ):
        check_mode("al")


# --- writing the cassette ---


def test_a_complete_scenario_becomes_a_cassette(path: Path) -> None:
    record(path, FIRST, SECOND)
    assert bodies(path) == [FIRST, SECOND]
    assert sorted(item.name for item in path.parent.iterdir()) == ["london.yaml"]


def test_metadata_of_the_cassette(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    run = open_recorder(path, model="gemini-3.5-flash", agent=None, suite_digest="sha256:ab")
    run.append(recording({"a": KEY}))
    run.finish(True)
    run.close()
    cassette = parse(path.read_text(), "c")
    assert list(cassette.metadata) == [
        "format",
        "evalkit",
        "recorded",
        "model",
        "suite_digest",
        "redactions",
    ]
    assert cassette.metadata | {"evalkit": "x"} == {
        "format": 1,
        "evalkit": "x",
        "recorded": "1970-01-01T00:00:00Z",
        "model": "gemini-3.5-flash",
        "suite_digest": "sha256:ab",
        "redactions": 1,
    }


@pytest.mark.parametrize("mode", ["once", "new_episodes", "all"])
def test_an_incomplete_scenario_leaves_no_cassette(path: Path, mode: RecordMode) -> None:
    record(path, FIRST, mode=mode, completed=False)
    assert not path.exists()
    assert journal_path(path).exists() == (mode != "all")


def test_recording_again_replaces_the_cassette_only_when_complete(path: Path) -> None:
    old = put(path, FIRST, SECOND)
    record(path, FIRST, mode="all", completed=False)
    assert path.read_bytes() == old
    assert not journal_path(path).exists()
    record(path, FIRST, mode="all", completed=None)  # killed: finish() was not called
    assert path.read_bytes() == old
    assert count_interrupted(path) == 1
    record(path, THIRD, mode="all")
    assert bodies(path) == [THIRD]


def test_new_episodes_keeps_the_old_recordings_first(path: Path) -> None:
    put(path, FIRST, SECOND)
    run = open_recorder(path, "new_episodes")
    assert [json.loads(item.request_body or "") for item in run.replayable] == [FIRST, SECOND]
    run.mark_played(1)
    run.append(recording({"a": KEY}))
    run.finish(True)
    run.close()
    assert bodies(path) == [FIRST, SECOND, {"a": "REDACTED"}]
    assert parse(path.read_text(), "c").metadata["redactions"] == 2


def test_new_episodes_with_nothing_new_writes_nothing(path: Path) -> None:
    old = put(path, FIRST)
    before = path.stat().st_mtime_ns
    record(path, mode="new_episodes")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (old, before)
    assert not journal_path(path).exists()


def test_new_episodes_redacts_recordings_of_other_tools(path: Path) -> None:
    path.parent.mkdir(parents=True)
    foreign = recording(FIRST)
    foreign.request_headers |= {"x-goog-api-key": ["an-unknown-key"]}
    path.write_text(render(Cassette([foreign])))
    record(path, SECOND, mode="new_episodes")
    assert "an-unknown-key" not in path.read_text()
    assert bodies(path) == [FIRST, SECOND]


def test_a_scenario_without_exchanges_has_no_cassette(path: Path) -> None:
    record(path)
    assert list(path.parent.iterdir()) == []


# --- recovery ---


def test_the_next_run_resumes_a_journal(path: Path) -> None:
    record(path, FIRST, SECOND, completed=None)
    assert not path.exists()
    run = open_recorder(path)
    assert [json.loads(item.request_body or "") for item in run.replayable] == [FIRST, SECOND]
    run.mark_played(0)
    run.mark_played(1)
    run.append(recording(THIRD))
    run.finish(True)
    run.close()
    assert bodies(path) == [FIRST, SECOND, THIRD]
    assert not journal_path(path).exists()


def test_unplayed_recordings_of_a_journal_are_dropped(path: Path) -> None:
    record(path, FIRST, SECOND, completed=None)
    run = open_recorder(path)
    run.mark_played(1)
    run.finish(True)
    run.close()
    assert bodies(path) == [SECOND]


def test_requests_with_errors_in_a_journal_are_sent_again(path: Path) -> None:
    run = open_recorder(path)
    run.append(recording(FIRST))
    run.append(recording(SECOND, status=429))
    run.append(recording(THIRD, broken="lost"))
    run.close()
    run = open_recorder(path)
    assert [json.loads(item.request_body or "") for item in run.replayable] == [FIRST]
    run.close()
    assert count_interrupted(path) == 3


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_truncated_last_line_is_dropped(path: Path, cut: int) -> None:
    record(path, FIRST, SECOND, completed=None)
    journal = journal_path(path)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-cut])
    assert [entry.recording for entry in read_journal(journal).entries] == [recording(FIRST)]
    record(path, THIRD, completed=None)
    assert len(read_journal(journal).entries) == 2
    assert journal.read_bytes().startswith(whole[: whole.rindex(b'{"crc"')])


def test_a_truncated_journal_has_the_complete_exchanges(path: Path) -> None:
    record(path, FIRST, SECOND, completed=None)
    data = journal_path(path).read_bytes()
    ends = [index + 1 for index, byte in enumerate(data) if byte == 0x0A]
    for cut in range(len(data) + 1):
        result = parse_journal(data[:cut], "j")
        assert len(result.entries) == max(0, sum(end <= cut for end in ends) - 1)
        assert result.end == max((end for end in ends if end <= cut), default=0)


def test_damage_before_the_end_is_an_error_and_changes_nothing(path: Path) -> None:
    record(path, FIRST, SECOND, completed=None)
    journal = journal_path(path)
    damaged = journal.read_bytes().replace(b"London", b"Lemdem", 1)
    journal.write_bytes(damaged)
    with pytest.raises(
        CassetteError, match=r"london\.yaml\.journal:2 the journal is damaged; delete it"
    ):
        open_recorder(path)
    assert journal.read_bytes() == damaged
    assert count_interrupted(path) == 0


def test_a_journal_of_another_version_is_an_error(path: Path) -> None:
    path.parent.mkdir(parents=True)
    journal = CassetteJournal.open(journal_path(path))
    journal.close()
    data = journal_path(path).read_bytes()
    rest = data[data.index(b",") + 1 :].replace(b'"version":1', b'"version":2')
    import zlib

    journal_path(path).write_bytes(b'{"crc":"%08x",' % zlib.crc32(rest[:-1]) + rest)
    with pytest.raises(CassetteError, match=":1 not a journal of version 1"):
        open_recorder(path)


def test_killed_after_writing_the_cassette(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_recorder(path)
    run.append(recording(FIRST))
    monkeypatch.setattr(run._journal, "remove", lambda: None)
    run.finish(True)
    run.close()
    assert path.exists()
    assert journal_path(path).exists()
    # Recording everything again must not replay the old journal.
    run = open_recorder(path, "all")
    assert run.replayable == []
    run.close()
    assert not journal_path(path).exists()


def test_a_folded_journal_is_removed(path: Path) -> None:
    before = put(path, FIRST)
    leave_folded_journal(path)
    remove_folded_journal(path)
    assert not journal_path(path).exists()
    assert path.read_bytes() == before
    remove_folded_journal(path)
    assert not journal_path(path).exists()


def test_the_journal_of_an_unchanged_cassette_is_folded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(path, FIRST)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(CassetteJournal, "remove", lambda journal: None)
        record(path, FIRST, mode="all")
    assert path.read_bytes() == before
    assert count_interrupted(path) == 1
    remove_folded_journal(path)
    assert not journal_path(path).exists()


@pytest.mark.parametrize("length", [0, None], ids=["no header", "header"])
def test_a_journal_without_exchanges_is_removed(path: Path, length: int | None) -> None:
    put(path, FIRST)
    CassetteJournal.open(journal_path(path)).close()
    os.truncate(journal_path(path), journal_path(path).stat().st_size if length is None else length)
    remove_folded_journal(path)
    assert not journal_path(path).exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.unlink(),
        lambda path: put(path, SECOND),
        lambda path: path.write_bytes(path.read_bytes() + b"# edited\n"),
        lambda path: journal_path(path).write_bytes(b"damaged\n{}\n"),
        # Written by evalkit, then recording continued: the cassette has not the second exchange.
        lambda path: add_to_journal(path, entry_line(JournalEntry(recording(SECOND)))),
        lambda path: add_to_journal(path, journal_line(folded="0" * 64)),
    ],
    ids=["cassette gone", "another cassette", "edited", "damaged", "more exchanges", "digest"],
)
def test_a_journal_with_more_than_the_cassette_stays(
    path: Path, change: Callable[[Path], object]
) -> None:
    put(path, FIRST)
    leave_folded_journal(path)
    change(path)
    before = journal_path(path).read_bytes()
    remove_folded_journal(path)
    assert journal_path(path).read_bytes() == before


def test_a_journal_that_is_being_written_stays(path: Path) -> None:
    put(path, FIRST)
    leave_folded_journal(path)
    other = CassetteJournal.open(journal_path(path))
    remove_folded_journal(path)
    assert journal_path(path).exists()
    other.close()


def test_killed_before_writing_the_cassette(path: Path) -> None:
    record(path, FIRST, completed=None)
    add_to_journal(path, journal_line(folded="0" * 64))
    run = open_recorder(path)
    assert len(run.replayable) == 1
    run.mark_played(0)
    run.finish(True)
    run.close()
    assert bodies(path) == [FIRST]


# --- errors ---


@pytest.mark.parametrize("mode", ["once", "new_episodes", "all"])
@pytest.mark.parametrize(
    "text", ["", "version: 1\ninteractions: [", "version: 7\ninteractions: []\n", "\xff"]
)
def test_an_unreadable_cassette_is_never_overwritten(
    path: Path, mode: RecordMode, text: str
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CassetteError, match=r"london\.yaml:[12] "):
        open_recorder(path, mode)
    assert path.read_bytes() == text.encode("latin-1")
    assert not journal_path(path).exists()


def test_a_second_recording_of_the_same_cassette_is_refused(path: Path) -> None:
    first = open_recorder(path)
    with pytest.raises(
        UsageError,
        match=r"london\.yaml\.journal: another recording of this process is recording",
    ):
        open_recorder(path)
    first.append(recording(FIRST))
    first.close()
    assert count_interrupted(path) == 1
    open_recorder(path).close()


def test_closing_twice_does_not_touch_the_journal_of_the_next_recording(path: Path) -> None:
    first = open_recorder(path)
    first.close()
    second = open_recorder(path)
    first.close()
    assert journal_path(path).exists()
    with pytest.raises(UsageError, match="is recording this cassette now"):
        open_recorder(path)
    second.close()


def test_a_cassette_that_another_process_recorded_in_the_meantime_is_replayed(path: Path) -> None:
    # Both result no cassette; the other process got the lock first and is done.
    record(path, FIRST)
    late = open_recorder(path)
    assert not late.decision.records
    assert late.old is not None
    late.finish(True)
    late.close()
    assert bodies(path) == [FIRST]


def test_a_folder_that_cannot_be_written_is_a_usage_error(path: Path) -> None:
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(UsageError, match=r"london\.yaml\.journal: cannot record here: "):
        open_recorder(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_usage_error_and_loses_nothing(path: Path) -> None:
    run = open_recorder(path)
    run.append(recording(FIRST))
    full = os.open("/dev/full", os.O_WRONLY)
    handle, run._journal._handle = run._journal._handle, full
    with pytest.raises(
        UsageError,
        match=r"cannot record here: No space left on device; the exchanges before it are safe",
    ):
        run.append(recording(SECOND))
    run._journal._handle = handle
    os.close(full)
    run.close()
    assert [entry.recording for entry in read_journal(journal_path(path)).entries] == [
        recording(FIRST)
    ]


def test_a_cassette_that_cannot_be_written_leaves_the_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder, "write_atomic", full)
    run = open_recorder(path)
    run.append(recording(FIRST))
    with pytest.raises(
        UsageError, match=r"No space left on device; every exchange is safe in .*journal"
    ):
        run.finish(True)
    run.close()
    assert not path.exists()
    monkeypatch.undo()
    run = open_recorder(path)
    run.mark_played(0)
    run.finish(True)
    run.close()
    assert bodies(path) == [FIRST]


# --- secrets ---


def all_text(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_no_file_has_the_secret_during_and_after_recording(path: Path) -> None:
    run = open_recorder(path)
    item = recording(
        {"a": KEY},
        {"b": base64.b64encode(f"x{KEY}".encode()).decode()},
        path=f"/v1/x?key={KEY}",
        broken=KEY,
    )
    item.request_headers["x-goog-api-key"] = [KEY]
    run.append(item)
    run.append(
        recording(
            {"data": base64.b64encode(b"\x89PNG\r\n\x1a\n" + KEY.encode() + bytes(40_000)).decode()}
        )
    )
    assert KEY.encode() not in all_text(path.parent.parent)
    run.finish(True)
    run.close()
    assert (path.parent.parent / "_media").is_dir()
    assert KEY.encode() not in all_text(path.parent.parent)


def test_a_secret_that_is_not_redacted_stops_the_recording(
    path: Path,
) -> None:
    run = open_recorder(path, endpoint=f"https://h/{KEY}")
    run.append(recording(FIRST))
    with pytest.raises(SecretLeak, match="nothing was written"):
        run.finish(True)
    run.close()
    assert not path.exists()
    assert KEY.encode() not in all_text(path.parent)
    run = open_recorder(path)
    with pytest.raises(SecretLeak):
        run.append(recording(SECOND, method=KEY))
    run.close()
    assert len(read_journal(journal_path(path)).entries) == 1


# --- media and loading ---


def test_media_of_journal_and_cassette_are_files(path: Path) -> None:
    body = {"data": base64.b64encode(bytes(40_000)).decode()}
    record(path, body, completed=None)
    assert journal_path(path).stat().st_size < 2_000
    run = open_recorder(path)
    run.mark_played(0)
    run.append(recording({"again": body["data"]}))
    run.finish(True)
    run.close()
    assert path.stat().st_size < 4_000
    assert len(list((path.parent.parent / "_media").iterdir())) == 1
    assert bodies(path) == [body, {"again": body["data"]}]


def test_lost_media_are_reported_with_the_line_of_the_recording(path: Path) -> None:
    record(path, FIRST, {"data": base64.b64encode(bytes(40_000)).decode()})
    next((path.parent.parent / "_media").iterdir()).unlink()
    line = (
        path.read_text()
        .split("\n")
        .index("- request:", path.read_text().split("\n").index("- request:") + 1)
        + 1
    )
    with pytest.raises(
        CassetteError,
        match=rf"london\.yaml:{line} recording 2: media file .*/[0-9a-f]{{64}}\.bin is missing",
    ):
        load_cassette(path)


def test_a_cassette_that_is_not_utf8_is_reported_with_its_line(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"version: 1\n# \xff\n")
    with pytest.raises(CassetteError, match=r"london\.yaml:2 not UTF-8"):
        load_cassette(path)


def test_a_folder_is_not_a_missing_cassette(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(CassetteError, match=r"london\.yaml:1 cannot be read: Is a directory"):
        load_cassette(path)


def test_lines_of_recordings(path: Path) -> None:
    put(path, FIRST, SECOND)
    lines = path.read_text().split("\n")
    assert [lines[(line_of(path, number) or 0) - 1] for number in (0, 1)] == [
        "- request:",
        "- request:",
    ]
    assert line_of(path, 2) is None
    assert line_of(path.with_name("missing"), 0) is None


def test_a_missing_cassette_is_none(path: Path) -> None:
    assert load_cassette(path) is None


def test_a_conversation_survives_a_round_trip(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(render(Cassette(conversation())))
    assert bodies(path) == [FIRST, SECOND, THIRD]
