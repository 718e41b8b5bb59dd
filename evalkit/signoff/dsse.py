"""Write, read, sign and check DSSE envelopes, version 1.

The specification is protocol.md and envelope.md of secure-systems-lab/dsse. The signature covers
the pre-authentication encoding of type and payload, so nothing is parsed before it is verified:
``PAE = "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload``, with lengths in bytes, in
decimal.

DSSE allows many spellings of one envelope. A record is evidence, so every byte of it counts: an
envelope is accepted only if serializing it again gives the same bytes. No byte can be changed
unnoticed, not even base64 padding or a space.

SSH keys are used through ``ssh-keygen``, plain Ed25519 keys through ``cryptography``. The first 27
bytes of a key file, which contain no secret, show which of the two it is; an SSH private key is not
read further. A plain signature is the 64 bytes of RFC 8032, as other DSSE tools write it. Its key
is identified by the fingerprint of its SSH form, so one file of allowed signers serves both kinds.
"""

import base64
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from evalkit._lib.files import file_errors
from evalkit._lib.json import JSON, canonical
from evalkit.errors import UsageError
from evalkit.signoff import ssh
from evalkit.signoff.key_strength import weakness
from evalkit.signoff.problems import InvalidEvidence
from evalkit.signoff.ssh import NAMESPACE, AllowedSigners

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_PEM = b"-----BEGIN PRIVATE KEY-----"
_EXTRA = "install the extra: pip install 'pytest-evalkit[sign]'"


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
    """Read an envelope; the payload is decoded but not parsed. Raises InvalidEvidence."""
    try:
        value = json.loads(line)
        (signature,) = value["signatures"]
        payload_type = value["payloadType"]
        envelope = Envelope(
            base64.b64decode(value["payload"], validate=True),
            str(signature["keyid"]),
            base64.b64decode(signature["sig"], validate=True),
        )
        is_same = render(envelope) == line
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidEvidence(
            "record_unreadable", f"not a DSSE envelope with one signature: {error!r}"
        ) from error
    if payload_type != PAYLOAD_TYPE:
        raise InvalidEvidence(
            "record_unreadable",
            f"its payload type is {str(payload_type)[:80]!r} (expected {PAYLOAD_TYPE!r})",
        )
    if not is_same:
        raise InvalidEvidence(
            "record_unreadable",
            "not spelled as evalkit writes it: writing it again gives other bytes",
        )
    return envelope


PayloadSigner = Callable[[bytes], Envelope]
"""Signs a payload."""


def open_key(path: Path) -> PayloadSigner:
    """Return the signer of a key file.

    Raises UsageError if it cannot be read, or is a kind of key that cannot sign here.
    """
    with file_errors(path, "the key cannot be read"), path.open("rb", buffering=0) as file:
        head = file.read(len(_PEM))
    if head.startswith(b"-----BEGIN ENCRYPTED"):
        raise UsageError(
            f"{path}: an encrypted PEM key cannot sign here; use an SSH key, whose passphrase "
            "ssh-keygen asks for"
        )
    return _pem_signer(path) if head == _PEM else lambda payload: _sign_with_ssh(path, payload)


def _sign_with_ssh(path: Path, payload: bytes) -> Envelope:
    signature = ssh.sign(path, pae(PAYLOAD_TYPE, payload))
    try:
        read = ssh.read_signature(signature)
        problem = weakness(read)
    except InvalidEvidence as error:
        raise UsageError(
            f"{path}: {ssh.PROGRAM} wrote a signature of an unknown format ({error})"
        ) from error
    if problem:
        raise UsageError(f"{path}: cannot sign, {problem}; use an Ed25519 key")
    return Envelope(payload, ssh.fingerprint(read.key), signature)


def _pem_signer(path: Path) -> PayloadSigner:
    try:
        # cryptography is an optional dependency.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise UsageError(f"{path}: a PEM key needs cryptography; {_EXTRA}") from error
    try:
        private = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: the PEM private key cannot be read") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(f"{path}: a PEM key must be an Ed25519 key; an SSH key may be of any type")
    wire = ssh.ed25519_wire(private.public_key().public_bytes_raw())
    keyid = ssh.fingerprint(wire)
    return lambda payload: Envelope(payload, keyid, private.sign(pae(PAYLOAD_TYPE, payload)))


def verify_envelope(line: bytes, allowed: AllowedSigners) -> Envelope:
    """Return an envelope whose signature is valid and whose key is known.

    The payload is not parsed. Raises InvalidEvidence, and UsageError if the program or library that
    checks the signature is missing.
    """
    envelope = parse(line)
    is_ssh = ssh.is_armored(envelope.signature)
    unknown = InvalidEvidence(
        "unknown_signer",
        f"expected a key of the allowed signers ({allowed.name}), found {envelope.keyid[:80]}",
    )
    read = ssh.read_signature(envelope.signature) if is_ssh else None
    key = read.key if read else _plain_key(envelope, allowed)
    if key is None:
        raise unknown
    fingerprint = ssh.fingerprint(key)
    if envelope.keyid != fingerprint:
        raise InvalidEvidence(
            "signature_invalid",
            f"keyid is not the fingerprint of the signing key: expected {fingerprint}, found "
            f"{envelope.keyid[:80]}",
        )
    if not _is_valid(envelope, key):
        raise InvalidEvidence(
            "signature_invalid",
            f"expected a signature of this payload for {NAMESPACE!r}, found one of another "
            "payload, key or purpose",
        )
    if is_ssh and not _is_known(envelope, key, allowed):
        raise unknown
    if read and (problem := weakness(read)):
        raise InvalidEvidence("weak_key", f"{envelope.keyid}: {problem}")
    return envelope


def is_allowed(envelope: Envelope, allowed: AllowedSigners, email: str, when: datetime) -> bool:
    """Return whether an address may sign at a time with the key of a verified envelope."""
    if ssh.is_armored(envelope.signature):
        return ssh.is_allowed(envelope.signature, envelope.signed_bytes, allowed.text, email, when)
    return any(
        entry.allows(email, when)
        for entry in allowed.keys
        if ssh.fingerprint(entry.key) == envelope.keyid
    )


def _plain_key(envelope: Envelope, allowed: AllowedSigners) -> bytes | None:
    """Return the allowed Ed25519 key that the keyid names."""
    if len(envelope.signature) != 64:
        raise InvalidEvidence(
            "record_unreadable",
            f"its signature has {len(envelope.signature)} bytes: neither an SSH signature nor an "
            "Ed25519 one (64 bytes)",
        )
    keys = (entry.key for entry in allowed.keys if ssh.ed25519_raw(entry.key))
    return next((key for key in keys if ssh.fingerprint(key) == envelope.keyid), None)


def _is_known(envelope: Envelope, key: bytes, allowed: AllowedSigners) -> bool:
    """Return whether an SSH key is listed, or certified by a listed authority."""
    is_certified = ssh.is_certificate(key) and any(entry.is_authority for entry in allowed.keys)
    return any(entry.key == key for entry in allowed.keys) or (
        is_certified and ssh.has_principal(envelope.signature, allowed.text)
    )


def _is_valid(envelope: Envelope, key: bytes) -> bool:
    """Return whether a signature is valid by an SSH key, or an Ed25519 key that is listed."""
    if ssh.is_armored(envelope.signature):
        return ssh.is_valid(envelope.signature, envelope.signed_bytes)
    try:
        # cryptography is an optional dependency.
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise UsageError(f"a record is signed with a plain Ed25519 key; {_EXTRA}") from error
    try:
        Ed25519PublicKey.from_public_bytes(key[-32:]).verify(
            envelope.signature, envelope.signed_bytes
        )
    except InvalidSignature:
        return False
    return True
