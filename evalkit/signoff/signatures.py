"""Keys that sign envelopes, and signatures judged: SSH keys of any kind through ``ssh-keygen``, plain Ed25519 through ``cryptography``.

Which of the two a key file is, its first 27 bytes tell: they end before any secret. An SSH private key is never read further.
A plain signature is the 64 bytes of RFC 8032 over the envelope's pre-authentication encoding, as other DSSE tools make and check it; its key
is named by the fingerprint of its SSH form, so that one file of allowed signers speaks of both.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from evalkit.errors import UsageError
from evalkit.signoff import ssh_keygen, ssh_signature
from evalkit.signoff.allowed_signers import NAMESPACE, AllowedSigners
from evalkit.signoff.dsse import PAYLOAD_TYPE, Envelope, pae, parse
from evalkit.signoff.problems import VerificationProblem

_PEM = b"-----BEGIN PRIVATE KEY-----"
_EXTRA = "install the extra: pip install 'pytest-evalkit[sign]'"

Signer = Callable[[bytes], Envelope]
"""Signs a payload."""


class Signature(NamedTuple):
    """A signature that is good, by a key that is known: its public key (wire form) and its fingerprint."""

    key: bytes
    fingerprint: str


def open_key(path: Path) -> Signer:
    """Return what signs with a key file. Raises UsageError: it cannot be read, or is a key of a kind that does not sign here."""
    try:
        with path.open("rb", buffering=0) as file:
            head = file.read(len(_PEM))
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {error.strerror or error}") from error
    if head.startswith(b"-----BEGIN ENCRYPTED"):
        raise UsageError(
            f"{path} is an encrypted PEM key, which cannot sign here; use an SSH key, whose passphrase ssh-keygen asks for"
        )
    return _pem_signer(path) if head == _PEM else lambda payload: _by_ssh(path, payload)


def _by_ssh(path: Path, payload: bytes) -> Envelope:
    signed = pae(PAYLOAD_TYPE, payload)
    signature = ssh_keygen.sign(path, signed)
    try:
        key = ssh_signature.read(signature).key
    except ssh_signature.SshSignatureError as error:
        raise UsageError(
            f"{ssh_keygen.PROGRAM} made a signature that is not understood: {error}"
        ) from error
    return Envelope(payload, ssh_signature.fingerprint(key), signature)


def _pem_signer(path: Path) -> Signer:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise UsageError(f"{path} is a PEM key: {_EXTRA}, or use an SSH key") from error
    try:
        private = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"the key {path} cannot be read: it is no PEM private key that is whole"
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(
            f"{path} is a PEM key of another kind; of PEM keys only Ed25519 signs here, of SSH keys any"
        )
    keyid = ssh_signature.fingerprint(
        ssh_signature.ed25519_wire(private.public_key().public_bytes_raw())
    )
    return lambda payload: Envelope(payload, keyid, private.sign(pae(PAYLOAD_TYPE, payload)))


def judge(
    line: bytes, allowed: AllowedSigners, name: str
) -> tuple[Envelope, Signature] | VerificationProblem:
    """Return an envelope whose signature is good and whose key is known, or what is wrong. The payload is not looked into."""
    try:
        envelope = parse(line)
        key = _key(envelope, allowed)
    except ValueError as error:
        return VerificationProblem("record_unreadable", name, "", f"{name}: {error}")
    if key is None:
        known = f"{allowed.name} has {len(allowed.entries)} keys"
        return VerificationProblem(
            "unknown_signer",
            name,
            "",
            f"{name}: expected a key of the allowed signers ({known}), found {envelope.keyid[:80]}",
        )
    if envelope.keyid != ssh_signature.fingerprint(key):
        found = f"expected {ssh_signature.fingerprint(key)}, found {envelope.keyid[:80]}"
        return VerificationProblem(
            "signature_invalid",
            name,
            "",
            f"{name}: keyid is not the fingerprint of the signing key: {found}",
        )
    if not _good(envelope, key):
        message = f"{name}: expected a signature of this payload for {NAMESPACE!r}, found one that is not (payload, signature or purpose differ)"
        return VerificationProblem("signature_invalid", name, "", message)
    if ssh_signature.is_armoured(envelope.signature) and not _known(envelope, key, allowed):
        message = f"{name}: expected a key of the allowed signers ({allowed.name}), found {envelope.keyid}"
        return VerificationProblem("unknown_signer", name, "", message)
    return envelope, Signature(key, envelope.keyid)


def may_sign(
    envelope: Envelope, signature: Signature, allowed: AllowedSigners, email: str, when: datetime
) -> bool:
    """Say whether the allowed signers let an address sign with this key at a time."""
    if ssh_signature.is_armoured(envelope.signature):
        return ssh_keygen.allows(envelope.signature, envelope.signed, allowed.text, email, when)
    return any(entry.allows(email, when) for entry in allowed.of(signature.key))


def _key(envelope: Envelope, allowed: AllowedSigners) -> bytes | None:
    """Return the public key of a signature: the one it names, or for a plain one the allowed signer's that its keyid means."""
    if ssh_signature.is_armoured(envelope.signature):
        return ssh_signature.read(envelope.signature).key
    if len(envelope.signature) != 64:
        raise ValueError(
            f"its signature has {len(envelope.signature)} bytes and is neither an SSH signature nor an Ed25519 one (64 bytes)"
        )
    plain = (entry.key for entry in allowed.entries if ssh_signature.ed25519_raw(entry.key))
    return next((key for key in plain if ssh_signature.fingerprint(key) == envelope.keyid), None)


def _known(envelope: Envelope, key: bytes, allowed: AllowedSigners) -> bool:
    if allowed.of(key):
        return True
    certified = "-cert-v01@" in ssh_signature.key_type(key) and allowed.has_authorities
    return certified and bool(ssh_keygen.principals(envelope.signature, allowed.text))


def _good(envelope: Envelope, key: bytes) -> bool:
    if ssh_signature.is_armoured(envelope.signature):
        return ssh_keygen.is_good(envelope.signature, envelope.signed)
    raw = ssh_signature.ed25519_raw(key)
    assert raw is not None
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise UsageError(
            f"a record is signed with a plain Ed25519 key; to check it, {_EXTRA}"
        ) from error
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(envelope.signature, envelope.signed)
    except InvalidSignature:
        return False
    return True
