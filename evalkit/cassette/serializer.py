"""evalkit's cassette files for users of plain vcrpy: reviewable bodies and media in files, without evalkit's transports.

    my_vcr.register_serializer("evalkit", evalkit.cassette.vcr_serializer("cassettes"))
    my_vcr.use_cassette("cassettes/weather.yaml", serializer="evalkit")

What vcrpy hands over is kept: every header but those that carry credentials, every key of the response. Keys that stand in
``GEMINI_API_KEY`` or ``GOOGLE_API_KEY`` are redacted, and a file that would still hold one is not written (SecretLeak).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.cassette.format import VERSION, parse, render
from evalkit.cassette.media import FOLDER, MediaFolder
from evalkit.cassette.recording import Cassette, Headers, Recording
from evalkit.cassette.redaction import Redactor
from evalkit.cassette.yaml_scalars import to_bytes
from evalkit.protocol.wire_facts import API_KEY_VARIABLES, COOKIE_HEADERS, CREDENTIAL_HEADERS

_STANDARD = frozenset(("status", "headers", "body", "evalkit"))


def for_pytest_recording(vcr: Any) -> None:
    """Let pytest-recording read cassettes that have metadata: call this from its hook ``pytest_recording_configure(config, vcr)``.

    Its persister (0.14) takes what it reads for a pair of requests and responses; vcrpy 9 makes a third part of the metadata, and no such
    cassette can be read. What pytest-recording writes stays vcrpy's own.
    """
    vcr.register_serializer("yaml", _WithoutMetadata)


class _WithoutMetadata:
    @staticmethod
    def serialize(cassette_dict: Mapping[str, Any]) -> str:
        from vcr.serializers import yamlserializer

        return str(yamlserializer.serialize(cassette_dict))

    @staticmethod
    def deserialize(cassette_string: str) -> dict[str, Any]:
        from vcr.serializers import yamlserializer

        found: dict[str, Any] = yamlserializer.deserialize(cassette_string)
        found.pop("metadata", None)
        return found


def vcr_serializer(cassettes: str | Path, *, secrets: Iterable[str] | None = None) -> VcrSerializer:
    """Return a serializer for ``vcr.VCR.register_serializer``; media go to ``_media`` in the folder ``cassettes``.

    ``secrets`` are redacted; by default the keys found in the environment when a cassette is written.
    """
    return VcrSerializer(Path(cassettes) / FOLDER, None if secrets is None else tuple(secrets))


class VcrSerializer:
    """vcrpy's serializer protocol: ``serialize(dict) -> str`` and ``deserialize(str) -> dict``."""

    def __init__(self, media: Path, secrets: tuple[str, ...] | None) -> None:
        self._media = media
        self._secrets = secrets

    def __repr__(self) -> str:
        return f"VcrSerializer({self._media})"

    def serialize(self, cassette_dict: Mapping[str, Any]) -> str:
        """Return the text of a cassette. Raises SecretLeak, and UsageError where media cannot be written."""
        secrets = (
            self._secrets
            if self._secrets is not None
            else [value for name in API_KEY_VARIABLES if (value := os.environ.get(name))]
        )
        redactor = Redactor(secrets)
        media = MediaFolder(self._media, redactor.guard)
        recordings = [
            media.move_out(_redacted(_recording(item), redactor))
            for item in cassette_dict["interactions"]
        ]
        text = render(Cassette(recordings, dict(cassette_dict.get("metadata") or {})))
        redactor.guard(text, "cassette")
        return text

    def deserialize(self, cassette_string: str) -> dict[str, Any]:
        """Return the cassette as vcrpy wants it. Raises CassetteError."""
        cassette = parse(cassette_string, "cassette")
        media = MediaFolder(self._media)
        found: dict[str, Any] = {
            "interactions": [
                _item(media.bring_back(recording)) for recording in cassette.recordings
            ],
            "version": VERSION,
        }
        if cassette.metadata:
            found["metadata"] = cassette.metadata
        return found


def _recording(item: Mapping[str, Any]) -> Recording:
    request, response = item["request"], item["response"]
    body = response["body"]
    known = response.get("evalkit") or {}
    return Recording(
        method=request["method"],
        uri=request["uri"],
        request_body=request["body"],
        request_headers=_lists(request["headers"]),
        status=response["status"]["code"],
        reason=response["status"].get("message") or "",
        response_headers=_lists(response["headers"]),
        body=(body.get("string") if isinstance(body, Mapping) else body) or "",
        elapsed_ms=known.get("elapsed_ms"),
        event_ms=tuple(known.get("event_ms", ())),
        broken=known.get("broken"),
        extra={key: value for key, value in response.items() if key not in _STANDARD},
    )


def _redacted(recording: Recording, redactor: Redactor) -> Recording:
    clean, _ = redactor.recording(recording)
    return replace(
        clean,
        request_headers=_without_credentials(recording.request_headers, redactor),
        response_headers=_without_credentials(
            _true_length(recording.response_headers, recording.body, clean.body), redactor
        ),
    )


def _true_length(headers: Headers, before: str | bytes, after: str | bytes) -> Headers:
    # The text of a JSON body gets new white space, so a recorded length would be wrong, and clients believe it.
    changes = isinstance(after, str) or before != after
    return {
        name: values
        for name, values in headers.items()
        if not (changes and name.lower() == "content-length")
    }


def _without_credentials(headers: Headers, redactor: Redactor) -> Headers:
    return {
        name: [redactor.text(value)[0] for value in values]
        for name, values in headers.items()
        if name.lower() not in CREDENTIAL_HEADERS | COOKIE_HEADERS
    }


def _lists(headers: Mapping[str, Any]) -> Headers:
    return {
        name: [str(value) for value in (values if isinstance(values, list | tuple) else [values])]
        for name, values in headers.items()
    }


def _item(recording: Recording) -> dict[str, Any]:
    request = {
        "method": recording.method, "uri": recording.uri, "body": recording.request_body, "headers": recording.request_headers,
    }  # fmt: skip
    return {"request": request, "response": vcr_response(recording)}


def vcr_response(recording: Recording) -> dict[str, Any]:
    """Return the response of a recording as vcrpy's stubs of HTTP clients take it."""
    body = recording.body if isinstance(recording.body, bytes) else to_bytes(recording.body)
    response: dict[str, Any] = {
        "status": {"code": recording.status, "message": recording.reason},
        "headers": recording.response_headers,
        "body": {"string": body},
        **recording.extra,
    }
    known = {
        "elapsed_ms": recording.elapsed_ms,
        "event_ms": list(recording.event_ms),
        "broken": recording.broken,
    }
    if known := {key: value for key, value in known.items() if value not in (None, [])}:
        response["evalkit"] = known
    return response
