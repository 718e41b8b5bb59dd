"""vcrpy's cassette format, version 1: text to recordings and back. Pure; where the text comes from is the store's business.

Written so that people can review it and every reader of the format loads it: JSON bodies as indented JSON in a literal block,
server-sent events as they came, one flow mapping for what only evalkit knows. ``version: 1`` stands last, as in vcrpy's own files: a
file that was cut off has lost it, and is refused instead of replayed in part.

    metadata:                        optional, vcrpy's own place for it
      evalkit: "0.1.0"
    interactions:
    - request:                       vcrpy hands these keys to Request(**keys): no further one may stand here
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

Two readers: ``quick`` reads what ``render`` writes and nothing else, ``reader`` whatever vcrpy and pytest-recording have written: nested
header lists, ``!!binary``, anchors, ``string:`` bodies or bare ones, the older ``status_code``/``content`` layout of its httpx stub.
"""

from __future__ import annotations

from collections.abc import Callable

from evalkit.cassette import fast_reader, yaml_scalars
from evalkit.cassette.bodies import indent_json
from evalkit.cassette.recording import Cassette, Headers, Recording

__all__ = ["VERSION", "Cassette", "Recording", "parse", "render"]

VERSION = 1


def parse(text: str, name: str) -> Cassette:
    """Read a cassette. ``name`` is the file's name as messages show it.

    Raises CassetteError, which starts with ``name:line``: not YAML, cut off, of another version, a key missing or of a wrong type.
    """
    found = fast_reader.read_rendered(text.encode("utf-8", "surrogatepass"))
    if found is not None:
        return found
    from evalkit.cassette import yaml_reader

    return yaml_reader.read_yaml(text, name)


def render(cassette: Cassette) -> str:
    """Write a cassette; the same recordings give the same text, and ``parse`` gives them back (white space in JSON aside)."""
    out: list[str] = []
    if cassette.metadata:
        out.append("metadata:\n")
        out += [
            f"  {yaml_scalars.short(key)}: {yaml_scalars.flow(value)}\n"
            for key, value in cassette.metadata.items()
        ]
    out.append("interactions:\n" if cassette.recordings else "interactions: []\n")
    for recording in cassette.recordings:
        _render(recording, out.append)
    out.append(f"version: {VERSION}\n")
    return "".join(out)


def _render(recording: Recording, write: Callable[[str], None]) -> None:
    body = recording.request_body
    write(
        f"- request:\n    method: {yaml_scalars.short(recording.method)}\n    uri: {yaml_scalars.uri(recording.uri)}\n    body:"
    )
    write(" null\n" if body is None else yaml_scalars.block(_reviewable(body), 6))
    write(_headers(recording.request_headers))
    write(
        f"  response:\n    status: {{code: {recording.status}, message: {yaml_scalars.short(recording.reason)}}}\n"
    )
    write(_headers(recording.response_headers))
    write(f"    body:\n      string:{yaml_scalars.block(_reviewable(recording.body), 8)}")
    for key, value in recording.extra.items():
        write(f"    {yaml_scalars.short(key)}: {yaml_scalars.flow(value)}\n")
    known = []
    if recording.elapsed_ms is not None:
        known.append(f"elapsed_ms: {_number(recording.elapsed_ms)}")
    if recording.event_ms:
        known.append(f"event_ms: [{', '.join(map(_number, recording.event_ms))}]")
    if recording.broken is not None:
        known.append(f"broken: {yaml_scalars.quoted(recording.broken)}")
    write(f"    evalkit: {{{', '.join(known)}}}\n")


def _reviewable(body: str | bytes) -> str | bytes:
    if not isinstance(body, str):
        return body
    text = indent_json(body)
    return text + "\n" if text != body and text[:1] in "{[" else text


def _headers(headers: Headers) -> str:
    if not headers:
        return "    headers: {}\n"
    lines = (
        f"      {yaml_scalars.short(name)}: [{', '.join(map(yaml_scalars.short, values))}]\n"
        for name, values in headers.items()
    )
    return "    headers:\n" + "".join(lines)


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
