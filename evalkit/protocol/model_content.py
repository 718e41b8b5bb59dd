"""Typed views of content blocks and annotations (protocol section 5). Unknown types are ``UnknownContent`` and ``UnknownAnnotation``.

What the tables of ``steps`` declare is declared here, no more and no less; a test holds the two together. Nothing is decoded: media stay
base64 text, spans stay offsets (``reading.cited`` turns them into words).
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import PlainValidator

from evalkit._lib.json import JSON
from evalkit.protocol.model_base import Count, Items, Object, Text, Typed, an_array

T = TypeVar("T", bound=Typed)


class Annotation(Typed):
    """What all annotations share: a span of UTF-8 bytes of the block's text, end exclusive."""

    start_index: Count | None = None
    end_index: Count | None = None


class UrlCitation(Annotation):
    """A web page that a span rests on. ``url`` may be a redirect of the grounding service, the site then stands in ``title``."""

    url: Text | None = None
    title: Text | None = None


class FileCitation(Annotation):
    """A part of a stored file that a span rests on."""

    document_uri: Text | None = None
    file_name: Text | None = None
    source: Text | None = None
    page_number: Count | None = None
    media_id: Text | None = None
    custom_metadata: Object | None = None


class PlaceCitation(Annotation):
    """A place on the map that a span rests on."""

    name: Text | None = None
    place_id: Text | None = None
    url: Text | None = None
    review_snippets: Items | None = None


class SpeechMetadata(Annotation):
    """Who speaks a span, and how."""

    speaker: Text | None = None
    style: Text | None = None


class WordInfo(Annotation):
    """A transcribed word with its time offsets, as the API spells them."""

    text: Text | None = None
    start_offset: JSON = None
    end_offset: JSON = None
    speaker: Text | None = None


class UnknownAnnotation(Annotation):
    """An annotation of a type that is not known here, or of none."""


ANNOTATION_MODELS: dict[str, type[Annotation]] = {
    "url_citation": UrlCitation,
    "file_citation": FileCitation,
    "place_citation": PlaceCitation,
    "speech_metadata": SpeechMetadata,
    "word_info": WordInfo,
}


def read_annotation(raw: JSON) -> Annotation:
    """Return the typed view of one annotation. Never raises."""
    return choose(raw, ANNOTATION_MODELS, UnknownAnnotation).from_raw(raw)


def _annotations(value: JSON) -> tuple[Annotation, ...]:
    return tuple(map(read_annotation, an_array(value)))


class Content(Typed):
    """A content block."""


class TextContent(Content):
    """Text and what is noted about spans of it."""

    text: Text | None = None
    annotations: Annotated[tuple[Annotation, ...], PlainValidator(_annotations)] = ()


class Media(Content):
    """What all media share: inline base64 ``data`` or a ``uri``, and a MIME type."""

    data: Text | None = None
    uri: Text | None = None
    mime_type: Text | None = None


class ImageContent(Media):
    """A picture."""

    resolution: Text | None = None


class AudioContent(Media):
    """Sound."""

    sample_rate: Count | None = None
    channels: Count | None = None
    processing: JSON = None


class VideoContent(Media):
    """A film."""

    resolution: Text | None = None
    name: Text | None = None
    processing: JSON = None


class DocumentContent(Media):
    """A PDF, a table, an office file."""

    resolution: Text | None = None
    processing: JSON = None


class UnknownContent(Content):
    """A content block of a type that is not known here, or of none."""


CONTENT_MODELS: dict[str, type[Content]] = {
    "text": TextContent,
    "image": ImageContent,
    "audio": AudioContent,
    "video": VideoContent,
    "document": DocumentContent,
}


def read_content(raw: JSON) -> Content:
    """Return the typed view of one content block. Never raises."""
    return choose(raw, CONTENT_MODELS, UnknownContent).from_raw(raw)


def _contents(value: JSON) -> tuple[Content, ...]:
    if isinstance(value, str):
        value = [{"type": "text", "text": value}]
    return tuple(map(read_content, an_array(value)))


def choose(raw: JSON, table: dict[str, type[T]], unknown: type[T]) -> type[T]:
    """Return the model that a table holds for a value's ``type``."""
    kind = raw.get("type") if isinstance(raw, dict) else None
    return table.get(kind, unknown) if isinstance(kind, str) else unknown


Contents = Annotated[tuple[Content, ...], PlainValidator(_contents)]
"""A list of content blocks; a string counts as one text block."""

OneContent = Annotated[Content, PlainValidator(read_content)]
