"""Reading one answer: a Response becomes what its Exchange knows about it. Never raises, whatever the service sent.

| the answer | what is set |
|---|---|
| status outside 2xx | ``error`` (protocol section 7, both body shapes, HTML too) |
| JSON Interaction | ``interaction``, the very value received |
| JSON ``{"error": …}`` with 2xx | ``error`` |
| SSE, whole | ``events``, ``interaction`` as assembled, ``problems`` |
| SSE with an ``error`` event | the same, and ``error`` |
| SSE that ends before ``interaction.completed`` | the same with what had come, and ``failure`` |
| anything else with 2xx | ``failure`` |

An answer of the other kind than was asked for (JSON for a stream, a stream for JSON) is read all the same and noted in ``problems``
(``not_streamed``, ``streamed_unasked``, both with event 0: the answer as a whole). What follows from an error or a failure is the engine's
business.
"""

from __future__ import annotations

from typing import Any

from evalkit._lib.fast_json import loads
from evalkit._lib.json import JSON, json_type
from evalkit._lib.text import plural, shorten
from evalkit.protocol.api_errors import ApiErrorData, error_of, read_error
from evalkit.transcript import ApiError, Exchange, Response


def read_response(exchange: Exchange, response: Response) -> None:
    """Fill ``exchange`` from its response."""
    exchange.response = response
    if not 200 <= response.status < 300:
        exchange.error = _api_error(read_error(response.status, response.text))
    elif response.is_stream or _looks_streamed(exchange, response):
        _read_stream(exchange, response)
    else:
        _read_json(exchange, response)


def _looks_streamed(exchange: Exchange, response: Response) -> bool:
    return (
        "content-type" not in response.headers
        and exchange.request.streamed
        and not response.text.lstrip().startswith(("{", "<"))
    )


def _read_json(exchange: Exchange, response: Response) -> None:
    try:
        body = loads(response.text)
    except (ValueError, RecursionError) as error:
        exchange.failure = _not_json(response, error)
        return
    if exchange.request.streamed:
        _note(
            exchange,
            "not_streamed",
            f"a stream was asked for, {response.headers.get('content-type', 'JSON')} came",
        )
    if isinstance(body, dict) and body.get("error") and not body.keys() & {"status", "steps", "id"}:
        exchange.error = _api_error(error_of(response.status, body))
    else:
        _take(exchange, body)


def _read_stream(exchange: Exchange, response: Response) -> None:
    # Here, because most sessions ask for no stream.
    from evalkit.protocol.sse import read_events
    from evalkit.protocol.stream_assembler import assemble

    if not exchange.request.streamed:
        _note(exchange, "streamed_unasked", "JSON was asked for, a stream came")
    read = read_events(response.text)
    exchange.events = read.events
    assembled = assemble(read.events, garbage=read.garbage)
    exchange.problems += [problem.to_json() for problem in assembled.problems]
    if assembled.interaction is not None:
        _take(exchange, assembled.interaction)
    if assembled.error is not None:
        exchange.error = _api_error(error_of(response.status, assembled.error))
    elif not assembled.complete and exchange.failure is None:
        ended = response.broken or "it ended without interaction.completed"
        exchange.failure = (
            f"the stream broke off after {plural(len(read.events), 'event')}: {ended}"
        )


def _take(exchange: Exchange, body: JSON) -> None:
    """Take a JSON value for an Interaction, unless its steps could not be read or re-sent."""
    if not isinstance(body, dict):
        text = exchange.response.text if exchange.response else ""
        exchange.failure = (
            f"the answer is not an Interaction but JSON {json_type(body)}: {shorten(text)}"
        )
        return
    steps = body.get("steps")
    if steps is not None and not isinstance(steps, list):
        exchange.failure = f"the answer's steps are not a list but {json_type(steps)}"
        return
    for number, step in enumerate(steps or (), 1):
        if not isinstance(step, dict):
            exchange.failure = f"step {number} of the answer is not an object but {json_type(step)}"
            return
    exchange.interaction = body


def _not_json(response: Response, error: Exception) -> str:
    if response.broken:
        return f"the answer broke off: {response.broken}"
    if not response.text.strip():
        return f"HTTP {response.status} with an empty body"
    what = response.headers.get("content-type", "no content type")
    return f"HTTP {response.status} with a body that is not JSON ({what}; {error}): {shorten(response.text)}"


def _api_error(found: ApiErrorData) -> ApiError:
    return ApiError(found.status, found.code, found.message, found.body)


def _note(exchange: Exchange, code: str, message: str) -> None:
    problem: dict[str, Any] = {"code": code, "message": message, "event": 0}
    exchange.problems.append(problem)
