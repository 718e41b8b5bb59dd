"""Between the words of a conversation (Request, Response) and those of a cassette (Recording). Pure.

A response's text is its bytes as UTF-8, what is none kept as lone surrogates (PEP 383): the same text live and in replay, and no byte lost.
"""

from __future__ import annotations

from evalkit.cassette.recording import Recording
from evalkit.cassette.yaml_scalars import to_bytes, to_text
from evalkit.transcript import Request, Response, Source


def body_text(request: Request) -> str | None:
    """Return a request's body as it is sent, None where none is."""
    from evalkit.cassette.bodies import request_text  # here, because replay sends nothing

    return None if request.body is None else request_text(request.body)


def _phrase(status: int) -> str:
    from http import HTTPStatus  # here, because only what is recorded needs it

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def recording_of(request: Request, uri: str, response: Response) -> Recording:
    """Return the recording of an exchange, before redaction."""
    text = body_text(request)
    return Recording(
        method=request.method,
        uri=uri,
        request_body=text
        or "",  # as vcrpy's stub of httpx has it: matched by body, its None would be another request
        request_headers={} if text is None else {"content-type": ["application/json"]},
        status=response.status,
        reason=_phrase(response.status),
        response_headers={name: [value] for name, value in response.headers.items()},
        body=response.text if _is_text(response.text) else to_bytes(response.text),
        elapsed_ms=response.elapsed_ms,
        event_ms=response.event_ms,
        broken=response.broken,
    )


def response_of(recording: Recording, source: Source) -> Response:
    """Return the response that a recording holds."""
    body = recording.body
    return Response(
        recording.status,
        {
            name.lower(): values[0] if len(values) == 1 else ", ".join(values)
            for name, values in recording.response_headers.items()
        },
        body if type(body) is str else to_text(body),
        recording.elapsed_ms,
        recording.event_ms,
        recording.broken,
        source,
    )


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
