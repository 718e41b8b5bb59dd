"""Attachments: content blocks, media types, and files that are refused."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import SuiteErrors
from evalkit.suite.model.project_files import KINDS, MIME_TYPES, media_type
from tests.suite.project import Project


def content(
    project: Project, attach: str, user: str = "user: look", cases: str = "[{n: 1}]"
) -> Any:
    (variant,) = project.expand(suite(attach, user, cases))
    return variant.turns[0].content({})


def suite(attach: str, user: str = "user: look", cases: str = "[{n: 1}]") -> str:
    return (
        f"suite: s\nscenarios:\n  - id: a\n    model: m\n    cases: {cases}\n    turns:\n"
        f"      - {user}\n        attach: {attach}\n"
    )


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def media(project: Project) -> Project:
    for name, data in (
        ("suites/photo.jpg", b"\xff\xd8jpg"),
        ("media/sound.MP3", b"mp3"),
        ("suites/data.bin", b"\x00\x01"),
        ("suites/a b.png", b"png"),
    ):
        project.write(name, data)
    return project


PHOTO = {"type": "image", "data": encoded(b"\xff\xd8jpg"), "mime_type": "image/jpeg"}
SOUND = {"type": "audio", "data": encoded(b"mp3"), "mime_type": "audio/mp3"}
LOOK = {"type": "text", "text": "look"}


@pytest.mark.parametrize(
    ("attach", "blocks"),
    [
        ("{image: photo.jpg}", [LOOK, PHOTO]),
        ("[{image: photo.jpg}]", [LOOK, PHOTO]),
        ("[{image: suites/photo.jpg}, {audio: media/sound.MP3}]", [LOOK, PHOTO, SOUND]),
        ("{audio: ../media/sound.MP3}", [LOOK, SOUND]),
        (
            "{image: a b.png}",
            [LOOK, {"type": "image", "data": encoded(b"png"), "mime_type": "image/png"}],
        ),
        (
            "{document: data.bin, mime_type: application/x-thing}",
            [
                LOOK,
                {
                    "type": "document",
                    "data": encoded(b"\x00\x01"),
                    "mime_type": "application/x-thing",
                },
            ],
        ),
        (
            "{image: photo.jpg, mime_type: image/pjpeg, resolution: low}",
            [LOOK, PHOTO | {"mime_type": "image/pjpeg", "resolution": "low"}],
        ),
        (
            "{audio: 'https://example.org/sample.mp3?x=1'}",
            [
                LOOK,
                {
                    "type": "audio",
                    "uri": "https://example.org/sample.mp3?x=1",
                    "mime_type": "audio/mp3",
                },
            ],
        ),
        (
            "{video: 'gs://bucket/clip', mime_type: video/mp4}",
            [LOOK, {"type": "video", "uri": "gs://bucket/clip", "mime_type": "video/mp4"}],
        ),
        (
            "{video: 'https://example.org/watch?v=1'}",
            [LOOK, {"type": "video", "uri": "https://example.org/watch?v=1"}],
        ),
        (
            "{audio: media/sound.MP3, sample_rate: 16000, channels: 1, processing: static}",
            [LOOK, SOUND | {"sample_rate": 16000, "channels": 1, "processing": "static"}],
        ),
    ],
)
def test_an_attachment_becomes_a_content_block(media: Project, attach: str, blocks: Any) -> None:
    assert content(media, attach) == blocks


def test_a_turn_may_have_only_attachments(media: Project) -> None:
    assert content(media, "{image: photo.jpg}", "expect: []") == [PHOTO]


def test_attachments_follow_the_users_content_blocks(media: Project) -> None:
    blocks = content(
        media, "{image: photo.jpg}", "user: [{type: text, text: a}, {type: image, uri: 'gs://b'}]"
    )
    assert blocks == [{"type": "text", "text": "a"}, {"type": "image", "uri": "gs://b"}, PHOTO]


def test_a_path_may_come_from_the_cases(media: Project) -> None:
    assert content(media, "{image: '{{ name }}.jpg'}", cases="[{name: photo}]") == [LOOK, PHOTO]
    text = suite("{image: '{{ name }}.jpg'}", cases="[{name: photo}, {id: late, name: photos}]")
    assert media.problems(text) == [
        "8:25 scenario 'a', turn 1: no such file: 'photos.jpg' (did you mean 'photo.jpg'?) "
        "(in case 'late')"
    ]


def test_a_file_is_read_once_when_its_turn_runs(media: Project) -> None:
    variants = media.expand(suite("{image: photo.jpg}", cases="[{n: 1}, {n: 2}]"))
    media.write("suites/photo.jpg", b"changed")
    first = variants[0].turns[0].content({})
    (media.suites / "photo.jpg").unlink()
    assert (
        variants[1].turns[0].content({}) == first == [LOOK, PHOTO | {"data": encoded(b"changed")}]
    )


def test_a_file_that_disappeared_is_reported_where_it_is_named(media: Project) -> None:
    (variant,) = media.expand(suite("{image: photo.jpg}"))
    (media.suites / "photo.jpg").unlink()
    with pytest.raises(
        SuiteErrors,
        match=(
            r"^suites/weather\.yaml:8:17 scenario 'a', turn 1: cannot read "
            r"suites/photo\.jpg: No such file"
        ),
    ):
        variant.turns[0].content({})


@pytest.mark.parametrize(
    ("attach", "expected"),
    [
        ("{image: phto.jpg}", "8:25 {}: no such file: 'phto.jpg' (did you mean 'photo.jpg'?)"),
        ("{image: zzz.jpg}", "8:25 {}: no such file: 'zzz.jpg' in suites/ or the project root"),
        (
            "{image: ../../secret.png}",
            "8:25 {}: '../../secret.png' is outside the project (project)",
        ),
        (
            "{image: x/../../../secret.png}",
            "8:25 {}: 'x/../../../secret.png' is outside the project (project)",
        ),
        (
            "{image: /etc/hostname}",
            "8:25 {}: '/etc/hostname' is an absolute path; write it relative to the suite "
            "file or the project root",
        ),
        (
            "{image: 'C:\\x.png'}",
            "8:25 {}: 'C:\\\\x.png' is an absolute path; write it relative to the suite file "
            "or the project root",
        ),
        (
            "{image: ~/x.png}",
            "8:25 {}: '~/x.png' is an absolute path; write it relative to the suite file or "
            "the project root",
        ),
        (
            "{image: 'file:///etc/hostname'}",
            "8:25 {}: a file is named by its path, without 'file:'",
        ),
        ("{image: 'http://[x'}", None),
        ("{document: ../suites}", "8:28 {}: '../suites' is a directory, not a file"),
        (
            '{image: "a\\0b.png"}',
            "8:25 {}: no such file: 'a<U+0000>b.png' (a NUL character in its name)",
        ),
        ("{image: " + "x" * 5000 + ".png}", None),
        (
            "{audio: photo.jpg}",
            "8:25 {}: 'photo.jpg' is not an audio file by its name; write 'image:', or add "
            "its 'mime_type'",
        ),
        (
            "{image: data.bin}",
            "8:25 {}: the type of 'data.bin' is not known from its name; add its 'mime_type'",
        ),
        (
            "{mime_type: image/png}",
            "8:17 {}: an attachment needs one of 'image', 'audio', 'video', 'document'",
        ),
        (
            "{image: photo.jpg, audio: media/sound.MP3}",
            "8:25 {}: an attachment has 'image' and 'audio'; write a separate entry for each",
        ),
        ("{image: }", "8:18 {}: empty value: 'image' takes text"),
        ("{image: [photo.jpg]}", "8:25 {}: 'image' takes text, not a list"),
        (
            "photo.jpg",
            "8:17 {}: 'attach' takes a mapping such as {{image: photo.png}}, or a list of "
            "them, not the text 'photo.jpg'",
        ),
        (
            "[photo.jpg]",
            "8:18 {}: an entry of 'attach' takes a mapping such as {{image: photo.png}}, not "
            "the text 'photo.jpg'",
        ),
        (
            "{image: photo.jpg, mimetype: x}",
            "8:36 {}: unknown key 'mimetype' (did you mean 'mime_type'?)",
        ),
    ],
)
def test_an_invalid_attachment_is_refused_at_load(
    media: Project, attach: str, expected: str | None
) -> None:
    messages = media.problems(suite(attach))
    assert len(messages) == 1
    if expected is not None:
        assert messages == [expected.format("scenario 'a', turn 1")]


def test_a_link_cannot_lead_out_of_the_project(media: Project, tmp_path: Path) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(b"secret")
    (media.suites / "link.png").symlink_to(outside)
    (media.suites / "folder").symlink_to(tmp_path)
    for name in ("link.png", "folder/secret.png"):
        assert media.problems(suite(f"{{image: {name}}}")) == [
            f"8:25 scenario 'a', turn 1: '{name}' is outside the project (project)"
        ]


def test_circular_links_are_refused(media: Project) -> None:
    (media.suites / "a.png").symlink_to("b.png")
    (media.suites / "b.png").symlink_to("a.png")
    (messages,) = media.problems(suite("{image: a.png}"))
    assert messages.startswith("8:25 scenario 'a', turn 1: no such file: 'a.png'")


def test_each_file_ending_belongs_to_one_kind_and_is_lower_case() -> None:
    endings = [ending for kind in KINDS for ending in MIME_TYPES[kind]]
    assert len(endings) == len(set(endings))
    assert all(ending == ending.lower() for ending in endings)
    assert all(
        MIME_TYPES[kind][ending].startswith(f"{kind}/")
        for kind in KINDS[:3]
        for ending in MIME_TYPES[kind]
    )


def test_the_media_types_of_the_guide() -> None:
    assert media_type("image", "sample.jpg", {}) == "image/jpeg"
    assert media_type("audio", "https://example.org/sample.mp3", {}) == "audio/mp3"
