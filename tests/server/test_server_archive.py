"""The archive of the proxy: names, idle conversations, recovery, and write failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalkit.cassette.files import load_cassette
from evalkit.cassette.journal import journal_path
from evalkit.cassette.recording import Recording
from evalkit.errors import UsageError
from evalkit.server.proxy.archive import (
    ConversationArchive,
    conversation_name,
    is_superseded,
)
from evalkit.server.replay.library import normalize_recording
from tests.cassette.samples import recording
from tests.server.talking import cassettes

HELLO = {"model": "m", "input": "Hello"}


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def name(body: Any, **fields: Any) -> str:
    return conversation_name(normalize_recording(recording(body, **fields)))


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        (HELLO, "hello"),
        (
            {"input": "What's the weather like in São Paulo today, please?"},
            "what-s-the-weather-like-in",
        ),
        ({"input": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]}, "one-two"),
        ({"input": [{"type": "user_input", "content": "../../etc/passwd"}]}, "etc-passwd"),
        ({"input": "x" * 300}, "x" * 48),
        ({"input": "日本"}, "interactions"),
        ({"input": [{"type": "image", "data": "…"}]}, "interactions"),
        (None, "interactions"),
        ({"input": {"type": 1, "content": [2]}}, "interactions"),
    ],
)
def test_a_conversation_is_named_after_its_first_words(body: Any, slug: str) -> None:
    words, _, digest = name(body).rpartition("-")
    assert (words, len(digest)) == (slug, 8)


def test_the_name_depends_on_the_meaning_of_the_request_only() -> None:
    same = name(HELLO)
    assert name({"input": "Hello", "model": "m", "store": None}) == same
    assert name(HELLO, path="/v1/interactions") == same
    assert name({**HELLO, "stream": True}) != same


@pytest.mark.parametrize(
    ("status", "later", "expected"),
    [
        (503, {}, True),
        (429, {}, True),
        (408, {}, True),
        (400, {}, False),
        (200, {}, False),
        (503, {"uri": "https://other"}, False),
    ],
)
def test_a_retried_attempt_is_superseded(
    status: int, later: dict[str, Any], expected: bool
) -> None:
    attempt = recording(HELLO, status=status)
    again = recording(HELLO)
    again.uri = later.get("uri", again.uri)
    assert is_superseded(attempt, again) is expected


def stored_requests(folder: Path) -> dict[str, list[str]]:
    return {
        name: [str(one.request_body) for one in recordings]
        for name, recordings in cassettes(folder).items()
    }


def test_only_idle_conversations_are_written_and_they_can_continue(tmp_path: Path) -> None:
    clock = Clock()
    archive = ConversationArchive(tmp_path, {}, clock=clock)
    archive.append(0, 0, recording(HELLO))
    clock.now = 50
    archive.append(1, 0, recording({**HELLO, "input": "Hi"}), metadata={"model": "m"})
    clock.now = 61
    assert archive.write_idle(60) == []
    [first] = stored_requests(tmp_path)
    assert first.startswith("hello-")
    archive.append(0, 1, recording({**HELLO, "input": "More"}))
    assert len(stored_requests(tmp_path)[first]) == 1
    assert archive.close() == []
    assert [len(recordings) for recordings in stored_requests(tmp_path).values()] == [2, 1]
    assert list(tmp_path.rglob("*.journal")) == []


def test_journals_of_a_killed_process_become_cassettes_with_their_errors(tmp_path: Path) -> None:
    archive = ConversationArchive(tmp_path, {"endpoint": "https://e"})
    archive.append(0, 0, recording(HELLO, status=503), metadata={"model": "m", "server": None})
    archive.append(0, 1, recording(HELLO))
    archive.append(0, 2, recording({**HELLO, "input": "Bad"}, status=400))
    archive.append(1, 0, recording({**HELLO, "input": "Hi"}))
    journals = {path: path.read_bytes() for path in tmp_path.rglob("*.journal")}
    assert len(journals) == 2
    archive.close()
    for path, data in journals.items():  # as they were before closing
        store_path = path.with_name(path.name.removesuffix(".journal"))
        store_path.unlink()
        path.write_bytes(data[:-3] if b'"Hi' in data else data)
    lines = ConversationArchive(tmp_path, {"endpoint": "https://f"}).recover()
    assert [line.partition(" of ")[0] for line in lines] == ["recovered 3 exchanges"]
    [(file_name, recordings)] = cassettes(tmp_path).items()
    assert [one.status for one in recordings] == [200, 400]
    cassette = load_cassette(tmp_path / "conversations" / file_name)
    assert cassette is not None
    assert cassette.metadata["model"] == "m"
    assert list(tmp_path.rglob("*.journal")) == []


def test_a_journal_already_written_to_its_cassette_adds_nothing(
    tmp_path: Path,
) -> None:
    archive = ConversationArchive(tmp_path, {})
    archive.append(0, 0, recording(HELLO))
    [journal] = tmp_path.rglob("*.journal")
    real = Path.unlink
    data = journal.read_bytes()
    removed: list[bytes] = []

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self == journal:
            removed.append(self.read_bytes())
        real(self, missing_ok)

    Path.unlink, before = unlink, Path.unlink  # type: ignore[method-assign]
    try:
        archive.close()
    finally:
        Path.unlink = before  # type: ignore[method-assign]
    assert len(removed[-1]) > len(data)
    journal.write_bytes(removed[-1])
    assert ConversationArchive(tmp_path, {}).recover() == []
    assert [len(recordings) for recordings in stored_requests(tmp_path).values()] == [1]
    assert not journal.exists()


def test_a_conversation_that_another_process_records_is_left_alone(tmp_path: Path) -> None:
    archive = ConversationArchive(tmp_path, {})
    archive.append(0, 0, recording(HELLO))
    [line] = ConversationArchive(tmp_path, {}).recover()
    assert line.startswith("left alone: ")
    assert "recording this cassette now" in line
    archive.close()
    assert len(stored_requests(tmp_path)) == 1


def test_exchanges_before_a_full_disk_are_preserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = ConversationArchive(tmp_path, {})
    archive.append(0, 0, recording(HELLO))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("evalkit.cassette.journal.os.fsync", full)
        with pytest.raises(UsageError, match="No space left on device"):
            archive.append(0, 1, recording({**HELLO, "input": "More"}))
    archive.append(
        0, 2, recording({**HELLO, "input": "Even more"})
    )  # a conversation with a gap would be wrong
    assert archive.close() == []
    [requests] = stored_requests(tmp_path).values()
    assert len(requests) == 1


def test_a_cassette_that_cannot_be_written_is_reported_and_keeps_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = ConversationArchive(tmp_path, {})
    archive.append(0, 0, recording(HELLO))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("evalkit.cassette.recorder.write_atomic", full)
        [problem] = archive.close()
    assert "every exchange is safe in" in problem
    [line] = ConversationArchive(tmp_path, {}).recover()
    assert line.startswith("recovered 1 exchange")


def test_the_cassette_of_a_fork_starts_with_the_shared_recordings(tmp_path: Path) -> None:
    archive = ConversationArchive(tmp_path, {})
    for number in range(3):
        archive.append(0, number, recording({**HELLO, "input": f"{number}"}))
    archive.append(1, 2, recording({**HELLO, "input": "other"}), fork=(0, 2))
    shared = [one.request_body for one in archive.recordings(0, 2)]
    assert [one.request_body for one in archive.recordings(1, 3)][:2] == shared
    archive.close()
    assert sorted(len(requests) for requests in stored_requests(tmp_path).values()) == [3, 3]
    names = sorted(stored_requests(tmp_path))
    assert names[0].removesuffix(".2.yaml") == names[1].removesuffix(".yaml")


def test_a_secret_of_one_request_is_redacted_in_later_requests(tmp_path: Path) -> None:
    archive = ConversationArchive(tmp_path, {})
    archive.append(
        0,
        0,
        recording({**HELLO, "input": "my-secret-key-17 says hello"}),
        secrets=["my-secret-key-17"],
    )
    archive.append(0, 1, recording(HELLO, {"said": "my-secret-key-17"}))
    archive.close()
    for path in tmp_path.rglob("*"):
        assert "secret" not in path.name
        assert path.is_dir() or "my-secret" not in path.read_text()


def test_journals_are_closed_and_reopened(tmp_path: Path) -> None:
    archive = ConversationArchive(tmp_path, {})
    for turn in range(3):
        for number in range(60):
            archive.append(number, turn, recording({**HELLO, "input": f"{number} {turn}"}))
    archive.close()
    assert [len(requests) for requests in stored_requests(tmp_path).values()] == [3] * 60
    assert not journal_path(next(tmp_path.rglob("*.yaml"))).exists()


def test_a_conversation_without_user_text_is_named_after_its_path(tmp_path: Path) -> None:
    archive = ConversationArchive(tmp_path, {})
    one = Recording("GET", "https://h/v1/agents")
    archive.append(0, 0, one)
    archive.close()
    assert [name.rpartition("-")[0] for name in stored_requests(tmp_path)] == ["agents"]
