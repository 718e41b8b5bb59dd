"""Sign envelopes and check their signatures, with SSH or plain Ed25519 keys.

SSH keys are used through ``ssh-keygen``, plain keys through ``cryptography``. The first 27 bytes of
a key file, which contain no secret, show which of the two it is; an SSH private key is not read
further. A plain signature is the 64 bytes of RFC 8032 over the envelope's pre-authentication
encoding, as other DSSE tools write it. Its key is identified by the fingerprint of its SSH form, so
one file of allowed signers serves both kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from evalkit.errors import UsageError
from evalkit.signoff import ssh_keygen
from evalkit.signoff.allowed_signers import NAMESPACE, AllowedSigners
from evalkit.signoff.dsse import PAYLOAD_TYPE, Envelope, pae, parse
from evalkit.signoff.problems import VerificationProblem

_PEM = b"-----BEGIN PRIVATE KEY-----"
_EXTRA = "install the extra: pip install 'pytest-evalkit[sign]'"

PayloadSigner = Callable[[bytes], Envelope]
"""Signs a payload."""


class SignedEnvelope(NamedTuple):
    """An envelope with a valid signature of a known key (wire format)."""

    envelope: Envelope
    key: bytes

    def is_allowed(self, allowed: AllowedSigners, email: str, when: datetime) -> bool:
        """Return whether the allowed signers let an address sign with this key at a time."""
        envelope = self.envelope
        if ssh_keygen.is_armored(envelope.signature):
            return ssh_keygen.is_allowed(
                envelope.signature, envelope.signed_bytes, allowed.text, email, when
            )
        return any(entry.allows(email, when) for entry in allowed.matching(self.key))


def open_key(path: Path) -> PayloadSigner:
    """Return the signer of a key file.

    Raises UsageError if it cannot be read, or is a kind of key that cannot sign here.
    """
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(len(_PEM))
    except OSError as error:
        raise UsageError(f"{path}: the key cannot be read ({error.strerror or error})") from error
    if head.startswith(b"-----BEGIN ENCRYPTED"):
        raise UsageError(
            f"{path}: an encrypted PEM key cannot sign here; use an SSH key, whose passphrase "
            "ssh-keygen asks for"
        )
    return _pem_signer(path) if head == _PEM else lambda payload: _sign_with_ssh(path, payload)


def _sign_with_ssh(path: Path, payload: bytes) -> Envelope:
    signature = ssh_keygen.sign(path, pae(PAYLOAD_TYPE, payload))
    try:
        key = ssh_keygen.parse_signature(signature).key
    except ssh_keygen.SshSignatureError as error:
        raise UsageError(
            f"{path}: {ssh_keygen.PROGRAM} wrote a signature of an unknown format ({error})"
        ) from error
    return Envelope(payload, ssh_keygen.fingerprint(key), signature)


def _pem_signer(path: Path) -> PayloadSigner:
    # cryptography is an optional dependency.
    try:
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
    wire = ssh_keygen.ed25519_wire(private.public_key().public_bytes_raw())
    keyid = ssh_keygen.fingerprint(wire)
    return lambda payload: Envelope(payload, keyid, private.sign(pae(PAYLOAD_TYPE, payload)))


def check_signature(
    line: bytes, allowed: AllowedSigners, name: str
) -> SignedEnvelope | VerificationProblem:
    """Check an envelope's signature and that its key is known.

    The payload is not parsed. Raises UsageError if the program or library that checks it is
    missing.
    """
    try:
        envelope = parse(line)
        key = _signing_key(envelope, allowed)
    except ValueError as error:
        return VerificationProblem("record_unreadable", name, f"{name}: {error}")
    unknown = VerificationProblem(
        "unknown_signer",
        name,
        f"{name}: expected a key of the allowed signers ({allowed.name}), found "
        f"{envelope.keyid[:80]}",
    )
    if key is None:
        return unknown
    fingerprint = ssh_keygen.fingerprint(key)
    if envelope.keyid != fingerprint:
        return VerificationProblem(
            "signature_invalid",
            name,
            f"{name}: keyid is not the fingerprint of the signing key: expected {fingerprint}, "
            f"found {envelope.keyid[:80]}",
        )
    if not _is_valid(envelope, key):
        return VerificationProblem(
            "signature_invalid",
            name,
            f"{name}: expected a signature of this payload for {NAMESPACE!r}, found one of another "
            "payload, key or purpose",
        )
    if ssh_keygen.is_armored(envelope.signature) and not _is_known(envelope, key, allowed):
        return unknown
    return SignedEnvelope(envelope, key)


def _signing_key(envelope: Envelope, allowed: AllowedSigners) -> bytes | None:
    """Return the key in an SSH signature, or the allowed key that the keyid names."""
    if ssh_keygen.is_armored(envelope.signature):
        return ssh_keygen.parse_signature(envelope.signature).key
    if len(envelope.signature) != 64:
        raise ValueError(
            f"its signature has {len(envelope.signature)} bytes: neither an SSH signature nor an "
            "Ed25519 one (64 bytes)"
        )
    for entry in allowed.keys:
        if (
            ssh_keygen.ed25519_raw(entry.key)
            and ssh_keygen.fingerprint(entry.key) == envelope.keyid
        ):
            return entry.key
    return None


def _is_known(envelope: Envelope, key: bytes, allowed: AllowedSigners) -> bool:
    if allowed.matching(key):
        return True
    is_certificate = "-cert-v01@" in ssh_keygen.key_type(key)
    return (
        is_certificate
        and allowed.has_authorities
        and ssh_keygen.has_principal(envelope.signature, allowed.text)
    )


def _is_valid(envelope: Envelope, key: bytes) -> bool:
    if ssh_keygen.is_armored(envelope.signature):
        return ssh_keygen.is_valid(envelope.signature, envelope.signed_bytes)
    raw = ssh_keygen.ed25519_raw(key)
    assert raw is not None
    # cryptography is an optional dependency.
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise UsageError(f"a record is signed with a plain Ed25519 key; {_EXTRA}") from error
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(envelope.signature, envelope.signed_bytes)
    except InvalidSignature:
        return False
    return True
