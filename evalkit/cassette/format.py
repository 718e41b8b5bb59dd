"""vcrpy's cassette format, version 1: text to recordings and back. Pure.

The text can be reviewed by people and loaded by every reader of the format: JSON bodies are
indented in a literal block, server-sent events are unchanged, and what only evalkit knows is one
flow mapping. ``version: 1`` comes last, as in vcrpy's own files: a truncated file has lost it, and
is refused instead of replayed in part.

    metadata:                        optional; vcrpy defines this key
      evalkit: "0.1.0"
    interactions:
    - request:                       vcrpy calls Request(**keys), so no other key is allowed here
        method: POST
        uri: https://generativelanguage.googleapis.com/v1beta/interactions
        body: |
          {"model": "gemini-3.5-flash", …}
        headers:
          content-type: [application/json]
      response:
        status: {code: 200, message: OK}
        headers:
          content-type: [application/json]
        body:
          string: |
            {"id": "v1_abc", …}
        evalkit: {elapsed_ms: 812.4, event_ms: [390.1, 401.7], broken: "…"}
    version: 1

There are two readers: ``fast_reader`` reads only what ``render`` writes; ``yaml_reader`` reads all
that vcrpy and pytest-recording write: nested header lists, ``!!binary``, anchors, bodies with and
without ``string:``, and the ``status_code`` and ``content`` of vcrpy's older httpx stub.
"""

from evalkit.cassette import yaml_scalars
from evalkit.cassette.bodies import indent_json
from evalkit.cassette.fast_reader import read_rendered
from evalkit.cassette.recording import VERSION, Cassette, Headers, Recording
from evalkit.cassette.yaml_reader import read_yaml


def parse(text: str, name: str) -> Cassette:
    """Read a cassette; ``name`` is the file's name in messages.

    Raises CassetteError, which starts with ``name:line``: invalid YAML, a truncated file, another
    version, a missing key or one of a wrong type.
    """
    cassette = read_rendered(text.encode("utf-8", "surrogatepass"))
    return cassette if cassette is not None else read_yaml(text, name)


def render(cassette: Cassette) -> str:
    """Return the text of a cassette; ``parse`` restores it, except for white space in JSON."""
    parts: list[str] = []
    if cassette.metadata:
        parts.append("metadata:\n")
        for key, value in cassette.metadata.items():
            parts.append(f"  {yaml_scalars.short(key)}: {yaml_scalars.flow(value)}\n")
    parts.append("interactions:\n" if cassette.recordings else "interactions: []\n")
    parts += map(_render_recording, cassette.recordings)
    parts.append(f"version: {VERSION}\n")
    return "".join(parts)


def _render_recording(recording: Recording) -> str:
    body = recording.request_body
    request_body = " null\n" if body is None else yaml_scalars.block(_indent(body), 6)
    response_body = yaml_scalars.block(_indent(recording.body), 8)
    reason = yaml_scalars.short(recording.reason)
    extra = "".join(
        f"    {yaml_scalars.short(key)}: {yaml_scalars.flow(value)}\n"
        for key, value in recording.extra.items()
    )
    details = []
    if recording.elapsed_ms is not None:
        details.append(f"elapsed_ms: {_number(recording.elapsed_ms)}")
    if recording.event_ms:
        details.append(f"event_ms: [{', '.join(map(_number, recording.event_ms))}]")
    if recording.broken is not None:
        details.append(f"broken: {yaml_scalars.quoted(recording.broken)}")
    return (
        "- request:\n"
        f"    method: {yaml_scalars.short(recording.method)}\n"
        f"    uri: {yaml_scalars.uri(recording.uri)}\n"
        f"    body:{request_body}"
        f"{_render_headers(recording.request_headers)}"
        "  response:\n"
        f"    status: {{code: {recording.status}, message: {reason}}}\n"
        f"{_render_headers(recording.response_headers)}"
        "    body:\n"
        f"      string:{response_body}"
        f"{extra}"
        f"    evalkit: {{{', '.join(details)}}}\n"
    )


def _indent(body: str | bytes) -> str | bytes:
    if isinstance(body, bytes):
        return body
    text = indent_json(body)
    return text + "\n" if text != body and text[:1] in "{[" else text


def _render_headers(headers: Headers) -> str:
    if not headers:
        return "    headers: {}\n"
    lines = ["    headers:\n"]
    for name, values in headers.items():
        scalars = ", ".join(map(yaml_scalars.short, values))
        lines.append(f"      {yaml_scalars.short(name)}: [{scalars}]\n")
    return "".join(lines)


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
