"""Read a response into its Exchange. Never raises, whatever the service sent.

| response | fields set |
|---|---|
| status 0, as logs have it | ``failure`` |
| any other status outside 2xx | ``error`` (docs/protocol.md section 7, both bodies, HTML too) |
| JSON Interaction | ``interaction``, the value as received |
| JSON ``{"error": …}`` with 2xx, also in a list | ``error`` |
| SSE, whole | ``events``, ``interaction`` as assembled, ``problems`` |
| SSE that an ``error`` event ended | the same, and ``error`` |
| SSE that ends before ``interaction.completed`` | the same with what arrived, and ``failure`` |
| anything else with 2xx | ``failure`` |

JSON for a streamed request, and a stream for any other, are read all the same and noted in
``problems`` (``not_streamed``, ``streamed_unasked``, both with event 0: the response as a whole).
"""

from collections.abc import Mapping
from json import JSONDecodeError

from evalkit._lib.json import JSON, json_type
from evalkit._lib.text import plural, shorten, show
from evalkit.protocol.api_errors import error_of, find_error
from evalkit.protocol.error_bodies import read_error
from evalkit.protocol.received_json import read_received
from evalkit.protocol.sse import read_events
from evalkit.protocol.stream_assembler import assemble
from evalkit.transcript import Exchange, Response

_IDENTITY = ("id", "object", "model", "agent")
"""What an Interaction without steps has one of; with ``store: false`` it has no id."""


def read_response(exchange: Exchange, response: Response) -> None:
    """Fill ``exchange`` from its response."""
    exchange.response = response
    if not response.status:
        exchange.failure = response.broken or "there is no response"
    elif not 200 <= response.status < 300:
        exchange.error = read_error(response.status, response.text)
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
    content_type = response.headers.get("content-type", "no content type")
    try:
        body = read_received(response.text)
    except (ValueError, RecursionError) as error:
        if response.broken:
            exchange.failure = f"the response broke off: {response.broken}"
        elif not response.text.strip():
            exchange.failure = f"HTTP {response.status} with an empty body"
        else:
            is_json = not isinstance(error, JSONDecodeError | RecursionError)
            problem = "cannot be read exactly" if is_json else "is not JSON"
            exchange.failure = (
                f"HTTP {response.status} with a body that {problem} ({content_type}; {error}): "
                f"{shorten(response.text)}"
            )
        return
    if exchange.request.streamed:
        message = f"expected a stream, got {content_type}"
        exchange.problems.append({"code": "not_streamed", "message": message, "event": 0})
    found = find_error(body)
    if found and found["error"] and not found.keys() & {"status", "steps", "id"}:
        exchange.error = error_of(response.status, body)
    else:
        _set_interaction(exchange, body)


def _read_stream(exchange: Exchange, response: Response) -> None:
    if not exchange.request.streamed:
        message = "expected JSON, got a stream"
        exchange.problems.append({"code": "streamed_unasked", "message": message, "event": 0})
    read = read_events(response.text)
    exchange.events = read.events
    assembled = assemble(read.events, garbage=read.garbage)
    exchange.problems += [problem.to_json() for problem in assembled.problems]
    if assembled.interaction is not None:
        _set_interaction(exchange, assembled.interaction)
    if assembled.error is not None:
        exchange.error = error_of(response.status, assembled.error)
    elif not assembled.complete and exchange.failure is None:
        reason = response.broken or "it ended without interaction.completed"
        count = plural(len(read.events), "event")
        exchange.failure = f"the stream broke off after {count}: {reason}"


def _set_interaction(exchange: Exchange, body: JSON) -> None:
    """Store an Interaction, unless its steps cannot be read or re-sent."""
    request = exchange.request
    reads = request.method == "GET" and "/interactions/" in request.path
    difference = ""
    if not isinstance(body, dict):
        difference = f" but JSON {json_type(body)}"
    elif request.creates_interaction or reads:
        difference = _difference(body)
    if difference:
        text = shorten(exchange.response.text if exchange.response else "")
        exchange.failure = f"the response is not an Interaction{difference}: {text}"
        return
    steps = body.get("steps")
    if steps is not None and not isinstance(steps, list):
        exchange.failure = f"the response's steps are not a list but {json_type(steps)}"
        return
    for number, step in enumerate(steps or (), 1):
        if not isinstance(step, dict):
            kind = json_type(step)
            exchange.failure = f"step {number} of the response is not an object but {kind}"
            return
    exchange.interaction = body


def _difference(body: Mapping[str, JSON]) -> str:
    """Return what an Interaction has and ``body`` has not, ``""`` if nothing is missing.

    Gateways, and APIs of others, respond with a ``status`` of their own.
    """
    if body.get("object") not in (None, "interaction"):
        return f", its object is {show(body['object'])}"
    if "steps" in body:
        return ""
    if not isinstance(body.get("status"), str):
        return ", it has no status"
    return ", it has neither id nor steps" if body.keys().isdisjoint(_IDENTITY) else ""
