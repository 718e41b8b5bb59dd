"""No writer writes a planted secret: kind × encoding × place × split × writer.

``make test`` tries a few hundred combinations. All that the documentation claims::

    EVALKIT_PLANTED_SECRETS=12000 pytest tests/secrets -n 2
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from evalkit.cassette.content_codings import decompress_body
from evalkit.cassette.files import load_cassette
from evalkit.cassette.recorder import CassetteRecorder
from evalkit.cassette.recording import Cassette, Recording
from evalkit.cassette.redaction import Redactor
from evalkit.cassette.serializer import VcrSerializer, vcr_response
from evalkit.conversation.reconstruct import request_of, transcript_of
from evalkit.errors import SecretLeak
from evalkit.importing.scenario_drafts import draft_scenarios, group_into_suites
from evalkit.importing.suite_writer import write_suites
from evalkit.importing.traffic_reader import without_secrets
from evalkit.reports.ci.ctrf import Ctrf
from evalkit.reports.ci.junit import JUnit
from evalkit.reports.ci.markdown import MarkdownSummary
from evalkit.reports.line_reports import write_all
from evalkit.reports.page.run_page import RunPage
from evalkit.results import Identity, Journal, Manifest, Run, result_line, result_record, tally_of
from evalkit.server.proxy.archive import ConversationArchive
from evalkit.taping.tape_session import TapePlan, TapeRequest, TapeSession
from evalkit.transcript import Request, Response
from evalkit.transports.conversion import recording_of, response_of
from evalkit.transports.record_transport import RedactingTransport
from evalkit.verdict import CheckResult, Finding, Verdict
from tests.cassette.encodings import ENCODINGS, SECRETS
from tests.secrets.planted import PLACES, SPLITS, Plant, leaks

COUNT = int(os.environ.get("EVALKIT_PLANTED_SECRETS", "480"))
GROUPS = 24


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of every file, and every path as content."""
    for path in sorted(folder.rglob("*")):
        yield f"name of {path.name}", str(path.relative_to(folder)).encode()
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def record(plant: Plant, folder: Path) -> None:
    """Record as a suite does; the journal is read before it becomes a cassette."""
    recorder = CassetteRecorder(
        folder / "c.yaml", "once", metadata={}, redactor=Redactor([plant.secret])
    )
    try:
        recorder.append(plant.exchange())
        (folder / "journal.copy").write_bytes((folder / "c.yaml.journal").read_bytes())
        recorder.finish(completed=True)
    finally:
        recorder.close()


def serialize(plant: Plant, folder: Path) -> None:
    """Write with vcrpy's serializer."""
    recording = plant.exchange()
    request = {
        "method": recording.method,
        "uri": recording.uri,
        "body": recording.request_body,
        "headers": recording.request_headers,
    }
    item = {"request": request, "response": vcr_response(recording)}
    serializer = VcrSerializer(folder / "_media", (plant.secret,))
    (folder / "c.yaml").write_text(serializer.serialize({"interactions": [item]}), "utf-8")


def tape(plant: Plant, folder: Path) -> None:
    """Record an application that sends the secret as its key."""
    session = TapeSession(TapePlan(path=folder / "c.yaml", mode="once", label="t"))
    recording = plant.exchange()
    body = recording.body if isinstance(recording.body, bytes) else recording.body.encode()
    request_body = recording.request_body or ""
    request = TapeRequest.of(
        recording.method,
        recording.uri,
        {**{name: values[0] for name, values in recording.request_headers.items()},
         "x-api-key": plant.secret},
        request_body.encode() if isinstance(request_body, str) else request_body,
    )  # fmt: skip
    try:
        assert session.play(request) is None
        session.record(
            request, recording.status, recording.response_headers, body, 1.0, reason="OK"
        )
    finally:
        session.finish(complete=True)


def proxy(plant: Plant, folder: Path) -> None:
    """Record as a proxy does, with the key that a client sent."""
    archive = ConversationArchive(folder, {})
    try:
        archive.append(0, 0, plant.exchange(), secrets=[plant.secret])
        archive.write_idle()
    finally:
        assert archive.close() == []


def draft(plant: Plant, folder: Path) -> None:
    """Draft a suite of recorded traffic."""
    recordings = without_secrets([plant.exchange()], [plant.secret])
    drafts = draft_scenarios({"traffic": recordings})
    if drafts:
        write_suites(group_into_suites(drafts, "drafted", "traffic"), folder, "schema.json")
    (folder / "ids").write_text("\n".join(one.id for one in drafts), "utf-8")


def report(plant: Plant, folder: Path) -> None:
    """Write results and every report of a live run."""
    redactor = Redactor([plant.secret])
    recording = plant.exchange()
    transport = RedactingTransport(Service(recording), redactor)
    request = request_of(recording)
    response = transport.send(request)
    received = recording_of(request, recording.uri, response)
    transcript = transcript_of(Cassette([received]))
    for exchange in transcript.exchanges:
        if exchange.response is not None:
            exchange.response.source = "live"
    finding = Finding("x", f"expected {plant.encoded}", got=plant.encoded, detail=plant.encoded)
    checks = [CheckResult("text", Verdict.FAILED, (finding,))]
    identity = Identity(
        id="s::a", suite="s", scenario="a", title=plant.encoded, variant={}, parts=(), trial=1,
        tags=(), path="s.yaml", line=1, cassette=None,
    )  # fmt: skip
    record = result_record(identity, Verdict.FAILED, plant.encoded, checks, transcript)
    manifest = Manifest({})
    journal = Journal(folder)
    journal.append(result_line(record, redactor.document))
    journal.close()
    manifest.totals.add(tally_of(record))
    manifest.write(folder)
    write_all(Run(folder), [RunPage, JUnit, Ctrf, MarkdownSummary])


class Service:
    """A transport whose every response is that of one recording."""

    def __init__(self, recording: Recording) -> None:
        self.unplayed: list[str] = []
        self._recording = recording

    def send(self, request: Request) -> Response:
        """Return the response, decompressed as an HTTP client does."""
        recording = self._recording
        if isinstance(recording.body, bytes):
            body = decompress_body(recording.body, recording.response_headers)
            recording = replace(recording, body=body)
        return response_of(recording, "live")

    def finish(self, completed: bool) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


WRITERS: dict[str, Callable[[Plant, Path], None]] = {
    "recorder": record,
    "serializer": serialize,
    "tape": tape,
    "proxy": proxy,
    "import": draft,
    "reports": report,
}
ONE_PIECE = ("annotation", "code result", "streamed code result", "error", "plain text", "compressed", "bytes", "header",
             "query", "path", "form", "reason", "break", "prompt", "function results")  # fmt: skip


def plants(group: int) -> Iterator[tuple[str, Plant]]:
    """Yield the combinations of one group. Kind, encodings, place, split and writer are drawn."""
    random = Random(group)
    doubles = [name for name in ENCODINGS if name != "plain"]
    while True:
        place = random.choice(list(PLACES))
        kind = random.choice(list(SECRETS))
        first = random.choice(list(ENCODINGS))
        second = random.choice(doubles) if random.random() < 0.5 else "plain"
        if not SECRETS[kind].isascii() and first != "plain":
            second = "plain"
        splits = SPLITS[:2] if place == "stream of another service" else SPLITS
        split = "whole" if place in ONE_PIECE else random.choice(splits)
        writer = random.choice(list(WRITERS))
        seed = random.randrange(10**6)
        yield (
            writer,
            Plant(kind=kind, first=first, second=second, place=place, split=split, seed=seed),
        )


@pytest.mark.parametrize("group", range(GROUPS))
def test_no_writer_writes_a_planted_secret(group: int, tmp_path: Path) -> None:
    refused = 0
    for number, (writer, plant) in enumerate(plants(group)):
        if number >= COUNT // GROUPS:
            break
        folder = tmp_path / f"{number}"
        folder.mkdir()
        try:
            WRITERS[writer](plant, folder)
        except SecretLeak:
            refused += 1
        for name, content in files(folder):
            assert leaks(plant, content) == set(), (writer, name, plant)
    # Refusing is safe, and rare.
    assert refused <= COUNT // GROUPS // 20


def test_a_plant_is_found_where_nothing_redacts() -> None:
    """The oracle itself: an exchange before redaction leaks in every place and split."""
    for place in PLACES:
        for split in SPLITS if place not in ONE_PIECE else ("whole",):
            if place == "stream of another service" and split not in SPLITS[:2]:
                continue
            for first in ("plain", "percent, every character", "base64"):
                plant = Plant(
                    kind="API key", first=first, second="plain", place=place, split=split, seed=3
                )
                if place in ("compressed", "header", "query", "path", "form"):
                    continue
                recording = plant.exchange()
                parts: list[str | bytes] = [
                    recording.body, recording.request_body or "", recording.reason,
                    recording.broken or "",
                ]  # fmt: skip
                assert any(leaks(plant, part) for part in parts), plant


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("query", "path")])
def test_a_redacted_exchange_is_read_again_and_stays_what_it_was(
    place: str, tmp_path: Path
) -> None:
    plant = Plant(kind="API key", first="plain", second="plain", place=place, split="whole", seed=1)
    record(plant, tmp_path)
    cassette = load_cassette(tmp_path / "c.yaml")
    assert cassette is not None
    (stored,) = cassette.recordings
    before: Recording = plant.exchange()
    assert (stored.method, stored.status) == (before.method, before.status)
    if place not in ("compressed", "header", "form", "bytes"):
        assert "REDACTED" in repr(stored)
