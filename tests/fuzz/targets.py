"""What is fuzzed: functions of bytes that must not raise, and the inputs to start from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml as pyyaml

from evalkit._lib.yaml import YamlError, load, load_lines, locate
from evalkit.cassette.fast_reader import read_rendered
from evalkit.cassette.yaml_reader import read_yaml
from evalkit.errors import CassetteError, UsageError
from evalkit.protocol.sse import SseParser, frames, read_events, split_frames
from evalkit.results.result_line import line_digests, parse_head, parse_result, tally_of
from evalkit.server.calls import Call
from evalkit.server.proxy.upstream import Upstream
from evalkit.server.requests.error_response import ErrorResponse
from evalkit.signoff import dsse, ssh
from evalkit.signoff.key_strength import weakness
from evalkit.signoff.problems import InvalidEvidence
from evalkit.signoff.result_evidence import read_results

CORPUS = Path(__file__).parent / "corpus"
_LAYOUT = """\
metadata:
  suite: "weather"
  trial: 1
interactions:
- request:
    method: POST
    uri: https://generativelanguage.googleapis.com/v1beta/interactions
    body: |-
      {"input":"@"}
    headers:
      content-type: [application/json]
  response:
    status: {code: 200, message: OK}
    headers:
      content-type: [text/event-stream]
    body:
      string: |
        data: @

        data: [DONE]
    evalkit: {elapsed_ms: 12.5, event_ms: [1, 2.5]}
version: 1
"""


def sse(data: bytes) -> None:
    """Cut a stream anywhere: the frames are those of the whole stream, and nothing raises."""
    size, stream = (data[0] % 16 + 1, data[1:]) if data else (1, b"")
    parser = SseParser()
    found = []
    for start in range(0, len(stream), size):
        found += parser.feed(stream[start : start + size])
    found += parser.close()
    text = stream.decode("utf-8", "surrogateescape")
    assert found == frames(text)
    assert "".join(split_frames(text)) == text or not split_frames(text)
    read_events(text)


def cassette(data: bytes) -> None:
    """Read a cassette fast and through YAML: both give the same, or the fast reader abstains."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        assert read_rendered(data) is None
        return
    fast = read_rendered(data)
    try:
        slow = read_yaml(text, "c.yaml")
    except CassetteError:
        assert fast is None, "the fast reader accepts what the YAML reader refuses"
        return
    assert fast is None or fast == slow


def cassette_part(data: bytes) -> None:
    """Write bytes into the bodies of a cassette, and read it with both readers."""
    cassette(_LAYOUT.encode().replace(b"@", data))


def result_lines(data: bytes) -> None:
    """Read lines of results: damaged ones are reported, and both parsers agree."""
    for line in read_results(data):
        assert line.damage or line.id
    for row in data.split(b"\n"):
        line_digests(row)
        try:
            text = row.decode("ascii")
            whole = parse_result(text)
        except (ValueError, RecursionError):
            continue
        head: Any = parse_head(text)
        assert set(head) <= set(whole)
        try:
            tally_of(head)
        except (KeyError, TypeError, AttributeError, ValueError):
            continue


def envelope(data: bytes) -> None:
    """Read an envelope: it is refused, or it is spelled exactly as it is written."""
    try:
        found = dsse.parse(data)
    except InvalidEvidence:
        return
    assert dsse.render(found) == data
    try:
        weakness(ssh.read_signature(found.signature))
    except InvalidEvidence:
        return


def signers(data: bytes) -> None:
    """Read a file of allowed signers and an armored signature."""
    with suppress(UsageError):
        ssh.parse_allowed_signers(data.decode("latin-1"), "signers")
    with suppress(InvalidEvidence):
        ssh.read_signature(data)


_UPSTREAM = Upstream("https://upstream.example:8443/prefix", "a-secret-key-of-the-proxy")


def proxy_url(data: bytes) -> None:
    """Forward a request target: it stays below the base URL, on its host."""
    target = "".join(chr(byte) for byte in data if 0x20 < byte < 0x7F)
    try:
        url = httpx.URL(_UPSTREAM.uri(Call("GET", "/", target=target)))
    except (ErrorResponse, httpx.InvalidURL):
        return
    assert (url.scheme, url.host, url.port) == ("https", "upstream.example", 8443)
    assert not url.userinfo
    assert url.raw_path.startswith((b"/prefix/", b"/prefix?")) or url.raw_path == b"/prefix"


def yaml_positions(data: bytes) -> None:
    """Read YAML with positions: they cover every value, and the shape is that of PyYAML."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        value, lines = load_lines(text)
    except YamlError as error:
        if error.line < 1 or error.column < 1:
            raise
        return
    assert repr(load(text)) == repr(value)
    positions = locate(text)
    if value is not None:
        _check_positions(value, lines.of, positions, (), 0)
        try:
            plain = pyyaml.load(text, pyyaml.CBaseLoader)
        except pyyaml.composer.ComposerError as error:
            if "duplicate anchor" not in str(error):  # allowed by YAML 1.2.2, chapter 7.1
                raise
        else:
            assert _shape(value) == _shape(plain)


def _check_positions(value: Any, lines: Any, positions: Any, path: Any, aliased: int) -> None:
    if path not in positions:
        return  # below an alias
    if isinstance(value, dict):
        for key, item in value.items():
            _check_positions(item, lines, positions, (*path, key), aliased)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            place = positions.get((*path, index))
            if place is not None:
                assert place.line == lines(value)[index]
            _check_positions(item, lines, positions, (*path, index), aliased)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    return [_shape(item) for item in value] if isinstance(value, list) else ()


class Target(NamedTuple):
    """A function to fuzz, and inputs to start from."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


_EVENT = b'data: {"event_type":"step.delta","index":0,"delta":{"type":"text","text":"a"}}\n\n'
_RESULT = (
    b'{"schema_version":1,"id":"a","verdict":"passed","checks":[{"name":"text","findings":'
    b'[{"severity":"warn","message":"m"}]}],"metrics":{"tokens":{"total_tokens":3}},"unplayed":[],'
    b'"settings":{},"turns":[]}'
)
_ENVELOPE = dsse.render(dsse.Envelope(b"{}", "SHA256:abc", b"s" * 64))

TARGETS = {
    "sse": Target(
        sse,
        (b"\x03" + _EVENT * 2 + b"data: [DONE]\n\n", b'\x01:c\r\nevent: error\rdata: {"error":{}}'),
    ),
    "cassette": Target(cassette, (_LAYOUT.replace("@", "x").encode(),)),
    "cassette_part": Target(cassette_part, (b"x", b"a\n\n        b", b"\xc2\xa0: -")),
    "result_lines": Target(result_lines, (_RESULT + b"\n",)),
    "envelope": Target(envelope, (_ENVELOPE, _ENVELOPE.replace(b'"', b"'"))),
    "signers": Target(
        signers,
        (
            b'qa@example.com namespaces="evalkit",valid-before="20270101" ssh-ed25519 '
            b"AAAAC3NzaC1lZDI1NTE5AAAAIGn5mGwLHc1DzR1pTHDNQnIgLWyQPDvRBPHrJhUn0TuA c\n",
            b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ==\n-----END SSH SIGNATURE-----\n",
        ),
    ),
    "proxy_url": Target(
        proxy_url, (b"/v1beta/interactions?key=x&alt=sse", b"//other.example/%2e%2e/..", b"@h:1/")
    ),
    "yaml_positions": Target(
        yaml_positions,
        (b"suite: a\nscenarios:\n  - &x {id: 1, turns: [a, 'b']}\n  - *x\n", b"a: |\n  b\n- 1"),
    ),
}


def stored(name: str) -> list[bytes]:
    """Return the inputs of a target that once failed or that a run found worth keeping."""
    folder = CORPUS / name
    return [path.read_bytes() for path in sorted(folder.glob("*"))] if folder.is_dir() else []
