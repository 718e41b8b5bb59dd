"""Conversion between requests and responses and the recordings of a cassette. No IO.

The text of a response is its bytes as UTF-8, with invalid bytes as lone surrogates (PEP 383): it is
the same live and replayed, and no byte is lost.
"""

from http import HTTPStatus

from evalkit.cassette.bodies import request_text, to_bytes, to_text
from evalkit.cassette.headers import body_headers
from evalkit.cassette.recording import Recording
from evalkit.transcript import Request, Response, Source

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def body_text(request: Request) -> str | None:
    """Return a request's body as it is sent, None if it does not have one."""
    return None if request.body is None else request_text(request.body)


def recording_of(request: Request, uri: str, response: Response) -> Recording:
    """Return the recording of an exchange, before redaction."""
    text = body_text(request)
    try:
        response.text.encode()
        body: str | bytes = response.text
    except UnicodeEncodeError:
        body = to_bytes(response.text)
    return Recording(
        method=request.method,
        uri=uri,
        # vcrpy's stub of httpx writes "" for no body; with None its body matcher finds no match.
        request_body=text or "",
        request_headers={} if text is None else {"content-type": ["application/json"]},
        status=response.status,
        reason=_PHRASES.get(response.status, ""),
        response_headers=body_headers(
            request.method, {name.lower(): [value] for name, value in response.headers.items()}
        ),
        body=body,
        elapsed_ms=response.elapsed_ms,
        event_ms=response.event_ms,
        broken=response.broken,
    )


def response_of(recording: Recording, source: Source) -> Response:
    """Return the response of a recording."""
    body = recording.body
    return Response(
        status=recording.status,
        headers={
            name.lower(): ", ".join(values) for name, values in recording.response_headers.items()
        },
        text=body if isinstance(body, str) else to_text(body),
        elapsed_ms=recording.elapsed_ms,
        event_ms=recording.event_ms,
        broken=recording.broken,
        source=source,
    )
