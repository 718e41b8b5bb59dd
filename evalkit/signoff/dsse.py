"""DSSE envelopes, version 1, in one spelling (secure-systems-lab/dsse, protocol.md and envelope.md). Pure.

What is signed is not JSON but the pre-authentication encoding of type and payload, so that nothing has to be parsed before a signature is
checked: ``PAE = "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload``, lengths in bytes, in decimal.

DSSE lets readers accept many spellings of one envelope. A record is evidence, and every byte of it is to count: here an envelope is read
only if writing it again gives the same bytes. So no byte can be changed without being seen, padding of base64 and spaces included.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NamedTuple

from evalkit._lib.json import canonical

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class EnvelopeError(ValueError):
    """Bytes are no envelope in the one spelling."""


class Envelope(NamedTuple):
    """A payload and its one signature. ``keyid`` is a hint (the key's fingerprint); who signed is found out from the signature."""

    payload: bytes
    keyid: str
    signature: bytes
    payload_type: str = PAYLOAD_TYPE

    @property
    def signed(self) -> bytes:
        """The bytes the signature is of."""
        return pae(self.payload_type, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding (DSSE protocol.md, "Signature Definition")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def encode_payload(value: Any) -> bytes:
    """Return a JSON value as the bytes to sign: keys sorted, no spaces, ASCII. Equal values give equal bytes."""
    return canonical(value).encode("ascii")


def render(envelope: Envelope) -> bytes:
    """Return an envelope as one line of JSON with its newline."""
    value = {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": envelope.payload_type,
        "signatures": [
            {"keyid": envelope.keyid, "sig": base64.b64encode(envelope.signature).decode()}
        ],
    }
    return encode_payload(value) + b"\n"


def parse(line: bytes) -> Envelope:
    """Read an envelope; the payload is decoded and not looked into. Raises EnvelopeError saying what is wrong."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError(f"it is not JSON: {error}") from error
    try:
        payload, kind, (signature,) = value["payload"], value["payloadType"], value["signatures"]
        envelope = Envelope(
            _bytes(payload), str(signature["keyid"]), _bytes(signature["sig"]), str(kind)
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise EnvelopeError(f"it is no DSSE envelope with one signature: {error!r}") from error
    if kind != PAYLOAD_TYPE:
        raise EnvelopeError(f"its payload type is {str(kind)[:80]!r}, expected {PAYLOAD_TYPE!r}")
    if render(envelope) != line:
        raise EnvelopeError(
            "it is not spelled as evalkit spells it: writing it again gives other bytes"
        )
    return envelope


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"expected base64 text, found {type(text).__name__}")
    return base64.b64decode(text, validate=True)
