"""Write and read DSSE envelopes, version 1. Pure.

The specification is protocol.md and envelope.md of secure-systems-lab/dsse. The signature covers
the pre-authentication encoding of type and payload, so nothing is parsed before it is verified:
``PAE = "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload``, with lengths in bytes, in
decimal.

DSSE allows many spellings of one envelope. A record is evidence, so every byte of it counts: an
envelope is accepted only if serializing it again gives the same bytes. No byte can be changed
unnoticed, not even base64 padding or a space.
"""

from __future__ import annotations

import base64
import json
from typing import NamedTuple

from evalkit._lib.json import JSON, canonical

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class EnvelopeError(ValueError):
    """The bytes are not an envelope as evalkit writes it."""


class Envelope(NamedTuple):
    """A payload with one signature. ``keyid``, the key's fingerprint, is only a hint."""

    payload: bytes
    keyid: str
    signature: bytes

    @property
    def signed_bytes(self) -> bytes:
        """The bytes that the signature covers."""
        return pae(PAYLOAD_TYPE, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding ("Signature Definition" in DSSE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def encode_payload(value: JSON) -> bytes:
    """Return a JSON value as bytes: sorted keys, no spaces, ASCII.

    Equal values give equal bytes.
    """
    return canonical(value).encode("ascii")


def render(envelope: Envelope) -> bytes:
    """Return an envelope as one line of JSON."""
    value = {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": envelope.keyid, "sig": base64.b64encode(envelope.signature).decode()}
        ],
    }
    return encode_payload(value) + b"\n"


def parse(line: bytes) -> Envelope:
    """Read an envelope; the payload is decoded but not parsed. Raises EnvelopeError."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError(f"not JSON: {error}") from error
    try:
        (signature,) = value["signatures"]
        payload_type = value["payloadType"]
        envelope = Envelope(
            _decode(value["payload"]), str(signature["keyid"]), _decode(signature["sig"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EnvelopeError(f"not a DSSE envelope with one signature: {error!r}") from error
    if payload_type != PAYLOAD_TYPE:
        raise EnvelopeError(
            f"its payload type is {str(payload_type)[:80]!r} (expected {PAYLOAD_TYPE!r})"
        )
    if render(envelope) != line:
        raise EnvelopeError("not spelled as evalkit writes it: writing it again gives other bytes")
    return envelope


def _decode(text: JSON) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"expected base64 text, got {type(text).__name__}")
    return base64.b64decode(text, validate=True)
