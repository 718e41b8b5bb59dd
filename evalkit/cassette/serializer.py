"""evalkit's cassette files for users of plain vcrpy: reviewable bodies, and media in files.

    my_vcr.register_serializer("evalkit", evalkit.cassette.vcr_serializer("cassettes"))
    my_vcr.use_cassette("cassettes/weather.yaml", serializer="evalkit")

All that vcrpy passes on is stored: every header except credentials, every key of the response. The
keys in ``GEMINI_API_KEY`` and ``GOOGLE_API_KEY`` are redacted, and a file that would still have one
is not written (SecretLeak).
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from evalkit.cassette.bodies import to_bytes
from evalkit.cassette.files import FOLDER, MediaFolder
from evalkit.cassette.format import parse, render
from evalkit.cassette.recording import VERSION, Cassette, Headers, Recording
from evalkit.cassette.redaction import Redactor
from evalkit.protocol.wire_facts import API_KEY_VARIABLES, COOKIE_HEADERS, CREDENTIAL_HEADERS

_RESPONSE_KEYS = frozenset(("status", "headers", "body", "evalkit"))


def for_pytest_recording(vcr: Any) -> None:
    """Let pytest-recording read cassettes with metadata; for ``pytest_recording_configure``.

    Its persister (0.14) expects a pair of requests and responses, and vcrpy 9 adds the metadata as
    a third item. What pytest-recording writes stays vcrpy's own.
    """
    # slow to import
    from vcr.serializers import yamlserializer

    def deserialize(text: str) -> dict[str, Any]:
        cassette: dict[str, Any] = yamlserializer.deserialize(text)
        cassette.pop("metadata", None)
        return cassette

    serializer = SimpleNamespace(serialize=yamlserializer.serialize, deserialize=deserialize)
    vcr.register_serializer("yaml", serializer)


def vcr_serializer(
    cassettes: str | Path, *, secrets: Iterable[str] | None = None
) -> "VcrSerializer":
    """Return a serializer for ``vcr.VCR.register_serializer``.

    Media go to ``_media`` in the folder ``cassettes``. ``secrets`` are redacted, by default the
    keys in the environment when a cassette is written.
    """
    return VcrSerializer(Path(cassettes) / FOLDER, None if secrets is None else tuple(secrets))


@dataclass
class VcrSerializer:
    """vcrpy's serializer protocol: ``serialize(dict) -> str`` and ``deserialize(str) -> dict``."""

    _media: Path
    _secrets: tuple[str, ...] | None = field(repr=False)

    def serialize(self, cassette_dict: Mapping[str, Any]) -> str:
        """Return the text of a cassette. Raises SecretLeak, and UsageError for media."""
        secrets = self._secrets
        if secrets is None:
            secrets = tuple(filter(None, map(os.environ.get, API_KEY_VARIABLES)))
        redactor = Redactor(secrets)
        received = [_to_recording(item) for item in cassette_dict["interactions"]]
        for recording in received:
            redactor = redactor.with_secrets_in(recording)
        media = MediaFolder(self._media, redactor.guard)
        recordings = [media.extract(_redacted(recording, redactor)) for recording in received]
        text = render(Cassette(recordings, dict(cassette_dict.get("metadata") or {})))
        redactor.guard(text, "cassette")
        return text

    def deserialize(self, cassette_string: str) -> dict[str, Any]:
        """Return the cassette in vcrpy's form. Raises CassetteError."""
        cassette = parse(cassette_string, "cassette")
        media = MediaFolder(self._media)
        interactions = [_to_item(media.restore(recording)) for recording in cassette.recordings]
        result: dict[str, Any] = {"interactions": interactions, "version": VERSION}
        if cassette.metadata:
            result["metadata"] = cassette.metadata
        return result


def vcr_response(recording: Recording) -> dict[str, Any]:
    """Return the response of a recording in the form of vcrpy's stubs."""
    body = recording.body if isinstance(recording.body, bytes) else to_bytes(recording.body)
    response: dict[str, Any] = {
        "status": {"code": recording.status, "message": recording.reason},
        "headers": recording.response_headers,
        "body": {"string": body},
        **recording.extra,
    }
    details = {
        "elapsed_ms": recording.elapsed_ms,
        "event_ms": list(recording.event_ms) or None,
        "json": recording.json_style or None,
        "broken": recording.broken,
    }
    if details := {key: value for key, value in details.items() if value is not None}:
        response["evalkit"] = details
    return response


def _to_recording(item: Mapping[str, Any]) -> Recording:
    request, response = item["request"], item["response"]
    body = response["body"]
    details = response.get("evalkit") or {}
    return Recording(
        method=request["method"],
        uri=request["uri"],
        request_body=request["body"],
        request_headers=_value_lists(request["headers"]),
        status=response["status"]["code"],
        reason=response["status"].get("message") or "",
        response_headers=_value_lists(response["headers"]),
        body=(body.get("string") if isinstance(body, Mapping) else body) or "",
        elapsed_ms=details.get("elapsed_ms"),
        event_ms=tuple(details.get("event_ms", ())),
        json_style=details.get("json", ""),
        broken=details.get("broken"),
        extra={key: value for key, value in response.items() if key not in _RESPONSE_KEYS},
    )


def _to_item(recording: Recording) -> dict[str, Any]:
    request = {
        "method": recording.method,
        "uri": recording.uri,
        "body": recording.request_body,
        "headers": recording.request_headers,
    }
    return {"request": request, "response": vcr_response(recording)}


def _redacted(recording: Recording, redactor: Redactor) -> Recording:
    redacted, _ = redactor.recording(recording)
    response_headers = recording.response_headers
    # A JSON body gets new white space, and clients believe a recorded length.
    if isinstance(redacted.body, str):
        response_headers = _without(response_headers, {"content-length"})
    elif redacted.body != recording.body:
        # The body of a compressed response that has a secret is stored decompressed.
        response_headers = _without(response_headers, {"content-length", "content-encoding"})
    request_headers = recording.request_headers
    if redacted.request_body != recording.request_body:
        request_headers = _without(request_headers, {"content-length", "content-encoding"})
    return replace(
        redacted,
        request_headers=_without_credentials(request_headers, redactor),
        response_headers=_without_credentials(response_headers, redactor),
    )


def _without(headers: Headers, names: set[str]) -> Headers:
    return {name: values for name, values in headers.items() if name.lower() not in names}


def _without_credentials(headers: Headers, redactor: Redactor) -> Headers:
    return {
        name: [redactor.header(name, value) for value in values]
        for name, values in headers.items()
        if name.lower() not in CREDENTIAL_HEADERS | COOKIE_HEADERS
    }


def _value_lists(headers: Mapping[str, Any]) -> Headers:
    return {
        name: [str(value) for value in (values if isinstance(values, list | tuple) else [values])]
        for name, values in headers.items()
    }
